/* muster generate: a text, continued by a trained model. Signals end it after the token under way,
 * and then have their usual effect. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/cores.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/generate/generate.h"

enum { PROMPT_MAX = 1 << 22 };

static volatile sig_atomic_t signal_caught;

static void on_signal(int number)
{
    signal_caught = number;
}

/* A second one of a kind ends the process at once: the handler is for one time. */
static void catch_signals(void)
{
    static const int ending[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction catch = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, before;

    sigemptyset(&catch.sa_mask);
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++)
        if (sigaction(ending[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ending[i], &catch, NULL);
    signal(SIGPIPE, SIG_IGN); /* `| head`: an error of write, which ends it quietly */
}

/* Standard input, whole: a pipe has no size to ask for. */
static enum mu_status read_stdin(char **text, size_t *size)
{
    *text = malloc(PROMPT_MAX);
    if (!*text)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a prompt");
    *size = fread(*text, 1, PROMPT_MAX, stdin);
    if (ferror(stdin))
        return MU_FAIL(MU_FAILED, "--prompt-file: standard input could not be read: %s",
                       strerror(errno));
    if (!feof(stdin))
        return MU_FAIL(MU_FAILED,
                       "--prompt-file: standard input has more than %d bytes; expected "
                       "as much as a model sees",
                       PROMPT_MAX);
    return MU_OK;
}

static enum mu_status read_prompt(const char *path, char **text, size_t *size)
{
    enum mu_status st = strcmp(path, "-") == 0 ? read_stdin(text, size)
                                               : mu_file_read(path, PROMPT_MAX, text, size);

    if (st == MU_NOT_FOUND)
        st = MU_FAIL(MU_NOT_FOUND, "--prompt-file: there is no %s", path);
    return st;
}

static enum mu_status check_words(const struct mu_command *command, const struct mu_words *words)
{
    for (int i = 1; i < words->count; i++)
        if (strncmp(words->word[i], "device.", 7) != 0 || !strchr(words->word[i], '='))
            return mu_options_refuse(
                command, "'%s' has no meaning here; after the checkpoint expected device.KEY=VALUE",
                words->word[i]);
    return MU_OK;
}

static enum mu_status check_prompts(const struct mu_command *command, const char *text,
                                    const char *file, const char *tokens)
{
    if ((text != NULL) + (file != NULL) + (tokens != NULL) > 1)
        return mu_options_refuse(
            command, "--prompt, --prompt-file and --prompt-tokens are one prompt; give one");
    return MU_OK;
}

enum mu_status mu_cli_generate(int argc, char **argv)
{
    struct mu_generation g = {
        .tokens = 256, .sampling.temperature = 0.8, .out = STDOUT_FILENO, .stop = &signal_caught};
    const char *prompt = NULL, *file = NULL;
    char *read = NULL;
    int64_t seed = 1;
    const struct mu_option options[] = {
        {"prompt", "TEXT", "what to continue; without: a new line", .text = &prompt},
        {"prompt-file", "FILE", "the same from a file, as it is; -: standard input", .text = &file},
        {"prompt-tokens", "1,2,3", "the same as numbers of tokens", .text = &g.prompt_tokens},
        {"tokens", "N", "at most so many new tokens (256)", .integer = &g.tokens, .least = 1,
         .most = 1e9},
        {"temperature", "T", "below 1 the likely becomes likelier; 0: always the likeliest (0.8)",
         .real = &g.sampling.temperature, .least = 0, .most = 100},
        {"top-k", "K", "draw from the K likeliest tokens only; 0: from all (0)",
         .integer = &g.sampling.top_k, .least = 0, .most = 1e9},
        {"seed", "S", "another seed, another text (1)", .integer = &seed, .least = 0,
         .most = 9007199254740992},
        {"alone", NULL, "print the continuation without the prompt", .flag = &g.alone},
        {"ids", NULL, "print numbers of tokens instead of text", .flag = &g.ids},
        {"raw", NULL, "print the model's bytes as they come, also those that are no text",
         .flag = &g.raw},
    };
    const struct mu_command command = {
        .usage = "muster generate [options] CHECKPOINT [device.KEY=VALUE]...\n"
                 "muster generate [options] RUN | RUN@STEP [device.KEY=VALUE]...",
        .about =
            "Continues a text with a trained model: of a checkpoint, or of a run directory's "
            "newest good one. The same prompt and options give the same text, whatever ranks "
            "trained the checkpoint and however many threads compute it, on CPUs of one kind.\n\n"
            "A model of bytes takes and gives text: bytes that are no character of UTF-8, and "
            "control characters, are shown as U+FFFD. Of other vocabularies, whose text is not "
            "known here, it takes and gives numbers of tokens. What the model sees is the last "
            "model.context tokens, or down to half as many. It computes on the CPU, on as many "
            "threads as device.threads=N says, unless device.kind=cuda is given.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = INT_MAX};
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    MU_TRY(check_words(&command, &words), st, done);
    MU_TRY(check_prompts(&command, prompt, file, g.prompt_tokens), st, done);
    g.sampling.seed = (uint64_t)seed;
    g.source = (struct mu_trained_source){
        .name = words.word[0], .overrides = words.word + 1, .override_count = words.count - 1};
    g.prompt = prompt;
    g.prompt_bytes = prompt ? strlen(prompt) : 0;
    if (file) {
        MU_TRY(read_prompt(file, &read, &g.prompt_bytes), st, done);
        g.prompt = read;
    }
    catch_signals();
    st = mu_generate(&g);
done:
    free(read);
    if (signal_caught)
        raise(signal_caught); /* its handler is the default again: ends the process */
    return st;
}

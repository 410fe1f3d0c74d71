/* muster tokenize: text to token files. Signals ask the library to stop; it leaves nothing half
 * written, and then the signal has its usual effect. */
#include "orchestrator/cli/verbs.h"

#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "worker/tokenize/tokenize.h"

static volatile sig_atomic_t signal_caught;

static void on_signal(int number)
{
    signal_caught = number;
}

static const int ending_signals[] = {SIGINT, SIGTERM, SIGHUP};
enum { ENDING_SIGNALS = sizeof ending_signals / sizeof *ending_signals };

/* A second signal of a kind ends the process at once: the handler is for one time. Reads must
 * return: no SA_RESTART. What was ignored (nohup) stays ignored. */
static void catch_signals(void)
{
    struct sigaction catch = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND}, before;

    sigemptyset(&catch.sa_mask);
    for (int i = 0; i < ENDING_SIGNALS; i++)
        if (sigaction(ending_signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(ending_signals[i], &catch, NULL);
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write(), to be reported */
}

struct text {
    char text[32];
};

static struct text bytes_text(double bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    struct text out;
    int unit = 0;

    for (; bytes >= 1000 && unit < 4; unit++)
        bytes /= 1000;
    snprintf(out.text, sizeof out.text, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
    return out;
}

/* The line on a terminal, at most ten times a second. */
struct bar {
    double began_s, drawn_s;
    bool shown;
};

static void take_bar_away(void *context, int begin)
{
    struct bar *bar = context;

    if (begin && bar->shown && write(STDERR_FILENO, "\r\033[K", 4) == 4)
        bar->shown = false;
}

static void draw_bar(void *context, uint64_t done, uint64_t total)
{
    struct bar *bar = context;
    double now = mu_clock_s();
    struct text rate = bytes_text((double)done / (now - bar->began_s + 1e-9));

    if (now - bar->drawn_s < 0.1)
        return;
    bar->drawn_s = now;
    bar->shown = true;
    if (total == 0)
        fprintf(stderr, "\r\033[Kreading: %s, %s/s", bytes_text((double)done).text, rate.text);
    else
        fprintf(stderr, "\r\033[Ktokenizing: %3.0f %% of %s, %s/s",
                100.0 * (double)done / (double)total, bytes_text((double)total).text, rate.text);
}

/* KEY=VALUE as a word of a shell: in quotes when a letter of it means something there. */
static void print_word(const char *key, const char *value)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "./_-+,:@%=";

    printf(" %s=", key);
    if (value[strspn(value, plain)] == 0) {
        fputs(value, stdout);
        return;
    }
    putchar('\'');
    for (; *value; value++)
        if (*value == '\'')
            fputs("'\\''", stdout);
        else
            putchar(*value);
    putchar('\'');
}

static void print_file(const struct mu_tokenize_file *f)
{
    printf("%s: %" PRIu64 " token%s, %" PRIu64 " chunk%s, content %s\n", f->path, f->header.count,
           mu_plural(f->header.count), f->chunks, mu_plural(f->chunks),
           mu_hash_print(f->header.content).text);
}

static void print_summary(const struct mu_tokenize_result *r, double seconds)
{
    print_file(&r->train);
    if (r->valid.header.count > 0)
        print_file(&r->valid);
    printf("%" PRIu64 " bytes, %" PRIu64 " tokens of a vocabulary of 256 in %.2f s, %s/s\n",
           r->source_bytes, r->train.header.count + r->valid.header.count, seconds,
           bytes_text((double)r->source_bytes / fmax(seconds, 1e-9)).text);
    printf("train on it:");
    print_word("data.train", r->train.path);
    if (r->valid.header.count > 0)
        print_word("data.valid", r->valid.path);
    putchar('\n');
}

static enum mu_status tokenize(const struct mu_tokenize_job *asked)
{
    const bool terminal = isatty(STDERR_FILENO) == 1;
    struct bar bar = {.began_s = mu_clock_s()};
    struct mu_tokenize_job job = *asked;
    struct mu_tokenize_result result;
    enum mu_status st;

    job.stop = &signal_caught;
    if (terminal) {
        job.progress = draw_bar;
        job.context = &bar;
        mu_log_set_guard(take_bar_away, &bar);
    }
    catch_signals();
    st = mu_tokenize_bytes(&job, &result);
    take_bar_away(&bar, 1);
    mu_log_set_guard(NULL, NULL);
    if (st == MU_OK)
        print_summary(&result, mu_clock_s() - bar.began_s);
    else if (signal_caught)
        raise(signal_caught); /* its handler is the default again: ends the process */
    return st;
}

enum mu_status mu_cli_tokenize(int argc, char **argv)
{
    const char *out = NULL, *vocab = "bytes";
    double valid_fraction = 0.02;
    int64_t seed = 1, chunk = MU_CHUNK_BYTES;
    bool force = false;
    int from_stdin = 0;
    const struct mu_option options[] = {
        {"out", "PREFIX", "write PREFIX-train.bin and PREFIX-valid.bin; needed", .text = &out},
        {"valid-fraction", "F",
         "part of the text that is kept for validation, 0 to 0.5 (0.02); 0: no validation file",
         .real = &valid_fraction, .least = 0, .most = 0.5},
        {"seed", "N", "decides which chunks are for validation, and their order (1)",
         .integer = &seed, .least = 0, .most = 9007199254740992},
        {"chunk", "BYTES", "the text is cut into chunks of so many bytes, 16 to 1048576 (4096)",
         .integer = &chunk, .least = MU_CHUNK_BYTES_MIN, .most = MU_CHUNK_BYTES_MAX},
        {"vocab", "NAME", "bytes: one token a byte, vocabulary 256 (the only one)", .text = &vocab},
        {"force", NULL, "replace existing files", .flag = &force},
    };
    const struct mu_command command = {
        .usage = "muster tokenize [options] FILE... --out PREFIX\n"
                 "zcat FILE.gz | muster tokenize - --out PREFIX",
        .about = "Makes token files for training and validation from text. FILEs are taken one "
                 "after another as one text; - is standard input.\n\n"
                 "The text is cut into chunks, which are shuffled and dealt to the two files: the "
                 "same text and options give the same files. Memory does not grow with the text.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = INT_MAX};
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    if (!out || !*out)
        return mu_options_refuse(&command, "--out PREFIX is missing: where to write");
    if (out[strlen(out) - 1] == '/')
        return mu_options_refuse(
            &command, "--out %s is a folder; give the beginning of a name too: %stext", out, out);
    if (strcmp(vocab, "bytes") != 0)
        return mu_options_refuse(&command, "unknown vocabulary '%s'; expected bytes", vocab);
    for (int i = 0; i < words.count; i++)
        from_stdin += strcmp(words.word[i], "-") == 0;
    if (from_stdin > 1)
        return mu_options_refuse(&command, "- (standard input) can be read only once");
    return tokenize(&(struct mu_tokenize_job){.inputs = (const char *const *)words.word,
                                              .input_count = (size_t)words.count,
                                              .prefix = out,
                                              .valid_fraction = valid_fraction,
                                              .seed = (uint64_t)seed,
                                              .chunk_bytes = (uint32_t)chunk,
                                              .force = force});
}

/* muster inspect: what a path is, and what is in it. Reads only. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/cli/inspect_checkpoint.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "worker/data/tokens.h"

enum { STATUS_MAX = 1 << 20 };

struct wanted {
    bool json, deep, config;
};

static enum mu_status show_checkpoint(const char *folder, const char *status,
                                      const struct wanted *w)
{
    struct mu_inspected c;
    enum mu_status st = mu_inspect_checkpoint(folder, w->deep, &c);

    if (st != MU_OK)
        return st;
    if (w->config)
        fputs(c.info.config, stdout);
    else if (w->json)
        st = mu_inspected_print_json(&c, status, stdout);
    else
        mu_inspected_print(&c, stdout);
    if (st == MU_OK && !mu_inspected_good(&c))
        st = MU_FAIL(MU_CORRUPT, "checkpoint %s is damaged", folder);
    mu_inspected_deinit(&c);
    return st;
}

/* status.json in a few lines; one that cannot be read is no reason to show nothing. */
static void print_status(const char *run, const char *text)
{
    const char *state = "?", *outcome = "?", *message = "", *updated = "?";
    json_int_t step = 0, steps = 0;
    json_t *object = text ? json_loads(text, 0, NULL) : NULL;

    printf("run %s\n", run);
    if (object && json_unpack(object, "{s:s, s:s, s:I, s:I, s:s, s:s}", "state", &state, "outcome",
                              &outcome, "step", &step, "steps", &steps, "updated", &updated,
                              "message", &message) == 0) {
        printf("  state        %s, outcome %s, at %s\n", state, outcome, updated);
        printf("  progress     step %lld of %lld\n", (long long)step, (long long)steps);
        if (*message)
            printf("  message      %s\n", message);
    } else
        printf("  state        unknown: no readable status.json\n");
    putchar('\n');
    json_decref(object);
}

/* A run directory, or a folder of checkpoints: the newest one. */
static enum mu_status show_newest(const char *path, const char *checkpoints, bool is_run,
                                  const struct wanted *w)
{
    enum mu_status st = MU_OK;
    struct mu_checkpoint_info info = {0};
    char folder[MU_PATH_MAX], *status = NULL;
    size_t size;

    if (is_run) {
        MU_TRY(mu_path_format(folder, "%s/status.json", path), st, done);
        st = mu_file_read(folder, STATUS_MAX, &status, &size);
        if (st != MU_OK && st != MU_NOT_FOUND)
            goto done;
        if (!w->json && !w->config)
            print_status(path, status);
    }
    st = mu_checkpoint_find_newest(checkpoints, &info);
    if (st == MU_NOT_FOUND)
        st = MU_FAIL(MU_NOT_FOUND, "%s holds no checkpoint that is whole", checkpoints);
    if (st != MU_OK)
        goto done;
    MU_TRY(mu_checkpoint_folder(folder, checkpoints, info.step), st, done);
    MU_TRY(show_checkpoint(folder, status, w), st, done);
done:
    mu_checkpoint_info_deinit(&info);
    free(status);
    return st;
}

static bool has(const char *folder, const char *name)
{
    char path[MU_PATH_MAX];
    int n = snprintf(path, sizeof path, "%s/%s", folder, name);

    return n > 0 && n < MU_PATH_MAX && mu_file_exists(path);
}

static enum mu_status show_folder(const char *path, const struct wanted *w)
{
    char checkpoints[MU_PATH_MAX];
    int64_t *steps;
    uint32_t count;
    enum mu_status st = mu_path_format(checkpoints, "%s/checkpoints", path);

    if (st != MU_OK)
        return st;
    if (has(path, "checkpoint.h5") || has(path, "part-00000.h5"))
        return show_checkpoint(path, NULL, w);
    if (mu_file_exists(checkpoints) || has(path, "status.json"))
        return show_newest(path, checkpoints, true, w);
    st = mu_checkpoint_list(path, &steps, &count);
    if (st != MU_OK)
        return st;
    free(steps);
    if (count > 0)
        return show_newest(path, path, false, w);
    return MU_FAIL(MU_NOT_FOUND,
                   "%s holds nothing that Muster knows; expected a checkpoint (checkpoint.h5), a "
                   "run directory (checkpoints/, status.json) or checkpoints (step-...)",
                   path);
}

static enum mu_status show_tokens(const char *path, const struct wanted *w)
{
    struct mu_tokens t;
    enum mu_status st = mu_tokens_open(&t, path);

    if (st != MU_OK)
        return st;
    if (w->deep)
        MU_TRY(mu_tokens_verify(&t, path), st, done);
    if (w->json)
        printf("{\"kind\": \"tokens\", \"format\": \"%s\", \"tokens\": %" PRIu64
               ", \"vocab\": %u, \"bytes_per_token\": %u, \"source_bytes\": %" PRIu64
               ", \"identity\": \"%s\"%s}\n",
               t.format, t.count, t.vocab, t.token_bytes, t.source_bytes,
               mu_hash_print(t.identity).text, w->deep ? ", \"verified\": true" : "");
    else {
        printf("tokens %s\n  format       %s\n  tokens       %" PRIu64 " of %u byte%s\n"
               "  vocabulary   %u\n",
               path, t.format, t.count, t.token_bytes, t.token_bytes == 1 ? "" : "s", t.vocab);
        if (t.source_bytes > 0)
            printf("  text         %" PRIu64 " bytes\n", t.source_bytes);
        printf("  identity     %s\n", mu_hash_print(t.identity).text);
        if (w->deep)
            printf("  content      every token was read: all right\n");
    }
done:
    mu_tokens_close(&t);
    return st;
}

static enum mu_status show_file(const char *path, const struct wanted *w)
{
    char folder[MU_PATH_MAX], *slash;
    const char *name = strrchr(path, '/');
    enum mu_status st = mu_path_format(folder, "%s", path);

    if (st != MU_OK)
        return st;
    name = name ? name + 1 : path;
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = 0;
    else
        strcpy(folder, ".");
    if (strcmp(name, "checkpoint.h5") == 0)
        return show_checkpoint(folder, NULL, w);
    if (strncmp(name, "part-", 5) == 0 && has(folder, "checkpoint.h5"))
        return MU_FAIL(MU_USAGE, "%s is one part of a checkpoint; inspect the folder: %s", path,
                       folder);
    if (w->config)
        return MU_FAIL(MU_USAGE, "--config is of checkpoints; %s is not one", path);
    return show_tokens(path, w);
}

enum mu_status mu_cli_inspect(int argc, char **argv)
{
    struct wanted w = {0};
    const struct mu_option options[] = {
        {"deep", NULL,
         "read everything: verify every checksum, compute the state hash again, show norms",
         .flag = &w.deep},
        {"json", NULL, "one JSON object instead of a table", .flag = &w.json},
        {"config", NULL, "print the configuration that a checkpoint was saved with, and no more",
         .flag = &w.config},
    };
    const struct mu_command command = {
        .usage = "muster inspect [options] PATH",
        .about = "Shows what PATH holds: a checkpoint (its folder, or checkpoint.h5), a run "
                 "directory (its status and newest whole checkpoint), or a token file.\n\n"
                 "Ends with 1 when something that was looked at is missing or damaged.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = 1};
    struct mu_words words;
    struct stat s;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    if (w.json && w.config)
        return mu_options_refuse(&command, "--json and --config are two answers; ask for one");
    if (stat(words.word[0], &s) != 0)
        return MU_FAIL(MU_NOT_FOUND, "there is no %s", words.word[0]);
    st = S_ISDIR(s.st_mode) ? show_folder(words.word[0], &w) : show_file(words.word[0], &w);
    if (fflush(stdout) != 0 && st == MU_OK)
        st = MU_FAIL(MU_FAILED, "cannot write to standard output");
    return st;
}

/* muster inspect: what a path is, and what is in it. Reads only. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/inspect/found.h"
#include "orchestrator/inspect/inspect_checkpoint.h"
#include "orchestrator/inspect/inspect_run.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/records.h"
#include "orchestrator/sweep_run/show.h"
#include "worker/data/tokens.h"

struct wanted {
    bool json, deep, config, all;
};

/* `run`: what it is a checkpoint of, to be shown with it in JSON; or NULL. Taken over. */
static enum mu_status show_checkpoint(const char *folder, json_t *run, const struct wanted *w)
{
    struct mu_inspected c;
    enum mu_status st = mu_inspect_checkpoint(folder, w->deep, &c);

    if (st != MU_OK) {
        json_decref(run);
        return st;
    }
    if (w->config)
        fputs(c.info.config, stdout);
    else if (w->json && run)
        json_object_set_new(run, "checkpoint", mu_inspected_json(&c));
    else if (w->json)
        run = mu_inspected_json(&c);
    else
        mu_inspected_print(&c, w->all, stdout);
    if (w->json)
        st = mu_json_write(stdout, run, folder);
    if (st == MU_OK && !mu_inspected_good(&c))
        st = MU_FAIL(MU_CORRUPT, "checkpoint %s is damaged", folder);
    mu_inspected_deinit(&c);
    return st;
}

/* The newest of a folder of checkpoints. MU_NOT_FOUND (reported) when none is whole. */
static enum mu_status find_newest(const char *checkpoints, char folder[MU_PATH_MAX], int64_t *step)
{
    struct mu_checkpoint_info info = {0};
    enum mu_status st = mu_checkpoint_find_newest(checkpoints, &info);

    if (st == MU_NOT_FOUND)
        st = MU_FAIL(MU_NOT_FOUND, "%s holds no checkpoint that is whole", checkpoints);
    if (st == MU_OK) {
        *step = info.step;
        st = mu_checkpoint_folder(folder, checkpoints, info.step);
    }
    mu_checkpoint_info_deinit(&info);
    return st;
}

/* How the run went, and its newest checkpoint. A run that has saved none yet is all right. */
static enum mu_status show_run(const char *path, const char *checkpoints, const struct wanted *w)
{
    struct mu_inspected_run run;
    char folder[MU_PATH_MAX];
    int64_t *steps = NULL, step = 0;
    uint32_t count;
    enum mu_status st = mu_inspect_run(path, &run), found = MU_OK;
    json_t *json = NULL;

    if (st != MU_OK)
        return st;
    if (mu_file_exists(checkpoints))
        MU_TRY(mu_checkpoint_list(checkpoints, &steps, &count), st, done);
    else
        count = 0;
    free(steps);
    if (count > 0 || w->config)
        found = find_newest(checkpoints, folder, &step);
    if (w->json)
        json = mu_inspected_run_json(&run);
    else if (!w->config)
        mu_inspected_run_print(&run, step, stdout);
    if (step > 0 || (count > 0 && found == MU_OK)) {
        if (!w->json && !w->config)
            putchar('\n');
        st = show_checkpoint(folder, json, w);
    } else if (w->json)
        st = mu_json_write(stdout, json, path);
    else if (found == MU_OK)
        puts("  checkpoint   none yet");
    if (st == MU_OK)
        st = found;
done:
    mu_inspected_run_deinit(&run);
    return st;
}

/* What `muster status` shows, and where the rest is. */
static enum mu_status show_sweep(const char *path, const struct wanted *w)
{
    struct mu_sweep_view *view = NULL;
    json_t *status = NULL, *object;
    enum mu_status st;

    if (w->config)
        return MU_FAIL(MU_USAGE,
                       "--config is of checkpoints; %s is a sweep, with runs in %s/trials", path,
                       path);
    MU_TRY(mu_sweep_view_read(path, &view), st, done);
    if (w->json) {
        MU_TRY(mu_sweep_read_status(path, &status), st, done);
        object = json_pack("{s:s, s:s, s:o, s:b}", "kind", "sweep", "path", path, "status", status,
                           "killed", mu_sweep_view_standing(view) == MU_SWEEP_WAS_KILLED);
        st = mu_json_write(stdout, object, path);
    } else {
        mu_sweep_view_print(stdout, view, 0, 0);
        printf("'muster inspect %s/trials' lists its runs\n", path);
    }
done:
    mu_sweep_view_free(view);
    return st;
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

static enum mu_status show_newest_of(const char *path, const struct wanted *w)
{
    char folder[MU_PATH_MAX];
    int64_t step;
    enum mu_status st = find_newest(path, folder, &step);

    return st == MU_OK ? show_checkpoint(folder, NULL, w) : st;
}

static enum mu_status show_runs(const char *path, const struct wanted *w)
{
    enum mu_status st = w->config ? MU_NOT_FOUND : mu_inspect_runs(path, w->json, stdout);

    if (st != MU_NOT_FOUND)
        return st;
    return MU_FAIL(MU_NOT_FOUND, "%s holds nothing that Muster knows; %s", path,
                   mu_found_expected());
}

static enum mu_status show(const char *path, const struct wanted *w)
{
    char folder[MU_PATH_MAX], checkpoints[MU_PATH_MAX];
    enum mu_found found;
    enum mu_status st = mu_found_at(path, &found, folder);

    if (st != MU_OK)
        return st;
    switch (found) {
    case MU_FOUND_NOTHING:
        return mu_found_nothing(path);
    case MU_FOUND_CHECKPOINT:
        return show_checkpoint(folder, NULL, w);
    case MU_FOUND_PART:
        return MU_FAIL(MU_USAGE, "%s is one part of a checkpoint; inspect the folder: %s", path,
                       folder);
    case MU_FOUND_SWEEP:
        return show_sweep(folder, w);
    case MU_FOUND_RUN:
        st = mu_path_format(checkpoints, "%s/checkpoints", folder);
        return st == MU_OK ? show_run(folder, checkpoints, w) : st;
    case MU_FOUND_CHECKPOINTS:
        return show_newest_of(folder, w);
    case MU_FOUND_FILE:
        if (w->config)
            return MU_FAIL(MU_USAGE, "--config is of checkpoints; %s is not one", path);
        return show_tokens(path, w);
    case MU_FOUND_RUNS:
    case MU_FOUND_OTHER:
        break;
    }
    return show_runs(folder, w);
}

enum mu_status mu_cli_inspect(int argc, char **argv)
{
    struct wanted w = {0};
    const struct mu_option options[] = {
        {"deep", NULL,
         "read everything: verify every checksum, compute the state hash again, show norms",
         .flag = &w.deep},
        {"all", NULL, "every tensor, however many", .flag = &w.all},
        {"json", NULL, "one JSON object instead of a table", .flag = &w.json},
        {"config", NULL, "print the configuration that a checkpoint was saved with, and no more",
         .flag = &w.config},
    };
    const struct mu_command command = {
        .usage = "muster inspect [options] PATH",
        .about =
            "Shows what PATH holds: a checkpoint (its folder, checkpoint.h5 or RUN@STEP), a run "
            "directory (how it went, its journal and newest whole checkpoint), a folder of "
            "run directories, a sweep's folder, or a token file.\n\n"
            "Ends with 1 when something that was looked at is missing or damaged.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = 1};
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    if (w.json && w.config)
        return mu_options_refuse(&command, "--json and --config are two answers; ask for one");
    st = show(words.word[0], &w);
    if (fflush(stdout) != 0 && st == MU_OK)
        st = MU_FAIL(MU_FAILED, "standard output could not be written: %s", strerror(errno));
    return st;
}

/* muster status: how far a run or a sweep has come. Reads files only, never asks the ranks. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/inspect/found.h"
#include "orchestrator/inspect/inspect_run.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/live.h"
#include "orchestrator/run/no_path.h"
#include "orchestrator/run/progress_text.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/steer/steer.h"
#include "orchestrator/sweep_run/show.h"

enum { LOOK_US = 500000, RUN_LINE_MS = 5000, SWEEP_LINE_MS = 30000, FILE_MOST = 64 << 20 };

/* What was read, once. A run, or a sweep. */
struct reading {
    const char *path;
    struct mu_sweep_view *sweep; /* NULL: a run */
    struct mu_inspected_run run;
    bool is_launched; /* a launcher has the run, and starts it again */
    int64_t saved;    /* step of the newest checkpoint; 0: none */
};

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_sweep(const char *path)
{
    return mu_file_exists_in(path, "sweep.json");
}

static enum mu_status check_path(const char *path)
{
    struct stat s;

    if (stat(path, &s) != 0)
        return mu_no_path(path, "");
    if (!S_ISDIR(s.st_mode))
        return MU_FAIL(MU_NOT_FOUND,
                       "%s is a file; expected the folder of a run or of a sweep (run.dir/NAME)",
                       path);
    if (!is_sweep(path) && !mu_found_is_run(path))
        return MU_FAIL(MU_NOT_FOUND,
                       "%s is not the folder of a run (it has no status.json) nor of a sweep (no "
                       "sweep.json); 'muster inspect' tells what it holds",
                       path);
    return MU_OK;
}

static const char *status_word(const struct reading *r, const char *key)
{
    return mu_json_get_text(r->run.status, key);
}

static bool has_ended(const struct reading *r)
{
    return strcmp(status_word(r, "state"), "ended") == 0;
}

static bool is_complete(const struct reading *r)
{
    return has_ended(r) && strcmp(status_word(r, "outcome"), "complete") == 0;
}

static void reading_deinit(struct reading *r)
{
    mu_sweep_view_free(r->sweep);
    if (!r->sweep)
        mu_inspected_run_deinit(&r->run);
    r->sweep = NULL;
}

/* The lock of one that has nothing to do any more, or whose ranks say so themselves, is not looked
 * at: that may take a second. */
static void look_for_launcher(const char *path, struct mu_sweep_view *v)
{
    const enum mu_sweep_standing standing = mu_sweep_view_standing(v);
    const bool is_launched = standing == MU_SWEEP_RUNS
                                 ? mu_sweep_view_was_launched(v)
                                 : standing != MU_SWEEP_COMPLETE && mu_hold_is_taken(path);

    if (is_launched)
        mu_sweep_view_set_launched(v);
}

static enum mu_status read_all(const char *path, struct reading *r)
{
    enum mu_status st;

    *r = (struct reading){.path = path};
    if (is_sweep(path)) {
        st = mu_sweep_view_read(path, &r->sweep);
        if (st == MU_OK)
            look_for_launcher(path, r->sweep);
        return st == MU_NOT_FOUND ? MU_FAIL(st, "%s/sweep.json is there no more", path) : st;
    }
    MU_TRY(mu_inspect_run(path, &r->run), st, done);
    r->saved = mu_outcome_saved(path);
    if (!is_complete(r) && (r->run.killed || has_ended(r)))
        r->is_launched = mu_hold_is_taken(path);
    r->run.killed = r->run.killed && !r->is_launched;
done:
    return st;
}

/* MU_OK: complete; MU_REQUEUE: the same command goes on; MU_RUNNING; MU_FAILED. */
static enum mu_status standing(const struct reading *r)
{
    static const enum mu_status of_sweep[] = {[MU_SWEEP_RUNS] = MU_RUNNING,
                                              [MU_SWEEP_WAS_KILLED] = MU_REQUEUE,
                                              [MU_SWEEP_STOPPED] = MU_REQUEUE,
                                              [MU_SWEEP_COMPLETE] = MU_OK,
                                              [MU_SWEEP_HAS_FAILURES] = MU_FAILED};

    if (r->sweep)
        return of_sweep[mu_sweep_view_standing(r->sweep)];
    if (is_complete(r))
        return MU_OK;
    if (r->is_launched)
        return MU_RUNNING;
    if (!r->run.status) /* begun, or damaged: only the lock can tell */
        return mu_run_dir_is_locked(r->path) ? MU_RUNNING : MU_REQUEUE;
    if (!has_ended(r))
        return r->run.killed ? MU_REQUEUE : MU_RUNNING;
    return strcmp(status_word(r, "outcome"), "requeue") == 0 ? MU_REQUEUE : MU_FAILED;
}

/* ---- showing --------------------------------------------------------------------------------- */

static struct mu_progress_text run_line(const struct reading *r)
{
    const struct mu_metrics *m = &r->run.newest;
    const int64_t steps = mu_json_get_integer(r->run.status, "steps");

    return mu_progress_line(m, steps,
                            standing(r) == MU_RUNNING && steps > m->step
                                ? 1e-3 * m->step_ms * (double)(steps - m->step)
                                : NAN);
}

/* rows 0: everything. */
static void print(FILE *out, const struct reading *r, int columns, int rows)
{
    if (r->sweep) {
        mu_sweep_view_print(out, r->sweep, columns, rows);
        return;
    }
    mu_inspected_run_print_state(&r->run, r->saved, out);
    if (r->run.newest.step > 0)
        fprintf(out, "  newest       %s\n", run_line(r).text);
    if (r->is_launched)
        fprintf(out, "  launcher     one has this run, and starts it again\n");
    mu_steer_print_pending(r->path, out);
    if (r->saved > 0)
        fprintf(out, "  checkpoint   of step %lld\n", (long long)r->saved);
    else
        fprintf(out, "  checkpoint   none yet\n");
}

/* Cuts lines and their number to what a terminal shows: its last column and row stay empty. */
static char *fit(char *text, struct mu_live_size size)
{
    char *to = text;
    int column = 0, row = 1;

    for (const char *c = text; *c; c++) {
        if (*c == '\n') {
            *to++ = '\n';
            column = 0;
            if (++row >= size.rows)
                break;
        } else if (column++ < size.columns - 1) {
            *to++ = *c;
        }
    }
    *to = 0;
    return text;
}

static enum mu_status draw(struct mu_live *live, const struct reading *r)
{
    const struct mu_live_size size = mu_live_size(STDOUT_FILENO);
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    if (!out)
        return MU_FAIL(MU_NO_MEMORY, "no memory to show %s", r->path);
    print(out, r, size.columns - 1, size.rows - 1);
    if (fclose(out) == 0)
        mu_live_put(live, fit(text, size));
    free(text);
    return MU_OK;
}

/* A line, when there is something new and the last one is some seconds old. */
struct lines {
    struct mu_progress_text last;
    struct mu_deadline next;
};

static enum mu_status say(struct lines *l, const struct reading *r)
{
    struct mu_progress_text line;

    if (!mu_deadline_passed(l->next) || (!r->sweep && r->run.newest.step == 0))
        return MU_OK;
    line = r->sweep ? mu_sweep_view_line(r->sweep) : run_line(r);
    if (strcmp(line.text, l->last.text) == 0)
        return MU_OK;
    l->last = line;
    l->next = mu_deadline_in_ms(r->sweep ? SWEEP_LINE_MS : RUN_LINE_MS);
    return printf("%s\n", line.text) < 0 || fflush(stdout) != 0
               ? MU_FAIL(MU_FAILED, "cannot write to standard output")
               : MU_OK;
}

/* A tenth of the time at most goes into reading: the records of a long run are many. */
static unsigned pause_us(double read_s)
{
    return (unsigned)fmin(60e6, fmax(LOOK_US, 9e6 * read_s));
}

/* Until it does not run any more, which is left to be shown in *r. */
static enum mu_status watch(const char *path, struct reading *r)
{
    struct mu_live *live = mu_live_wanted(STDOUT_FILENO) ? mu_live_open(STDOUT_FILENO) : NULL;
    struct lines lines = {0};
    enum mu_status st;

    for (;;) {
        const double begin = mu_clock_s();

        MU_TRY(read_all(path, r), st, done);
        if (standing(r) != MU_RUNNING)
            break;
        st = live ? draw(live, r) : say(&lines, r);
        reading_deinit(r);
        if (st != MU_OK)
            break;
        mu_clock_sleep_us(pause_us(mu_clock_s() - begin));
    }
done:
    mu_live_close(live, false);
    return st;
}

/* The file as it is, so that no number changes, with one member more. */
static enum mu_status print_json(const struct reading *r)
{
    char path[MU_PATH_MAX], *text = NULL;
    const bool interrupted =
        r->sweep ? mu_sweep_view_standing(r->sweep) == MU_SWEEP_WAS_KILLED : r->run.killed;
    size_t size;
    json_t *object = NULL;
    enum mu_status st;

    MU_TRY(mu_path_format(path, "%s/%s", r->path, r->sweep ? "sweep.json" : "status.json"), st,
           done);
    st = mu_file_read(path, FILE_MOST, &text, &size);
    object = st == MU_OK ? json_loadb(text, size, 0, NULL) : NULL;
    if (st == MU_NOT_FOUND)
        st = MU_FAIL(st, "%s is not there", path);
    else if (st == MU_OK && json_object_size(object) == 0)
        st = MU_FAIL(MU_CORRUPT, "%s is not a JSON object", path);
    else if (st == MU_OK)
        printf("{\n  \"interrupted\": %s,%s", interrupted ? "true" : "false",
               strchr(text, '{') + 1);
done:
    json_decref(object);
    free(text);
    return st;
}

static enum mu_status show(const char *path, bool watched, bool json, bool exit_code)
{
    struct reading r = {0};
    enum mu_status st;

    MU_TRY(check_path(path), st, done);
    MU_TRY(watched ? watch(path, &r) : read_all(path, &r), st, done);
    if (json) {
        MU_TRY(print_json(&r), st, done);
    } else if (isatty(STDOUT_FILENO) && r.sweep) {
        const struct mu_live_size size = mu_live_size(STDOUT_FILENO);

        print(stdout, &r, size.columns - 1, size.rows - 1);
    } else {
        print(stdout, &r, 0, 0);
    }
    if (exit_code)
        st = standing(&r);
done:
    reading_deinit(&r);
    return st;
}

enum mu_status mu_cli_status(int argc, char **argv)
{
    bool watched = false, json = false, exit_code = false;
    int64_t rank = -1;
    const struct mu_option options[] = {
        {"watch", NULL,
         "go on showing it, until it ends (or Ctrl-C): on a terminal in place, else a line now and "
         "then (MUSTER_PROGRESS=bar or lines decides)",
         .flag = &watched},
        {"exit-code", NULL,
         "end with 0 when it is complete, 2 while it runs, 75 when it was stopped or killed and "
         "the same command goes on, 1 when it failed",
         .flag = &exit_code},
        {"json", NULL,
         "print status.json or sweep.json, with \"interrupted\" before its members: whether it was "
         "killed",
         .flag = &json},
        {"pid", "RANK",
         "print the process of that rank and nothing else, as in gdb -p $(muster status RUN --pid "
         "3); ends with 1 when it is dead",
         .integer = &rank, .least = 0, .most = 1e9},
    };
    const struct mu_command command = {
        .usage = "muster status RUN [options]",
        .about = "Shows how far a run or a sweep has come, from what stands in its folder RUN: of "
                 "a run its state, steps, losses, hash, ranks, goodput and newest checkpoint; of a "
                 "sweep the trials that train, those that ended last, its ranks, and whether the "
                 "minimum of each budget is bracketed. No rank is asked, so it may be called as "
                 "often as you like, from any machine that sees the folder; whether the process "
                 "still lives is told by its lock.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = 1,
    };
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    if (json && watched)
        return mu_options_refuse(&command, "--json is told once; it cannot be watched");
    if (rank >= 0 && (watched || json || exit_code))
        return mu_options_refuse(&command, "--pid prints a number, and goes with no other option");
    if (rank >= 0) {
        MU_TRY(check_path(words.word[0]), st, failed);
        return mu_steer_print_pid(words.word[0], rank);
    }
    return show(words.word[0], watched, json, exit_code);
failed:
    return st;
}

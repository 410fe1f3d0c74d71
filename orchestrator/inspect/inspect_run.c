#include "orchestrator/inspect/inspect_run.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/text_wrap.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/records.h"
#include "orchestrator/sweep_run/show.h"

enum { TEXT_COLUMN = 15, JOURNAL_SHOWN = 20, TAIL_BYTES = 2 * MU_METRICS_LINE_MAX };

/* ---- finding out ----------------------------------------------------------------------------- */

static const char *status_text(const struct mu_inspected_run *r, const char *key)
{
    return mu_json_get_text(r->status, key);
}

static int64_t status_number(const struct mu_inspected_run *r, const char *key)
{
    return mu_json_get_integer(r->status, key);
}

/* The last record, from the end of the file: it may be long. */
static void read_newest(struct mu_inspected_run *r)
{
    char path[MU_PATH_MAX], tail[TAIL_BYTES + 1];
    FILE *in =
        mu_path_format(path, "%s/metrics.jsonl", r->path) == MU_OK ? fopen(path, "re") : NULL;
    char *end, *line;
    size_t size;

    if (!in)
        return;
    if (fseek(in, -TAIL_BYTES, SEEK_END) != 0)
        rewind(in);
    size = fread(tail, 1, TAIL_BYTES, in);
    fclose(in);
    tail[size] = 0;
    end = strrchr(tail, '\n');
    if (!end)
        return;
    *end = 0;
    line = strrchr(tail, '\n');
    line = line ? line + 1 : tail;
    if (!mu_metrics_parse_json(line, (size_t)(end - line), &r->newest))
        memset(&r->newest, 0, sizeof r->newest);
}

static const char *const type_names[] = {
#define NAME(name, number, meaning) [number] = #name,
    MU_JOURNAL_TABLE(NAME)
#undef NAME
};

static void take_record(void *context, uint32_t generation, enum mu_journal_type type,
                        const char *text, size_t size)
{
    struct mu_inspected_run *r = context;
    json_t *record = json_loadb(text, size, 0, NULL), *entry;

    entry = json_pack("{s:i, s:s, s:o}", "generation", (int)generation, "type", type_names[type],
                      "record", record ? record : json_null());
    json_array_append_new(r->journal, entry);
    if (json_array_size(r->journal) > JOURNAL_SHOWN) {
        json_array_remove(r->journal, 0);
        r->journal_left++;
    }
}

static enum mu_status read_status(struct mu_inspected_run *r)
{
    enum mu_status st = mu_run_dir_read_status(r->path, &r->status, NULL);

    if (r->status && strcmp(status_text(r, "state"), "ended") != 0)
        r->killed = !mu_run_dir_is_locked(r->path);
    return st == MU_NOT_FOUND ? MU_OK : st;
}

enum mu_status mu_inspect_run(const char *path, struct mu_inspected_run *r)
{
    char folder[MU_PATH_MAX];
    enum mu_status st;

    memset(r, 0, sizeof *r);
    r->losses = (struct mu_run_losses){NAN, NAN, NAN, NAN, NAN, 0};
    r->journal = json_array();
    MU_TRY(mu_path_format(r->path, "%s", path), st, done);
    MU_TRY(read_status(r), st, done);
    r->losses = mu_metrics_losses(path);
    if (r->losses.last_step > 0)
        read_newest(r);
    MU_TRY(mu_path_format(folder, "%s/journal", path), st, done);
    MU_TRY(mu_journal_replay(folder, take_record, r), st, done);
done:
    if (st != MU_OK)
        mu_inspected_run_deinit(r);
    return st;
}

void mu_inspected_run_deinit(struct mu_inspected_run *r)
{
    json_decref(r->status);
    json_decref(r->journal);
    memset(r, 0, sizeof *r);
}

/* ---- for people ------------------------------------------------------------------------------ */

static void print_losses(FILE *out, const char *name, double first, double last)
{
    if (isfinite(first) && first == last) /* one record */
        fprintf(out, "  %-11s  loss %.4f, in nats per token\n", name, last);
    else if (isfinite(first) && isfinite(last))
        fprintf(out, "  %-11s  loss %.4f first, %.4f last, in nats per token\n", name, first, last);
}

static const char *plural(int64_t n)
{
    return n == 1 ? "" : "s";
}

static void print_state(const struct mu_inspected_run *r, int64_t from_step, FILE *out)
{
    const char *outcome = status_text(r, "outcome"), *message = status_text(r, "message");

    fprintf(out, "  state        %s", status_text(r, "state"));
    if (*outcome && strcmp(outcome, "none") != 0)
        fprintf(out, ", outcome %s", outcome);
    fprintf(out, ", as of %s\n", status_text(r, "updated"));
    if (r->killed) {
        fprintf(out, "               nobody trains it now: it was killed; the same command goes on "
                     "from ");
        if (from_step > 0)
            fprintf(out, "step %" PRId64 "\n", from_step);
        else
            fprintf(out, "the beginning\n");
    } else if (*message)
        fprintf(out, "  message      %s\n", message);
    fprintf(out, "  progress     step %" PRId64 " of %" PRId64, status_number(r, "step"),
            status_number(r, "steps"));
    if (r->newest.tokens > 0)
        fprintf(out, ", %" PRIu64 " tokens", r->newest.tokens);
    if (r->newest.tokens > 0 && r->newest.step != status_number(r, "step"))
        fprintf(out, " in %" PRId64, r->newest.step); /* the two files are written apart */
    fputc('\n', out);
    if (status_number(r, "ranks") > 0)
        fprintf(out, "  computed on  %" PRId64 " rank%s, %" PRId64 " host%s\n",
                status_number(r, "ranks"), plural(status_number(r, "ranks")),
                status_number(r, "hosts"), plural(status_number(r, "hosts")));
    if (*status_text(r, "state_hash"))
        fprintf(out, "  state hash   %s of step %" PRId64 "\n", status_text(r, "state_hash"),
                status_number(r, "state_hash_step"));
}

static void print_goodput(const struct mu_inspected_run *r, FILE *out)
{
    const json_t *object = json_object_get(r->status, "goodput");
    struct mu_ledger_sum s;
    const char *separator = "  counts       ";

    if (!mu_goodput_from_json(object, &s))
        return;
    if (mu_ledger_total_us(&s) > 0)
        mu_text_wrap(out, TEXT_COLUMN, fprintf(out, "  time"), mu_ledger_print(&s).text);
    for (enum mu_ledger_event e = 0; e < MU_LEDGER_EVENT_COUNT; e++)
        if (s.events[e] > 0) {
            fprintf(out, "%s%s %" PRIu64, separator, mu_ledger_event_text(e), s.events[e]);
            separator = ", ";
        }
    if (*separator == ',')
        fputc('\n', out);
}

/* What happened, in words; malloc'ed. */
static char *words_of(const json_t *record, const char *type)
{
    const char *outcome = json_string_value(json_object_get(record, "outcome"));
    const char *event = json_string_value(json_object_get(record, "event"));
    const int64_t ranks = mu_json_get_integer(record, "ranks"),
                  step = mu_json_get_integer(record, "step");
    char text[128];

    if (!record || !type)
        return strdup("a record that cannot be read");
    if (strcmp(type, "GENERATION") == 0)
        snprintf(text, sizeof text, "started with %" PRId64 " rank%s at step %" PRId64, ranks,
                 plural(ranks), step);
    else if (strcmp(type, "CHECKPOINT") == 0)
        snprintf(text, sizeof text, "checkpoint of step %" PRId64, step);
    else if (strcmp(type, "END") == 0)
        snprintf(text, sizeof text, "ended at step %" PRId64 ", outcome %s", step,
                 outcome ? outcome : "unknown");
    else
        return event ? strdup(event) : json_dumps(record, JSON_COMPACT);
    return strdup(text);
}

static void print_record(const json_t *entry, FILE *out)
{
    const json_t *record = json_object_get(entry, "record");
    const char *date = json_string_value(json_object_get(record, "date"));
    char *words = words_of(record, json_string_value(json_object_get(entry, "type")));
    const int used =
        fprintf(out, "    start %-4" PRId64 "%s%s", mu_json_get_integer(entry, "generation"),
                date ? " " : "", date ? date : "");

    mu_text_wrap(out, used + 1, used, words ? words : "");
    free(words);
}

void mu_inspected_run_print_state(const struct mu_inspected_run *r, int64_t from_step, FILE *out)
{
    fprintf(out, "run %s\n", r->path);
    if (r->status)
        print_state(r, from_step, out);
    else
        fprintf(out, "  state        unknown: no readable status.json\n");
    print_losses(out, "training", r->losses.first_train, r->losses.last_train);
    print_losses(out, "validation", r->losses.first_valid, r->losses.last_valid);
    print_goodput(r, out);
}

void mu_inspected_run_print(const struct mu_inspected_run *r, int64_t from_step, FILE *out)
{
    const json_t *entry;
    size_t i;

    mu_inspected_run_print_state(r, from_step, out);
    if (json_array_size(r->journal) > 0)
        fprintf(out, "  journal\n");
    if (r->journal_left > 0)
        fprintf(out, "    (%" PRIu64 " older record%s)\n", r->journal_left,
                plural((int64_t)r->journal_left));
    json_array_foreach(r->journal, i, entry) print_record(entry, out);
}

/* ---- for programs ---------------------------------------------------------------------------- */

json_t *mu_inspected_run_json(const struct mu_inspected_run *r)
{
    return json_pack("{s:s, s:s, s:O?, s:b, s:{s:o, s:o, s:o, s:o}, s:I, s:O}", "kind", "run",
                     "path", r->path, "status", r->status, "killed", r->killed, "losses",
                     "first_train", mu_json_real(r->losses.first_train), "last_train",
                     mu_json_real(r->losses.last_train), "first_valid",
                     mu_json_real(r->losses.first_valid), "last_valid",
                     mu_json_real(r->losses.last_valid), "tokens", (json_int_t)r->newest.tokens,
                     "journal", r->journal);
}

/* ---- a folder of runs ------------------------------------------------------------------------ */

static int only_names(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static void print_row(const struct mu_inspected_run *r, const char *name, FILE *out)
{
    const char *state = status_text(r, "state"), *outcome = status_text(r, "outcome");
    char progress[48];

    if (r->killed)
        state = "killed";
    else if (strcmp(state, "ended") == 0)
        state = outcome;
    snprintf(progress, sizeof progress, "%" PRId64 " of %" PRId64, status_number(r, "step"),
             status_number(r, "steps"));
    fprintf(out, "  %-24s  %-9s  %16s", name, r->status ? state : "unknown", progress);
    if (isfinite(r->losses.last_valid))
        fprintf(out, "  %10.4f", r->losses.last_valid);
    else
        fprintf(out, "  %10s", "");
    fprintf(out, "  %s\n", status_text(r, "updated"));
}

static void print_heading(bool sweeps, const char *folder, FILE *out)
{
    fprintf(out, "%s %s\n", sweeps ? "sweeps" : "runs", folder);
    if (!sweeps)
        fprintf(out, "  %-24s  %-9s  %16s  %10s  %s\n", "name", "state", "step", "valid loss",
                "as of");
}

/* A line, or an object in the list. One that cannot be read is named, and the others are shown. */
static enum mu_status show_sweep(const char *path, const char *name, json_t *list, FILE *out)
{
    struct mu_sweep_view *view = NULL;
    json_t *status = NULL;
    enum mu_status st = MU_OK;

    if (list) {
        if (mu_sweep_read_status(path, &status) == MU_OK)
            json_array_append_new(list, json_pack("{s:s, s:s, s:o}", "kind", "sweep", "path", path,
                                                  "status", status));
        return MU_OK;
    }
    st = mu_sweep_view_read(path, &view);
    if (st == MU_OK)
        fprintf(out, "  %s\n", mu_sweep_view_line(view).text);
    else
        fprintf(out, "  %s: a sweep that cannot be read\n", name);
    mu_sweep_view_free(view);
    return MU_OK;
}

static enum mu_status show_run(const char *path, const char *name, json_t *list, FILE *out)
{
    struct mu_inspected_run r;
    enum mu_status st = mu_inspect_run(path, &r);

    if (st != MU_OK)
        return st;
    if (list)
        json_array_append_new(list, mu_inspected_run_json(&r));
    else
        print_row(&r, name, out);
    mu_inspected_run_deinit(&r);
    return MU_OK;
}

typedef enum mu_status show_one(const char *path, const char *name, json_t *list, FILE *out);

/* Runs, and then sweeps: those that hold `file`. */
static enum mu_status show_those(const char *folder, struct dirent **names, int count,
                                 const char *file, show_one *show, json_t *list, int *found,
                                 FILE *out)
{
    enum mu_status st = MU_OK;

    for (int i = 0; st == MU_OK && i < count; i++) {
        char path[MU_PATH_MAX];

        st = mu_path_format(path, "%s/%s", folder, names[i]->d_name);
        if (st != MU_OK || !mu_file_exists_in(path, file) ||
            (show == show_sweep && mu_file_exists_in(path, "status.json")))
            continue;
        if ((*found)++ == 0 && !list)
            print_heading(show == show_sweep, folder, out);
        st = show(path, names[i]->d_name, list, out);
    }
    return st;
}

enum mu_status mu_inspect_runs(const char *folder, bool json, FILE *out)
{
    struct dirent **names;
    int count = scandir(folder, &names, only_names, alphasort), found = 0, sweeps = 0;
    json_t *list = json && count >= 0 ? json_array() : NULL;
    enum mu_status st = MU_OK;

    if (count < 0)
        return MU_FAIL(MU_FAILED, "cannot read %s: %s", folder, strerror(errno));
    st = show_those(folder, names, count, "status.json", show_run, list, &found, out);
    if (st == MU_OK)
        st = show_those(folder, names, count, "sweep.json", show_sweep, list, &sweeps, out);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
    if (st == MU_OK && found + sweeps == 0)
        st = MU_NOT_FOUND;
    if (st == MU_OK && json) {
        json_t *object = json_pack("{s:s, s:s, s:O}", "kind", "runs", "path", folder, "runs", list);

        st = mu_json_write(out, object, folder);
    }
    json_decref(list);
    return st;
}

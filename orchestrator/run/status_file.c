/* A reader of status.json sees one whole status, the old or the new: written beside, renamed. Not
 * synced: after a power cut an older status tells no lie that matters, and the disk is left alone.
 *
 * At most one write in half a second, since steps may take a millisecond; a change of state or
 * outcome is written at once, and closing writes the last one, so that the file ends true. */
#include "orchestrator/run/status_file.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/metrics.h"

enum { FILE_MAX = 1 << 20 };
static const uint64_t INTERVAL_NS = 500000000;

static const char *const state_names[] = {
    [MU_RUN_STARTING] = "starting",
    [MU_RUN_RUNNING] = "running",
    [MU_RUN_SAVING] = "saving",
    [MU_RUN_ENDED] = "ended",
};
static const char *const outcome_names[] = {
    [MU_OUTCOME_NONE] = "none",
    [MU_OUTCOME_COMPLETE] = "complete",
    [MU_OUTCOME_REQUEUE] = "requeue",
    [MU_OUTCOME_FAILED] = "failed",
};

const char *mu_run_stopper_word(enum mu_run_stopper stopper)
{
    static const char *const words[] = {
#define WORD(id, word) [MU_STOPPED_BY_##id] = word,
        MU_RUN_STOPPER_TABLE(WORD)
#undef WORD
    };

    return words[stopper];
}

enum mu_status mu_run_dir_read_status(const char *path, json_t **status, uint64_t *signs)
{
    char file[MU_PATH_MAX], *text = NULL;
    size_t size = 0;
    enum mu_status st = mu_path_format(file, "%s/status.json", path);

    *status = NULL;
    if (st == MU_OK)
        st = mu_file_read(file, FILE_MAX, &text, &size);
    if (st == MU_OK)
        *status = json_loadb(text, size, 0, NULL);
    if (*status && !json_is_object(*status)) {
        json_decref(*status);
        *status = NULL;
    }
    if (signs)
        *signs = mu_hash_bytes(text ? text : "", size, 0).low;
    free(text);
    return st;
}

static void read_kept(struct mu_status_file *file, const char *folder)
{
    const char *outcome, *state;
    json_t *object;

    if (mu_run_dir_read_status(folder, &object, NULL) != MU_OK)
        return; /* a new run; another reason has been told, and costs no more than the account */
    if (!mu_goodput_from_json(json_object_get(object, "goodput"), &file->kept.goodput))
        mu_log(MU_LOG_DEBUG, "%s holds no goodput: the account begins anew", file->path);
    file->kept.step = mu_json_get_integer(object, "step");
    outcome = json_string_value(json_object_get(object, "outcome"));
    file->kept.interrupted = outcome && strcmp(outcome, outcome_names[MU_OUTCOME_COMPLETE]) != 0 &&
                             strcmp(outcome, outcome_names[MU_OUTCOME_REQUEUE]) != 0;
    state = json_string_value(json_object_get(object, "state"));
    if (file->kept.interrupted && state && strcmp(state, state_names[MU_RUN_ENDED]) != 0)
        file->kept.died = mu_json_get_integer(object, "ranks");
    json_decref(object);
}

enum mu_status mu_status_file_open(struct mu_status_file *file, const char *folder)
{
    enum mu_status st;

    *file = (struct mu_status_file){0};
    MU_TRY(mu_path_format(file->path, "%s/status.json", folder), st, done);
    MU_TRY(mu_path_format(file->beside, "%s/status.json.tmp", folder), st, done);
    read_kept(file, folder);
done:
    return st;
}

/* The object's last member is "goodput": null, which gives way to the goodput's own text, as its
 * numbers are printed with other digits. */
static char *with_goodput(const char *text, const struct mu_ledger_sum *s)
{
    static const char end[] = "null\n}";
    json_t *object = mu_goodput_to_json(s);
    char *goodput = json_dumps(object, JSON_REAL_PRECISION(MU_GOODPUT_DIGITS)), *whole = NULL;
    size_t n = strlen(text);

    MU_ASSERT(n > sizeof end && strcmp(text + n - (sizeof end - 1), end) == 0);
    if (goodput && asprintf(&whole, "%.*s%s\n}", (int)(n - (sizeof end - 1)), text, goodput) < 0)
        whole = NULL;
    free(goodput);
    json_decref(object);
    return whole;
}

/* Deaths count before any time has been told of. */
static bool has_account(const struct mu_ledger_sum *s)
{
    uint64_t events = 0;

    for (int i = 0; i < MU_LEDGER_EVENT_COUNT; i++)
        events += s->events[i];
    return events > 0 || mu_ledger_total_us(s) > 0;
}

/* malloc'ed; NULL: no memory. */
static char *print(const struct mu_run_status *s)
{
    int a = isfinite(s->loss) ? mu_metrics_digits(s->loss) : 6;
    int b = isfinite(s->valid_loss) ? mu_metrics_digits(s->valid_loss) : 6;
    size_t digits = (size_t)(a > b ? a : b);
    char host[256] = "";
    const char *launch = mu_started_by_launch();
    json_t *object;
    char *text, *whole;

    gethostname(host, sizeof host - 1);
    object = json_pack(
        "{s:s, s:s, s:s?, s:o, s:b, s:I, s:I, s:o, s:o, s:o, s:o, s:i, s:i, s:i, s:o, s:s, s:o, "
        "s:s?, "
        "s:n}",
        "state", state_names[s->state], "outcome", outcome_names[s->outcome], "stopped_by",
        mu_run_stopper_word(s->stopped_by), "dead_rank",
        s->has_died ? json_integer(s->dead_rank) : json_null(), "agreed", s->agreed, "step",
        (json_int_t)s->step, "steps", (json_int_t)s->steps, "loss", mu_json_real(s->loss),
        "valid_loss", mu_json_real(s->valid_loss), "state_hash",
        s->has_hash ? json_string(mu_hash_print(s->hash).text) : json_null(), "state_hash_step",
        s->has_hash ? json_integer(s->hash_step) : json_null(), "ranks", s->ranks, "hosts",
        s->hosts, "pid", (int)getpid(), "host", mu_json_text(host), "updated", mu_clock_date().text,
        "message", mu_json_text(s->message), "launch", launch, "goodput");
    text = json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(digits));
    json_decref(object);
    if (!text || !has_account(&s->goodput))
        return text;
    whole = with_goodput(text, &s->goodput);
    free(text);
    return whole;
}

static void write_newest(struct mu_status_file *file)
{
    char *text = print(&file->newest);
    int error = text ? mu_file_replace(file->path, file->beside, text) : ENOMEM;

    free(text);
    file->written_ns = mu_clock_ns();
    file->pending = false;
    if (error != 0 && !file->warned) {
        file->warned = true;
        mu_log(MU_LOG_WARN, "cannot write %s: %s; training goes on without it", file->path,
               strerror(error));
    }
}

bool mu_status_file_put(struct mu_status_file *file, const struct mu_run_status *s)
{
    bool moved =
        !file->given || file->newest.state != s->state || file->newest.outcome != s->outcome;

    MU_ASSERT((size_t)s->state < sizeof state_names / sizeof *state_names);
    MU_ASSERT((size_t)s->outcome < sizeof outcome_names / sizeof *outcome_names);
    file->newest = *s;
    if (!has_account(&s->goodput))
        file->newest.goodput = file->kept.goodput;
    file->given = true;
    file->pending = true;
    if (moved || mu_clock_ns() - file->written_ns >= INTERVAL_NS)
        write_newest(file);
    return !file->pending;
}

bool mu_status_file_close(struct mu_status_file *file)
{
    const bool pending = file->pending;

    if (pending)
        write_newest(file);
    return pending;
}

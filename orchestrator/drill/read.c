/* Times and places are taken from what Muster says to people: a drill shows what a user would see,
 * and needs no second record of it. A line that is worded anew is found by tests/mpi/test_drill.sh
 * and tests/unit/test_drill.c. */
#include "orchestrator/drill/read.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/metrics.h"

enum { METRICS_MAX = 64 << 20 };

/* The number after `words` in a line; false: they do not stand there. */
static bool number_after(const char *line, const char *words, double *out)
{
    const char *at = strstr(line, words);

    return at && sscanf(at + strlen(words), "%lf", out) == 1;
}

static bool starts_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

static void take_longest(double *longest, double seconds)
{
    if (seconds > *longest)
        *longest = seconds;
}

static void read_fault(const char *line, struct mu_drill_lines *out)
{
    const char *name = strstr(line, ": fault at ");

    for (enum mu_fault_point p = 0; name && p < MU_FAULT_COUNT; p++)
        if (strcmp(name + strlen(": fault at "), mu_fault_point_name(p)) == 0)
            out->hits[p]++;
}

static void read_start(const char *line, struct mu_drill_lines *out)
{
    const char *parts = strstr(line, "parts of its start: ");
    double clearing, mpirun, init, loading;

    if (parts && sscanf(parts,
                        "parts of its start: clearing %lf s, mpirun %lf s, MPI_Init %lf s, loading "
                        "%lf s",
                        &clearing, &mpirun, &init, &loading) == 4)
        out->start_s = clearing + mpirun + init + loading;
    if (strstr(line, ": a new run in "))
        out->from = MU_DRILL_FRESH;
    else if (strstr(line, ": going on from the checkpoint of step "))
        out->from = MU_DRILL_CHECKPOINT;
    else if (strstr(line, ": going on from step ") && strstr(line, "still in memory"))
        out->from = MU_DRILL_MEMORY;
}

/* "; 2 shards are computed again;" */
static void read_shards_again(const char *line, struct mu_drill_lines *out)
{
    for (const char *at = line; (at = strstr(at, "; ")) != NULL; at++) {
        char *end;
        unsigned long count = strtoul(at + 2, &end, 10);

        if (starts_with(end, " shard is computed again") ||
            starts_with(end, " shards are computed again"))
            out->shards_again += count;
    }
}

static void read_line(const char *line, struct mu_drill_lines *out)
{
    double s;

    read_fault(line, out);
    read_start(line, out);
    if (number_after(line, " on after ", &s)) { /* "3 ranks go", "1 rank goes" */
        out->repairs++;
        take_longest(&out->repair_s, s);
    }
    if (strstr(line, ": generation ")) {
        out->relaunches += strstr(line, "; starting again") != NULL;
        if (number_after(line, " trains, ", &s))
            take_longest(&out->relaunch_s, s);
    }
    if (strstr(line, "was ended by rank ") && (number_after(line, " stood still for ", &s) ||
                                               number_after(line, " by a signal for ", &s)))
        take_longest(&out->fenced_s, s);
    read_shards_again(line, out);
    out->passed_over += strstr(line, ": it is passed over") != NULL;
}

void mu_drill_read_lines(const char *text, struct mu_drill_lines *out)
{
    char *copy = strdup(text), *rest = NULL;

    *out = (struct mu_drill_lines){0};
    for (char *line = copy ? strtok_r(copy, "\r\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\r\n", &rest))
        read_line(line, out);
    free(copy);
}

static void read_status(const char *run, struct mu_drill_result *out)
{
    struct mu_ledger_sum goodput;
    json_t *status;

    if (mu_run_dir_read_status(run, &status, NULL) != MU_OK)
        return;
    out->complete =
        strcmp(mu_json_get_text(status, "outcome"), "complete") == 0 &&
        mu_json_get_integer(status, "state_hash_step") == mu_json_get_integer(status, "steps");
    mu_json_copy_text(out->hash, sizeof out->hash, status, "state_hash");
    if (mu_goodput_from_json(json_object_get(status, "goodput"), &goodput)) {
        out->shards_redone = goodput.events[MU_LEDGER_SHARDS_REDONE];
        out->steps_lost = goodput.events[MU_LEDGER_STEPS_LOST];
    }
    json_decref(status);
}

static char *read_metrics(const char *run)
{
    char path[MU_PATH_MAX], *text = NULL;
    size_t size;

    if (mu_path_format(path, "%s/metrics.jsonl", run) != MU_OK ||
        mu_file_read(path, METRICS_MAX, &text, &size) != MU_OK)
        return NULL;
    return text;
}

void mu_drill_read_result(const char *run, struct mu_drill_result *out)
{
    char *text = read_metrics(run), *rest = NULL;

    *out = (struct mu_drill_result){0};
    read_status(run, out);
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; line;
         line = strtok_r(NULL, "\n", &rest)) {
        struct mu_metrics m;
        char seen[96];
        int n;

        if (!mu_metrics_parse_json(line, strlen(line), &m))
            continue;
        n = snprintf(seen, sizeof seen, "%lld %a %a", (long long)m.step, m.loss, m.valid_loss);
        out->losses = mu_hash_bytes(seen, (size_t)n, out->losses).low;
        out->steps++;
    }
    free(text);
}

int64_t mu_drill_count_records(const char *run)
{
    char *text = read_metrics(run);
    int64_t count = 0;

    for (const char *p = text; p && (p = strchr(p, '\n')) != NULL; p++)
        count++;
    free(text);
    return count;
}

static bool started_again(const struct mu_drill_course *course)
{
    return course->said.relaunches > 0 || course->launches > 1;
}

/* Nobody can go on by himself. */
static bool leaves_nobody(const struct mu_drill_case *c)
{
    for (int i = 0; i < c->signals; i++)
        if (c->signal[i].target != MU_DRILL_RANK && c->signal[i].target != MU_DRILL_ALL_BUT_ONE)
            return true;
    return false;
}

/* The fault is known to have happened as it was meant to. */
static bool is_reached(const struct mu_drill_case *c, const struct mu_drill_course *course)
{
    int hits = 0;

    if (c->tear)
        return course->sent > 0 && course->said.passed_over >= c->expected;
    if (c->points == 0) /* a run may be complete before a signal does what it is for */
        return course->sent >= c->expected &&
               (started_again(course) || (course->said.repairs > 0 && !leaves_nobody(c)));
    for (enum mu_fault_point p = 0; p < MU_FAULT_COUNT; p++)
        if (c->points & 1u << p)
            hits += course->said.hits[p];
    return hits >= c->expected;
}

enum mu_drill_verdict mu_drill_judge(const struct mu_drill_case *c,
                                     const struct mu_drill_course *course,
                                     const struct mu_drill_result *undisturbed)
{
    const struct mu_drill_result *r = &course->result;

    if (course->late)
        return MU_DRILL_TOO_LATE;
    if (course->exit_code != 0 || !r->complete)
        return MU_DRILL_NOT_COMPLETE;
    if (!r->hash[0] || strcmp(r->hash, undisturbed->hash) != 0 || r->steps != undisturbed->steps ||
        r->losses != undisturbed->losses)
        return MU_DRILL_DIFFERS;
    return is_reached(c, course) ? MU_DRILL_SURVIVED : MU_DRILL_NOT_REACHED;
}

const char *mu_drill_verdict_words(enum mu_drill_verdict v)
{
    static const char *const words[] = {[MU_DRILL_SURVIVED] = "equal",
                                        [MU_DRILL_NOT_REACHED] = "equal, not reached",
                                        [MU_DRILL_DIFFERS] = "DIFFERS",
                                        [MU_DRILL_NOT_COMPLETE] = "NOT COMPLETE",
                                        [MU_DRILL_TOO_LATE] = "DID NOT END"};

    return words[v];
}

const char *mu_drill_rung(const struct mu_drill_course *course)
{
    static const char *const relaunched[] = {"R3 relaunched", "R3 from the start",
                                             "R3 by checkpoint", "R3 from memory"};
    static const char *const requeued[] = {"R4 requeued", "R4 from the start", "R4 by checkpoint",
                                           "R4 from memory"};

    if (started_again(course))
        return (course->requeued ? requeued : relaunched)[course->said.from];
    return course->said.repairs > 0 ? "R1 in the job" : "-";
}

double mu_drill_repair_s(const struct mu_drill_course *course)
{
    const struct mu_drill_lines *said = &course->said;
    double s = said->repair_s;

    if (!started_again(course) && said->repairs == 0)
        return -1;
    if (said->relaunches > 0)
        s = said->relaunch_s;
    else if (course->launches > 1)
        s = said->start_s;
    if (s <= 0 && started_again(course))
        return -1; /* it was complete before the launcher saw it train */
    /* Whoever waits in a repair for a rank that stands still does both at once. */
    return s > said->fenced_s ? s : said->fenced_s;
}

/* The ledger knows what no line tells, and loses what a master that dies has not yet written. */
uint64_t mu_drill_shards_again(const struct mu_drill_course *course,
                               const struct mu_drill_result *undisturbed)
{
    uint64_t all = course->result.shards_redone, own = undisturbed->shards_redone;
    uint64_t counted = all > own ? all - own : 0;

    return counted > course->said.shards_again ? counted : course->said.shards_again;
}

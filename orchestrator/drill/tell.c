#include "orchestrator/drill/tell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"

enum { NAME_COLUMNS = 22, RUNG_COLUMNS = 17 };

void mu_drill_tally_deinit(struct mu_drill_tally *tally)
{
    json_decref(tally->json);
    *tally = (struct mu_drill_tally){0};
}

void mu_drill_tell_begin(struct mu_drill_tally *tally, const struct mu_drill_request *request,
                         const struct mu_drill_course *undisturbed)
{
    tally->undisturbed = undisturbed->result;
    printf("undisturbed: %" PRId64 " ranks, %" PRId64 " steps, %.1f s, state hash %s\n\n",
           request->ranks, request->steps, undisturbed->seconds, undisturbed->result.hash);
    printf("%-*s  %-*s  %8s  %-14s  %6s  %s\n", NAME_COLUMNS, "fault", RUNG_COLUMNS, "rung",
           "repair", "computed again", "in all", "result");
    fflush(stdout);
}

static void print_again(uint64_t steps, uint64_t shards, char *out, size_t capacity)
{
    if (steps > 0)
        snprintf(out, capacity, "%" PRIu64 " step%s", steps, steps == 1 ? "" : "s");
    else if (shards > 0)
        snprintf(out, capacity, "%" PRIu64 " shard%s", shards, shards == 1 ? "" : "s");
    else
        snprintf(out, capacity, "nothing");
}

static void note_json(struct mu_drill_tally *tally, const struct mu_drill_case *c,
                      const struct mu_drill_course *course, enum mu_drill_verdict verdict)
{
    const struct mu_drill_result *r = &course->result;

    if (!tally->json)
        tally->json = json_array();
    json_array_append_new(
        tally->json,
        json_pack("{s:s, s:s, s:s, s:s, s:b, s:f, s:f, s:I, s:I, s:i, s:s}", "name", c->name,
                  "fault", c->what, "rung", mu_drill_rung(course), "result",
                  mu_drill_verdict_words(verdict), "reached", verdict == MU_DRILL_SURVIVED,
                  "repair_s", mu_drill_repair_s(course), "seconds", course->seconds, "shards_again",
                  (json_int_t)mu_drill_shards_again(course, &tally->undisturbed), "steps_lost",
                  (json_int_t)r->steps_lost, "exit_code", course->exit_code, "state_hash",
                  r->hash));
}

void mu_drill_tell_case(struct mu_drill_tally *tally, const struct mu_drill_case *c,
                        const struct mu_drill_course *course, enum mu_drill_verdict verdict)
{
    double repair_s = mu_drill_repair_s(course);
    char again[48], repair[24] = "-";

    print_again(course->result.steps_lost, mu_drill_shards_again(course, &tally->undisturbed),
                again, sizeof again);
    if (repair_s >= 0)
        snprintf(repair, sizeof repair, "%.3f s", repair_s);
    printf("%-*s  %-*s  %8s  %-14s  %4.1f s  %s\n", NAME_COLUMNS, c->name, RUNG_COLUMNS,
           mu_drill_rung(course), repair, again, course->seconds, mu_drill_verdict_words(verdict));
    if (verdict != MU_DRILL_SURVIVED && verdict != MU_DRILL_NOT_REACHED)
        printf("    to look at it: --keep --only %s\n", c->name);
    fflush(stdout);
    note_json(tally, c, course, verdict);
    tally->not_reached += verdict == MU_DRILL_NOT_REACHED;
    tally->tried += verdict != MU_DRILL_NOT_REACHED;
    tally->survived += verdict == MU_DRILL_SURVIVED;
    if (verdict == MU_DRILL_SURVIVED && repair_s > tally->slowest_s) {
        tally->slowest_s = repair_s;
        snprintf(tally->slowest, sizeof tally->slowest, "%s", c->name);
    }
}

static enum mu_status write_json(const struct mu_drill_tally *tally,
                                 const struct mu_drill_request *request)
{
    json_t *object =
        json_pack("{s:s, s:I, s:I, s:s, s:i, s:i, s:i, s:O?}", "kind", "drill", "ranks",
                  (json_int_t)request->ranks, "steps", (json_int_t)request->steps, "state_hash",
                  tally->undisturbed.hash, "tried", tally->tried, "survived", tally->survived,
                  "not_reached", tally->not_reached, "cases", tally->json);
    char *text = object ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
    enum mu_status st = text ? mu_file_write_atomically(request->json, text, strlen(text))
                             : MU_FAIL(MU_NO_MEMORY, "no memory for the results");

    free(text);
    json_decref(object);
    return st;
}

enum mu_status mu_drill_tell_end(const struct mu_drill_tally *tally,
                                 const struct mu_drill_request *request)
{
    enum mu_status st = MU_OK;

    printf("\n%d of %d faults survived", tally->survived, tally->tried);
    if (tally->slowest_s > 0)
        printf("; the slowest repair took %.3f s (%s)", tally->slowest_s, tally->slowest);
    if (tally->not_reached > 0)
        printf("; %d not reached: this configuration does not pass there, or not on that rank",
               tally->not_reached);
    putchar('\n');
    if (request->json)
        st = write_json(tally, request);
    if (st == MU_OK && tally->survived < tally->tried)
        st = MU_FAIL(MU_FAILED, "%d of %d faults led to another result, or to none",
                     tally->tried - tally->survived, tally->tried);
    return st;
}

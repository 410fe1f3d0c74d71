/* timing.csv and timeline.csv: what hangs on who computed what when. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <csv.h>

#include "orchestrator/base/log.h"
#include "orchestrator/sweep_run/records.h"

/* Of a trial, from its stretches. */
struct stretch {
    double first, last; /* NAN: none; it goes on */
    uint32_t count;
    bool open;
};

static void put_time(FILE *out, double seconds)
{
    if (isfinite(seconds))
        fprintf(out, "%.3f", seconds);
}

static void put_trial(FILE *out, const struct mu_sweep_trial *t, const struct mu_cell *cell,
                      const struct stretch *stretch)
{
    fprintf(out, "%s,%s,%s,%" PRId64 ",%" PRId64 ",%.0f,%.0f,%.17g,%" PRIu64 ",", t->name,
            mu_sweep_role_word(t->role), mu_cell_word(cell->phase), cell->step,
            t->settings.run_steps, t->n, t->tokens, t->flops, cell->tokens);
    put_time(out, cell->rank_seconds);
    fprintf(out, ",%u,%u,%u,%u,", cell->retries, cell->deaths, cell->moves, stretch->count);
    put_time(out, stretch->count > 0 ? stretch->first : NAN);
    fputc(',', out);
    put_time(out, stretch->count > 0 && !stretch->open ? stretch->last : NAN);
    fputc(',', out);
    csv_fwrite(out, cell->message, strlen(cell->message));
    fputc('\n', out);
}

static void find_stretches(const struct mu_sweep_state *s, struct stretch *stretch)
{
    for (uint32_t i = 0; i < s->spans; i++) {
        const struct mu_sweep_span *span = &s->span[i];
        struct stretch *of;

        MU_ASSERT(span->trial < s->stages->trials.count);
        of = &stretch[span->trial];
        of->first = of->count == 0 || span->from < of->first ? span->from : of->first;
        of->last = of->count == 0 || span->to > of->last ? span->to : of->last;
        of->open |= !isfinite(span->to);
        of->count++;
    }
}

static void put_timing(FILE *out, const struct mu_sweep_state *s, const struct stretch *stretch)
{
    fputs("trial,role,phase,step,run_steps,n,d,c,tokens_trained,rank_seconds,retries,deaths,moves,"
          "stretches,began,ended,message\n",
          out);
    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        put_trial(out, &s->stages->trials.item[i], &s->cell[i], &stretch[i]);
}

static void put_timeline(FILE *out, const struct mu_sweep_state *s)
{
    fputs("start,rank,trial,from,to,ending\n", out);
    for (uint32_t i = 0; i < s->spans; i++) {
        const struct mu_sweep_span *span = &s->span[i];

        fprintf(out, "%u,%d,%s,", span->start, span->rank,
                s->stages->trials.item[span->trial].name);
        put_time(out, span->from);
        fputc(',', out);
        put_time(out, span->to);
        fprintf(out, ",%s\n", span->died ? "died" : span->moved ? "moved" : "");
    }
}

static enum mu_status write_one(const struct mu_sweep_state *s, const char *name,
                                const struct stretch *stretch)
{
    char path[MU_PATH_MAX], *text = NULL;
    size_t size = 0;
    FILE *out;
    enum mu_status st;

    MU_TRY(mu_path_format(path, "%s/%s", s->path, name), st, done);
    out = open_memstream(&text, &size);
    if (!out)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
    if (stretch)
        put_timing(out, s, stretch);
    else
        put_timeline(out, s);
    st = fclose(out) == 0 ? mu_file_write_atomically(path, text, size)
                          : MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
done:
    free(text);
    return st;
}

enum mu_status mu_sweep_write_timing(const struct mu_sweep_state *s)
{
    struct stretch *stretch = calloc((size_t)s->stages->trials.count + 1, sizeof *stretch);
    enum mu_status st;

    if (!stretch)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the times of %u trials",
                       s->stages->trials.count);
    find_stretches(s, stretch);
    MU_TRY(write_one(s, "timing.csv", stretch), st, done);
    MU_TRY(write_one(s, "timeline.csv", NULL), st, done);
done:
    free(stretch);
    return st;
}

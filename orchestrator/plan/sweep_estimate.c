#include "orchestrator/plan/sweep_estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/plan/timing.h"
#include "worker/segment.h"
#include "worker/workload.h"

/* Trials that take the same time a step: of one size and batch. */
static bool is_alike(const struct mu_sweep_trial *a, const struct mu_sweep_trial *b)
{
    return a->n == b->n && a->flops_per_token == b->flops_per_token &&
           a->settings.batch_sequences == b->settings.batch_sequences &&
           a->settings.batch_micro == b->settings.batch_micro;
}

static enum mu_status measure_all(const struct mu_sweep_trials *t, struct mu_sweep_estimate *e)
{
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < t->count && st == MU_OK; i++) {
        const struct mu_sweep_trial *one = &t->item[i];
        uint32_t like = 0;

        while (like < i && !is_alike(one, &t->item[like]))
            like++;
        if (like < i)
            e->step_seconds[i] = e->step_seconds[like];
        else if (one->settings.device_kind == MU_DEVICE_CPU)
            st = mu_timing_gradients(&one->settings, &e->step_seconds[i]);
    }
    return st;
}

struct seconds {
    double whole, longest; /* of one worker: trunks once; a trial alone */
};

/* Of the trials that tune, or of the others. */
static struct seconds add_up(const struct mu_sweep_trials *t, const struct mu_sweep_estimate *e,
                             bool tuning)
{
    struct seconds s = {0, 0};

    for (uint32_t i = 0; i < t->count; i++) {
        const struct mu_sweep_trial *one = &t->item[i];
        const double steps = (double)one->settings.run_steps;

        if ((one->role == MU_SWEEP_TUNE) != tuning)
            continue;
        s.whole += e->step_seconds[i] * (steps - (double)one->shared);
        s.longest = fmax(s.longest, e->step_seconds[i] * steps);
    }
    return s;
}

/* No shorter than the longest trial, nor than an even share of all. */
static double wall_of(struct seconds s, uint32_t workers)
{
    return isnan(s.whole) ? NAN : fmax(s.longest, s.whole / workers);
}

/* The others wait for those that tune. */
static void set_seconds(const struct mu_sweep_trials *t, uint32_t workers,
                        struct mu_sweep_estimate *e)
{
    const struct seconds tuning = add_up(t, e, true), rest = add_up(t, e, false);

    e->worker_seconds = tuning.whole + rest.whole;
    e->longest_seconds = isnan(e->worker_seconds) ? NAN : fmax(tuning.longest, rest.longest);
    e->wall_seconds = wall_of(tuning, workers) + wall_of(rest, workers);
}

static int compare_down(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

static enum mu_status look_at_one(const struct mu_settings *s, uint32_t workers,
                                  struct mu_sweep_estimate *e, double *bytes)
{
    struct mu_segment_options segment = {.bf16 = s->device_precision == MU_PRECISION_BF16};
    struct mu_workload *w;
    enum mu_status st = mu_workload_open(s, NULL, &w);

    if (st != MU_OK)
        return st;
    segment.layout = &w->layout;
    segment.eval_pieces = w->facts.eval_pieces;
    segment.ranks = 1;
    *bytes = (double)mu_segment_bytes(&segment);
    segment.ranks = workers;
    e->together_bytes = fmax(e->together_bytes, (double)mu_segment_bytes(&segment));
    e->train_tokens = fmax(e->train_tokens, w->facts.train_windows * (double)s->model_context);
    mu_workload_close(w);
    return MU_OK;
}

/* State and data. */
static enum mu_status look_at_workloads(const struct mu_sweep_trials *t, uint32_t workers,
                                        struct mu_sweep_estimate *e)
{
    double *bytes = malloc((t->count + 1) * sizeof *bytes);
    enum mu_status st = MU_OK;

    if (!bytes)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the sizes of %u trials", t->count);
    for (uint32_t i = 0; i < t->count; i++)
        MU_TRY(look_at_one(&t->item[i].settings, workers, e, &bytes[i]), st, done);
    qsort(bytes, t->count, sizeof *bytes, compare_down);
    e->state_bytes = t->count > 0 ? bytes[0] : 0;
    for (uint32_t i = 0; i < t->count && i < workers; i++)
        e->apart_bytes += bytes[i];
done:
    free(bytes);
    return st;
}

enum mu_status mu_sweep_estimate_make(const struct mu_sweep_trials *trials, bool measure,
                                      uint32_t workers, struct mu_sweep_estimate *out)
{
    enum mu_status st;

    *out = (struct mu_sweep_estimate){0};
    out->step_seconds = malloc((trials->count + 1) * sizeof *out->step_seconds);
    if (!out->step_seconds)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the times of %u trials", trials->count);
    for (uint32_t i = 0; i < trials->count; i++)
        out->step_seconds[i] = NAN;
    MU_TRY(look_at_workloads(trials, workers, out), st, failed);
    if (measure)
        MU_TRY(measure_all(trials, out), st, failed);
    set_seconds(trials, workers, out);
    return MU_OK;
failed:
    mu_sweep_estimate_deinit(out);
    return st;
}

void mu_sweep_estimate_deinit(struct mu_sweep_estimate *e)
{
    free(e->step_seconds);
    memset(e, 0, sizeof *e);
}

#include "orchestrator/sweep/estimate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sweep/speed.h"
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
            st = mu_speed_measure(&one->settings, &e->step_seconds[i]);
    }
    return st;
}

static void add_up(const struct mu_sweep_trials *t, struct mu_sweep_estimate *e)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct mu_sweep_trial *one = &t->item[i];
        const double steps = (double)one->settings.run_steps;

        e->worker_seconds += e->step_seconds[i] * (steps - (double)one->shared);
        e->longest_seconds = fmax(e->longest_seconds, e->step_seconds[i] * steps);
    }
    if (isnan(e->worker_seconds))
        e->longest_seconds = NAN;
}

/* State and data of the largest trial. */
static enum mu_status look_at_workloads(const struct mu_sweep_trials *t,
                                        struct mu_sweep_estimate *e)
{
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < t->count; i++) {
        const struct mu_settings *s = &t->item[i].settings;
        struct mu_segment_options segment = {.ranks = 1,
                                             .bf16 = s->device_precision == MU_PRECISION_BF16};
        struct mu_workload *w;

        MU_TRY(mu_workload_open(s, NULL, &w), st, done);
        segment.layout = &w->layout;
        segment.eval_pieces = w->facts.eval_pieces;
        e->state_bytes = fmax(e->state_bytes, (double)mu_segment_bytes(&segment));
        e->train_tokens = fmax(e->train_tokens, w->facts.train_windows * (double)s->model_context);
        mu_workload_close(w);
    }
done:
    return st;
}

enum mu_status mu_sweep_estimate_make(const struct mu_sweep_trials *trials, bool measure,
                                      struct mu_sweep_estimate *out)
{
    enum mu_status st;

    *out = (struct mu_sweep_estimate){0};
    out->step_seconds = malloc((trials->count + 1) * sizeof *out->step_seconds);
    if (!out->step_seconds)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the times of %u trials", trials->count);
    for (uint32_t i = 0; i < trials->count; i++)
        out->step_seconds[i] = NAN;
    MU_TRY(look_at_workloads(trials, out), st, failed);
    if (measure)
        MU_TRY(measure_all(trials, out), st, failed);
    add_up(trials, out);
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

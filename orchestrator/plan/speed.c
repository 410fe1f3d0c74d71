/* timing.h times; here is chosen how much of a run that is, and what follows for the whole. */
#include "orchestrator/plan/speed.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/memory_left.h"
#include "orchestrator/plan/load.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/plan/timing.h"
#include "worker/workload.h"

enum { LEAST_CONTEXT = 64, FEW_SHARDS = 3 };

/* Of the deadline: of one timing, with what is opened for it. */
static const double share_of_budget = 0.2;
/* Of the rate of large products: what the gradient of a shard reaches at least, as a rule. */
static const double usual_share = 0.25;
static const double peak_seconds = 0.03;
/* An element takes: weights, their bf16 copy, moments, total, a sum, a shard's gradient. */
static const double bytes_an_element = 4 + 2 + 8 + 4 + 4 + 2 + 4;

/* What is timed: settings that may have fewer and shorter sequences in a shard than the run, and
 * fewer layers; what a run of those layers would take follows by its arithmetic. */
struct part {
    struct mu_settings settings;
    int64_t sequences, context; /* the run's, of a shard */
    uint32_t processes;         /* that are to do this at once */
};

static int64_t sequences_of_shard(const struct mu_settings *s)
{
    return s->batch_sequences / s->batch_shards;
}

/* The run's arithmetic of a token, over that of what is timed. */
static double of_token(const struct part *p)
{
    struct mu_settings *whole = malloc(sizeof *whole);
    double ratio = 1;

    if (!whole || p->context == p->settings.model_context)
        goto done;
    *whole = p->settings;
    whole->model_context = p->context;
    ratio = mu_plan_exact_flops(whole) / mu_plan_exact_flops(&p->settings);
done:
    free(whole);
    return ratio;
}

static double of_shard(const struct part *p)
{
    return of_token(p) * (double)(p->sequences * p->context) /
           (double)(sequences_of_shard(&p->settings) * p->settings.model_context);
}

static double elements_of(const struct mu_settings *s)
{
    return s->model_kind == MU_MODEL_SYNTHETIC ? 0 : (double)mu_workload_counts(s).all;
}

static enum mu_status time_part(const struct part *p, struct mu_deadline deadline,
                                struct mu_speed *out)
{
    const double bytes = bytes_an_element * elements_of(&p->settings) * p->processes;
    struct mu_timing took;
    enum mu_status st;

    if (bytes > 0.8 * (double)mu_memory_left(""))
        return MU_NO_MEMORY;
    MU_TRY(mu_timing_take(&p->settings, deadline, &took), st, done);
    out->shard = took.gradient * of_shard(p) + took.add;
    out->sums = took.sums;
    out->update = took.update;
    out->evaluation = took.evaluation * of_token(p);
done:
    return st;
}

static double flops_of_shard(const struct mu_settings *s)
{
    return mu_plan_exact_flops(s) * (double)(sequences_of_shard(s) * s->model_context);
}

/* Cuts down what is timed until a few of it are done in `seconds`; whether of one and two layers
 * alone. */
static bool choose_part(struct part *p, double peak, double seconds)
{
    struct mu_settings *s = &p->settings, *two;
    const double most = seconds * share_of_budget * usual_share * peak / FEW_SHARDS;

    if (flops_of_shard(s) > most)
        s->batch_sequences = s->batch_shards * s->batch_micro;
    if (flops_of_shard(s) > most) {
        s->batch_micro = 1;
        s->batch_sequences = s->batch_shards;
    }
    if (flops_of_shard(s) <= most || s->model_layers <= 2)
        return false;
    two = malloc(sizeof *two);
    if (two) {
        *two = *s;
        two->model_layers = 2;
        while (flops_of_shard(two) > most && two->model_context >= 2 * LEAST_CONTEXT)
            two->model_context /= 2;
        s->model_context = two->model_context;
    }
    free(two);
    return true;
}

/* Linear in the layers: what one and two of them take tells what all take. */
static double extrapolate(double one, double two, int64_t layers)
{
    return one + fmax(0, two - one) * (double)(layers - 1);
}

static enum mu_status time_layers(struct part *p, struct mu_deadline deadline, struct mu_speed *out)
{
    const int64_t layers = p->settings.model_layers;
    struct mu_speed one, two;
    enum mu_status st;

    p->settings.model_layers = 1;
    MU_TRY(time_part(p, deadline, &one), st, done);
    p->settings.model_layers = 2;
    MU_TRY(time_part(p, deadline, &two), st, done);
    out->shard = extrapolate(one.shard, two.shard, layers);
    out->sums = extrapolate(one.sums, two.sums, layers);
    out->update = extrapolate(one.update, two.update, layers);
    out->evaluation = extrapolate(one.evaluation, two.evaluation, layers);
done:
    return st;
}

static enum mu_status find_peak(const struct mu_settings *s, double *peak)
{
    const struct mu_device_options options = mu_timing_device(s);
    struct mu_device *d = NULL;
    enum mu_status st = mu_device_open(&options, &d);

    if (st == MU_OK)
        *peak = mu_device_measure_peak(d, peak_seconds);
    mu_device_close(d);
    return st;
}

static enum mu_status measure(const struct mu_settings *settings, uint32_t processes,
                              double seconds, struct mu_speed *out)
{
    const struct mu_deadline deadline = mu_deadline_in_ms((uint64_t)(1000 * seconds));
    struct part *p = malloc(sizeof *p);
    bool few_layers;
    double peak = 0;
    enum mu_status st;

    *out = (struct mu_speed){.beside = processes - 1};
    if (!p)
        return MU_FAIL(MU_NO_MEMORY, "no memory to measure");
    *p = (struct part){*settings, sequences_of_shard(settings), settings->model_context, processes};
    MU_TRY(find_peak(settings, &peak), st, done);
    few_layers = choose_part(p, peak, seconds);
    st = few_layers ? time_layers(p, deadline, out) : time_part(p, deadline, out);
    out->layers = p->settings.model_layers;
    out->context = p->settings.model_context;
done:
    free(p);
    return st;
}

struct company {
    const struct mu_settings *settings;
    uint32_t processes;
    double seconds;
};

static void keep_company(void *context)
{
    const struct company *c = context;
    struct mu_speed ignored;

    (void)measure(c->settings, c->processes, c->seconds, &ignored);
}

enum mu_status mu_speed_measure_parts(const struct mu_settings *settings, uint32_t beside,
                                      double seconds, struct mu_speed *out)
{
    struct company company = {settings, beside + 1, seconds};
    struct mu_load load;
    enum mu_status st = mu_load_open(&load, beside, keep_company, &company);

    if (st != MU_OK)
        return st;
    st = measure(settings, beside + 1, seconds, out);
    mu_load_close(&load);
    return st;
}

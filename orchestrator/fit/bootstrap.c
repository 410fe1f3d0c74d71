#include "orchestrator/fit/bootstrap.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/fit/interval.h"

enum {
    MOST_THREADS = 256,
    BATCH = 8,        /* replicates that a thread takes at once */
    NORMAL_FROM = 30, /* degrees of freedom, beyond which Student's t is taken as normal */
};

static const uint32_t noise_draws = UINT32_MAX; /* no replicate has this number, or one below */

struct work {
    const struct mu_measure_plan *plan;
    const struct mu_resample *resample;
    const double *start;
    struct mu_bootstrap *out;
    atomic_size_t next;
    atomic_int failed; /* the first status that was not MU_OK */
};

static enum mu_status run_batch(struct work *w, size_t from, double *multiplicity, uint32_t *drawn,
                                struct mu_measure_scratch *scratch)
{
    enum mu_status st = MU_OK;

    for (size_t r = from; st == MU_OK && r < w->out->count && r < from + BATCH; r++) {
        mu_resample_draw(w->resample, w->out->seed, (uint32_t)r, drawn, multiplicity);
        st = mu_measure(w->plan, multiplicity, w->start, scratch, &w->out->replicate[r]);
    }
    return st;
}

static void *run_thread(void *context)
{
    struct work *w = context;
    double *multiplicity = malloc((w->plan->count + 1) * sizeof *multiplicity);
    uint32_t *drawn = malloc((w->resample->clusters + 1) * sizeof *drawn);
    struct mu_measure_scratch *scratch = malloc(sizeof *scratch);
    enum mu_status st = MU_OK;
    size_t from;
    int ok = MU_OK;

    if (scratch)
        scratch->loss = malloc((w->plan->count + 1) * sizeof *scratch->loss);
    if (!multiplicity || !drawn || !scratch || !scratch->loss)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a thread of the bootstrap");
    while (st == MU_OK && atomic_load(&w->failed) == MU_OK &&
           (from = atomic_fetch_add(&w->next, BATCH)) < w->out->count)
        st = run_batch(w, from, multiplicity, drawn, scratch);
    if (st != MU_OK)
        atomic_compare_exchange_strong(&w->failed, &ok, (int)st);
    if (scratch)
        free(scratch->loss);
    free(scratch);
    free(drawn);
    free(multiplicity);
    return NULL;
}

enum mu_status mu_bootstrap_run(const struct mu_measure_plan *plan,
                                const struct mu_resample *resample, const double *start,
                                uint64_t seed, size_t replicates, unsigned threads,
                                struct mu_bootstrap *out)
{
    pthread_t thread[MOST_THREADS];
    unsigned started = 0;
    struct work w = {.plan = plan, .resample = resample, .start = start, .out = out};

    *out = (struct mu_bootstrap){.count = resample->clusters < 2 ? 0 : replicates, .seed = seed};
    out->replicate = malloc((out->count + 1) * sizeof *out->replicate);
    out->scratch = malloc((out->count + 1) * sizeof *out->scratch);
    if (!out->replicate || !out->scratch) {
        mu_bootstrap_deinit(out);
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu replicates", replicates);
    }
    for (unsigned t = 1; t < threads && t < MOST_THREADS; t++) /* fewer than asked are no error */
        if (pthread_create(&thread[started], NULL, run_thread, &w) == 0)
            started++;
    run_thread(&w);
    for (unsigned t = 0; t < started; t++)
        pthread_join(thread[t], NULL);
    if (atomic_load(&w.failed) != MU_OK)
        mu_bootstrap_deinit(out);
    return (enum mu_status)atomic_load(&w.failed);
}

void mu_bootstrap_deinit(struct mu_bootstrap *b)
{
    free(b->replicate);
    free(b->scratch);
    *b = (struct mu_bootstrap){0};
}

static double in(const struct mu_bootstrap *b, size_t r, size_t column)
{
    return ((const double *)&b->replicate[r])[column];
}

size_t mu_bootstrap_interval(struct mu_bootstrap *b, size_t column, struct mu_estimate *number)
{
    for (size_t r = 0; r < b->count; r++)
        b->scratch[r] = in(b, r, column);
    return mu_interval_of(b->scratch, b->count, number);
}

size_t mu_bootstrap_ratio(struct mu_bootstrap *b, size_t over, size_t under,
                          struct mu_estimate *number)
{
    for (size_t r = 0; r < b->count; r++)
        b->scratch[r] = in(b, r, over) / in(b, r, under);
    return mu_interval_of(b->scratch, b->count, number);
}

size_t mu_bootstrap_difference(struct mu_bootstrap *b, size_t one, size_t other,
                               struct mu_estimate *number)
{
    for (size_t r = 0; r < b->count; r++)
        b->scratch[r] = in(b, r, one) - in(b, r, other);
    return mu_interval_of(b->scratch, b->count, number);
}

/* Student's t with so many degrees of freedom: a normal number over the root of a mean of
 * squares of others. */
static double student(const struct mu_bootstrap *b, size_t r, size_t column, size_t degrees)
{
    const uint64_t at = (uint64_t)column << 32 | r;
    struct mu_rng_words x = mu_rng_draw(b->seed, MU_RNG_BOOTSTRAP, noise_draws, at);
    const double z = mu_rng_normal(x.w[0]);
    double squares = 0;

    if (degrees == 0 || degrees > NORMAL_FROM)
        return z;
    for (uint32_t k = 0; k < degrees; k++) {
        double y;

        if (k % 4 == 0)
            x = mu_rng_draw(b->seed, MU_RNG_BOOTSTRAP, noise_draws - 1 - k / 4, at);
        y = mu_rng_normal(x.w[k % 4]);
        squares += y * y;
    }
    return z / sqrt(squares / (double)degrees);
}

size_t mu_bootstrap_prediction(struct mu_bootstrap *b, size_t column, double sd, size_t degrees,
                               struct mu_estimate *number)
{
    for (size_t r = 0; r < b->count; r++)
        b->scratch[r] = in(b, r, column) * mu_det_exp(sd * student(b, r, column, degrees));
    return mu_interval_of(b->scratch, b->count, number);
}

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/base/status.h"
#include "tests/sim/sweep/sweep_sim.h"

double sim_uniform(struct sim *s)
{
    return mu_rng_uniform(mu_rng_draw(s->setup.seed, MU_RNG_SYNTHETIC, 0, s->draws++).w[0]);
}

static double size_of(struct sim *s)
{
    const double u = sim_uniform(s);

    switch (s->setup.shape) {
    case SHAPE_EQUAL:
        return 20;
    case SHAPE_HEAVY: /* Pareto, whose mean exists and whose variance does not */
        return 4 * pow(u, -1 / 1.3);
    default:
        return 2 * pow(100, u);
    }
}

/* Every fifth is a trunk, with four branches of a fifth of what they share. */
static void branch_off(struct sim *s, uint32_t i)
{
    struct trial *t = &s->trial[i];
    const uint32_t place = i % 5;

    if (place == 0 || i < place)
        return;
    t->trunk = i - place;
    t->shared = s->trial[t->trunk].work * 0.25 * place * (0.8 + 0.2 * sim_uniform(s));
    t->work = 0.2 * t->shared;
    t->serial = s->trial[t->trunk].serial;
    t->most = s->trial[t->trunk].most;
}

static void chain_up(struct sim *s)
{
    for (uint32_t i = s->setup.trials; i-- > 0;) {
        struct trial *t = &s->trial[i];
        const uint32_t room = t->most < s->setup.host_workers ? t->most : s->setup.host_workers;
        const double full = mu_pack_seconds(1, t->serial, room);

        t->chain = fmax(t->chain, t->work);
        t->fastest = fmax(t->fastest, t->work * full);
        if (t->trunk != NONE) {
            struct trial *trunk = &s->trial[t->trunk];

            trunk->chain = fmax(trunk->chain, t->shared + t->chain);
            trunk->fastest = fmax(trunk->fastest, t->shared * full + t->fastest);
        }
    }
    for (uint32_t stage = STAGES - 1; stage-- > 0;) {
        double longest = 0;

        for (uint32_t i = 0; i < s->setup.trials; i++)
            if (s->trial[i].stage == stage + 1)
                longest = fmax(longest, s->trial[i].chain);
        s->tail[stage] = s->tail[stage + 1] + longest;
    }
}

void shapes_make(struct sim *s)
{
    static const uint32_t most[] = {8, 16, 32};
    const struct setup *p = &s->setup;

    for (uint32_t i = 0; i < p->trials; i++) {
        struct trial *t = &s->trial[i];

        *t = (struct trial){.trunk = NONE, .host = NONE, .moves_until = INFINITY};
        t->work = size_of(s);
        t->serial = p->serial * 2 * sim_uniform(s);
        t->believed = exp(p->error * (2 * sim_uniform(s) - 1));
        t->most = most[(uint32_t)(3 * sim_uniform(s))];
        t->least =
            p->widest > 1 && sim_uniform(s) < 0.2 ? 1 + (uint32_t)(p->widest * sim_uniform(s)) : 1;
        t->bytes = isinf(p->host_bytes) ? 1 : p->host_bytes / 3 * sim_uniform(s);
        if (p->shape == SHAPE_CHAINS)
            branch_off(s, i);
        if (p->shape == SHAPE_STAGES)
            t->stage = i * STAGES / p->trials;
    }
    chain_up(s);
}

static int by_work(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x < y) - (x > y);
}

/* Of k hosts' trials and one more, two are on one host, and so on: nobody changes hosts. */
static double bound_of_hosts(const struct setup *p, double *work, uint32_t count)
{
    double longest = 0;

    qsort(work, count, sizeof *work, by_work);
    for (uint32_t k = 1; k * p->hosts < count; k++) {
        double sum = 0;

        for (uint32_t j = 0; j <= k; j++)
            sum += work[k * p->hosts - j];
        longest = fmax(longest, sum / p->host_workers);
    }
    return longest;
}

/* All work divided by all workers, or the longest chain at full speed, whichever is longer. */
static double simple_bound(const struct sim *s)
{
    const double workers = (double)s->setup.hosts * s->setup.host_workers;
    double all = 0, chain = 0;

    for (uint32_t stage = 0; stage < STAGES; stage++) {
        double longest = 0;

        for (uint32_t i = 0; i < s->setup.trials; i++)
            if (s->trial[i].stage == stage) {
                all += s->trial[i].work;
                longest = fmax(longest, s->trial[i].fastest);
            }
        chain += longest;
    }
    return fmax(all / workers, chain);
}

double shapes_bound(const struct sim *s)
{
    const double workers = (double)s->setup.hosts * s->setup.host_workers;
    double *work, seconds = 0;

    if (s->setup.simple_bound)
        return simple_bound(s);
    work = calloc(s->setup.trials, sizeof *work);
    MU_ASSERT(work);
    for (uint32_t stage = 0; stage < STAGES; stage++) {
        double all = 0, longest = 0;
        uint32_t count = 0;

        for (uint32_t i = 0; i < s->setup.trials; i++)
            if (s->trial[i].stage == stage) {
                work[count++] = s->trial[i].work;
                all += s->trial[i].work;
                longest = fmax(longest, s->trial[i].fastest);
            }
        longest = fmax(longest, bound_of_hosts(&s->setup, work, count));
        seconds += fmax(all / workers, longest);
    }
    free(work);
    return seconds;
}

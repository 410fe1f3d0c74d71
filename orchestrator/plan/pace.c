/* How a run's shards suit numbers of workers, and how long these take. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/plan/plan.h"

static const double seconds_to_measure = 10; /* each of two times, at most */

double mu_plan_efficiency(int64_t shards, int64_t workers)
{
    return (double)shards / ((double)workers * (double)mu_plan_shards_each(shards, workers));
}

int64_t mu_plan_good_below(int64_t shards, int64_t workers)
{
    int64_t w = workers < shards ? workers : shards;

    while (w > 1 && mu_plan_efficiency(shards, w) < MU_PLAN_GOOD_EFFICIENCY)
        w--;
    return w;
}

int64_t mu_plan_good_above(int64_t shards, int64_t workers)
{
    int64_t w = workers;

    while (w < shards && mu_plan_efficiency(shards, w) < MU_PLAN_GOOD_EFFICIENCY)
        w++;
    return w <= shards ? w : 0;
}

/* Between what one worker takes alone and what it takes beside others. */
static double between(double alone, double together, double part)
{
    return alone + (fmax(alone, together) - alone) * part;
}

void mu_plan_row_fill(struct mu_plan_row *row, const struct mu_plan_pace *p,
                      const struct mu_speed *alone, const struct mu_speed *together)
{
    const double w = (double)row->workers, cores = (double)p->cores,
                 crowd = fmax(1, w * (double)p->threads / cores), active = w / crowd,
                 part = together->beside > 0 ? fmin(1, (active - 1) / (double)together->beside) : 0;
    double step;

    row->shards_each = mu_plan_shards_each(p->shards, row->workers);
    row->efficiency = mu_plan_efficiency(p->shards, row->workers);
    step = crowd * (double)row->shards_each * between(alone->shard, together->shard, part);
    /* Each of w owners adds up w sums of its part of the elements. */
    step += crowd * between(alone->sums, together->sums, part);
    step += between(alone->update, together->update, part) / active;
    row->step_seconds = step;
    row->run_seconds =
        p->steps * step +
        p->evaluations * between(alone->evaluation, together->evaluation, part) / active;
}

static int compare(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

/* Powers of two, what this machine has, what was asked for, and all shards: ascending, distinct. */
static void choose_rows(struct mu_plan *p)
{
    const int64_t shards = p->settings.batch_shards, cores = p->cores < shards ? p->cores : shards,
                  below = mu_plan_good_below(shards, p->workers),
                  above = mu_plan_good_above(shards, p->workers);
    int64_t all[MU_PLAN_ROWS] = {p->workers, cores, below, above ? above : shards, shards};
    uint32_t count = 5;

    for (int64_t w = 1; w < shards && count < MU_PLAN_ROWS; w *= 2)
        all[count++] = w;
    qsort(all, count, sizeof *all, compare);
    for (uint32_t i = 0; i < count; i++)
        if (p->row_count == 0 || p->row[p->row_count - 1].workers != all[i])
            p->row[p->row_count++].workers = all[i];
    for (uint32_t i = 0; i < p->row_count; i++)
        if (p->row[i].workers == p->workers)
            p->chosen = i;
}

static double evaluations(const struct mu_settings *s, int64_t from)
{
    const int64_t every = s->eval_every, steps = s->run_steps;

    if (every == 0 || steps <= from)
        return 0;
    return (double)(steps / every - from / every + (steps % every != 0));
}

static enum mu_status measure(struct mu_plan *p)
{
    const int64_t threads = p->settings.device_threads,
                  fit = p->cores / threads < p->workers ? p->cores / threads : p->workers;
    enum mu_status st;

    if (getloadavg(&p->load, 1) != 1)
        p->load = 0;
    MU_TRY(mu_speed_measure_parts(&p->settings, 0, seconds_to_measure, &p->alone), st, done);
    p->together = p->alone;
    if (fit > 1)
        st = mu_speed_measure_parts(&p->settings, (uint32_t)(fit - 1), seconds_to_measure,
                                    &p->together);
    if (st == MU_NO_MEMORY || st == MU_TIMEOUT) { /* then with the one that is known */
        p->together = p->alone;
        st = MU_OK;
    }
done:
    return st;
}

void mu_plan_find_pace(struct mu_plan *p, bool wanted)
{
    const struct mu_settings *s = &p->settings;
    const int64_t left = s->run_steps > p->done_steps ? s->run_steps - p->done_steps : 0;
    const bool is_exact = s->batch_reduce == MU_REDUCE_EXACT; /* the first step is taken twice */
    const struct mu_plan_pace pace = {
        .shards = s->batch_shards,
        .threads = s->device_threads,
        .cores = p->cores,
        .steps = (double)left + (left > 0 && p->done_steps == 0 && is_exact),
        .evaluations = evaluations(s, p->done_steps),
    };

    p->measured = MU_NOT_FOUND;
    if (wanted && s->device_kind != MU_DEVICE_CUDA)
        p->measured = measure(p);
    if (p->measured != MU_OK)
        p->alone.shard = p->together.shard = NAN;
    choose_rows(p);
    for (uint32_t i = 0; i < p->row_count; i++)
        mu_plan_row_fill(&p->row[i], &pace, &p->alone, &p->together);
}

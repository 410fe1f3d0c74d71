#include "orchestrator/core/schedule.h"

#include <math.h> /* sqrt, floor: correctly rounded everywhere */
#include <stdbool.h>

#include "orchestrator/base/detmath.h"

int64_t mu_schedule_cooldown_start(const struct mu_schedule *s)
{
    int64_t cooldown = (int64_t)floor((double)s->steps * s->cooldown + 0.5);

    return s->kind == MU_SCHEDULE_WSD && cooldown > 0 ? s->steps - cooldown : s->steps;
}

/* Part of [from, to) that is behind step k. */
static double part_behind(int64_t k, int64_t from, int64_t to)
{
    if (k <= from)
        return 0;
    return k >= to ? 1 : (double)(k - from) / (double)(to - from);
}

static double shape(const struct mu_schedule *s, int64_t step)
{
    switch (s->kind) {
    case MU_SCHEDULE_WSD:
        return 1 - sqrt(part_behind(step, mu_schedule_cooldown_start(s), s->steps));
    case MU_SCHEDULE_COSINE:
        return (1 + mu_det_cos_pi(part_behind(step, s->warmup, s->steps))) / 2;
    case MU_SCHEDULE_LINEAR:
        return 1 - part_behind(step, s->warmup, s->steps);
    case MU_SCHEDULE_CONSTANT:
        break;
    }
    return 1;
}

double mu_schedule_rate(const struct mu_schedule *s, int64_t step)
{
    double decayed = s->floor + (1 - s->floor) * shape(s, step);
    double warm = step < s->warmup ? (double)(step + 1) / (double)s->warmup : 1;

    return s->peak * (warm < decayed ? warm : decayed);
}

static bool is_equal(const struct mu_schedule *a, const struct mu_schedule *b)
{
    return a->kind == b->kind && a->steps == b->steps && a->warmup == b->warmup &&
           a->peak == b->peak && a->cooldown == b->cooldown && a->floor == b->floor;
}

/* Steps before any decay. */
static int64_t before_decay(const struct mu_schedule *s)
{
    bool decays_from_warmup = s->kind == MU_SCHEDULE_COSINE || s->kind == MU_SCHEDULE_LINEAR;

    if (!decays_from_warmup)
        return mu_schedule_cooldown_start(s);
    return s->warmup < s->steps ? s->warmup : s->steps;
}

int64_t mu_schedule_common(const struct mu_schedule *a, const struct mu_schedule *b)
{
    int64_t of_a = before_decay(a), of_b = before_decay(b);

    if (is_equal(a, b))
        return INT64_MAX;
    if (a->peak != b->peak || a->warmup != b->warmup)
        return 0;
    return of_a < of_b ? of_a : of_b;
}

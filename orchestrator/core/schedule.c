#include "orchestrator/core/schedule.h"

#include <math.h> /* sqrt, floor: correctly rounded everywhere */

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

/* Seconds of a step on k workers are A + B / k (Amdahl): a line in 1 / k, fitted by least squares
 * in which what was heard longer ago counts less. */
#include <math.h>

#include "orchestrator/sweep/pack.h"

static const double forget = 0.9;     /* weight of what was heard, at each new time */
static const double different = 1e-6; /* variance of 1 / k: two numbers of workers were heard */

static double clamp(double x)
{
    return fmin(fmax(x, 0), 1);
}

void mu_pack_speed_hear(struct mu_pack_speed *s, uint32_t workers, double step_seconds)
{
    const double x = 1 / (double)workers;
    double mean_x, mean_t, variance, slope;

    if (workers == 0 || !(step_seconds > 0) || isinf(step_seconds))
        return;
    if (s->heard == 0)
        s->serial = s->weight = s->x = s->t = s->xx = s->xt = 0;
    s->heard += s->heard < UINT32_MAX;
    s->weight = forget * s->weight + 1;
    s->x = forget * s->x + x;
    s->t = forget * s->t + step_seconds;
    s->xx = forget * s->xx + x * x;
    s->xt = forget * s->xt + x * step_seconds;
    mean_x = s->x / s->weight;
    mean_t = s->t / s->weight;
    variance = s->xx / s->weight - mean_x * mean_x;
    if (variance > different) {
        slope = fmax((s->xt / s->weight - mean_x * mean_t) / variance, 0);
        s->serial = clamp(1 - slope / fmax(mean_t + slope * (1 - mean_x), slope));
    }
    s->one = mean_t / (s->serial + (1 - s->serial) * mean_x);
}

double mu_pack_speed_step(const struct mu_pack_speed *s)
{
    return s->heard > 0 ? s->one : s->guess;
}

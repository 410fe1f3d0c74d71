/* The end of an allocation is known before it comes: the ranks stop by themselves in time for a
 * checkpoint (core/time_limit.h), and whoever waits for the result learns early that it takes more
 * than this allocation. */
#include <inttypes.h>
#include <math.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/parts.h"

static const double leave_s = 5;        /* after the ranks: mpirun, and a word to Slurm */
static const double sweep_leave_s = 60; /* as trials save; or a tenth of a short allocation */
static const double too_short = 1.05;   /* what a guess may be wrong by */
static const double least_pace_s = 2;   /* that a guess is made of; or a fiftieth, up to */
static const double most_pace_s = 60;

/* INFINITY: no end is known. */
static double time_left_s(const struct mu_launch *l)
{
    const struct mu_slurm_allocation *a = l->request->allocation;

    if (!a || a->end_ns == 0)
        return INFINITY;
    return 1e-9 * ((double)a->end_ns - (double)mu_clock_ns());
}

int64_t mu_launch_time_limit(const struct mu_launch *l)
{
    const double left_s = time_left_s(l);

    if (!l->request->sets_time_limit || l->is_sweep || isinf(left_s))
        return 0;
    return left_s > leave_s + 1 ? (int64_t)(left_s - leave_s) : 1;
}

bool mu_launch_is_out_of_time(const struct mu_launch *l)
{
    const struct mu_slurm_allocation *a = l->request->allocation;
    const double left_s = time_left_s(l);

    return l->is_sweep && !isinf(left_s) &&
           left_s < fmin(sweep_leave_s, 0.1e-9 * (double)a->length_ns);
}

void mu_launch_forecast(struct mu_launch *l)
{
    const double left_s = time_left_s(l);
    const double work_s = l->is_sweep ? l->left_s : (double)(l->steps - l->step) * l->step_s;
    double length_s, pace_s;

    if (l->has_forecast || isinf(left_s) || left_s <= 0 || l->request->allocation->length_ns == 0 ||
        !(work_s > too_short * left_s))
        return;
    length_s = 1e-9 * (double)l->request->allocation->length_ns;
    pace_s = 1e-9 * (double)(mu_clock_ns() - l->pace_ns);
    if (pace_s < fmax(least_pace_s, fmin(most_pace_s, length_s / 50)))
        return;
    l->has_forecast = true;
    mu_log(MU_LOG_INFO,
           "will not finish in this allocation: %.0f more at this speed (%s of work, %s left here)",
           ceil((work_s - left_s) / length_s), mu_amount_duration(work_s).text,
           mu_amount_duration(left_s).text);
}

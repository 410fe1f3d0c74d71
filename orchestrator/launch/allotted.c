/* The end of an allocation is known before it comes: the ranks stop by themselves in time for a
 * checkpoint (core/time_limit.h), and whoever waits for the result learns early that it takes more
 * than this allocation. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "orchestrator/base/amount.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/parts.h"

static const double leave_s = 5;        /* after the ranks: mpirun, and a word to Slurm */
static const double stop_s = 2;         /* core/time_limit.h, without the save */
static const double whole_s = 0.5;      /* limits are whole seconds */
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

static double sweep_end_s(double length_s)
{
    return fmin(sweep_leave_s, 0.1 * length_s);
}

bool mu_launch_is_out_of_time(const struct mu_launch *l)
{
    const struct mu_slurm_allocation *a = l->request->allocation;
    const double left_s = time_left_s(l);

    return l->is_sweep && !isinf(left_s) && left_s < sweep_end_s(1e-9 * (double)a->length_ns);
}

double mu_allotted_more(const struct mu_allotted *a)
{
    const double here = fmax(0, a->left - a->end), each = a->length - a->start - a->end;

    if (!(a->work > too_short * here))
        return 0;
    return each > 0 ? ceil((a->work - here) / each) : INFINITY;
}

/* What training cannot use: the start of ranks, and what the stop needs. */
static struct mu_allotted describe(const struct mu_launch *l)
{
    const double length = 1e-9 * (double)l->request->allocation->length_ns;
    const struct mu_generation *g = &l->now;

    return (struct mu_allotted){
        .work = l->is_sweep ? l->left_s : (double)(l->steps - l->step) * l->step_s,
        .left = time_left_s(l),
        .length = length,
        .start = g->is_training ? 1e-9 * (double)(g->training_ns - g->start_ns) : 0,
        .end = l->is_sweep ? sweep_end_s(length) : leave_s + stop_s + whole_s + 2 * l->step_s,
    };
}

static bool is_measured(const struct mu_launch *l, double length_s)
{
    const double pace_s = 1e-9 * (double)(mu_clock_ns() - l->pace_ns);

    return pace_s >= fmax(least_pace_s, fmin(most_pace_s, length_s / 50));
}

void mu_launch_forecast(struct mu_launch *l)
{
    struct mu_allotted a;
    char more[32] = "none has the time";
    double n;

    if (l->has_forecast || isinf(time_left_s(l)) || l->request->allocation->length_ns == 0)
        return;
    a = describe(l);
    n = mu_allotted_more(&a);
    if (a.left <= 0 || !(n > 0) || !is_measured(l, a.length))
        return;
    l->has_forecast = true;
    if (isfinite(n))
        snprintf(more, sizeof more, "%.0f more", n);
    mu_log(MU_LOG_INFO,
           "will not finish in this allocation: %s at this speed (%s of work, here %s to train)",
           more, mu_amount_duration(a.work).text, mu_amount_duration(fmax(0, a.left - a.end)).text);
}

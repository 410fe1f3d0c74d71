/* What a sweep's trials will take, and what looks wrong with them. */
#ifndef MUSTER_PLAN_SWEEP_ESTIMATE_H
#define MUSTER_PLAN_SWEEP_ESTIMATE_H

#include "orchestrator/plan/advice.h"
#include "orchestrator/sweep/trials.h"

struct mu_sweep_estimate {
    double *step_seconds;   /* by trial: of one worker, gradients alone; NAN: not measured */
    double worker_seconds;  /* of all trials, trunks shared; NAN */
    double longest_seconds; /* of the longest trial on one worker; NAN */
    double wall_seconds;    /* a worker a trial, as many as there are: tuning, then the rest; NAN */
    double state_bytes;     /* of the largest trial, with one worker on a host */
    double together_bytes;  /* of the largest trial, with all workers on a host */
    double apart_bytes;     /* of a trial for each worker, the largest ones, on a host */
    double train_tokens;    /* in data.train; 0: none is read */
};

/* measure: a few shards of each size on this CPU; else, and for GPUs, times are NAN. workers: at
 * least one. */
enum mu_status mu_sweep_estimate_make(const struct mu_sweep_trials *trials, bool measure,
                                      uint32_t workers, struct mu_sweep_estimate *out) MU_CHECKED;
void mu_sweep_estimate_deinit(struct mu_sweep_estimate *e);

/* Tells what looks wrong. */
void mu_sweep_warnings(const struct mu_sweep_spec *spec, const struct mu_sweep_trials *trials,
                       const struct mu_sweep_estimate *estimate, mu_plan_warn *warn, void *context);

#endif

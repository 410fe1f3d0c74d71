/* What a person sees while it trains: a bar that redraws itself on a terminal, a plain line per
 * interval otherwise (at least some seconds apart, so that logs stay readable), and log lines that
 * do not tear the bar. */
#ifndef MUSTER_RUN_PROGRESS_H
#define MUSTER_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/run/run_dir.h"

struct mu_progress;

/* NULL when there is no memory, or when the log shows no information (MUSTER_LOG=warning): all
 * calls accept NULL. One at a time in a process, since it takes the log's guard; calls from one
 * thread. */
struct mu_progress *mu_progress_open(int64_t steps, int64_t from_step);
/* Takes the bar away; without a terminal, a line of the last step if it has had none. */
void mu_progress_close(struct mu_progress *p);
/* Each recorded step; cheap. Shown: the first, the last (`steps`), and in between at most ten a
 * second on a terminal, one in five seconds otherwise. */
void mu_progress_step(struct mu_progress *p, const struct mu_metrics *m);
/* A line with the validation loss, always. */
void mu_progress_eval(struct mu_progress *p, const struct mu_metrics *m);

#endif

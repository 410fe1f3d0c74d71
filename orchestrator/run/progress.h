/* What a person sees while it trains: a bar that redraws itself on a terminal, a plain line per
 * interval otherwise (at least some seconds apart, so that logs stay readable), and log lines that
 * do not tear the bar. */
#ifndef MUSTER_RUN_PROGRESS_H
#define MUSTER_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/run/run_dir.h"

struct mu_progress;

/* NULL when there is no memory: all calls accept NULL. */
struct mu_progress *mu_progress_open(int64_t steps, int64_t from_step);
void mu_progress_close(struct mu_progress *p);                            /* takes the bar away */
void mu_progress_step(struct mu_progress *p, const struct mu_metrics *m); /* each recorded step */
void mu_progress_eval(struct mu_progress *p,
                      const struct mu_metrics *m); /* a line with the validation loss */

#endif

/* The committed state from a host that has it in memory to hosts that have not: those that were one
 * step behind when everything died, or that are new. At a start, before any step. */
#ifndef MUSTER_WORKER_HAND_OVER_H
#define MUSTER_WORKER_HAND_OVER_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_worker;

/* By every rank. lacks[host of the roll]: it receives, into half 0; `source` is a host that does
 * not. On return this rank's part is done: the caller agrees with all, and then commits. */
enum mu_status mu_hand_over(struct mu_worker *w, uint32_t source, const bool *lacks) MU_CHECKED;

#endif

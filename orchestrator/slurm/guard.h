/* With --no-kill a job outlives any of its nodes, also the one that its batch script, and so the
 * launcher, runs on: then its other nodes would be kept for nobody until its time is over. So on
 * another node a few lines of shell watch the launcher's lease (worker/lease.h). When its count has
 * stood still for some time, they have Slurm queue the job again; where that may not be, end it. */
#ifndef MUSTER_SLURM_GUARD_H
#define MUSTER_SLURM_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/slurm/allocation.h"

struct mu_apart;

struct mu_slurm_guard {
    struct mu_apart *step; /* NULL: none was started yet */
    char folder[64];
    uint32_t host; /* of the allocation: where it was started */
    struct mu_deadline next;
};

/* Sees to it that there is one, on one of the nodes that have use[i] set; at the beginning and
 * then once in a while, as its node may die too. Failures are told, and tried again later. */
void mu_slurm_guard_keep(struct mu_slurm_guard *g, const struct mu_slurm_allocation *a,
                         const bool *use, const char *lease, bool requeue);
/* When the launcher ends by itself; before it lets its lease go, or after. */
void mu_slurm_guard_end(struct mu_slurm_guard *g);

#endif

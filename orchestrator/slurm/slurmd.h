/* Whether the Slurm daemon of a node is there. `srun` asks one that is not for a long time, while its
 * kernel or the network says so at once; and where nothing is said, a kernel that lives would have
 * answered. */
#ifndef MUSTER_SLURM_SLURMD_H
#define MUSTER_SLURM_SLURMD_H

#include <stdbool.h>

#include "orchestrator/slurm/allocation.h"

/* At the beginning: which of the nodes answer by the names and the port that are known here. Takes
 * some hundredths of a second where all do, and two seconds at most. */
void mu_slurmd_meet(struct mu_slurm_allocation *a);
/* is_gone[i] of those nodes that have ask[i] set and have answered then: now they do not. Within
 * about a second. */
void mu_slurmd_knock(const struct mu_slurm_allocation *a, const bool *ask, bool *is_gone);

#endif

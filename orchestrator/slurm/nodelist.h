/* What Slurm writes compressed: nodes "n[1-3,07],gpu-4", counts "2(x3),1". */
#ifndef MUSTER_SLURM_NODELIST_H
#define MUSTER_SLURM_NODELIST_H

#include <stdint.h>

#include "orchestrator/core/ladder.h"

/* Names in the order given, each with 0 slots. MU_FAILED: not understood, or more than
 * MU_LADDER_HOSTS. Leading zeros and several brackets in a name are kept and multiplied out. */
enum mu_status mu_slurm_nodes(const char *text, struct mu_ladder_host host[MU_LADDER_HOSTS],
                              uint32_t *count) MU_CHECKED;

/* For each of `count` nodes its number. MU_FAILED: not understood, or not as many. */
enum mu_status mu_slurm_counts(const char *text, uint32_t *out, uint32_t count) MU_CHECKED;

#endif

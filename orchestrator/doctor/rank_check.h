/* What the ranks do that `muster doctor` starts: they meet, tell each other where they are, and the
 * last one dies, to see whether the others go on. Rank 0 writes to stdout what doctor reads:
 *
 *   muster-rank-check met RANKS HOSTS FAULT-TOLERANT LEAST-CORES MOST-CORES INSTRUCTION-SET MPI...
 *   muster-rank-check files BEGINNING-OF-THEIR-NAMES
 *   muster-rank-check survived RANKS MILLISECONDS
 */
#ifndef MUSTER_DOCTOR_RANK_CHECK_H
#define MUSTER_DOCTOR_RANK_CHECK_H

#include "orchestrator/base/status.h"

#define MU_RANK_CHECK_LINE "muster-rank-check "

/* Ends the process by itself where it goes on without a rank. Alone, without mpirun: a job of one
 * rank, in which nobody dies. */
enum mu_status mu_rank_check(void) MU_CHECKED;

#endif

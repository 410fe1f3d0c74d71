#ifndef MUSTER_BASE_CORES_H
#define MUSTER_BASE_CORES_H

/* Cores that this process may use (its affinity mask, which mpirun, taskset and Slurm narrow); at
 * least 1. */
int mu_cores_usable(void);

#endif

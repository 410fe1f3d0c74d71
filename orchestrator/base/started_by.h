/* Who started this process: its environment says so. */
#ifndef MUSTER_BASE_STARTED_BY_H
#define MUSTER_BASE_STARTED_BY_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The name of the generation that `muster launch` has made it a rank of; NULL: no launcher has.
 * Where there is one another generation may follow, and go on with what this one leaves. */
static inline const char *mu_started_by_launch(void)
{
    const char *name = getenv("MUSTER_JOB");

    return name && *name ? name : NULL;
}

static inline bool mu_started_by_mpirun(void)
{
    return getenv("PMIX_RANK") || getenv("OMPI_COMM_WORLD_RANK");
}

/* By `srun --mpi=pmix`, without an mpirun: Slurm's plugin names its jobs so, "slurm.pmix.JOB.STEP".
 * Slurm's variables do not tell: ranks of an mpirun have them, too. When one process of such a step
 * dies Slurm ends all of them, a few tenths of a second later. */
static inline bool mu_started_by_srun(void)
{
    const char *job = getenv("PMIX_NAMESPACE");

    return job && strncmp(job, "slurm.", strlen("slurm.")) == 0;
}

#endif

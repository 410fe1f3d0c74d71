/* Who started this process: its environment says so. */
#ifndef MUSTER_BASE_STARTED_BY_H
#define MUSTER_BASE_STARTED_BY_H

#include <stdbool.h>
#include <stdlib.h>

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

#endif

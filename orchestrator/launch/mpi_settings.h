/* Which mpirun, and in which environment: as found at configuration, in a file that CMake makes. */
#ifndef MUSTER_LAUNCH_MPI_SETTINGS_H
#define MUSTER_LAUNCH_MPI_SETTINGS_H

#include "orchestrator/base/file.h"

extern const char mu_mpi_run[];     /* its path */
extern const char mu_mpi_version[]; /* Open MPI's: "5.0.11" */
extern const int mu_mpi_major;
extern const char *const mu_mpi_settings[]; /* NAME=VALUE; ends with NULL */

#define MU_MPI_PREFIX "OPAL_PREFIX="

/* What holds of the two where this program lies now: an Open MPI that was installed with it comes
 * first. prefix: "OPAL_PREFIX=...", in the place of that in mu_mpi_settings; or "". */
struct mu_mpi_place {
    char mpirun[MU_PATH_MAX + 16];
    char prefix[MU_PATH_MAX + 16];
};
void mu_mpi_find(struct mu_mpi_place *place);

/* Open MPI that was moved and is not started by its mpirun asks for it; what is set stays. */
void mu_mpi_export_prefix(void);

#endif

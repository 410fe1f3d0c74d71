/* Which mpirun, and in which environment: as found at configuration, in a file that CMake makes. */
#ifndef MUSTER_LAUNCH_MPI_SETTINGS_H
#define MUSTER_LAUNCH_MPI_SETTINGS_H

extern const char mu_mpi_run[];     /* its path */
extern const char mu_mpi_version[]; /* Open MPI's: "5.0.11" */
extern const int mu_mpi_major;
extern const char *const mu_mpi_settings[]; /* NAME=VALUE; ends with NULL */

#endif

/* Telling Open MPI of a death. MPI hears of one from mpirun, and mpirun from the kernel, once the
 * process has given back its memory: half a second for 3 GB. Whoever knows earlier can say so.
 *
 * PMIx Standard 5.0, section 10.1 (event notification); Open MPI 5 takes the event as mpirun's own
 * (ompi_errhandler_callback). */
#ifndef MUSTER_WORKER_COMM_DEATH_PMIX_H
#define MUSTER_WORKER_COMM_DEATH_PMIX_H

#include <stdbool.h>

/* Of that rank of MPI_COMM_WORLD, to the MPI of this process, or of all ranks (everywhere). Any
 * thread may call, between MPI_Init and MPI_Finalize; the next poll of MPI knows. Nothing happens
 * where MPI cannot be told. */
void mu_mpi_tell_death(int rank, bool everywhere);

#endif

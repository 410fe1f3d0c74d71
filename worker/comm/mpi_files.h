/* What Open MPI leaves in /dev/shm (sm_segment.HOST.UID.JOB.RANK) when ranks or mpirun are killed:
 * nobody else takes it away. */
#ifndef MUSTER_WORKER_COMM_MPI_FILES_H
#define MUSTER_WORKER_COMM_MPI_FILES_H

#include <stddef.h>
#include <stdint.h>

/* Those that this process has mapped: its own and its peers'. For a process that leaves without
 * MPI_Finalize. */
void mu_mpi_files_remove_own(void);
/* What the names of this job's begin with: "/dev/shm/sm_segment.HOST.UID.JOB."; "": none is
 * mapped. */
void mu_mpi_files_name_own(char *out, size_t size);
/* This user's that no process has mapped and that are more than a minute old (a younger one may be
 * about to be mapped). */
void mu_mpi_files_remove_stale(void);
/* How many these are, and the memory that they take. */
int mu_mpi_files_count_stale(uint64_t *bytes);

#endif

/* A library for LD_PRELOAD: the process of rank DIE_RANK dies by SIGKILL instead of sending its
 * DIE_SEND-th message (from 1), counted from when the file DIE_AFTER is there (unset: from the
 * start). So a master dies when it has told some ranks a verdict, and others not. */
#include <mpi.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_meant(void)
{
    const char *own = getenv("OMPI_COMM_WORLD_RANK"), *meant = getenv("DIE_RANK");
    const char *file = getenv("DIE_AFTER");

    return own && meant && strcmp(own, meant) == 0 && (!file || access(file, F_OK) == 0);
}

int MPI_Isend(const void *data, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    static int sent;

    if (is_meant() && ++sent == atoi(getenv("DIE_SEND")))
        raise(SIGKILL);
    return PMPI_Isend(data, count, type, to, tag, comm, request);
}

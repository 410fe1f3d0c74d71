/* A library for LD_PRELOAD: an MPI that has no more message tags than the standard promises. */
#include <mpi.h>

int MPI_Comm_get_attr(MPI_Comm comm, int key, void *value, int *found)
{
    static int most = 32767;

    if (key != MPI_TAG_UB)
        return PMPI_Comm_get_attr(comm, key, value, found);
    *(int **)value = &most;
    *found = 1;
    return MPI_SUCCESS;
}

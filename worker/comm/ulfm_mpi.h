/* What ULFM (MPI 5's fault tolerance, MPIX_ in Open MPI) offers, and what stands in where MPI lacks
 * it. The one place that asks at compile time. */
#ifndef MUSTER_WORKER_COMM_ULFM_MPI_H
#define MUSTER_WORKER_COMM_ULFM_MPI_H

#include <mpi.h>

#include <mpi-ext.h> /* needs mpi.h first */

#include <stdbool.h>

#ifdef OMPI_HAVE_MPI_EXT_FTMPI

static inline bool mu_ulfm_is_on(void)
{
    int *value, found = 0;

    MPI_Comm_get_attr(MPI_COMM_WORLD, MPIX_FT, &value, &found);
    return found && *value;
}
static inline void mu_ulfm_revoke(MPI_Comm comm)
{
    MPIX_Comm_revoke(comm);
}
static inline bool mu_ulfm_is_revoked(MPI_Comm comm)
{
    int revoked = 0;

    MPIX_Comm_is_revoked(comm, &revoked);
    return revoked;
}
static inline bool mu_ulfm_failed_group(MPI_Comm comm, MPI_Group *group)
{
    return MPIX_Comm_get_failed(comm, group) == MPI_SUCCESS;
}
/* Collective over all that live; they get communicators of the same members. */
static inline bool mu_ulfm_shrink(MPI_Comm from, MPI_Comm *to)
{
    return MPIX_Comm_shrink(from, to) == MPI_SUCCESS;
}
/* The same answer on all that live: whether all of them said yes and nobody died unseen. */
static inline bool mu_ulfm_agree(MPI_Comm comm, bool own)
{
    int flag = own;

    return MPIX_Comm_agree(comm, &flag) == MPI_SUCCESS && flag;
}
static inline bool mu_ulfm_is_death(int error_class)
{
    return error_class == MPIX_ERR_PROC_FAILED || error_class == MPIX_ERR_PROC_FAILED_PENDING;
}
static inline bool mu_ulfm_is_revocation(int error_class)
{
    return error_class == MPIX_ERR_REVOKED;
}

#else

static inline bool mu_ulfm_is_on(void)
{
    return false;
}
static inline void mu_ulfm_revoke(MPI_Comm comm)
{
    (void)comm;
}
static inline bool mu_ulfm_is_revoked(MPI_Comm comm)
{
    (void)comm;
    return false;
}
static inline bool mu_ulfm_failed_group(MPI_Comm comm, MPI_Group *group)
{
    (void)comm;
    (void)group;
    return false;
}
static inline bool mu_ulfm_shrink(MPI_Comm from, MPI_Comm *to)
{
    (void)from;
    (void)to;
    return false;
}
static inline bool mu_ulfm_agree(MPI_Comm comm, bool own)
{
    (void)comm;
    (void)own;
    return false;
}
static inline bool mu_ulfm_is_death(int error_class)
{
    (void)error_class;
    return false;
}
static inline bool mu_ulfm_is_revocation(int error_class)
{
    (void)error_class;
    return false;
}

#endif
#endif

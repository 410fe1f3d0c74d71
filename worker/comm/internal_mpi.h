/* A communicator from inside: comm_mpi.c and view_mpi.c, nobody else. */
#ifndef MUSTER_WORKER_COMM_INTERNAL_MPI_H
#define MUSTER_WORKER_COMM_INTERNAL_MPI_H

#include <mpi.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "worker/comm/comm.h"

struct pending {
    MPI_Request request;
    const struct mu_comm *owner; /* whose request it is: a view, or the base */
    bool receives;
    struct pending *next, *previous;
};

struct mu_comm {
    struct mu_comm *base; /* itself, unless it is a view: then of what follows only the next block
                             is its own */
    int rank, size;
    int *name; /* by place; NULL: not under mpirun, every place is its own name */

    int *place; /* in the base, by place of the view; NULL: of the base itself */
    int first_tag;
    uint32_t as_of; /* repair of the base after which `place` is right */

    MPI_Comm comm; /* MPI_COMM_NULL: not under mpirun, MPI is not started at all */
    int names;     /* how many places there were at first */
    uint32_t repairs;
    atomic_bool *told; /* by name: MPI has been told of its death */
    bool fault_tolerant, repaired;
    struct pending open; /* head of the ring of open requests, those of views among them */
};

static inline int mu_comm_base_place(const struct mu_comm *c, int place)
{
    MU_ASSERT(!c->place || c->as_of == c->base->repairs); /* else: mu_comm_view_keep */
    return c->place ? c->place[place] : place;
}

/* The place in this communicator of a place of the base; -1: it is no member. By its name, so that
 * whoever reports a failure is told after a repair that failed, too. */
static inline int mu_comm_own_place(const struct mu_comm *c, int base_place)
{
    int own = c->size - 1;

    if (!c->place || base_place < 0)
        return base_place;
    while (own >= 0 && c->name[own] != mu_comm_name(c->base, base_place))
        own--;
    return own;
}

static inline void mu_comm_close_request(struct pending *p)
{
    p->previous->next = p->next;
    p->next->previous = p->previous;
    free(p);
}

#endif

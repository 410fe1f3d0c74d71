/* The one communicator of a job, and point-to-point messages on it: everything Muster asks of MPI.
 * No collective of MPI is used after the start but in a repair: groups are lists of ranks, and
 * rings and gathers are built from these calls, so that every wait polls, has a deadline, and ends
 * when a rank dies.
 *
 * A status of MU_PEER_LOST (a rank of the communicator died) or MU_REVOKED (another rank said so)
 * is final for the communicator as it is: mu_comm_repair makes it one of the survivors. Only the
 * main thread may call, but for mu_comm_tell_dead. Buffers belong to a request until it has
 * completed, with or without error; a repair completes all of them. */
#ifndef MUSTER_WORKER_COMM_H
#define MUSTER_WORKER_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_comm;

struct mu_request {
    void *handle; /* NULL: none, or complete */
};

/* MPI_Init and a communicator of our own that returns errors. Not under mpirun: a job of one
 * rank. */
enum mu_status mu_comm_open(struct mu_comm **out) MU_CHECKED;
/* Orderly end: everybody has said goodbye; MPI_Finalize, under a deadline (it may hang after a
 * failure, or a rank be late): when that passes, the process ends with `exit_code`. After a repair
 * that left somebody out it does not return: the process ends so at once. */
void mu_comm_close(struct mu_comm *comm, int exit_code);
/* Tells the other ranks that this communicator is finished, so that those who wait leave. Local,
 * never blocks. */
void mu_comm_revoke(struct mu_comm *comm);
/* Ends the process after a failure without MPI_Finalize, in a way that mpirun passes on `exit_code`
 * as well as it can. Removes what MPI left in /dev/shm for this job. */
_Noreturn void mu_comm_leave(struct mu_comm *comm, int exit_code);
/* Ends this process by a signal, which MPI reports to the others: they go on without it. An exit
 * would leave them waiting where nobody can tell MPI of it. */
_Noreturn void mu_comm_die(void);

/* Place among those that live, and how many these are. */
int mu_comm_rank(const struct mu_comm *comm);
int mu_comm_size(const struct mu_comm *comm);
/* The rank that a place had in the beginning: its name for ever, also on the board. Ascending. */
int mu_comm_name(const struct mu_comm *comm, int place);
bool mu_comm_is_fault_tolerant(const struct mu_comm *comm); /* MPI reports deaths (ULFM) */

/* A view: some of `base`'s ranks, this one among them, with places of their own, 0 .. count - 1 in
 * the order of their names; what a group talks in. All of this header but the calls of a repair is
 * for views as well; deaths and revocations are those of the whole `base`, which outlives them.
 * number: messages of views with different numbers never meet; one that was used before may be used
 * again after 1,000 others. names: ascending; copied. MU_PEER_LOST, not reported: a repair has left
 * one of them out. */
enum mu_status mu_comm_view(struct mu_comm *base, const int *names, int count, uint32_t number,
                            struct mu_comm **out) MU_CHECKED;
/* Inside or after a repair of the base, before it is used again: only these are left of it. */
enum mu_status mu_comm_view_keep(struct mu_comm *view, const int *names, int count) MU_CHECKED;
/* Receives that are open end; their buffers are the caller's again. What it has sent and nobody has
 * received stays MPI's until the base's next repair. NULL is allowed. */
void mu_comm_view_close(struct mu_comm *view);

const char *mu_mpi_library_version(void); /* "Open MPI 5.0.11" */

/* Makes progress and looks for deaths: MU_OK, MU_PEER_LOST, MU_REVOKED. About 2 µs. */
enum mu_status mu_comm_poll(struct mu_comm *comm) MU_CHECKED;
/* Places known to be dead, into places[capacity]; returns how many there are. */
int mu_comm_dead(struct mu_comm *comm, int *places, int capacity);

/* The process of that rank has ended, says who knows it sooner than MPI: MPI is told, and the next
 * poll says MU_PEER_LOST. everywhere: on all ranks, also of other hosts, which takes a message to
 * mpirun; else on this one. Any thread may call; again and again, too. Nothing happens where MPI
 * cannot be told, or has no such rank. */
void mu_comm_tell_dead(struct mu_comm *comm, int name, bool everywhere);

/* What the survivors tell each other on the communicator that they have now, by mu_comm_allgather;
 * called once for each attempt. */
typedef enum mu_status mu_comm_exchange(void *context);
/* By every survivor: revokes (unless `quietly`: who is not here yet may still be reading messages
 * of before; for a parting), leaves the dead out, runs `exchange`, agrees that it went well
 * everywhere; all of it again until it did, whoever dies meanwhile. Blocks in MPI until all that
 * live are here, so that a stopped rank must be killed by somebody else. Afterwards places and size
 * are the survivors', and no request is open. Another status than MU_OK is this rank's own failure,
 * or MPI's: the caller dies, and the others go on without it. */
enum mu_status mu_comm_repair(struct mu_comm *comm, bool quietly, mu_comm_exchange *exchange,
                              void *context) MU_CHECKED;
/* all[size][bytes]. Inside a repair only: it blocks. */
enum mu_status mu_comm_allgather(struct mu_comm *comm, const void *own, size_t bytes,
                                 void *all) MU_CHECKED;

/* What passes between two ranks, each kind by a tag of its own; messages of one tag arrive in the
 * order in which they were sent. */
enum mu_tag {
    MU_TAG_ROUND = 1,     /* control.h: which round is in the message */
    MU_TAG_MAXIMA = 1000, /* reduce.c: rounds of a chunk, chunk by chunk */
    MU_TAG_DENSE,
    MU_TAG_WIDE,
    MU_TAG_FETCH_HEAD, /* fetch.c */
    MU_TAG_FETCH_TOTAL,
    MU_TAG_COLLECTIVE_ID, /* resident_peers.c */
    MU_TAG_FORMED,        /* resident_form.c */
    MU_TAG_FORMED_VERDICT,
    MU_TAG_HASH_PIECES, /* resident_state.c */
    MU_TAG_HASH,
    MU_TAG_HAND_OVER, /* hand_over.c */
    MU_TAG_SWEEP,     /* orchestrator/sweep_run/: between a rank and the sweep's master */
};

enum mu_status mu_comm_send(struct mu_comm *comm, const void *data, size_t bytes, int to, int tag,
                            struct mu_request *request) MU_CHECKED;
enum mu_status mu_comm_receive(struct mu_comm *comm, void *data, size_t bytes, int from, int tag,
                               struct mu_request *request) MU_CHECKED;
/* done: the request is complete; received (may be NULL): bytes of a receive. */
enum mu_status mu_comm_test(struct mu_comm *comm, struct mu_request *request, bool *done,
                            size_t *received) MU_CHECKED;

#endif

/* mu_poll: called between operations, at most some milliseconds apart. It counts on the board that
 * this rank moves, makes MPI progress and finds out about deaths: by MPI, and by the board about
 * ranks of this host that left unseen by MPI.
 *
 * A death that can be lived with is repaired in here, wherever the caller is. From then on every
 * poll says MU_RECOVERED until somebody accepts it: whoever is in a round, a chunk or a wait gives
 * it up and returns that status; whoever computes a shard goes on with it (the device's hook hears
 * nothing) and returns it afterwards. Another failure is kept: operations run to their end, and who
 * called them sees it at the next check, a layer of a model later at most. */
#ifndef MUSTER_WORKER_POLLER_H
#define MUSTER_WORKER_POLLER_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/core/ledger.h"
#include "worker/board.h"
#include "worker/comm/comm.h"

struct mu_timed;

struct mu_poller {
    struct mu_comm *comm;
    struct mu_board *board;
    enum mu_status status; /* MU_RECOVERED until it is accepted; the first other failure for ever */
    /* Leaves the dead out; NULL: a death is a failure. */
    enum mu_status (*repair)(void *context);
    void *repair_context;
    /* Between repairs, at most every millisecond: messages that are not the job's. Must not wait,
     * nor poll. NULL: there are none. */
    void (*serve)(void *context);
    void *serve_context;
    uint64_t last_serve_ns;
    bool held;
    uint64_t missed_ns; /* since when the board misses a rank that MPI knows nothing of; 0: none */
    uint64_t last_ns, longest_gap_ns, last_lock_ns, last_comm_ns, last_board_ns;
    struct mu_ledger ledger; /* of this rank's time */
    struct mu_timed *timed;  /* is told of each poll; NULL: nobody */
};

void mu_poller_init(struct mu_poller *p, struct mu_comm *comm, struct mu_board *board);
/* MU_OK, MU_RECOVERED, or the failure that was seen now or before. */
enum mu_status mu_poll(struct mu_poller *p) MU_CHECKED;
/* What a function of comm.h said, which may be the first news of a death: repairs it as mu_poll
 * does. Other statuses are given back as they are. */
enum mu_status mu_poller_take(struct mu_poller *p, enum mu_status st) MU_CHECKED;
/* Polls until a request is complete (received may be NULL: bytes of a receive). A deadline that
 * passed is not reported: the caller knows what was due. */
enum mu_status mu_poller_complete(struct mu_poller *p, struct mu_request *request,
                                  struct mu_deadline deadline, size_t *received) MU_CHECKED;
/* Somebody has left unseen by MPI, and a repair would wait for it for ever. */
bool mu_poller_is_beyond_repair(const struct mu_poller *p);
/* Everything that is done from here on follows the new roll. */
void mu_poller_accept(struct mu_poller *p);
/* Between the two no repair can happen: polls only count. For what must be whole when others read
 * it in a repair, and takes less than a poll may wait. */
void mu_poller_hold(struct mu_poller *p);
void mu_poller_release(struct mu_poller *p);
/* From now on this rank's time counts as `kind`; gives back what it counted as (core/ledger.h). */
enum mu_ledger_kind mu_poller_enter(struct mu_poller *p, enum mu_ledger_kind kind);
enum mu_ledger_kind mu_poller_enter_at_work(struct mu_poller *p, enum mu_ledger_kind kind);
/* For the device's hook: MU_RECOVERED is not told, since what is computed stays right. */
enum mu_status mu_poll_hook(void *poller);
/* A pause that does not count as a gap (before work that is known not to poll: files). */
void mu_poller_forgive_gap(struct mu_poller *p);

#endif

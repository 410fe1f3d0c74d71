/* mu_poll: called between operations, at most some milliseconds apart. It counts on the board that
 * this rank moves, makes MPI progress and finds out about deaths: by MPI, and by the board about
 * ranks of this host that left unseen by MPI. A failure is kept: operations run to their end, and
 * who called them sees it at the next check, a layer of a model later at most. */
#ifndef MUSTER_WORKER_POLLER_H
#define MUSTER_WORKER_POLLER_H

#include <stdint.h>

#include "orchestrator/core/ledger.h"
#include "worker/board.h"
#include "worker/comm/comm.h"

struct mu_poller {
    struct mu_comm *comm;
    struct mu_board *board;
    enum mu_status status; /* the first failure seen */
    uint64_t last_ns, longest_gap_ns, last_comm_ns, last_board_ns;
    struct mu_ledger ledger; /* of this rank's time */
};

void mu_poller_init(struct mu_poller *p, struct mu_comm *comm, struct mu_board *board);
/* MU_OK, or the failure that was seen now or before. */
enum mu_status mu_poll(struct mu_poller *p);
/* From now on this rank's time counts as `kind`; gives back what it counted as (core/ledger.h). */
enum mu_ledger_kind mu_poller_enter(struct mu_poller *p, enum mu_ledger_kind kind);
enum mu_ledger_kind mu_poller_enter_at_work(struct mu_poller *p, enum mu_ledger_kind kind);
/* For the device's hook. */
enum mu_status mu_poll_hook(void *poller);
/* A pause that does not count as a gap (before work that is known not to poll: files). */
void mu_poller_forgive_gap(struct mu_poller *p);

#endif

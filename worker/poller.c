/* Three looks of very different cost, each as often as it can be afforded: the count on the board
 * at every call, MPI every 100 us, /proc twice a second. After the first failure nothing is asked
 * any more, and every call gives the same answer. */
#include "worker/poller.h"

#include <stdatomic.h>

#include "orchestrator/base/clock.h"

/* MPI is asked this often at most: deaths are known within 5 ms anyway, and asking costs some
 * microseconds. */
static const uint64_t comm_interval_ns = 100000;
/* A process is looked up in /proc: some microseconds for each rank of the host. */
static const uint64_t board_interval_ns = 500000000;

void mu_poller_init(struct mu_poller *p, struct mu_comm *comm, struct mu_board *board)
{
    *p = (struct mu_poller){.comm = comm, .board = board, .last_ns = mu_clock_ns()};
    mu_ledger_start(&p->ledger, MU_LEDGER_RECOVER, p->last_ns);
}

/* A rank that ends without MPI_Finalize, but not by a signal, is not dead to MPI: its peers would
 * wait for it for ever. */
static enum mu_status look_at_board(const struct mu_poller *p)
{
    for (int r = 0; r < mu_comm_size(p->comm); r++) {
        const struct mu_board_entry *e = mu_board_entry(p->board, r);

        if (e && !mu_board_is_alive(e))
            return MU_PEER_LOST;
    }
    return MU_OK;
}

enum mu_status mu_poll(struct mu_poller *p)
{
    uint64_t now = mu_clock_ns();

    if (now - p->last_ns > p->longest_gap_ns)
        p->longest_gap_ns = now - p->last_ns;
    p->last_ns = now;
    if (p->board)
        atomic_fetch_add_explicit(&mu_board_own(p->board)->polls, 1, memory_order_relaxed);
    if (p->comm && p->status == MU_OK && now - p->last_comm_ns >= comm_interval_ns) {
        p->last_comm_ns = now;
        p->status = mu_comm_poll(p->comm);
    }
    if (p->comm && p->board && p->status == MU_OK && now - p->last_board_ns >= board_interval_ns) {
        p->last_board_ns = now;
        p->status = look_at_board(p);
    }
    return p->status;
}

enum mu_ledger_kind mu_poller_enter(struct mu_poller *p, enum mu_ledger_kind kind)
{
    return mu_ledger_enter(&p->ledger, kind, mu_clock_ns());
}

enum mu_ledger_kind mu_poller_enter_at_work(struct mu_poller *p, enum mu_ledger_kind kind)
{
    return mu_ledger_enter_at_work(&p->ledger, kind, mu_clock_ns());
}

enum mu_status mu_poll_hook(void *poller)
{
    return mu_poll(poller);
}

void mu_poller_forgive_gap(struct mu_poller *p)
{
    p->last_ns = mu_clock_ns();
}

/* Four looks of very different cost, each as often as it can be afforded: the count on the board at
 * every call, the locks on the board every 500 us, MPI every 2 ms and when a lock shows a death,
 * /proc twice a second. Messages that are not the job's are served every 1 ms. After the first
 * failure that was not repaired nothing is asked any more, and every call gives the same answer. */
#include "worker/poller.h"

#include <stdatomic.h>

#include "kernels/timed.h"

/* What is served is an answer that somebody waits for, between two of his steps. */
static const uint64_t serve_interval_ns = 1000000;
/* A lock costs tens of nanoseconds for each rank of the host. */
static const uint64_t lock_interval_ns = 500000;
/* MPI is asked this often at most, for deaths on other hosts: asking costs some microseconds, every
 * 100 us it was 2 % of a step, and gives the core away where others want it. */
static const uint64_t comm_interval_ns = 2000000;
/* A process is looked up in /proc: some microseconds for each rank of the host. */
static const uint64_t board_interval_ns = 500000000;
/* For MPI to tell of a death that the board shows. That goes through mpirun, which on a machine
 * short of memory or cores was seen to take more than half a second. */
static const uint64_t unseen_ns = 4000000000;

void mu_poller_init(struct mu_poller *p, struct mu_comm *comm, struct mu_board *board)
{
    *p = (struct mu_poller){.comm = comm, .board = board, .last_ns = mu_clock_ns()};
    mu_ledger_start(&p->ledger, MU_LEDGER_RECOVER, p->last_ns);
}

/* Deaths of this host, before mpirun hears of them: whether there is any that is not repaired. */
static bool tell_ends(const struct mu_poller *p)
{
    bool any = false;

    for (int place = 0; place < mu_comm_size(p->comm); place++) {
        int rank = mu_comm_name(p->comm, place);
        const struct mu_board_entry *e = mu_board_entry(p->board, rank);

        if (e && mu_board_has_ended(e)) {
            mu_comm_tell_dead(p->comm, rank, mu_board_claim_end(p->board, rank));
            any = true;
        }
    }
    return any;
}

/* A rank that ends without MPI_Finalize, but not by a signal, is not dead to an MPI that cannot be
 * told (comm.h): its peers would wait for it for ever, and so would a repair. One that is dead by
 * the board for long, while MPI says nothing, is such a one: it cannot be lived with. Who finds
 * that out says so on the board before it revokes: the others would take the revocation for a call
 * to repair. */
static enum mu_status look_at_board(struct mu_poller *p, uint64_t now)
{
    int missing = -1;

    for (int place = 0; place < mu_comm_size(p->comm) && missing < 0; place++) {
        int rank = mu_comm_name(p->comm, place);
        const struct mu_board_entry *e = mu_board_entry(p->board, rank);

        if (e && !mu_board_is_alive(e))
            missing = rank;
    }
    if (missing < 0)
        p->missed_ns = 0;
    else if (p->missed_ns == 0)
        p->missed_ns = now;
    if (missing < 0 || now - p->missed_ns < unseen_ns)
        return MU_OK;
    mu_board_note_unseen(p->board, missing);
    return MU_PEER_LOST;
}

bool mu_poller_is_beyond_repair(const struct mu_poller *p)
{
    for (int place = 0; p->board && place < mu_comm_size(p->comm); place++) {
        const struct mu_board_entry *e = mu_board_entry(p->board, mu_comm_name(p->comm, place));

        if (e && atomic_load(&e->unseen))
            return true;
    }
    return false;
}

enum mu_status mu_poller_take(struct mu_poller *p, enum mu_status st)
{
    if (!mu_status_is_death(st) || p->held)
        return st;
    if (p->repair && (p->status == MU_OK || p->status == MU_RECOVERED) &&
        !mu_poller_is_beyond_repair(p)) {
        enum mu_ledger_kind before = mu_poller_enter(p, MU_LEDGER_RECOVER);

        p->held = true;
        if (p->board)
            tell_ends(p); /* the news may be another rank's: in the repair nobody looks */
        st = p->repair(p->repair_context);
        mu_poller_enter(p, before);
        p->held = false;
        p->missed_ns = 0;
        mu_poller_forgive_gap(p);
        st = st == MU_OK ? MU_RECOVERED : st;
    }
    p->status = st;
    return st;
}

/* Not in a repair, which holds the poller; held here, since who serves may not poll. */
static void serve(struct mu_poller *p, uint64_t now)
{
    if (!p->serve || (p->status != MU_OK && p->status != MU_RECOVERED) ||
        now - p->last_serve_ns < serve_interval_ns)
        return;
    p->last_serve_ns = now;
    p->held = true;
    p->serve(p->serve_context);
    p->held = false;
}

enum mu_status mu_poll(struct mu_poller *p)
{
    uint64_t now = mu_clock_ns();
    enum mu_status st = MU_OK;
    bool one_ended = false;

    if (now - p->last_ns > p->longest_gap_ns)
        p->longest_gap_ns = now - p->last_ns;
    p->last_ns = now;
    mu_timed_polled(p->timed);
    if (p->board)
        atomic_fetch_add_explicit(&mu_board_own(p->board)->polls, 1, memory_order_relaxed);
    if (!p->comm || p->held || (p->status != MU_OK && p->status != MU_RECOVERED))
        return p->status;
    if (p->board && now - p->last_lock_ns >= lock_interval_ns) {
        p->last_lock_ns = now;
        one_ended = tell_ends(p);
    }
    if (one_ended || now - p->last_comm_ns >= comm_interval_ns) {
        p->last_comm_ns = now;
        st = mu_poller_take(p, mu_comm_poll(p->comm));
    }
    if (st == MU_OK && p->board && now - p->last_board_ns >= board_interval_ns) {
        p->last_board_ns = now;
        st = look_at_board(p, now);
    }
    if (st != MU_OK)
        p->status = st;
    serve(p, now);
    return p->status;
}

enum mu_status mu_poller_complete(struct mu_poller *p, struct mu_request *request,
                                  struct mu_deadline deadline, size_t *received)
{
    struct mu_backoff pause = {0};
    enum mu_status st;
    bool done = false;

    for (;;) {
        MU_TRY(mu_poller_take(p, mu_comm_test(p->comm, request, &done, received)), st, ended);
        if (done)
            break;
        MU_TRY(mu_poll(p), st, ended);
        if (mu_deadline_passed(deadline))
            return MU_TIMEOUT;
        mu_backoff_pause(&pause);
    }
ended:
    return st;
}

void mu_poller_accept(struct mu_poller *p)
{
    if (p->status == MU_RECOVERED)
        p->status = MU_OK;
}

void mu_poller_hold(struct mu_poller *p)
{
    MU_ASSERT(!p->held);
    p->held = true;
}

void mu_poller_release(struct mu_poller *p)
{
    p->held = false;
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
    enum mu_status st = mu_poll(poller);

    return st == MU_RECOVERED ? MU_OK : st;
}

void mu_poller_forgive_gap(struct mu_poller *p)
{
    p->last_ns = mu_clock_ns();
    mu_timed_forgive(p->timed);
}

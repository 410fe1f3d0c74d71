/* The watchdog of a rank: a thread that makes no MPI call, so that it runs whatever MPI does (it
 * tells MPI of deaths, by PMIx). It looks at the board ten times a second, and more often in a
 * repair, from before MPI_Init until this rank leaves.
 *
 *   in MPI_Init   a rank that dies there leaves the others in it for ever, as MPI cannot tell them
 *                 yet. So this process is ended when another one of this host is dead, also one
 *                 that died before it was on the board (missing_rank.h), or when MPI_Init takes
 *                 longer than any start should (the dead rank may be on another host). One rank
 *                 says why. Until mu_watchdog_met the board belongs to the thread.
 *   always        ends ranks that stand still and tells of slow ones, as core/watch.h decides,
 *                 where the deadlines are. A rank is ended by SIGKILL, which a later SIGCONT does
 *                 not undo: it executes nothing any more. Before that the reason is on the board. A
 *                 repair that hangs ends the host's ranks, one of them with an exit code, so that
 *                 mpirun ends.
 *
 * A rank that is alone on its host is ended by nobody when it hangs: `muster launch` and the leases
 * between hosts are for that. Ranks that share a host are compared there, not with other hosts'. */
#ifndef MUSTER_WORKER_WATCHDOG_H
#define MUSTER_WORKER_WATCHDOG_H

#include "worker/board.h"
#include "worker/comm/comm.h"

struct mu_watchdog;

enum mu_status mu_watchdog_begin(struct mu_watchdog **out, struct mu_board *board) MU_CHECKED;
/* MPI_Init is over; comm: whom to tell of this host's deaths from now on, for a rank that waits
 * inside a repair does not look; NULL: nobody. Does not return when the thread is ending the
 * process. */
void mu_watchdog_met(struct mu_watchdog *w, struct mu_comm *comm);
/* run.hang_timeout, once it is known; until then only stopped ranks are ended. */
void mu_watchdog_set_timeout(struct mu_watchdog *w, int64_t seconds);
/* Before the board is closed. NULL is allowed. */
void mu_watchdog_end(struct mu_watchdog *w);

#endif

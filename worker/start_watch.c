/* The thread ends the process by itself, as the main thread sits in MPI_Init and cannot be reached.
 * It lingers before it does: a rank that left at once would take its entry from the board, and
 * another one might find nobody dead there. Of a host's ranks the lowest one alive speaks. */
#include "worker/start_watch.h"

#include <signal.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "worker/comm/comm.h"

enum {
    LOOK_MS = 20,
    NEWS_MS = 500, /* until everybody has found out and the one that speaks has spoken */
    DEADLINE_MS = 120000,
    NOBODY = -1,
};

/* The lowest rank of this host whose entry is (alive) or is not (dead) that of a live process. */
static int find(const struct mu_board *board, bool alive)
{
    for (int r = 0; r < MU_BOARD_RANKS; r++) {
        const struct mu_board_entry *e = mu_board_entry(board, r);

        if (e && mu_board_is_alive(e) == alive)
            return r;
    }
    return NOBODY;
}

static void leave(struct mu_start_watch *w, int dead)
{
    bool lowest = find(w->board, true) == mu_board_own_rank(w->board);

    if (dead != NOBODY && mu_board_claim_news(w->board, dead))
        mu_log(MU_LOG_ERROR,
               "rank %d died at the start, before the ranks had met: run the same command again",
               dead);
    else if (dead == NOBODY && lowest)
        mu_log(MU_LOG_ERROR,
               "MPI_Init did not end within %d s: a rank on another host died or cannot be "
               "reached. Run the same command again",
               DEADLINE_MS / 1000);
    mu_clock_sleep_us(1000 * NEWS_MS);
    mu_board_close(w->board);
    mu_comm_leave(NULL, mu_status_exit_code(MU_PEER_LOST));
}

static void *watch(void *context)
{
    struct mu_start_watch *w = context;
    struct mu_deadline deadline = mu_deadline_in_ms(DEADLINE_MS);

    while (!atomic_load(&w->over)) {
        int dead = find(w->board, false);

        if (dead != NOBODY || mu_deadline_passed(deadline))
            leave(w, dead);
        mu_clock_sleep_us(1000 * LOOK_MS);
    }
    return NULL;
}

enum mu_status mu_start_watch_begin(struct mu_start_watch *w, struct mu_board *board)
{
    sigset_t all, before;
    int error;

    w->board = board;
    atomic_init(&w->over, false);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the first thread */
    error = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? MU_OK : MU_FAIL(MU_FAILED, "cannot start a thread (error %d)", error);
}

void mu_start_watch_end(struct mu_start_watch *w)
{
    atomic_store(&w->over, true);
    pthread_join(w->thread, NULL);
}

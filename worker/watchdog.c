/* The lock is held through a look, and given up only between two: whoever gets it knows that the
 * thread neither looks nor is about to end this process.
 *
 * At the start the thread ends the process by itself, as the main thread sits in MPI_Init and
 * cannot be reached: by a death that MPI reports, or by an exit when nobody can go on. It lingers
 * before it does: a rank that left at once would take its entry from the board, and another one
 * might find nobody dead there. Of a host's ranks one speaks. */
#include "worker/watchdog.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "worker/comm/comm.h"
#include "worker/missing_rank.h"

enum {
    NEWS_MS = 500, /* until everybody has found out and the one that speaks has spoken */
    START_MS = 120000,
    MEET_LOOKS = 10, /* until a host's ranks are on its board, or it is asked whether they live */
    REPAIR_LOOK_MS = 10, /* in a repair only this thread learns of another death at once */
    LOOKS_AT_ALL = 10,   /* one in so many goes over the whole board, most of which is empty */
    MOST_TURNS = 16,     /* of hosts that give up a repair, one after the other */
    NOBODY = -1,
    NAMELESS = -2, /* it died before it was on the board */
};

struct mu_watchdog {
    struct mu_board *board;
    struct mu_comm *comm; /* NULL: not met yet */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool met, over;
    uint64_t death_seen_ns;  /* at the start; 0: none */
    uint64_t hang_seen_ns;   /* since when a repair is to be given up; 0: none is */
    int64_t hang_timeout_ms; /* 0: not known yet */
    uint64_t looks;
    int known; /* ranks beyond were not on the board when it was last looked at whole */
    struct mu_watch watch;
    struct mu_watch_view views[MU_BOARD_RANKS];
    struct mu_watch_actions actions;
};

/* ---- the start ---- */
/* The lowest rank of this host that lives, or that died in MPI_Init. One that died beyond it has
 * kept nobody there: the others come out by themselves, and go on without it. */
static int find(const struct mu_board *board, bool alive)
{
    for (int r = 0; r < MU_BOARD_RANKS; r++) {
        const struct mu_board_entry *e = mu_board_entry(board, r);

        if (e && mu_board_is_alive(e) == alive &&
            (alive || atomic_load(&e->mark.point) < MU_FAULT_STARTED))
            return r;
    }
    return NOBODY;
}

/* Whether all ranks are of this host: others are not on the board. */
static bool sees_all(void)
{
    const char *here = getenv("OMPI_COMM_WORLD_LOCAL_SIZE"), *all = getenv("OMPI_COMM_WORLD_SIZE");

    return here && all && atoi(here) == atoi(all);
}

/* Whether no rank can be out of MPI_Init already: then nobody goes on, and the process may exit.
 * One that is out repairs the roll, and waits there for this rank unless its end is one that MPI
 * reports. */
static bool all_are_starting(const struct mu_board *board)
{
    if (!sees_all())
        return false;
    for (int r = 0; r < MU_BOARD_RANKS; r++) {
        const struct mu_board_entry *e = mu_board_entry(board, r);

        if (e && mu_board_is_alive(e) && mu_board_phase(e) != MU_PHASE_STARTING)
            return false;
    }
    return true;
}

static _Noreturn void leave_start(struct mu_watchdog *w, int dead)
{
    bool lowest = find(w->board, true) == mu_board_own_rank(w->board);
    bool all_leave = all_are_starting(w->board);
    bool speaks = dead == NOBODY     ? lowest
                  : dead == NAMELESS ? mu_board_claim_last_word(w->board)
                                     : all_leave && mu_board_claim_news(w->board, dead);

    if (speaks && dead == NAMELESS)
        mu_log(MU_LOG_ERROR, "a rank of this host died as soon as mpirun had started it, before "
                             "the ranks had met: run the same command again");
    else if (speaks && dead != NOBODY)
        mu_log(MU_LOG_ERROR,
               "rank %d died at the start, before the ranks had met: run the same command again",
               dead);
    else if (speaks)
        mu_log(MU_LOG_ERROR,
               "MPI_Init did not end within %d s: a rank on another host died or cannot be "
               "reached. Run the same command again",
               START_MS / 1000);
    if (!all_leave)
        mu_comm_die();
    /* Whoever exits with a code takes mpirun along, and it the others: last. */
    mu_clock_sleep_us(1000 * (speaks ? NEWS_MS : NEWS_MS / 2));
    mu_board_close(w->board);
    /* One exit code that is not 0 is mpirun's too; several at once make it hang now and then. */
    mu_comm_leave(NULL, speaks ? mu_status_exit_code(MU_PEER_LOST) : 0);
}

/* A rank that died just behind MPI_Init keeps nobody in it: so for a while this one may still get
 * out, and go on without the dead one. */
static void look_at_start(struct mu_watchdog *w, struct mu_deadline deadline)
{
    int dead = find(w->board, false);
    uint64_t now_ns = mu_clock_ns();

    if (dead == NOBODY && w->looks >= MEET_LOOKS && mu_rank_is_missing(w->board))
        dead = NAMELESS;
    if (dead == NOBODY)
        w->death_seen_ns = 0;
    if (dead != NOBODY && w->death_seen_ns == 0)
        w->death_seen_ns = now_ns;
    if (mu_deadline_passed(deadline) ||
        (dead != NOBODY && now_ns - w->death_seen_ns >= UINT64_C(1000000) * NEWS_MS))
        leave_start(w, dead);
}

/* ---- ranks that stand still, slow ranks ---- */
static int open_process(uint32_t pid)
{
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

/* process: of open_process, or -1 where the kernel has no such thing. */
static int end_process(int process, uint32_t pid)
{
    if (process >= 0)
        return (int)syscall(SYS_pidfd_send_signal, process, SIGKILL, NULL, 0);
    return kill((pid_t)pid, SIGKILL);
}

/* The process is the one that was judged, and it has not moved since. */
static bool is_unchanged(const struct mu_board_entry *e, const struct mu_watch_fence *f)
{
    enum mu_process_state state = mu_board_process_state(e);

    return atomic_load(&e->pid) == f->pid && atomic_load(&e->start_time) == f->start_time &&
           atomic_load(&e->polls) == f->polls && state != MU_PROCESS_GONE &&
           state != MU_PROCESS_TRACED &&
           (f->why != MU_FENCE_STOPPED || state == MU_PROCESS_STOPPED);
}

/* Another fencer may have claimed it first and been stopped before it acted: then this one acts,
 * silently. */
static void fence(struct mu_watchdog *w, const struct mu_watch_fence *f)
{
    const struct mu_board_entry *e = mu_board_entry(w->board, f->rank);
    int process = open_process(f->pid);
    char text[256];
    bool claimed;

    if (e && is_unchanged(e, f)) { /* so `process` is the one that was judged */
        claimed = mu_board_claim_fence(w->board, f);
        if (claimed && mu_board_tell_fence(e, f->rank, text, sizeof text))
            mu_log(MU_LOG_WARN, "%s", text);
        if (end_process(process, f->pid) != 0 && errno == ESRCH && claimed)
            mu_board_withdraw_fence(w->board, f->rank);
    }
    if (process >= 0)
        close(process);
}

static void tell_slow(const struct mu_watch_slow *s)
{
    mu_log(MU_LOG_WARN,
           "rank %d is slow: a shard takes it %.3g ms, the others of its host %.3g ms (median), "
           "mostly in %s",
           s->rank, s->shard_ms, s->others_ms, mu_fault_point_name(s->point));
}

/* Hosts may come to this in the same moment, and several exit codes at once make mpirun hang now
 * and then: one after the other, as their ranks are numbered; all beyond MOST_TURNS together. */
static bool is_own_turn(struct mu_watchdog *w)
{
    int turn = mu_board_own_rank(w->board); /* the lowest of its host */
    uint64_t now_ns = mu_clock_ns();

    if (w->hang_seen_ns == 0)
        w->hang_seen_ns = now_ns;
    turn = turn < MOST_TURNS ? turn : MOST_TURNS;
    return now_ns - w->hang_seen_ns >= UINT64_C(1000000) * NEWS_MS * (uint64_t)turn;
}

/* The others that are in it go first: an exit code may end mpirun, and not them. */
static _Noreturn void give_up(struct mu_watchdog *w, int count)
{
    mu_log(MU_LOG_ERROR,
           "a recovery did not end within %.1f s, though all living ranks of this host had come to "
           "it: MPI hangs, or ranks of another host do. This job ends: the same command goes on "
           "from its newest state",
           1e-3 * (double)w->actions.gives_up_ms);
    for (int i = 0; i < count; i++)
        if (w->views[i].phase == MU_PHASE_REPAIRING &&
            w->views[i].rank != mu_board_own_rank(w->board)) {
            int process = open_process(w->views[i].pid);

            if (mu_board_process_start(w->views[i].pid) == w->views[i].start_time)
                end_process(process, w->views[i].pid);
            if (process >= 0)
                close(process);
        }
    mu_comm_leave(NULL, mu_status_exit_code(MU_PEER_LOST));
}

static void look_at_ranks(struct mu_watchdog *w)
{
    int until = w->looks++ % LOOKS_AT_ALL == 0 ? MU_BOARD_RANKS : w->known, count = 0;

    atomic_fetch_add_explicit(&mu_board_own(w->board)->beats, 1, memory_order_relaxed);
    for (int r = 0; r < until; r++) {
        const struct mu_board_entry *e = mu_board_entry(w->board, r);

        if (!e)
            continue;
        w->known = r + 1;
        if (w->comm && mu_board_has_ended(e))
            mu_comm_tell_dead(w->comm, r, mu_board_claim_end(w->board, r));
        w->views[count] = mu_board_view(e, r);
        if (mu_watch_asks(&w->watch, r))
            w->views[count].process = mu_board_process_state(e);
        count++;
    }
    mu_watch_look(&w->watch, w->views, count, (uint64_t)w->hang_timeout_ms, mu_clock_ns(),
                  &w->actions);
    for (int i = 0; i < w->actions.fences; i++)
        fence(w, &w->actions.fence[i]);
    for (int i = 0; i < w->actions.slows; i++)
        tell_slow(&w->actions.slow[i]);
    if (w->actions.gives_up_ms == 0)
        w->hang_seen_ns = 0;
    else if (is_own_turn(w))
        give_up(w, count);
}

/* ---- the thread ---- */
static void wait_for_next_look(struct mu_watchdog *w)
{
    bool repairs = mu_board_phase(mu_board_own(w->board)) == MU_PHASE_REPAIRING;
    uint64_t at_ns =
        mu_clock_ns() + UINT64_C(1000000) * (repairs ? REPAIR_LOOK_MS : MU_WATCH_LOOK_MS);
    struct timespec at = {.tv_sec = (time_t)(at_ns / 1000000000),
                          .tv_nsec = (long)(at_ns % 1000000000)};

    while (!w->over && pthread_cond_timedwait(&w->wake, &w->lock, &at) == 0) {
    }
}

static void *watch(void *context)
{
    struct mu_watchdog *w = context;
    struct mu_deadline deadline = mu_deadline_in_ms(START_MS);

    pthread_mutex_lock(&w->lock);
    while (!w->over) {
        if (!w->met)
            look_at_start(w, deadline);
        look_at_ranks(w);
        wait_for_next_look(w);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void deinit(struct mu_watchdog *w)
{
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

enum mu_status mu_watchdog_begin(struct mu_watchdog **out, struct mu_board *board)
{
    struct mu_watchdog *w = calloc(1, sizeof *w);
    pthread_condattr_t monotonic;
    sigset_t all, before;
    int error;

    *out = NULL;
    if (!w)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the watchdog");
    w->board = board;
    mu_watch_init(&w->watch, mu_board_own_rank(board), sees_all());
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&w->lock, NULL);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the first thread */
    error = pthread_create(&w->thread, NULL, watch, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        deinit(w);
        return MU_FAIL(MU_FAILED, "cannot start a thread (error %d)", error);
    }
    *out = w;
    return MU_OK;
}

void mu_watchdog_met(struct mu_watchdog *w, struct mu_comm *comm)
{
    pthread_mutex_lock(&w->lock);
    w->met = true;
    w->comm = comm;
    pthread_mutex_unlock(&w->lock);
}

void mu_watchdog_set_timeout(struct mu_watchdog *w, int64_t seconds)
{
    pthread_mutex_lock(&w->lock);
    w->hang_timeout_ms = 1000 * seconds;
    pthread_mutex_unlock(&w->lock);
}

void mu_watchdog_end(struct mu_watchdog *w)
{
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->over = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    deinit(w);
}

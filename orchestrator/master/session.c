/* The order of the start is the order of what must be in place before the next may hang or die:
 * signals, the bond to mpirun, the board, the watchdog, and only then MPI_Init. */
#include "orchestrator/master/session.h"

#include <stdatomic.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "worker/comm/mpi_files.h"
#include "worker/signals.h"

/* Into MPI: what this rank has, when it fails, is the board and the watchdog. */
static enum mu_status join(struct mu_session *s)
{
    enum mu_status st;

    mu_signals_install();
    MU_TRY(mu_signals_die_with_parent(), st, failed);
    MU_TRY(mu_board_open(&s->board), st, failed);
    mu_fault_set_rank(mu_board_own_rank(s->board));
    mu_fault(MU_FAULT_START, 0);
    mu_mpi_files_remove_stale();
    MU_TRY(mu_watchdog_begin(&s->watchdog, s->board), st, failed);
    st = mu_comm_open(&s->comm);
    mu_watchdog_met(s->watchdog, s->comm);
failed:
    return st;
}

enum mu_status mu_session_open(struct mu_session *s)
{
    enum mu_status st;

    *s = (struct mu_session){.epoch = 1, .started_ns = mu_clock_ns()};
    MU_TRY(join(s), st, failed);
    mu_fault_set_rank(mu_comm_rank(s->comm));
    if (mu_comm_size(s->comm) > 1)
        mu_log_set_rank(mu_comm_rank(s->comm));
    mu_poller_init(&s->poller, s->comm, s->board);
    mu_ledger_start(&s->poller.ledger, MU_LEDGER_RECOVER, s->started_ns);
    s->recovery = (struct mu_recovery){
        .base = s->comm, .board = s->board, .phase = MU_RECOVERY_IDLE, .epoch = s->epoch};
    if (mu_comm_is_fault_tolerant(s->comm) && mu_recover_init(&s->recovery) != MU_OK)
        mu_comm_die(); /* the others are past MPI_Init, and go on without it */
    return MU_OK;
failed:
    mu_watchdog_end(s->watchdog);
    mu_board_close(s->board);
    return st;
}

void mu_session_attach(struct mu_session *s, const struct mu_session_job *job)
{
    s->job = *job;
    s->requests = 0;
    s->recovery.comm = job->comm;
    s->recovery.group = job->group;
    s->recovery.trial = job->trial;
    s->recovery.worker = job->worker;
    s->recovery.roll = job->roll;
    s->recovery.duties = MU_DUTIES_UNKNOWN;
    s->recovery.phase = MU_RECOVERY_STARTING;
}

void mu_session_detach(struct mu_session *s, bool ended)
{
    if (ended)
        s->recovery.ended = s->recovery.group;
    s->job = (struct mu_session_job){0};
    s->recovery.comm = NULL;
    s->recovery.group = 0;
    s->recovery.worker = NULL;
    s->recovery.roll = NULL;
    s->recovery.phase = MU_RECOVERY_IDLE;
}

void mu_session_close(struct mu_session *s, enum mu_status st)
{
    mu_recover_deinit(&s->recovery);
    mu_watchdog_end(s->watchdog);
    mu_board_close(s->board);
    mu_comm_close(s->comm, mu_status_exit_code(st));
}

enum mu_status mu_session_recover(void *context)
{
    struct mu_session *s = context;
    struct mu_fault_mark *mark = &mu_board_own(s->board)->mark;
    uint32_t point = atomic_load(&mark->point);
    int64_t step = atomic_load(&mark->step);
    enum mu_phase before = mu_board_enter_repair(s->board, s->epoch);
    enum mu_status st = mu_recover(&s->recovery);

    if (st != MU_OK)
        return st;
    atomic_store(&mark->step, step); /* it goes on where it was */
    atomic_store(&mark->point, point);
    s->epoch = s->recovery.epoch;
    mu_board_set_epoch(s->board, s->epoch);
    mu_board_set_phase(s->board, before);
    if (s->job.recovered)
        s->job.recovered(s->job.context);
    if (s->recovered)
        s->recovered(s->recovered_context);
    mu_board_note_repaired(s->board);
    return MU_OK;
}

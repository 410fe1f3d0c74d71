/* The order of the start is the order of what must be in place before the next may hang or die:
 * signals, the bond to mpirun, the board, the watchdog, and only then MPI_Init. */
#include "orchestrator/master/session.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "worker/comm/control.h"
#include "worker/comm/mpi_files.h"
#include "worker/fingerprint.h"
#include "worker/signals.h"

/* A rank may be late by its part of a checkpoint. */
enum { PART_DEADLINE_MS = 600000 };

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

    *s = (struct mu_session){.epoch = 1, .started_ns = mu_clock_ns(), .gpu.leaver = -1};
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

enum mu_status mu_session_identify(struct mu_session *s)
{
    const bool is_known = !mu_hash_equal(s->program, (struct mu_hash){0});

    return is_known ? MU_OK : mu_fingerprint_program(&s->program);
}

void mu_session_attach(struct mu_session *s, const struct mu_session_job *job)
{
    s->job = *job;
    s->requests = 0;
    mu_recovery_plan_deinit(&s->recovery.plan); /* of a repair before it */
    s->recovery.comm = job->comm;
    s->recovery.group = job->group;
    s->recovery.trial = job->trial;
    s->recovery.worker = job->worker;
    s->recovery.roll = job->roll;
    s->recovery.duties = MU_DUTIES_UNKNOWN;
    s->recovery.phase = MU_RECOVERY_STARTING;
    mu_board_set_group(s->board, job->group);
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
    mu_board_set_group(s->board, 0);
}

static enum mu_status meet_to_part(struct mu_session *s)
{
    struct mu_control control;
    enum mu_status st;

    do {
        mu_poller_accept(&s->poller);
        control = mu_control_init(s->comm, &s->poller, s->epoch, PART_DEADLINE_MS);
        st = mu_control_agree(&control, MU_OK);
    } while (st == MU_RECOVERED);
    return st;
}

/* A quiet repair: who has not heard the round's end, since somebody died in it, repairs as well,
 * and says that it was not parting yet. */
static enum mu_status ask_whether_all_part(struct mu_session *s, bool *all)
{
    int count = mu_comm_size(s->comm);
    int *names = calloc((size_t)count, sizeof *names);
    struct mu_comm *everybody = NULL;
    enum mu_status st = MU_NO_MEMORY;

    for (int i = 0; names && i < count; i++)
        names[i] = mu_comm_name(s->comm, i);
    if (names)
        st = mu_comm_view(s->comm, names, count, MU_GROUP_OF_ALL, &everybody);
    free(names);
    if (st != MU_OK)
        return st;
    mu_session_attach(s, &(struct mu_session_job){.comm = everybody, .group = MU_GROUP_OF_ALL});
    s->recovery.phase = MU_RECOVERY_REFUSED;
    st = mu_session_recover(s);
    mu_session_detach(s, false);
    mu_comm_view_close(everybody);
    *all = true;
    for (int i = 0; st == MU_OK && i < mu_comm_size(s->comm); i++)
        *all = *all && s->recovery.word[i].phase == MU_RECOVERY_REFUSED;
    return st;
}

enum mu_status mu_session_part(struct mu_session *s)
{
    bool all = false;
    enum mu_status st = MU_OK;

    while (st == MU_OK && !all) {
        MU_TRY(meet_to_part(s), st, failed);
        if (!mu_comm_is_fault_tolerant(s->comm) || mu_comm_size(s->comm) == 1)
            break;
        mu_poller_hold(&s->poller); /* from here on others leave, and nobody dies of it */
        st = ask_whether_all_part(s, &all);
        mu_poller_release(&s->poller);
    }
failed:
    return st;
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

#include "orchestrator/sweep_run/sweep.h"

#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "worker/comm/control.h"

/* ---- inside polls ---- */
/* This rank is the first that lives, and was not: what the others said in the repair is known. */
static void take_over(struct mu_sweep *s)
{
    struct mu_session *session = &s->session;
    const uint32_t count = (uint32_t)mu_comm_size(session->comm);
    enum mu_phase before = mu_board_set_phase(session->board, MU_PHASE_RECORDING);

    mu_log(MU_LOG_INFO, "rank %d leads the sweep now",
           mu_comm_name(session->comm, mu_comm_rank(session->comm)));
    if (mu_sweep_lead_open(session, &s->line, &s->facts, session->recovery.word, count, &s->lead) !=
        MU_OK)
        s->is_lost = true;
    mu_fault(MU_FAULT_LEAD, 0);
    mu_board_set_phase(session->board, before);
}

static void serve(void *context)
{
    struct mu_sweep *s = context;

    if (mu_comm_rank(s->session.comm) != 0) {
        mu_sweep_line_serve(&s->line);
        return;
    }
    if (!s->lead && !s->is_lost)
        take_over(s);
    if (s->lead)
        mu_sweep_lead_serve(s->lead);
}

static void recovered(void *context)
{
    struct mu_sweep *s = context;

    mu_sweep_line_reset(&s->line);
    if (s->lead)
        mu_sweep_lead_reset(s->lead, s->session.recovery.word,
                            (uint32_t)mu_comm_size(s->session.comm));
}

/* ---- between trials ---- */
/* Until there is an order, or the end is known. */
static enum mu_status wait(struct mu_sweep *s)
{
    struct mu_backoff pause = {0};
    enum mu_status st = MU_OK;

    mu_poller_enter(&s->session.poller, MU_LEDGER_IDLE);
    while (!s->line.has_order && s->line.over == MU_SWEEP_NOT_OVER) {
        st = mu_poll(&s->session.poller);
        if (st == MU_RECOVERED) {
            mu_poller_accept(&s->session.poller);
            st = MU_OK;
        }
        if (st == MU_OK && (s->is_lost || s->line.is_lost))
            st = MU_FAILED;
        if (st == MU_OK && s->lead && s->lead->over != MU_SWEEP_NOT_OVER)
            st = mu_sweep_lead_finish(s->lead);
        if (st == MU_RECOVERED)
            st = MU_OK;
        if (st != MU_OK)
            break;
        mu_backoff_pause(&pause);
    }
    return st;
}

/* Its launcher starts other ranks, which take up what is in memory; the request stands there until
 * all of these have ended. */
static bool makes_way(const struct mu_sweep *s)
{
    return s->line.over == MU_REQUEUE && mu_started_by_launch() &&
           mu_file_exists_in(s->facts.path, "control/" MU_REQUEST_RELAUNCH);
}

static enum mu_status work(struct mu_sweep *s)
{
    struct mu_trial_outcome outcome;
    enum mu_status st;

    mu_sweep_line_be_ready(&s->line, NULL);
    for (;;) {
        MU_TRY(wait(s), st, failed);
        if (!s->line.has_order)
            break;
        mu_sweep_line_begin(&s->line);
        mu_board_set_phase(s->session.board, MU_PHASE_RUNNING);
        st = mu_trial_run(&s->session, &s->line.order.order, &outcome);
        mu_board_set_phase(s->session.board, MU_PHASE_RUNNING);
        mu_sweep_order_deinit(&s->line.order);
        if (st == MU_RECOVERED) /* the order is void: somebody died since it was given */
            mu_poller_accept(&s->session.poller);
        else if (st != MU_OK)
            goto failed;
        mu_sweep_line_be_ready(&s->line, st == MU_OK ? &outcome : NULL);
    }
    MU_TRY(mu_session_part(&s->session), st, failed);
    if (!makes_way(s))
        mu_segment_remove_sweep(mu_trial_sweep_key(s->facts.path)); /* of trials that failed */
    st = (enum mu_status)s->line.over;
failed:
    return st;
}

/* This rank alone cannot go on: the others can. */
static _Noreturn void leave(struct mu_sweep *s, enum mu_status st)
{
    mu_log(MU_LOG_ERROR, "rank %d failed: %s; it leaves", mu_board_own_rank(s->session.board),
           mu_status_meaning(st));
    if (mu_comm_is_fault_tolerant(s->session.comm) && mu_comm_size(s->session.comm) > 1 &&
        !mu_status_is_death(st))
        mu_comm_die();
    mu_watchdog_end(s->session.watchdog);
    mu_board_abandon(s->session.board);
    mu_comm_leave(s->session.comm, mu_status_exit_code(st));
}

static bool is_end(const struct mu_sweep *s, enum mu_status st)
{
    return s->line.over != MU_SWEEP_NOT_OVER && (int)st == s->line.over;
}

static enum mu_status live(struct mu_sweep *s, const struct mu_sweep_request *request)
{
    enum mu_status st;

    MU_TRY(mu_sweep_meet(s, request), st, failed);
    mu_watchdog_set_timeout(s->session.watchdog, s->facts.base.run_hang_timeout);
    s->session.recovered = recovered;
    s->session.recovered_context = s;
    s->session.poller.serve = serve;
    s->session.poller.serve_context = s;
    st = work(s);
    if (!is_end(s, st))
        leave(s, st);
    return st;
failed:
    if (mu_control_is_broken(st) || st == MU_INTERNAL)
        leave(s, st);
    return mu_session_part(&s->session) == MU_OK ? st : MU_FAILED;
}

enum mu_status mu_sweep_run(const struct mu_sweep_request *request)
{
    struct mu_sweep *s = calloc(1, sizeof *s);
    enum mu_status st;

    if (!s)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a sweep");
    MU_TRY(mu_session_open(&s->session), st, early);
    if (mu_comm_is_fault_tolerant(s->session.comm)) {
        s->session.poller.repair = mu_session_recover;
        s->session.poller.repair_context = &s->session;
    }
    st = mu_sweep_line_open(&s->line, &s->session);
    if (st != MU_OK)
        leave(s, st);
    st = live(s, request);
    mu_poller_hold(&s->session.poller); /* from here on others leave, and nobody dies of it */
    /* The first rank's exit code is mpirun's; when several leave with one that is not 0, it may
     * hang (master/job.c). */
    if (mu_comm_rank(s->session.comm) != 0)
        st = MU_OK;
    mu_sweep_lead_close(s->lead);
    mu_sweep_line_close(&s->line);
    mu_sweep_facts_deinit(&s->facts);
    mu_session_close(&s->session, st);
early:
    free(s);
    return st;
}

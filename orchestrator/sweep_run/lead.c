#include "orchestrator/sweep_run/lead.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/sweep_run/notes.h"
#include "orchestrator/sweep_run/paths.h"
#include "worker/signals.h"
#include "worker/worker.h"

static const double status_seconds = 1, look_seconds = 0.5, later_seconds = 30;

static void set_now(struct mu_sweep_lead *lead)
{
    lead->master.state.now = mu_clock_s() - lead->clock;
}

/* ---- what is heard ---- */
static void stop(struct mu_sweep_lead *lead, const char *why)
{
    if (!lead->master.stops || lead->makes_way)
        mu_log(MU_LOG_INFO, "%s: every trial stops after its next step, with a checkpoint", why);
    lead->master.stops = true;
    lead->makes_way = false;
    mu_sweep_channels_stop(lead);
}

/* Nothing is begun any more, and what trains stays in memory: a launcher starts other ranks here. */
static void make_way(struct mu_sweep_lead *lead)
{
    lead->makes_way = lead->master.stops = true;
    mu_sweep_channels_make_way_all(lead);
}

void mu_sweep_lead_hear(struct mu_sweep_lead *lead, int rank, const struct mu_sweep_up *up)
{
    struct mu_sweep_master *m = &lead->master;
    const bool stopped = m->stops;

    set_now(lead);
    if (up->kind == MU_SWEEP_SAY_PROGRESS) {
        if (up->first < up->step) /* messages that follow each other at once become one */
            mu_sweep_master_hear_progress(m, up->group, up->first, NAN, NAN);
        mu_sweep_master_hear_progress(m, up->group, up->step, up->loss, up->tokens_per_s);
        return;
    }
    if (up->has_outcome)
        mu_sweep_master_hear_outcome(m, up->group, &up->outcome);
    mu_sweep_master_hear_idle(m, rank, &up->idle);
    mu_sweep_master_hear_ready(m, rank, up->group);
    if (up->wants_stop || (m->stops && !stopped))
        stop(lead, "a rank was asked to stop");
    /* A master that died had told it already. */
    if (up->over != MU_SWEEP_NOT_OVER && lead->over == MU_SWEEP_NOT_OVER) {
        lead->over = up->over;
        lead->is_finished = true;
    }
    if (up->over == MU_SWEEP_NOT_OVER && lead->is_finished)
        mu_sweep_channels_end(lead);
}

/* One sentence for each death: a group with others in it says its own (master/job_recover.c). */
static void tell_death(const struct mu_sweep_lead *lead, const struct mu_sweep_news *n)
{
    const struct mu_sweep_master *m = &lead->master;
    const struct mu_cell *c = &m->state.cell[n->trial];
    const struct mu_board_entry *e = mu_board_entry(lead->session->board, n->rank);
    char why[256];

    if (mu_sweep_master_size(m, n->group) > 0)
        return;
    if (!e || !mu_board_tell_fence(e, n->rank, why, sizeof why))
        snprintf(why, sizeof why, "rank %d died%s", n->rank, mu_board_last_seen(e).text);
    if (mu_cell_has_ended(c->phase))
        mu_log(MU_LOG_WARN, "%s; its trial %s: %s", why, m->stages.trials.item[n->trial].name,
               mu_cell_word(c->phase));
    else
        mu_log(MU_LOG_WARN, "%s; its trial %s is given to other ranks", why,
               m->stages.trials.item[n->trial].name);
}

static void tell_idle_deaths(const struct mu_sweep_lead *lead, const struct mu_rank_word *words,
                             uint32_t count)
{
    const struct mu_sweep_master *m = &lead->master;

    for (uint32_t i = 0, w = 0; i < m->members; i++) {
        const struct mu_sweep_member *r = &m->member[i];

        while (w < count && words[w].name < r->name)
            w++;
        if (r->lives && r->group == 0 && (w == count || words[w].name != r->name))
            mu_log(MU_LOG_WARN, "rank %d died%s; it had no trial", r->name,
                   mu_board_last_seen(mu_board_entry(lead->session->board, r->name)).text);
    }
}

void mu_sweep_lead_reset(struct mu_sweep_lead *lead, const struct mu_rank_word *words,
                         uint32_t count)
{
    set_now(lead);
    tell_idle_deaths(lead, words, count);
    mu_sweep_master_hear_words(&lead->master, words, count);
    mu_sweep_channels_reset(lead);
}

/* ---- what is done ---- */
static void tell_end(struct mu_sweep_lead *lead, uint32_t trial)
{
    const struct mu_sweep_master *m = &lead->master;
    const struct mu_sweep_trial *t = &m->stages.trials.item[trial];

    lead->has_new_results = true;
    if (t->shared > 0 && m->state.cell[trial].phase == MU_CELL_COMPLETE)
        mu_sweep_trial_drop(m->state.path, t->name, t->shared);
    mu_sweep_screen_tell(lead->screen, &lead->master.state, trial);
}

/* Written down first, then done. What cannot be written is not done, and ends the sweep. */
static void act(struct mu_sweep_lead *lead)
{
    struct mu_sweep_master *m = &lead->master;

    for (uint32_t i = 0; i < m->news_count; i++) {
        const struct mu_sweep_news *n = &m->news[i];

        if (m->status == MU_OK)
            m->status = mu_sweep_note(lead->journal, m, n);
        if (m->status == MU_OK && mu_fault(MU_FAULT_NOTE, m->state.cell[n->trial].step))
            m->status = MU_FAIL(MU_FAILED, "the sweep's journal cannot be written (MUSTER_FAULT)");
        if (m->status != MU_OK) {
            if (n->kind == MU_SWEEP_NEWS_ASSIGN)
                mu_sweep_master_take_back(m, n->group);
            continue;
        }
        if (n->kind == MU_SWEEP_NEWS_ASSIGN)
            mu_sweep_channels_order(lead, n->group);
        else if (n->kind == MU_SWEEP_NEWS_MAKE_WAY)
            mu_sweep_channels_make_way(lead, n->group);
        else if (n->kind == MU_SWEEP_NEWS_RELEASE && n->died)
            tell_death(lead, n);
        else if (n->kind == MU_SWEEP_NEWS_END)
            tell_end(lead, n->trial);
    }
    m->news_count = 0;
}

static void decide(struct mu_sweep_lead *lead)
{
    struct mu_sweep_master *m = &lead->master;

    do {
        const uint32_t before = m->known;

        mu_sweep_master_advance(m);
        if (before > 0 && m->known > before)
            mu_log(MU_LOG_INFO, "%u trials more, by what has come out: %u in all",
                   m->known - before, m->known);
        mu_sweep_master_decide(m);
        act(lead);
    } while (m->status == MU_OK && m->has_results);
    if (m->status != MU_OK)
        stop(lead, "the sweep cannot go on");
}

static bool is_written(enum mu_status st, const char *what)
{
    if (st != MU_OK)
        mu_log(MU_LOG_WARN, "%s could not be written; the sweep goes on", what);
    return st == MU_OK;
}

static void keep_files(struct mu_sweep_lead *lead)
{
    const struct mu_sweep_state *s = &lead->master.state;

    if (lead->has_new_results) {
        is_written(mu_sweep_write_results(s), "results.csv");
        is_written(mu_sweep_write_timing(s), "timing.csv");
        mu_sweep_reporter_ask(&lead->reporter);
    }
    if (lead->has_new_results || s->now - lead->told >= status_seconds) {
        lead->told = s->now;
        if (!is_written(mu_sweep_write_status(s), "sweep.json"))
            lead->told += later_seconds; /* the disk is full, mostly: not every second */
    }
    lead->has_new_results = false;
    mu_sweep_screen_put(lead->screen, s);
    mu_sweep_reporter_poll(&lead->reporter);
}

static void look_for_requests(struct mu_sweep_lead *lead)
{
    if (lead->master.stops && !lead->makes_way)
        return;
    if (mu_signals_requests() & MU_REQUEST_STOP) {
        stop(lead, "a signal");
        return;
    }
    if (lead->master.state.now - lead->looked < look_seconds)
        return;
    lead->looked = lead->master.state.now;
    if (mu_run_dir_stop_requested(lead->folder))
        stop(lead, "control/stop");
    else if (!lead->makes_way && mu_started_by_launch() &&
             mu_run_dir_relaunch_requested(lead->folder))
        make_way(lead);
}

struct counts {
    uint32_t of[MU_CELL_PHASES], ended;
};

static struct counts count(const struct mu_sweep_master *m)
{
    struct counts c = {.ended = 0};

    for (uint32_t i = 0; i < m->known; i++) {
        c.of[m->state.cell[i].phase]++;
        c.ended += mu_cell_has_ended(m->state.cell[i].phase);
    }
    return c;
}

static void look_for_end(struct mu_sweep_lead *lead)
{
    const struct mu_sweep_master *m = &lead->master;
    struct counts c;

    if (!mu_sweep_master_is_over(m))
        return;
    c = count(m);
    if (m->status != MU_OK)
        lead->over = MU_FAILED;
    else if (c.ended < m->known || m->has_results)
        lead->over = MU_REQUEUE; /* is_over: it was stopped */
    else
        lead->over = c.of[MU_CELL_FAILED] > 0 ? MU_FAILED : MU_OK;
}

void mu_sweep_lead_serve(struct mu_sweep_lead *lead)
{
    enum mu_phase before = mu_board_set_phase(lead->session->board, MU_PHASE_RECORDING);

    set_now(lead);
    mu_sweep_channels_serve(lead);
    look_for_requests(lead);
    if (lead->over == MU_SWEEP_NOT_OVER) {
        decide(lead);
        mu_sweep_lead_look_for_unsaved(lead);
        keep_files(lead);
        look_for_end(lead);
    }
    mu_board_set_phase(lead->session->board, before);
}

/* ---- the end ---- */
static void poll(void *context)
{
    struct mu_sweep_lead *lead = context;
    struct mu_backoff pause = {0};

    if (mu_poll(&lead->session->poller) != MU_RECOVERED)
        mu_backoff_pause(&pause);
    mu_clock_sleep_us(500);
}

static enum mu_run_stopper stopper(const struct mu_sweep_lead *lead)
{
    if (lead->over != MU_REQUEUE)
        return MU_STOPPED_BY_NOBODY;
    return lead->makes_way                           ? MU_STOPPED_BY_LAUNCHER
           : mu_run_dir_stop_requested(lead->folder) ? MU_STOPPED_BY_REQUEST
                                                     : MU_STOPPED_BY_SIGNAL;
}

static void name_end(struct mu_sweep_lead *lead, char text[200])
{
    const struct mu_sweep_master *m = &lead->master;
    const struct counts c = count(m);

    if (m->status != MU_OK)
        snprintf(text, 200, "failed: %s; the same command goes on", mu_status_meaning(m->status));
    else if (lead->over == MU_REQUEUE && lead->makes_way)
        snprintf(text, 200,
                 "making way for other ranks: %u of %u trials have ended; the states of those that "
                 "train stay in memory",
                 c.ended, m->known);
    else if (lead->over == MU_REQUEUE)
        snprintf(text, 200,
                 "stopped on request, with checkpoints: %u of %u trials have ended; the same "
                 "command goes on%s",
                 c.ended, m->known,
                 mu_run_dir_stop_requested(lead->folder) ? " (control/stop)" : "");
    else
        snprintf(text, 200,
                 "%s: %u trials: %u complete, %u diverged, %u out of memory, %u failed%s",
                 c.of[MU_CELL_FAILED] > 0 ? "ended" : "complete", m->known, c.of[MU_CELL_COMPLETE],
                 c.of[MU_CELL_DIVERGED], c.of[MU_CELL_OUT_OF_MEMORY], c.of[MU_CELL_FAILED],
                 c.of[MU_CELL_FAILED] > 0 ? "; the same command tries these again" : "");
}

/* For whoever has started these ranks: only now has the sweep come to its end. The text that says
 * so stands there earlier, for the last report. */
static void tell_outcome(struct mu_sweep_lead *lead)
{
    struct mu_sweep_state *s = &lead->master.state;

    s->outcome = lead->over == MU_OK ? "complete" : lead->over == MU_REQUEUE ? "requeue" : "failed";
    is_written(mu_sweep_write_status(s), "sweep.json");
    s->outcome = NULL;
}

enum mu_status mu_sweep_lead_finish(struct mu_sweep_lead *lead)
{
    struct mu_sweep_state *s = &lead->master.state;
    char text[200];

    if (lead->is_finished)
        return MU_OK;
    set_now(lead);
    if (!is_written(mu_sweep_write_results(s), "results.csv") && lead->over == MU_OK)
        lead->over = lead->master.status = MU_FAILED; /* what it was all for is not there */
    name_end(lead, text);
    s->ended = text;
    s->stopped_by = mu_run_stopper_word(stopper(lead));
    is_written(mu_sweep_write_timing(s), "timing.csv");
    is_written(mu_sweep_write_status(s), "sweep.json"); /* the last report says that it is over */
    if (lead->over == MU_REQUEUE && !lead->makes_way)   /* that request its launcher takes away */
        mu_run_dir_clear_requests(lead->folder);        /* obeyed */
    else if (lead->over != MU_REQUEUE)
        mu_log(MU_LOG_DEBUG, "last report: %s",
               mu_status_name(mu_sweep_reporter_finish(&lead->reporter, poll, lead)));
    tell_outcome(lead);
    mu_sweep_screen_close(lead->screen, s);
    lead->screen = NULL;
    mu_log(lead->over == MU_FAILED ? MU_LOG_ERROR : MU_LOG_INFO, "%s", text);
    if (lead->over != MU_REQUEUE)
        mu_log(MU_LOG_INFO, "what came out: %s/report.html; `muster fit %s` prints it",
               lead->facts->path, lead->facts->path);
    s->ended = s->stopped_by = NULL;
    lead->is_finished = true;
    mu_sweep_channels_end(lead);
    return mu_poll(&lead->session->poller);
}

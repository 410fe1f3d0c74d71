/* How a master comes to know where the sweep stands: at a start, and in the place of one that
 * died. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/sweep_run/lead.h"
#include "orchestrator/sweep_run/notes.h"
#include "orchestrator/sweep_run/paths.h"

enum { FIRST_GROUP = 2 }; /* 1: MU_GROUP_OF_ALL */

/* ---- the master's hooks ---- */
static bool is_there(void *context, uint32_t trial)
{
    const struct mu_sweep_lead *lead = context;
    const struct mu_sweep_trial *t = &lead->master.stages.trials.item[trial];

    return mu_sweep_trial_has(lead->facts->path, t->name, t->shared);
}

/* What is in memory of an earlier group is found by whoever begins the trial next. */
static void restore(void *context, uint32_t trial)
{
    struct mu_sweep_lead *lead = context;
    struct mu_cell *c = &lead->master.state.cell[trial];
    const struct mu_sweep_past_trial *was =
        mu_sweep_past_find(&lead->past, lead->master.stages.trials.item[trial].name);
    const enum mu_cell_phase phase = c->phase;

    if (was)
        *c = was->cell;
    mu_sweep_beside_add(&lead->beside, lead->master.stages.trials.item[trial].name, c);
    if (!mu_cell_has_ended(c->phase))
        c->phase = phase;
}

static void warn(void *context, const char *line)
{
    (void)context;
    mu_log(MU_LOG_WARN, "%s", line);
}

/* Where to look: what comes next is a table or lines, of which neither says it. */
static void greet(const struct mu_sweep_lead *lead)
{
    const struct mu_sweep_state *s = &lead->master.state;
    uint32_t ended = 0, own = 0;
    char part[64] = "", share[64] = "";

    for (uint32_t i = 0; i < lead->master.known; i++) {
        ended += mu_cell_has_ended(s->cell[i].phase);
        own += !s->cell[i].is_elsewhere;
    }
    if (s->part.of > 0) {
        snprintf(part, sizeof part, ", part %s,", mu_sweep_part_print(s->part).text);
        snprintf(share, sizeof share, "; %" PRIu32 " of them are this part's", own);
    }
    mu_log(MU_LOG_INFO,
           "sweep %s%s %s in %s: `muster status %s --watch` shows it, report.html there its "
           "results; %" PRIu32 " of %" PRIu32 " trials%s have ended%s",
           s->spec->name, part, s->start > 1 ? "goes on" : "begins", lead->beside.whole,
           lead->beside.whole, ended, lead->master.known,
           lead->master.stages.complete ? "" : " known so far", share);
}

/* ---- what was ---- */
static uint32_t index_of(const struct mu_sweep_master *m, const char *name)
{
    for (uint32_t i = 0; i < m->known; i++)
        if (strcmp(m->stages.trials.item[i].name, name) == 0)
            return i;
    return MU_TRIAL_ALONE;
}

/* now: by number in past, its number now. */
static uint32_t *number_trials(const struct mu_sweep_lead *lead)
{
    uint32_t *now = calloc(lead->past.trials + 1, sizeof *now);

    for (uint32_t i = 0; now && i < lead->past.trials; i++)
        now[i] = index_of(&lead->master, lead->past.trial[i].name);
    return now;
}

static enum mu_status take_spans(struct mu_sweep_lead *lead, const uint32_t *now)
{
    const struct mu_sweep_past *p = &lead->past;
    struct mu_sweep_state *s = &lead->master.state;

    if (p->parts == 0)
        return MU_OK;
    s->span = calloc(p->parts, sizeof *s->span);
    if (!s->span)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the sweep's timeline");
    s->span_capacity = p->parts;
    for (uint32_t i = 0; i < p->parts; i++) {
        if (p->part[i].is_open || now[p->part[i].span.trial] == MU_TRIAL_ALONE)
            continue;
        s->span[s->spans] = p->part[i].span;
        s->span[s->spans++].trial = now[p->part[i].span.trial];
    }
    return MU_OK;
}

/* Where the state of a trial is in memory: with whoever trained it last in this start. */
static void take_hosts(struct mu_sweep_lead *lead, const uint32_t *now)
{
    struct mu_sweep_master *m = &lead->master;

    for (uint32_t i = 0; i < lead->past.parts; i++) {
        const struct mu_sweep_span *span = &lead->past.part[i].span;
        const uint32_t trial = now[span->trial];
        const struct mu_sweep_member *member = mu_sweep_master_member(m, span->rank);

        if (span->start == lead->past.start && trial != MU_TRIAL_ALONE && member &&
            !mu_cell_has_ended(m->state.cell[trial].phase))
            m->state.cell[trial].host = member->host;
    }
}

/* Assignments of this start that nobody has written the end of, as the journal has them: what the
 * ranks say then puts them right. */
static void take_groups(struct mu_sweep_lead *lead, const uint32_t *now)
{
    struct mu_sweep_master *m = &lead->master;

    for (uint32_t i = lead->past.first_open; i < lead->past.parts; i++) {
        const struct mu_sweep_past_part *part = &lead->past.part[i];
        const uint32_t trial = now[part->span.trial];
        struct mu_sweep_member *member = mu_sweep_master_member(m, part->span.rank);
        struct mu_sweep_group *g = mu_sweep_master_group(m, part->group);

        if (!part->is_open || trial == MU_TRIAL_ALONE || !member)
            continue;
        if (mu_cell_has_ended(m->state.cell[trial].phase))
            continue;
        if (!g)
            g = mu_sweep_master_add_group(m, part->group, trial);
        if (!g)
            return;
        mu_sweep_master_join(m, member, g);
        m->state.span[member->span].from = part->span.from;
    }
}

/* Losses on other data are no points of the same law. */
static enum mu_status compare_file(const char *key, const char *file, const char *before,
                                   const char *now)
{
    if (strcmp(before, now) == 0)
        return MU_OK;
    return MU_FAIL(MU_CONFIG,
                   "%s: %s does not hold what this sweep was begun with: give the old file, or "
                   "another sweep.name",
                   key, file[0] ? file : "it is empty, and");
}

static enum mu_status compare_with(const struct mu_sweep_lead *lead,
                                   const struct mu_sweep_data *before)
{
    const struct mu_sweep_data *now = &lead->facts->data;
    const struct mu_settings *base = &lead->facts->base;
    enum mu_status st = MU_OK;

    MU_TRY(compare_file("data.train", base->data_train, before->train.text, now->train.text), st,
           failed);
    st = compare_file("data.valid", base->data_valid, before->valid.text, now->valid.text);
failed:
    return st;
}

static enum mu_status compare_data(const struct mu_sweep_lead *lead)
{
    enum mu_status st = lead->past.has_data ? compare_with(lead, &lead->past.data) : MU_OK;
    const struct mu_sweep_data *before;

    for (uint32_t i = 0; st == MU_OK && (before = mu_sweep_beside_data(&lead->beside, i)); i++)
        st = compare_with(lead, before);
    return st;
}

/* The first trial that was begun as another one is told; mostly they all were. */
static enum mu_status compare_all(const struct mu_sweep_lead *lead)
{
    const struct mu_sweep_master *m = &lead->master;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < m->known && st == MU_OK; i++)
        st = mu_sweep_trial_compare(&m->stages.trials.item[i], lead->facts->path);
    return st;
}

static enum mu_status read_past(struct mu_sweep_lead *lead, bool is_start)
{
    char folder[MU_PATH_MAX];
    struct mu_sweep_state *s = &lead->master.state;
    struct mu_sweep_stages stages;
    enum mu_status st;

    MU_TRY(mu_path_format(folder, "%s/journal", lead->facts->path), st, failed);
    MU_TRY(mu_sweep_past_read(&lead->past, folder), st, failed);
    MU_TRY(mu_sweep_lead_open_part(lead), st, failed);
    if (is_start)
        mu_sweep_past_close(&lead->past);
    MU_TRY(mu_sweep_stages_init(&stages, lead->facts->spec, &lead->facts->base, lead->facts->file),
           st, failed);
    MU_TRY(mu_sweep_master_init(&lead->master, lead->facts->path, &stages, lead->facts->name,
                                lead->facts->host, lead->facts->count, FIRST_GROUP),
           st, failed);
    lead->master.is_there = is_there;
    lead->master.restore = restore;
    lead->master.warn = warn;
    lead->master.context = lead;
    s->part = lead->beside.own;
    s->plan = lead->plan.text;
    s->waits_for = lead->waits_for;
    s->start = lead->past.start + is_start;
    s->began = lead->past.began > 0 ? lead->past.began : mu_clock_date_s();
    s->now = fmax(mu_clock_date_s() - s->began, 0);
    s->goodput = lead->past.goodput;
    lead->clock = mu_clock_s() - s->now;
    mu_sweep_master_advance(&lead->master);
    st = lead->master.status;
failed:
    return st;
}

static enum mu_status take_past(struct mu_sweep_lead *lead, const struct mu_rank_word *words,
                                uint32_t word_count)
{
    uint32_t *now = number_trials(lead);
    enum mu_status st = now ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the sweep's past");

    if (st == MU_OK)
        st = take_spans(lead, now);
    if (st == MU_OK && words) {
        take_hosts(lead, now);
        take_groups(lead, now);
        mu_sweep_master_hear_words(&lead->master, words, word_count);
        st = lead->master.status;
    }
    free(now);
    return st;
}

static enum mu_status begin_journal(struct mu_sweep_lead *lead, bool is_start)
{
    char folder[MU_PATH_MAX];
    uint32_t generation;
    enum mu_status st;

    MU_TRY(mu_path_format(folder, "%s/journal", lead->facts->path), st, failed);
    MU_TRY(mu_journal_open(folder, &lead->journal, &generation), st, failed);
    lead->master.next_group = (uint64_t)generation << 32 | FIRST_GROUP;
    if (is_start)
        st = mu_sweep_note_start(lead->journal, &lead->master.state, &lead->facts->data);
failed:
    return st;
}

enum mu_status mu_sweep_lead_open(struct mu_session *session, struct mu_sweep_line *line,
                                  const struct mu_sweep_facts *facts,
                                  const struct mu_rank_word *words, uint32_t word_count,
                                  struct mu_sweep_lead **out)
{
    struct mu_sweep_lead *lead = calloc(1, sizeof *lead);
    enum mu_status st;

    *out = NULL;
    if (!lead)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the sweep's master");
    lead->session = session;
    lead->line = line;
    lead->facts = facts;
    lead->over = MU_SWEEP_NOT_OVER;
    lead->told = lead->looked = -INFINITY;
    lead->has_new_results = true;
    MU_TRY(mu_run_dir_lock(facts->path, &lead->folder), st, failed);
    MU_TRY(read_past(lead, !words), st, failed);
    if (!words)
        MU_TRY(compare_data(lead), st, failed);
    if (!words)
        MU_TRY(compare_all(lead), st, failed);
    MU_TRY(take_past(lead, words, word_count), st, failed);
    MU_TRY(begin_journal(lead, !words), st, failed);
    MU_TRY(mu_sweep_channels_open(lead), st, failed);
    if (!words && !mu_started_by_launch())       /* a launcher has done so once, when it began */
        mu_run_dir_clear_requests(lead->folder); /* those of an earlier start */
    if (!words)
        greet(lead);
    lead->screen = mu_sweep_screen_open();
    mu_sweep_reporter_init(&lead->reporter, lead->beside.whole);
    *out = lead;
    return MU_OK;
failed:
    mu_sweep_lead_close(lead);
    return st;
}

void mu_sweep_lead_close(struct mu_sweep_lead *lead)
{
    if (!lead)
        return;
    mu_sweep_channels_close(lead);
    mu_sweep_master_deinit(&lead->master);
    mu_sweep_past_deinit(&lead->past);
    mu_sweep_lead_close_part(lead);
    mu_journal_close(lead->journal);
    mu_run_dir_close(lead->folder);
    free(lead);
}

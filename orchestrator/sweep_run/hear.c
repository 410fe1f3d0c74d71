/* What the master hears of ranks and trials. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/sweep_run/master.h"

/* Nobody is left in it. */
static void close_group(struct mu_sweep_master *m, struct mu_sweep_group *g)
{
    struct mu_cell *c = &m->state.cell[g->trial];
    const bool crashed = g->has_failed || (g->has_died && !g->is_heard);
    char message[sizeof c->message];

    g->is_open = false;
    m->is_changed = true;
    if (c->group != g->number)
        return; /* the trial has ended */
    c->group = 0;
    c->workers = 0;
    c->phase = MU_CELL_READY;
    c->tokens_per_s = c->wanted = NAN;
    if (!crashed)
        return;
    mu_sweep_master_unkeep(m, g->trial);
    m->side[g->trial].crash_step = m->side[g->trial].most;
    c->crashes = g->has_progressed ? 1 : c->crashes + 1;
    if (c->crashes <= (uint32_t)m->state.spec->retries) {
        c->retries++;
        return;
    }
    snprintf(message, sizeof message, "%.180s, %u times in a row at step %" PRId64,
             g->has_failed && c->message[0] ? c->message : "its ranks died", c->crashes, c->step);
    mu_sweep_master_end(m, g->trial, g->number, MU_CELL_FAILED, message);
}

static void leave(struct mu_sweep_master *m, struct mu_sweep_member *member, bool died)
{
    struct mu_sweep_group *g = mu_sweep_master_group(m, member->group);
    struct mu_cell *c = g ? &m->state.cell[g->trial] : NULL;

    member->group = 0;
    mu_sweep_master_recount(m, member);
    if (!g)
        return;
    if (member->span != MU_SWEEP_NO_SPAN) {
        struct mu_sweep_span *span = &m->state.span[member->span];

        span->to = m->state.now;
        span->died = died;
        span->moved = g->makes_way && !died;
        c->rank_seconds += span->to - span->from;
        member->span = MU_SWEEP_NO_SPAN;
    }
    g->size--;
    m->state.busy--;
    if (c->group == g->number)
        c->workers--;
    if (died) {
        g->has_died = true;
        c->deaths++;
    }
    if (died || c->group == g->number)
        mu_sweep_master_tell(m, (struct mu_sweep_news){.kind = MU_SWEEP_NEWS_RELEASE,
                                                       .trial = g->trial,
                                                       .group = g->number,
                                                       .rank = member->name,
                                                       .died = died});
    if (g->size == 0)
        close_group(m, g);
}

void mu_sweep_master_hear_ready(struct mu_sweep_master *m, int rank, uint64_t ended)
{
    struct mu_sweep_member *member = mu_sweep_master_member(m, rank);

    if (!member || !member->lives)
        return;
    if (member->group != 0 && member->group != ended)
        return; /* said before the order that is on its way */
    if (member->group != 0)
        leave(m, member, false);
    member->is_ready = true;
    mu_sweep_master_recount(m, member);
    m->is_changed = true;
}

void mu_sweep_master_take_back(struct mu_sweep_master *m, uint64_t group)
{
    const struct mu_sweep_group *g = mu_sweep_master_group(m, group);

    for (uint32_t i = 0; g && i < m->host[g->host].ranks; i++) {
        const struct mu_sweep_member *r = mu_sweep_master_rank(m, g->host, i);

        if (r->lives && r->group == group)
            mu_sweep_master_hear_ready(m, r->name, group);
    }
}

static void note_step(struct mu_sweep_side *side, int64_t step)
{
    side->most = step > side->most ? step : side->most;
}

static void take_numbers(struct mu_cell *c, const struct mu_trial_outcome *o)
{
    c->step = o->step;
    c->tokens = o->tokens;
    c->train_loss = o->train_loss;
    c->valid_loss = o->valid_loss;
    c->valid_bits_per_byte = o->valid_bits_per_byte;
    c->has_hash = o->has_hash;
    c->hash = o->hash;
}

/* Its members may still be in it: it is closed when they have all said that they are not. */
static void go_on_elsewhere(struct mu_sweep_master *m, struct mu_sweep_group *g,
                            const struct mu_trial_outcome *o)
{
    struct mu_cell *c = &m->state.cell[g->trial];

    take_numbers(c, o);
    c->phase = MU_CELL_MOVES;
    if (o->end == MU_TRIAL_MADE_WAY)
        c->moves++;
    else
        m->stops = true; /* who asked for that asked all */
    g->makes_way = true;
    mu_sweep_master_release(m, g->trial, o->step);
}

/* Each rank of a group takes memory of its own, and other trials take theirs: that there was too
 * little is the trial's own result only where one rank trained it, and nobody anything else. */
static bool may_fit(struct mu_sweep_master *m, const struct mu_sweep_group *g)
{
    struct mu_sweep_side *side = &m->side[g->trial];
    const char *name = m->stages.trials.item[g->trial].name;
    char line[320];

    if (side->is_alone && g->joined == 1)
        return false;
    mu_sweep_master_unkeep(m, g->trial);
    if (g->joined > 1) {
        side->fits_on = g->joined / 2;
        snprintf(line, sizeof line,
                 "trial %.200s does not fit in memory on %u ranks: it goes on with %u", name,
                 g->joined, side->fits_on);
    } else {
        side->is_alone = true;
        snprintf(line, sizeof line,
                 "trial %.200s does not fit in memory beside others: it goes on alone, at the end",
                 name);
    }
    if (m->warn)
        m->warn(m->context, line);
    return true;
}

static enum mu_cell_phase phase_of(enum mu_trial_end end)
{
    switch (end) {
    case MU_TRIAL_COMPLETE:
        return MU_CELL_COMPLETE;
    case MU_TRIAL_DIVERGED:
        return MU_CELL_DIVERGED;
    case MU_TRIAL_OUT_OF_MEMORY:
        return MU_CELL_OUT_OF_MEMORY;
    default:
        return MU_CELL_FAILED;
    }
}

void mu_sweep_master_hear_outcome(struct mu_sweep_master *m, uint64_t group,
                                  const struct mu_trial_outcome *o)
{
    struct mu_sweep_group *g = mu_sweep_master_group(m, group);
    char message[sizeof o->message];
    struct mu_ledger_sum goodput = o->goodput;
    struct mu_cell *c;

    if (!g || g->is_heard || g->has_failed)
        return;                           /* said again after a repair */
    goodput.events[MU_LEDGER_DEATHS] = 0; /* they are counted where they are heard of */
    c = &m->state.cell[g->trial];
    g->is_heard = o->end != MU_TRIAL_FAILED;
    g->has_failed = !g->is_heard;
    mu_ledger_add(&m->state.goodput, &goodput);
    m->is_changed = true;
    if (mu_cell_has_ended(c->phase))
        return;
    if (o->end == MU_TRIAL_OUT_OF_MEMORY && c->group == group && may_fit(m, g))
        return; /* begun again when its members have left it */
    switch (o->end) {
    case MU_TRIAL_MADE_WAY:
    case MU_TRIAL_STOPPED:
        if (c->group == group)
            go_on_elsewhere(m, g, o);
        return;
    case MU_TRIAL_FAILED: /* tried again when its members have left it */
        if (c->group == group)
            snprintf(c->message, sizeof c->message, "%.180s", o->message);
        if (c->group == group) {
            c->step = o->step;
            note_step(&m->side[g->trial], o->step);
        }
        return;
    default:
        take_numbers(c, o);
        snprintf(message, sizeof message, "%s", o->message);
        if (o->end == MU_TRIAL_DIVERGED)
            snprintf(message, sizeof message, "the gradient of step %" PRId64 " is not finite",
                     o->step + 1);
        mu_sweep_master_end(m, g->trial, group, phase_of(o->end), message);
    }
}

void mu_sweep_master_hear_progress(struct mu_sweep_master *m, uint64_t group, int64_t step,
                                   double loss, double tokens_per_s)
{
    struct mu_sweep_group *g = mu_sweep_master_group(m, group);
    struct mu_cell *c = g ? &m->state.cell[g->trial] : NULL;
    struct mu_sweep_kind_speed *kind;
    struct mu_sweep_side *side;
    const struct mu_sweep_trial *t;

    if (!g || c->group != group)
        return;
    side = &m->side[g->trial];
    t = &m->stages.trials.item[g->trial];
    kind = &m->kind[m->side[g->trial].kind];
    if (step > c->step)
        m->is_changed = true;
    if (g->first_step < 0)
        g->first_step = step;
    note_step(side, step);
    g->has_progressed = g->has_progressed || (step > g->first_step && step > side->crash_step);
    if (g->has_progressed)
        c->crashes = 0;
    c->step = step;
    c->train_loss = isnan(loss) ? c->train_loss : loss;
    if (tokens_per_s > 0) {
        c->tokens_per_s = tokens_per_s;
        c->wanted = (double)(t->settings.run_steps - step) * t->tokens_per_step / tokens_per_s;
        mu_pack_speed_hear(&kind->speed, g->size, t->tokens_per_step / tokens_per_s);
        mu_sweep_master_learn(m);
    }
    mu_sweep_master_release(m, g->trial, step);
}

void mu_sweep_master_hear_idle(struct mu_sweep_master *m, int rank,
                               const struct mu_ledger_sum *idle)
{
    const struct mu_sweep_member *member = mu_sweep_master_member(m, rank);
    struct mu_ledger_sum *before;

    if (!member)
        return;
    before = &m->idle[member - m->member];
    for (int i = 0; i < MU_LEDGER_KIND_COUNT; i++)
        if (idle->us[i] > before->us[i])
            m->state.goodput.us[i] += idle->us[i] - before->us[i];
    for (int i = 0; i < MU_LEDGER_EVENT_COUNT; i++)
        if (idle->events[i] > before->events[i])
            m->state.goodput.events[i] += idle->events[i] - before->events[i];
    *before = *idle;
}

/* A trial that had failed there may have been tried again. */
bool mu_sweep_master_hear_elsewhere(struct mu_sweep_master *m, uint32_t trial,
                                    const struct mu_cell *cell)
{
    struct mu_cell *c = &m->state.cell[trial];

    if (!c->is_elsewhere || !mu_cell_has_ended(cell->phase) || cell->phase == c->phase ||
        (mu_cell_has_ended(c->phase) && c->phase != MU_CELL_FAILED))
        return false;
    *c = *cell;
    c->is_elsewhere = true;
    m->has_results = m->is_changed = true;
    return true;
}

/* In which group a rank says it is, or was last. Whose READY is on its way stays until it comes:
 * what was the group's outcome comes with it. */
static void take_word(struct mu_sweep_master *m, struct mu_sweep_member *member,
                      const struct mu_rank_word *w)
{
    struct mu_sweep_group *g;

    if (w->group == member->group || (w->group == 0 && w->ended == member->group))
        return;
    if (member->group != 0)
        leave(m, member, false);
    g = mu_sweep_master_group(m, w->group);
    if (g)
        mu_sweep_master_join(m, member, g);
}

void mu_sweep_master_hear_words(struct mu_sweep_master *m, const struct mu_rank_word *word,
                                uint32_t count)
{
    m->state.ranks = count;
    for (uint32_t i = 0, w = 0; i < m->members; i++) {
        struct mu_sweep_member *member = &m->member[i];

        while (w < count && word[w].name < member->name)
            w++;
        member->is_ready = false;
        mu_sweep_master_recount(m, member);
        if (!member->lives)
            continue;
        if (w < count && word[w].name == member->name) {
            take_word(m, member, &word[w]);
            continue;
        }
        member->lives = false;
        mu_sweep_master_keep(m, member, MU_TRIAL_ALONE);
        m->state.dead++;
        m->state.goodput.events[MU_LEDGER_DEATHS]++;
        if (member->group != 0)
            leave(m, member, true);
    }
    m->is_changed = true;
}

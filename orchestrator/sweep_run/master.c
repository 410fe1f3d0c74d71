/* What the master keeps: cells, ranks, groups, and what follows from the end of a trial. */
#include "orchestrator/sweep_run/master.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"

/* Room for one more; false: m->status. */
static bool grow(struct mu_sweep_master *m, void **items, uint32_t count, uint32_t *capacity,
                 size_t bytes)
{
    uint32_t more = *capacity ? 2 * *capacity : 64;
    void *grown;

    if (count < *capacity)
        return true;
    grown = realloc(*items, more * bytes);
    if (!grown) {
        if (m->status == MU_OK)
            m->status = MU_FAIL(MU_NO_MEMORY, "no memory for the sweep's records");
        return false;
    }
    *items = grown;
    *capacity = more;
    return true;
}

/* Sorted by host; those of a host stay in the order of their names. */
static enum mu_status list_hosts(struct mu_sweep_master *m)
{
    uint32_t first = 0;

    m->host = calloc((size_t)m->hosts + 1, sizeof *m->host);
    m->on_host = calloc((size_t)m->members + 1, sizeof *m->on_host);
    if (!m->host || !m->on_host)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u hosts", m->hosts);
    for (uint32_t i = 0; i < m->members; i++)
        m->host[m->member[i].host].ranks++;
    for (uint32_t h = 0; h < m->hosts; h++) {
        m->host[h].first = first;
        first += m->host[h].ranks;
        m->host[h].ranks = 0;
    }
    for (uint32_t i = 0; i < m->members; i++) {
        struct mu_sweep_host *h = &m->host[m->member[i].host];

        m->on_host[h->first + h->ranks++] = i;
        mu_sweep_master_recount(m, &m->member[i]);
    }
    return MU_OK;
}

enum mu_status mu_sweep_master_init(struct mu_sweep_master *m, const char *path,
                                    struct mu_sweep_stages *stages, const int *name,
                                    const uint32_t *host, uint32_t count, uint64_t first_group)
{
    *m = (struct mu_sweep_master){.stages = *stages, .members = count, .next_group = first_group};
    memset(stages, 0, sizeof *stages);
    m->has_results = m->is_changed = true;
    m->decided = -INFINITY;
    m->seconds_per_flop = NAN;
    m->state = (struct mu_sweep_state){.path = path,
                                       .spec = m->stages.spec,
                                       .base = m->stages.base,
                                       .stages = &m->stages,
                                       .ranks = count,
                                       .eta = NAN};
    m->member = calloc(count, sizeof *m->member);
    m->idle = calloc(count, sizeof *m->idle);
    if (!m->member || !m->idle)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u ranks", count);
    for (uint32_t i = 0; i < count; i++) {
        m->member[i] = (struct mu_sweep_member){.name = name[i],
                                                .lives = true,
                                                .host = host[i],
                                                .kept = MU_TRIAL_ALONE,
                                                .span = MU_SWEEP_NO_SPAN};
        m->hosts = host[i] >= m->hosts ? host[i] + 1 : m->hosts;
    }
    return list_hosts(m);
}

void mu_sweep_master_deinit(struct mu_sweep_master *m)
{
    mu_sweep_stages_deinit(&m->stages);
    free(m->state.cell);
    free(m->state.span);
    free(m->side);
    free(m->member);
    free(m->idle);
    free(m->host);
    free(m->on_host);
    free(m->group);
    free(m->kind);
    free(m->news);
    memset(m, 0, sizeof *m);
}

void mu_sweep_master_tell(struct mu_sweep_master *m, struct mu_sweep_news news)
{
    if (grow(m, (void **)&m->news, m->news_count, &m->news_capacity, sizeof *m->news))
        m->news[m->news_count++] = news;
}

/* ---- ranks and groups ---- */
static int compare_group(const void *number, const void *group)
{
    const uint64_t a = *(const uint64_t *)number,
                   b = ((const struct mu_sweep_group *)group)->number;

    return a < b ? -1 : a > b;
}

struct mu_sweep_group *mu_sweep_master_group(const struct mu_sweep_master *m, uint64_t number)
{
    return m->groups == 0 ? NULL
                          : bsearch(&number, m->group, m->groups, sizeof *m->group, compare_group);
}

static int compare_member(const void *name, const void *member)
{
    return *(const int *)name - ((const struct mu_sweep_member *)member)->name;
}

struct mu_sweep_member *mu_sweep_master_member(const struct mu_sweep_master *m, int name)
{
    return bsearch(&name, m->member, m->members, sizeof *m->member, compare_member);
}

void mu_sweep_master_recount(struct mu_sweep_master *m, struct mu_sweep_member *r)
{
    struct mu_sweep_host *h = &m->host[r->host];
    const bool waits = r->lives && r->is_ready && r->group == 0,
               is_free = waits && r->kept == MU_TRIAL_ALONE;

    h->alive += (uint32_t)r->lives - (uint32_t)r->is_alive_there;
    m->waiting += (uint32_t)waits - (uint32_t)r->waits_there;
    h->free += (uint32_t)is_free - (uint32_t)r->is_free_there;
    r->is_alive_there = r->lives;
    r->waits_there = waits;
    r->is_free_there = is_free;
}

int mu_sweep_master_leader(const struct mu_sweep_master *m, uint64_t group)
{
    const struct mu_sweep_group *g = mu_sweep_master_group(m, group);

    for (uint32_t i = 0; g && g->size > 0 && i < m->host[g->host].ranks; i++) {
        const struct mu_sweep_member *r = mu_sweep_master_rank(m, g->host, i);

        if (r->lives && r->group == group)
            return r->name;
    }
    return -1;
}

uint32_t mu_sweep_master_size(const struct mu_sweep_master *m, uint64_t group)
{
    const struct mu_sweep_group *g = mu_sweep_master_group(m, group);

    return g ? g->size : 0;
}

struct mu_sweep_group *mu_sweep_master_add_group(struct mu_sweep_master *m, uint64_t number,
                                                 uint32_t trial)
{
    MU_ASSERT(m->groups == 0 || number > m->group[m->groups - 1].number);
    if (!grow(m, (void **)&m->group, m->groups, &m->group_capacity, sizeof *m->group))
        return NULL;
    m->group[m->groups] =
        (struct mu_sweep_group){.number = number, .trial = trial, .first_step = -1};
    if (number >= m->next_group)
        m->next_group = number + 1;
    return &m->group[m->groups++];
}

void mu_sweep_master_join(struct mu_sweep_master *m, struct mu_sweep_member *member,
                          struct mu_sweep_group *group)
{
    struct mu_sweep_state *s = &m->state;
    struct mu_cell *c = &s->cell[group->trial];

    if (!grow(m, (void **)&s->span, s->spans, &s->span_capacity, sizeof *s->span))
        return;
    MU_ASSERT(group->size == 0 || group->host == member->host);
    group->host = member->host;
    group->size++;
    member->group = group->number;
    member->is_ready = false;
    mu_sweep_master_keep(m, member, MU_TRIAL_ALONE);
    member->span = s->spans;
    s->span[s->spans++] = (struct mu_sweep_span){
        .rank = member->name, .start = s->start, .trial = group->trial, .from = s->now, .to = NAN};
    s->busy++;
    group->is_open = true;
    if (c->group != group->number) {
        c->group = group->number;
        c->workers = 0;
    }
    group->joined++;
    c->workers++;
    c->host = member->host;
    c->phase = MU_CELL_TRAINS;
    c->tokens_per_s = c->wanted = NAN;
}

/* ---- trials ---- */
static uint32_t kind_of(struct mu_sweep_master *m, const struct mu_sweep_trial *t)
{
    struct mu_sweep_kind_speed *k = NULL;

    for (uint32_t i = 0; i < m->kinds; i++) {
        k = &m->kind[i];
        if (k->n == t->n && k->flops == t->flops_per_token &&
            k->tokens_per_step == t->tokens_per_step && k->shards == t->settings.batch_shards)
            return i;
    }
    k = realloc(m->kind, (m->kinds + 1) * sizeof *k);
    if (!k) {
        m->status = MU_FAIL(MU_NO_MEMORY, "no memory for the speeds of the sweep's sizes");
        return 0;
    }
    m->kind = k;
    m->kind[m->kinds] = (struct mu_sweep_kind_speed){
        .n = t->n,
        .flops = t->flops_per_token,
        .tokens_per_step = t->tokens_per_step,
        .shards = t->settings.batch_shards,
        .speed = {.guess = NAN, .one = NAN},
    };
    return m->kinds++;
}

/* Where nothing is measured of its size and batch, FLOPs tell, at the rate of those measured. */
double mu_sweep_master_step_seconds(const struct mu_sweep_master *m, uint32_t trial)
{
    const struct mu_sweep_kind_speed *own = &m->kind[m->side[trial].kind];
    const double known = mu_pack_speed_step(&own->speed);

    return isnan(known) ? own->flops * own->tokens_per_step * m->seconds_per_flop : known;
}

void mu_sweep_master_learn(struct mu_sweep_master *m)
{
    double flops = 0, seconds = 0;

    for (uint32_t i = 0; i < m->kinds; i++) {
        const double step = mu_pack_speed_step(&m->kind[i].speed);

        if (isnan(step))
            continue;
        flops += m->kind[i].flops * m->kind[i].tokens_per_step;
        seconds += step;
    }
    m->seconds_per_flop = seconds > 0 && flops > 0 ? seconds / flops : NAN;
}

static bool make_room(struct mu_sweep_master *m)
{
    const uint32_t count = m->stages.trials.count;
    struct mu_cell *cell = realloc(m->state.cell, (count + 1) * sizeof *cell);
    struct mu_sweep_side *side = realloc(m->side, (count + 1) * sizeof *side);

    if (cell)
        m->state.cell = cell;
    if (side)
        m->side = side;
    if (!cell || !side) {
        m->status = MU_FAIL(MU_NO_MEMORY, "no memory for %u trials", count);
        return false;
    }
    m->state.capacity = count;
    return true;
}

static bool is_there(const struct mu_sweep_master *m, uint32_t trial)
{
    return m->is_there && m->is_there(m->context, trial);
}

/* A branch may begin; or has ended with its trunk, whose first steps are its own. */
static void look_at_branch(struct mu_sweep_master *m, uint32_t branch)
{
    const struct mu_sweep_trial *t = &m->stages.trials.item[branch];
    const uint32_t trunk = mu_sweep_waits_for(&m->stages.trials, branch);
    struct mu_cell *c = &m->state.cell[branch];
    const struct mu_cell *of;
    char message[sizeof c->message];

    if (c->phase != MU_CELL_WAITS)
        return;
    of = &m->state.cell[trunk];
    if (is_there(m, branch)) {
        c->phase = MU_CELL_READY;
    } else if (of->phase == MU_CELL_DIVERGED && of->step < t->shared) {
        snprintf(message, sizeof message,
                 "diverged at step %" PRId64 ", which it shares with trial %.127s", of->step + 1,
                 m->stages.trials.item[trunk].name);
        c->step = of->step;
        mu_sweep_master_end(m, branch, 0, MU_CELL_DIVERGED, message);
    } else if (mu_cell_has_ended(of->phase)) {
        c->phase = MU_CELL_READY; /* alone: the same bits */
    }
    m->is_changed = true;
}

void mu_sweep_master_release(struct mu_sweep_master *m, uint32_t trunk, int64_t step)
{
    const bool has_ended = mu_cell_has_ended(m->state.cell[trunk].phase);

    for (uint32_t i = 0; i < m->known; i++) {
        if (m->state.cell[i].phase != MU_CELL_WAITS ||
            mu_sweep_waits_for(&m->stages.trials, i) != trunk)
            continue;
        if (m->stages.trials.item[i].shared <= step) {
            m->state.cell[i].phase = MU_CELL_READY;
            m->is_changed = true;
        } else if (has_ended) {
            look_at_branch(m, i);
        }
    }
}

void mu_sweep_master_keep(struct mu_sweep_master *m, struct mu_sweep_member *r, uint32_t trial)
{
    if (r->kept != MU_TRIAL_ALONE)
        m->side[r->kept].kept--;
    r->kept = trial;
    if (trial != MU_TRIAL_ALONE) {
        m->side[trial].kept++;
        m->side[trial].kept_host = r->host;
    }
    mu_sweep_master_recount(m, r);
}

void mu_sweep_master_unkeep(struct mu_sweep_master *m, uint32_t trial)
{
    const uint32_t host = m->side[trial].kept_host;

    for (uint32_t i = 0; m->side[trial].kept > 0 && i < m->host[host].ranks; i++)
        if (mu_sweep_master_rank(m, host, i)->kept == trial)
            mu_sweep_master_keep(m, mu_sweep_master_rank(m, host, i), MU_TRIAL_ALONE);
}

void mu_sweep_master_end(struct mu_sweep_master *m, uint32_t trial, uint64_t group,
                         enum mu_cell_phase phase, const char *message)
{
    struct mu_cell *c = &m->state.cell[trial];

    MU_ASSERT(!mu_cell_has_ended(c->phase) && mu_cell_has_ended(phase));
    c->phase = phase;
    c->group = 0;
    c->workers = 0;
    c->host = UINT32_MAX;
    c->tokens_per_s = c->wanted = NAN;
    snprintf(c->message, sizeof c->message, "%s", phase == MU_CELL_COMPLETE ? "" : message);
    m->has_results = m->is_changed = true;
    mu_sweep_master_unkeep(m, trial);
    mu_sweep_master_tell(
        m, (struct mu_sweep_news){.kind = MU_SWEEP_NEWS_END, .trial = trial, .group = group});
    /* What it has left behind stands there; what it has not, will never. */
    mu_sweep_master_release(m, trial, -1);
}

/* owner[i] of all that are known: the calls before gave those before the same. NULL: m->status, or
 * the sweep is not split. */
static uint32_t *find_owners(struct mu_sweep_master *m)
{
    const struct mu_sweep_state *s = &m->state;
    uint32_t *owner = NULL;

    if (s->part.of == 0)
        return NULL;
    owner = calloc((size_t)s->stages->trials.count + 1, sizeof *owner);
    m->status = owner ? mu_sweep_part_owners(s->spec, &s->stages->trials, s->part.of, owner)
                      : MU_FAIL(MU_NO_MEMORY, "no memory for the parts of %u trials",
                                s->stages->trials.count);
    return owner;
}

static void begin_cell(struct mu_sweep_master *m, uint32_t i, uint32_t owner)
{
    const struct mu_sweep_trials *t = &m->stages.trials;
    const bool is_elsewhere = owner != m->state.part.number;
    struct mu_cell *c = &m->state.cell[i];

    m->side[i] =
        (struct mu_sweep_side){.kind = kind_of(m, &t->item[i]), .owner = owner, .crash_step = -1};
    *c = mu_cell_new(mu_sweep_waits_for(t, i) == MU_TRIAL_ALONE ? MU_CELL_READY : MU_CELL_WAITS);
    if (m->restore)
        m->restore(m->context, i);
    c->is_elsewhere = is_elsewhere;
    if (is_elsewhere && !mu_cell_has_ended(c->phase))
        c->phase = MU_CELL_ELSEWHERE;
}

static void begin_cells(struct mu_sweep_master *m)
{
    const struct mu_sweep_trials *t = &m->stages.trials;
    const uint32_t from = m->known;
    uint32_t *owner;

    if (t->count == from || !make_room(m))
        return;
    owner = find_owners(m);
    for (uint32_t i = from; i < t->count; i++)
        begin_cell(m, i, owner ? owner[i] : m->state.part.number);
    free(owner);
    m->known = t->count;
    for (uint32_t i = from; i < t->count; i++)
        look_at_branch(m, i);
    m->is_changed = true;
}

static struct mu_sweep_result result_of(const struct mu_cell *c)
{
    struct mu_sweep_result r = {.loss = NAN};

    switch (c->phase) {
    case MU_CELL_COMPLETE:
        r.loss = isnan(c->valid_loss) ? c->train_loss : c->valid_loss;
        r.kind = isfinite(r.loss) ? MU_SWEEP_RESULT_LOSS : MU_SWEEP_RESULT_DIVERGED;
        break;
    case MU_CELL_DIVERGED:
        r.kind = MU_SWEEP_RESULT_DIVERGED;
        break;
    case MU_CELL_OUT_OF_MEMORY:
    case MU_CELL_FAILED:
        r.kind = MU_SWEEP_RESULT_MISSING;
        break;
    default:
        break;
    }
    return r;
}

/* One call of the stages with what is known; whether something was added. */
static bool feed(struct mu_sweep_master *m)
{
    struct mu_sweep_result *r = calloc(m->known + 1, sizeof *r);
    uint32_t added = 0;

    if (!r) {
        m->status = MU_FAIL(MU_NO_MEMORY, "no memory for the results of %u trials", m->known);
        return false;
    }
    for (uint32_t i = 0; i < m->known; i++)
        r[i] = result_of(&m->state.cell[i]);
    m->has_results = false;
    m->status = mu_sweep_stages_advance(&m->stages, r, &added, m->warn, m->context);
    free(r);
    return m->status == MU_OK && added > 0;
}

void mu_sweep_master_advance(struct mu_sweep_master *m)
{
    begin_cells(m);
    while (m->status == MU_OK && m->has_results && feed(m)) {
        const uint32_t from = m->known;

        begin_cells(m);
        for (uint32_t i = from; i < m->known; i++) /* restored */
            m->has_results |= mu_cell_has_ended(m->state.cell[i].phase);
    }
}

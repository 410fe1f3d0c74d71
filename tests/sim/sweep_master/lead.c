/* The master as a process: as orchestrator/sweep_run/{lead,lead_open,past,channels}.c are, with
 * messages and a journal that are simulated. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/sim/sweep_master/master_sim.h"

enum { FIRST_GROUP = 2, MOST_TIMES = 1 << 20 };
const char *const timed_name[TIMED] = {"decide",  "advance",  "ready",
                                       "outcome", "progress", "words"};

static double cpu_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void took(struct sim *s, enum timed what, double from)
{
    struct times *t = &s->out.times[what];
    const double seconds = cpu_s() - from;

    t->item = fleet_room(t->item, t->count, &t->capacity, sizeof *t->item);
    t->item[t->count] = seconds;
    t->count += t->count < MOST_TIMES;
}

/* ---- the journal ---- */
static void close_parts(struct sim *s, uint64_t group, uint32_t rank)
{
    for (uint32_t i = s->first_open; i < s->parts; i++)
        if (s->part[i].group == group && (rank == NONE || s->part[i].rank == rank))
            s->part[i].is_open = false;
    while (s->first_open < s->parts && !s->part[s->first_open].is_open)
        s->first_open++;
}

static void record_end(struct sim *s, const struct mu_sweep_news *n, struct fact *f)
{
    const struct mu_cell *c = &s->master.state.cell[n->trial];

    if (++f->ends > 1)
        check_failed(s, "ends a second time", f->name);
    close_parts(s, n->group, NONE);
    if (s->setup.plant != PLANT_no_ends)
        f->record = *c;
    else
        f->ends = 0;
}

static void record_assign(struct sim *s, const struct mu_sweep_news *n, uint32_t fact)
{
    struct mu_sweep_master *m = &s->master;

    for (uint32_t i = 0; i < m->members; i++) {
        if (!m->member[i].lives || m->member[i].group != n->group)
            continue;
        /* Nobody knows of its death yet. */
        s->fact[fact].deaths += !s->rank[m->member[i].name].lives;
        s->part = fleet_room(s->part, s->parts, &s->part_capacity, sizeof *s->part);
        s->part[s->parts++] =
            (struct part){n->group, fact, (uint32_t)m->member[i].name, .is_open = true};
    }
}

static void record(struct sim *s, const struct mu_sweep_news *n)
{
    const struct mu_cell *c = &s->master.state.cell[n->trial];
    const uint32_t fact = fact_of(s, n->trial);
    struct fact *f = &s->fact[fact];

    if (n->kind == MU_SWEEP_NEWS_MAKE_WAY)
        return;
    if (!f->is_recorded)
        f->record = (struct mu_cell){.phase = MU_CELL_READY,
                                     .host = UINT32_MAX,
                                     .train_loss = NAN,
                                     .valid_loss = NAN,
                                     .valid_bits_per_byte = NAN,
                                     .tokens_per_s = NAN,
                                     .wanted = NAN};
    f->is_recorded = true;
    f->record.step = c->step;
    f->record.crashes = c->crashes;
    f->record.retries = c->retries;
    f->record.deaths = c->deaths;
    f->record.moves = c->moves;
    if (n->kind == MU_SWEEP_NEWS_END)
        record_end(s, n, f);
    else if (n->kind == MU_SWEEP_NEWS_RELEASE)
        close_parts(s, n->group, (uint32_t)n->rank);
    else
        record_assign(s, n, fact);
}

/* ---- the hooks ---- */
static bool is_there(void *context, uint32_t trial)
{
    struct sim *s = context;

    return s->fact[fact_of(s, trial)].is_there;
}

static void restore(void *context, uint32_t trial)
{
    struct sim *s = context;
    struct mu_cell *c = &s->master.state.cell[trial];
    const struct fact *f = &s->fact[fact_of(s, trial)];
    const enum mu_cell_phase phase = c->phase;

    if (!f->is_recorded)
        return;
    *c = f->record;
    if (!mu_cell_has_ended(c->phase))
        c->phase = phase;
}

static void warn(void *context, const char *line)
{
    (void)context;
    (void)line;
}

/* ---- what is done ---- */
static void order(struct sim *s, const struct mu_sweep_news *n)
{
    struct mu_sweep_master *m = &s->master;
    const uint32_t fact = fact_of(s, n->trial),
                   crew = crew_add(s, n->group, fact, mu_sweep_master_size(m, n->group));
    struct crew *c = &s->crew[crew];

    c->branch = calloc(m->known + 1, sizeof *c->branch);
    MU_ASSERT(c->branch);
    for (uint32_t i = 0; i < m->known && s->setup.plant != PLANT_no_branches; i++)
        if (m->state.cell[i].phase == MU_CELL_WAITS &&
            mu_sweep_waits_for(&m->stages.trials, i) == n->trial)
            c->branch[c->branches++] = fact_of(s, i);
    for (uint32_t i = 0; i < m->members; i++)
        if (m->member[i].lives && m->member[i].group == n->group)
            fleet_tell(s, plant_rank(s, (uint32_t)m->member[i].name),
                       (struct message){.kind = SAY_ORDER, .group = n->group});
}

static void make_way(struct sim *s, uint64_t group)
{
    const int leader = mu_sweep_master_leader(&s->master, group);

    if (leader >= 0)
        fleet_tell(s, (uint32_t)leader, (struct message){.kind = SAY_MAKE_WAY, .group = group});
}

static void trace(const struct sim *s, const struct mu_sweep_news *n)
{
    static const char *const word[] = {"ends", "releases", "begins", "is to make way"};

    if (s->setup.trace)
        printf("%10.3f  %s, group %" PRIx64 ": %s%s%s\n", s->now,
               s->master.stages.trials.item[n->trial].name, n->group, word[n->kind],
               n->died ? " a dead rank " : "",
               n->kind == MU_SWEEP_NEWS_END ? mu_cell_word(s->master.state.cell[n->trial].phase)
                                            : "");
}

static void act(struct sim *s)
{
    struct mu_sweep_master *m = &s->master;

    for (uint32_t i = 0; i < m->news_count; i++) {
        const struct mu_sweep_news *n = &m->news[i];

        record(s, n);
        trace(s, n);
        if (n->kind == MU_SWEEP_NEWS_ASSIGN)
            order(s, n);
        else if (n->kind == MU_SWEEP_NEWS_MAKE_WAY) {
            make_way(s, n->group);
            s->out.moves++;
        }
    }
    m->news_count = 0;
}

static void hear(struct sim *s, struct heard *h)
{
    struct mu_sweep_master *m = &s->master;
    double from = cpu_s();

    if (h->message.kind == SAY_PROGRESS) {
        if (h->message.first < h->message.step)
            mu_sweep_master_hear_progress(m, h->message.group, h->message.first, NAN, NAN);
        mu_sweep_master_hear_progress(m, h->message.group, h->message.step, NAN,
                                      h->message.tokens_per_s);
        took(s, TIMED_PROGRESS, from);
        return;
    }
    plant_heard(s, h);
    if (h->message.has_outcome) {
        from = cpu_s();
        mu_sweep_master_hear_outcome(m, h->message.group, &h->outcome);
        took(s, TIMED_OUTCOME, from);
    }
    from = cpu_s();
    mu_sweep_master_hear_ready(m, (int)h->rank, h->message.group);
    took(s, TIMED_READY, from);
}

static void decide(struct sim *s)
{
    struct mu_sweep_master *m = &s->master;

    do {
        double from = cpu_s();
        bool was_changed;

        if (m->has_results) {
            mu_sweep_master_advance(m);
            took(s, TIMED_ADVANCE, from);
        }
        plant_before(s);
        from = cpu_s();
        was_changed = m->is_changed;
        mu_sweep_master_decide(m);
        if (was_changed && !m->is_changed) /* something was packed */
            took(s, TIMED_DECIDE, from);
        MU_ASSERT(m->status == MU_OK);
        act(s);
    } while (m->has_results);
}

void lead_serve(struct sim *s)
{
    s->master.state.now = s->now;
    for (uint32_t i = 0; i < s->heard; i++)
        hear(s, &s->inbox[i]);
    s->heard = 0;
    decide(s);
    check_fleet(s);
    s->is_over = mu_sweep_master_is_over(&s->master);
}

/* ---- a new one ---- */
static void take_past(struct sim *s)
{
    struct mu_sweep_master *m = &s->master;
    uint32_t *now = malloc(s->facts * sizeof *now);

    MU_ASSERT(now);
    memset(now, 0xff, s->facts * sizeof *now);
    for (uint32_t i = 0; i < m->known; i++)
        now[fact_of(s, i)] = i;
    for (uint32_t i = 0; i < s->parts; i++) {
        const struct part *p = &s->part[i];

        if (now[p->fact] != NONE && !mu_cell_has_ended(m->state.cell[now[p->fact]].phase))
            m->state.cell[now[p->fact]].host = s->rank[p->rank].host;
    }
    for (uint32_t i = s->first_open; i < s->parts; i++) {
        const struct part *p = &s->part[i];
        struct mu_sweep_group *g = mu_sweep_master_group(m, p->group);

        if (!p->is_open || now[p->fact] == NONE ||
            mu_cell_has_ended(m->state.cell[now[p->fact]].phase))
            continue;
        if (!g)
            g = mu_sweep_master_add_group(m, p->group, now[p->fact]);
        mu_sweep_master_join(m, mu_sweep_master_member(m, (int)p->rank), g);
    }
    free(now);
}

static void hear_words(struct sim *s, uint32_t words)
{
    const double from = cpu_s();

    s->master.state.now = s->now;
    mu_sweep_master_hear_words(&s->master, s->word, words);
    took(s, TIMED_WORDS, from);
}

void lead_open(struct sim *s, uint32_t rank, uint32_t words)
{
    struct mu_sweep_master *m = &s->master;
    struct mu_sweep_stages stages;
    int *name = calloc(s->ranks, sizeof *name);
    uint32_t *host = calloc(s->ranks, sizeof *host);

    MU_ASSERT(name && host);
    for (uint32_t i = 0; i < s->ranks; i++) {
        name[i] = (int)i;
        host[i] = s->rank[i].host;
    }
    if (words > 0)
        mu_sweep_master_deinit(m);
    memset(s->fact_of, 0xff, FACTS * sizeof *s->fact_of);
    s->leader = rank;
    if (s->setup.trace)
        printf("%10.3f  rank %u leads\n", s->now, rank);
    s->out.masters++;
    MU_ASSERT(mu_sweep_stages_init(&stages, s->spec, &s->base, "sweep") == MU_OK);
    MU_ASSERT(mu_sweep_master_init(m, "", &stages, name, host, s->ranks, FIRST_GROUP) == MU_OK);
    free(name);
    free(host);
    m->is_there = is_there;
    m->restore = restore;
    m->warn = warn;
    m->context = s;
    m->state.now = s->now;
    mu_sweep_master_advance(m);
    MU_ASSERT(m->status == MU_OK);
    if (words > 0) {
        take_past(s);
        hear_words(s, words);
    }
    m->next_group = (uint64_t)++s->generation << 32 | FIRST_GROUP;
}

void lead_reset(struct sim *s, uint32_t words)
{
    const struct mu_sweep_master *m = &s->master;

    hear_words(s, words);
    for (uint32_t i = 0; i < m->groups; i++)
        if (m->group[i].is_open && m->group[i].makes_way && !m->group[i].is_heard)
            make_way(s, m->group[i].number);
}

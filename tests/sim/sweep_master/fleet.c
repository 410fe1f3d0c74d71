/* Ranks, messages, deaths and repairs. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sweep_master/master_sim.h"

static const double serve_s = 0.02;

void *fleet_room(void *items, uint32_t count, uint32_t *capacity, size_t bytes)
{
    void *grown;

    if (count < *capacity)
        return items;
    *capacity = *capacity ? 2 * *capacity : 256;
    grown = realloc(items, *capacity * bytes);
    MU_ASSERT(grown);
    return grown;
}

/* ---- what is to happen: a binary heap ---- */
static bool is_sooner(const struct event *a, const struct event *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

void fleet_after(struct sim *s, double seconds, struct event e)
{
    uint32_t at = s->events;

    e.at = s->now + seconds;
    e.order = s->order++;
    s->heap = fleet_room(s->heap, s->events, &s->event_capacity, sizeof *s->heap);
    s->events++;
    for (; at > 0 && is_sooner(&e, &s->heap[(at - 1) / 2]); at = (at - 1) / 2)
        s->heap[at] = s->heap[(at - 1) / 2];
    s->heap[at] = e;
}

static struct event take_first(struct sim *s)
{
    const struct event first = s->heap[0], last = s->heap[--s->events];
    uint32_t at = 0;

    for (;;) {
        uint32_t child = 2 * at + 1;

        if (child + 1 < s->events && is_sooner(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (child >= s->events || !is_sooner(&s->heap[child], &last))
            break;
        s->heap[at] = s->heap[child];
        at = child;
    }
    s->heap[at] = last;
    return first;
}

/* ---- messages: between two ranks none overtakes another ---- */
static double delay(struct sim *s, double *last)
{
    const double u = sim_uniform(s);

    *last = fmax(s->now + (u < 0.1 ? 0.5 : 0.01) * sim_uniform(s), *last);
    return *last - s->now;
}

void fleet_say(struct sim *s, uint32_t rank, struct message message)
{
    fleet_after(
        s, delay(s, &s->rank[rank].up),
        (struct event){.kind = EVENT_UP, .who = rank, .mark = s->epoch, .message = message});
}

void fleet_tell(struct sim *s, uint32_t rank, struct message message)
{
    fleet_after(
        s, delay(s, &s->rank[rank].down),
        (struct event){.kind = EVENT_DOWN, .who = rank, .mark = s->epoch, .message = message});
}

void fleet_ready(struct sim *s, uint32_t rank)
{
    struct rank *r = &s->rank[rank];

    fleet_say(s, rank,
              (struct message){.kind = SAY_READY,
                               .group = r->ended,
                               .has_outcome = r->has_outcome,
                               .outcome = &r->outcome});
}

/* The outcome is copied: the rank may have another one before it is heard. */
static void arrive(struct sim *s, const struct event *e)
{
    struct heard *h;

    if (e->mark != s->epoch || !s->rank[s->leader].lives) {
        s->out.lost_outcomes += e->message.has_outcome;
        return;
    }
    s->inbox = fleet_room(s->inbox, s->heard, &s->inbox_capacity, sizeof *s->inbox);
    h = &s->inbox[s->heard++];
    *h = (struct heard){.rank = e->who, .message = e->message};
    if (e->message.has_outcome && e->message.group == s->rank[e->who].ended)
        h->outcome = s->rank[e->who].outcome;
    else
        h->message.has_outcome = false;
}

static void obey(struct sim *s, const struct event *e)
{
    if (e->mark != s->epoch || !s->rank[e->who].lives) {
        s->out.lost_orders += e->message.kind == SAY_ORDER;
        return;
    }
    if (e->message.kind == SAY_ORDER)
        crew_join(s, e->who, e->message.group);
    else if (s->rank[e->who].crew != NONE &&
             s->crew[s->rank[e->who].crew].number == e->message.group)
        s->crew[s->rank[e->who].crew].makes_way = true;
}

static void remind(struct sim *s, uint32_t rank)
{
    if (!s->rank[rank].lives)
        return;
    if (s->rank[rank].crew == NONE)
        fleet_ready(s, rank);
    fleet_after(s, s->setup.remind_s, (struct event){.kind = EVENT_REMIND, .who = rank});
}

/* ---- deaths ---- */
void fleet_kill(struct sim *s, uint32_t rank)
{
    struct rank *r = &s->rank[rank];

    if (!r->lives || s->alive == 1)
        return;
    r->lives = false;
    s->alive--;
    s->host_alive[r->host]--;
    s->out.died++;
    for (uint32_t i = s->first_open; i < s->parts; i++)
        if (s->part[i].is_open && s->part[i].rank == rank)
            s->fact[s->part[i].fact].deaths++;
    crew_lose(s, rank);
    if (s->setup.trace)
        printf("%10.3f  rank %u dies\n", s->now, rank);
    if (!s->repairs)
        fleet_after(s, 0.02 + sim_uniform(s), (struct event){.kind = EVENT_REPAIR});
    s->repairs = true;
}

/* One in eight takes its host with it; one in six is the master. The last ones are spared. */
static void somebody_dies(struct sim *s)
{
    const double u = sim_uniform(s);
    uint32_t who = (uint32_t)(sim_uniform(s) * s->ranks);

    if (u > 5.0 / 6)
        who = s->leader;
    if (s->alive <= 2 || s->alive <= s->ranks / 4)
        return;
    if (u < 1.0 / 8 && s->alive > s->host_alive[s->rank[who].host])
        for (uint32_t i = 0; i < s->ranks; i++)
            if (s->rank[i].host == s->rank[who].host)
                fleet_kill(s, i);
    fleet_kill(s, who);
}

/* What was on its way is lost; all that live say where they are; who leads is the first of them. */
static void repair(struct sim *s)
{
    uint32_t words = 0;

    s->repairs = false;
    s->epoch++;
    for (uint32_t i = 0; i < s->heard; i++)
        s->out.lost_outcomes += s->inbox[i].message.has_outcome;
    s->heard = 0;
    for (uint32_t i = 0; i < s->ranks; i++) {
        struct rank *r = &s->rank[i];

        if (!r->lives)
            continue;
        r->up = r->down = s->now;
        s->word[words++] =
            (struct mu_rank_word){.name = (int32_t)i,
                                  .group = r->crew == NONE ? 0 : s->crew[r->crew].number,
                                  .ended = r->ended};
    }
    crews_repair(s);
    plant_words(s, words);
    for (uint32_t i = 0; i < s->ranks; i++)
        if (s->rank[i].lives && s->rank[i].crew == NONE)
            fleet_ready(s, i);
    if (s->rank[s->leader].lives)
        lead_reset(s, words);
    else
        lead_open(s, (uint32_t)s->word[0].name, words);
}

/* ---- a run ---- */
static void *take(size_t count, size_t size)
{
    void *out = calloc(count, size);

    MU_ASSERT(out);
    return out;
}

static void start(struct sim *s)
{
    const struct setup *p = &s->setup;

    s->ranks = s->alive = p->hosts * p->host_ranks;
    s->rank = take(s->ranks, sizeof *s->rank);
    s->host_alive = take(p->hosts, sizeof *s->host_alive);
    s->word = take(s->ranks, sizeof *s->word);
    s->fact = take(FACTS, sizeof *s->fact);
    s->fact_of = take(FACTS, sizeof *s->fact_of);
    for (uint32_t i = 0; i < s->ranks; i++) {
        s->rank[i] = (struct rank){.lives = true, .host = i / p->host_ranks, .crew = NONE};
        s->host_alive[i / p->host_ranks]++;
    }
    shapes_read(s);
    lead_open(s, 0, 0);
    for (uint32_t i = 0; i < s->ranks; i++)
        fleet_after(s, p->remind_s * sim_uniform(s),
                    (struct event){.kind = EVENT_REMIND, .who = i});
    for (uint32_t i = 0; i < s->ranks; i++)
        fleet_ready(s, i);
    for (uint32_t i = 0; i < p->deaths; i++)
        fleet_after(s, p->until * sim_uniform(s), (struct event){.kind = EVENT_DEATH});
    fleet_after(s, 0, (struct event){.kind = EVENT_SERVE});
}

static void happen(struct sim *s, const struct event *e)
{
    switch (e->kind) {
    case EVENT_UP:
        arrive(s, e);
        break;
    case EVENT_DOWN:
        obey(s, e);
        break;
    case EVENT_STEP:
        crew_step(s, e->who, e->mark);
        break;
    case EVENT_LEAVE:
        crew_leave(s, e->who, e->mark);
        break;
    case EVENT_REMIND:
        remind(s, e->who);
        break;
    case EVENT_DEATH:
        somebody_dies(s);
        break;
    case EVENT_REPAIR:
        repair(s);
        break;
    case EVENT_SERVE:
        if (s->rank[s->leader].lives)
            lead_serve(s);
        fleet_after(s, serve_s, (struct event){.kind = EVENT_SERVE});
        break;
    }
}

static void finish(struct sim *s)
{
    s->out.seconds = s->now;
    s->out.groups = s->crews;
    s->out.trials = s->master.known;
    for (uint32_t i = 0; i < s->crews; i++)
        free(s->crew[i].branch);
    mu_sweep_master_deinit(&s->master);
    free(s->spec);
    free(s->heap);
    free(s->rank);
    free(s->host_alive);
    free(s->word);
    free(s->fact);
    free(s->fact_of);
    free(s->crew);
    free(s->inbox);
    free(s->part);
}

/* Much later than without deaths; whoever is left trains alone. */
void fleet_run(const struct setup *setup, struct outcome *out)
{
    struct sim s = {.setup = *setup};
    const double most = 1000 + 20 * setup->until;

    start(&s);
    while (!s.is_over && s.out.mistake[0] == '\0') {
        const struct event e = take_first(&s);

        s.now = e.at;
        if (s.now > most)
            check_failed(&s, "the sweep does not end", "");
        happen(&s, &e);
    }
    if (s.out.mistake[0] == '\0')
        check_end(&s);
    finish(&s);
    *out = s.out;
}

void outcome_free(struct outcome *o)
{
    for (int i = 0; i < TIMED; i++)
        free(o->times[i].item);
    free(o->result);
}

/* MPI with ULFM, as far as Muster uses it. What is promised is promised here too: shrink gives all
 * who take part the same members, agree the same answer; and nothing more is: ranks learn of deaths
 * and of a revoke at different moments, a gather may succeed for some of its ranks and fail for the
 * others, messages of a dead rank may be lost. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

struct comm *mpi_comm_new(struct sim *s, const uint32_t *member, uint32_t size)
{
    struct comm *c = calloc(1, sizeof *c);

    MU_ASSERT(c && size > 0);
    c->id = ++s->comms;
    c->size = size;
    c->first_dead = UINT32_MAX;
    c->member = calloc(size, sizeof *c->member);
    c->place_of = calloc(s->room, sizeof *c->place_of);
    c->in_shrink = calloc(size, 1);
    c->in_agree = calloc(size, 1);
    c->report = calloc(size, sizeof *c->report);
    MU_ASSERT(c->member && c->place_of && c->in_shrink && c->in_agree && c->report);
    memset(c->place_of, 0xff, s->room * sizeof *c->place_of);
    for (uint32_t i = 0; i < size; i++) {
        c->member[i] = member[i];
        c->place_of[member[i]] = (int32_t)i;
    }
    c->live = size;
    for (uint32_t i = s->deaths; i-- > 0;)
        if (c->place_of[s->death[i]] >= 0) {
            c->first_dead = i;
            c->live--;
        }
    s->comm = realloc(s->comm, s->comms * sizeof *s->comm);
    MU_ASSERT(s->comm);
    s->comm[c->id - 1] = c;
    return c;
}

static void free_host_reports(struct comm *c)
{
    for (uint32_t h = 0; c->host_report && h < c->base->fleet.hosts; h++) {
        free(c->host_report[h].slot);
        free(c->host_report[h].done);
    }
    free(c->host_report);
    c->host_report = NULL;
}

void mpi_free_all(struct sim *s)
{
    for (uint32_t i = s->comms; i-- > 0;) {
        struct comm *c = s->comm[i];

        free_host_reports(c);
        mu_roll_deinit(&c->roll);
        mu_recovery_plan_deinit(&c->plan);
        mu_fleet_deinit(&c->fleet);
        free(c->fleet_host);
        free(c->member);
        free(c->place_of);
        free(c->in_shrink);
        free(c->in_agree);
        free(c->report);
        free(c->gather);
        free(c);
    }
    free(s->comm);
    free(s->death);
    s->comm = NULL;
    s->death = NULL;
    s->comms = s->deaths = 0;
}

static void wake_members(struct sim *s, const struct comm *c)
{
    for (uint32_t i = 0; i < c->size; i++)
        rank_wake(&s->rank[c->member[i]]);
}

/* A link that is cut tells nobody anything: those who need somebody on the other side wait. */
static bool is_cut_apart(const struct sim *s, const struct comm *c)
{
    bool here = false, there = false;

    for (uint32_t i = 0; i < c->size; i++) {
        const struct rank *r = &s->rank[c->member[i]];

        if (!r->alive && !r->died_unheard)
            continue;
        here |= !s->host[r->host].cut;
        there |= s->host[r->host].cut;
    }
    return here && there;
}

static bool reaches(const struct sim *s, uint32_t a, uint32_t b)
{
    return s->host[s->rank[a].host].cut == s->host[s->rank[b].host].cut;
}

/* ---- shrink: when all living members are in it ---- */
static void complete_shrink(struct sim *s, struct comm *c)
{
    uint32_t *member, n = 0;

    if (c->shrunk || c->live == 0 || c->shrinking < c->live || is_cut_apart(s, c))
        return;
    member = calloc(c->size, sizeof *member);
    MU_ASSERT(member);
    for (uint32_t i = 0; i < c->size; i++) {
        const struct rank *r = &s->rank[c->member[i]];
        bool dead = !r->alive || r->declared_dead;

        if (c->in_shrink[i] && (!dead || (s->now - s->last_fault < 100 && sim_below(s, 2))))
            member[n++] = c->member[i]; /* who died in it a moment ago may still be on the list */
    }
    c->shrunk = mpi_comm_new(s, member, n);
    c->shrunk->base = c->base;
    free(member);
    wake_members(s, c);
}

struct comm *mpi_shrink(struct rank *r, struct comm *c)
{
    uint32_t place = (uint32_t)c->place_of[r->id];

    if (!c->in_shrink[place]) {
        c->in_shrink[place] = 1;
        c->shrinking += !r->declared_dead;
        complete_shrink(r->sim, c);
    }
    while (!c->shrunk || c->shrunk->place_of[r->id] < 0)
        rank_sleep(r);
    return c->shrunk;
}

/* ---- agree ---- */
static void complete_agree(struct sim *s, struct comm *c)
{
    bool all = true;

    if (c->agreed || c->live == 0 || c->agreeing < c->live || is_cut_apart(s, c))
        return;
    for (uint32_t i = 0; i < c->size; i++)
        all = all && c->in_agree[i];
    c->agreed = true;
    /* A death after its word was given may be noticed or not, but by all the same. */
    c->agree_ok = c->agree_flag && all && (c->first_dead == UINT32_MAX || sim_below(s, 2));
    wake_members(s, c);
}

bool mpi_agree(struct rank *r, struct comm *c, bool flag)
{
    uint32_t place = (uint32_t)c->place_of[r->id];

    c->agree_flag = (c->agreeing == 0 || c->agree_flag) && flag;
    c->in_agree[place] = 1;
    c->agreeing += !r->declared_dead;
    complete_agree(r->sim, c);
    while (!c->agreed)
        rank_sleep(r);
    return c->agree_ok;
}

/* ---- gather ---- */
void mpi_contribute(struct rank *r, struct comm *c, uint32_t index, uint64_t value)
{
    struct gather *g;
    uint32_t place = (uint32_t)c->place_of[r->id];

    if (index >= c->gathers) {
        c->gather = realloc(c->gather, (index + 1) * sizeof *c->gather);
        MU_ASSERT(c->gather);
        memset(c->gather + c->gathers, 0, (index + 1 - c->gathers) * sizeof *c->gather);
        c->gathers = index + 1;
    }
    g = &c->gather[index];
    if (g->count == 0 || value < g->min)
        g->min = value;
    if (g->count == 0 || value > g->max || (value == g->max && place < g->max_place)) {
        g->max = value;
        g->max_place = place;
    }
    if (++g->count == c->size)
        wake_members(r->sim, c);
}

bool mpi_gathered(const struct comm *c, uint32_t index)
{
    return c->gather[index].count == c->size;
}

/* ---- deaths and revokes ---- */
bool mpi_broken(const struct rank *r, const struct comm *c)
{
    return c->first_dead < r->known || r->revoked_seen >= c->id;
}

/* Half of the ranks get to know it soon, the others late: by themselves most never ask. */
static uint64_t news_delay(struct sim *s)
{
    return sim_below(s, 3) ? 50 + sim_below(s, 3000) : 20000 + sim_below(s, 20000);
}

void mpi_death(struct sim *s, uint32_t rank)
{
    struct rank *dead = &s->rank[rank];
    uint32_t index;
    bool was_in_shrink, was_in_agree;

    if (dead->declared_dead && !dead->alive)
        return; /* told already */
    index = s->deaths++;
    for (uint32_t h = 0; h < s->hosts; h++)
        dead->died_unheard |= s->host[h].cut;
    s->death = realloc(s->death, s->deaths * sizeof *s->death);
    MU_ASSERT(s->death);
    s->death[index] = rank;
    for (uint32_t i = 0; i < s->room; i++) {
        struct rank *r = &s->rank[i];

        if (r->alive && i != rank && reaches(s, i, rank))
            sim_push(s, s->now + news_delay(s), EVENT_DEATH_KNOWN, i,
                     (uint64_t)s->generation << 32 | s->deaths);
        if (sim_below(s, 2))
            for (uint32_t m = 0; m < r->mails; m++)
                if (r->mail[m].comm > 0 && r->mail[m].ready > s->now &&
                    s->comm[r->mail[m].comm - 1]->member[r->mail[m].from] == rank)
                    r->mail[m].comm = 0; /* lost */
    }
    for (uint32_t i = dead->first_comm - 1; i < s->comms; i++) {
        struct comm *c = s->comm[i];
        int32_t place = c->place_of[rank];

        if (place < 0)
            continue;
        was_in_shrink = c->in_shrink[place];
        was_in_agree = c->in_agree[place];
        c->first_dead = index < c->first_dead ? index : c->first_dead;
        c->live--;
        c->shrinking -= was_in_shrink;
        c->agreeing -= was_in_agree;
        complete_shrink(s, c);
        complete_agree(s, c);
    }
}

void mpi_revoke(struct rank *r, struct comm *c)
{
    struct sim *s = r->sim;

    r->revoked_seen = c->id > r->revoked_seen ? c->id : r->revoked_seen;
    if (c->revoked)
        return;
    c->revoked = true;
    for (uint32_t i = 0; i < c->size; i++) {
        struct rank *other = &s->rank[c->member[i]];

        if (other->alive && !other->declared_dead && other != r && reaches(s, other->id, r->id))
            sim_push(s, s->now + 5 + sim_below(s, sim_below(s, 4) ? 200 : 4000), EVENT_REVOKED,
                     other->id, (uint64_t)s->generation << 32 | c->id);
    }
}

/* ---- messages: between two ranks in the order of sending ---- */
void mpi_send(struct rank *r, uint32_t to, struct message m)
{
    struct rank *other = &r->sim->rank[r->comm->member[to]];

    m.comm = r->comm->id;
    m.from = r->place;
    m.ready = r->sim->now + 5 + sim_below(r->sim, 100);
    if (!other->alive || other->declared_dead || r->declared_dead ||
        !reaches(r->sim, r->id, other->id))
        return;
    for (uint32_t i = 0; i < other->mails; i++)
        if (other->mail[i].comm == m.comm && other->mail[i].from == m.from &&
            other->mail[i].ready > m.ready)
            m.ready = other->mail[i].ready;
    if (other->mails == other->mail_room) {
        other->mail_room = 2 * other->mail_room + 4;
        other->mail = realloc(other->mail, other->mail_room * sizeof *other->mail);
        MU_ASSERT(other->mail);
    }
    other->mail[other->mails++] = m;
    if (other->sleeping)
        sim_push(r->sim, m.ready, EVENT_MAIL, other->id, 0);
}

bool mpi_receive(struct rank *r, uint32_t from, uint32_t tag, struct message *out)
{
    for (uint32_t i = 0; i < r->mails; i++) {
        if (r->mail[i].comm != r->comm->id || r->mail[i].from != from || r->mail[i].tag != tag)
            continue;
        if (r->mail[i].ready > r->sim->now) {
            sim_push(r->sim, r->mail[i].ready, EVENT_MAIL, r->id, 0);
            return false;
        }
        *out = r->mail[i];
        memmove(r->mail + i, r->mail + i + 1, (r->mails - i - 1) * sizeof *r->mail);
        r->mails--;
        return true;
    }
    return false;
}

void mpi_forget_mail(struct rank *r)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < r->mails; i++)
        if (r->mail[i].comm >= r->comm->id) /* others may be ahead in the new one */
            r->mail[n++] = r->mail[i];
    r->mails = n;
}

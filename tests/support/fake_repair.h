/* mu_comm_repair and mu_comm_allgather of the communicator in memory (fake_comm.h, which includes
 * this): what ULFM promises, and no more.
 *
 *   shrink    is over when all that live have come; who died until then is left out
 *   gather    tells a death or a revocation to some and not to others, by draws
 *   agree     tells all the same: yes only if all said so and nobody has died unseen
 *   requests  of the old communicator end with the repair; bytes may still arrive until then */
#ifndef MUSTER_TESTS_FAKE_REPAIR_H
#define MUSTER_TESTS_FAKE_REPAIR_H

#include "tests/support/fake_comm.h"

static inline uint32_t fake_living(void)
{
    uint32_t living = 0;

    for (int r = 0; r < fake.size; r++)
        living |= (uint32_t)!fake.dead[r] << r;
    return living;
}

/* A communicator of those that live. */
static inline void fake_shrink(uint32_t living)
{
    int name[FAKE_RANKS], size = 0;

    for (int r = 0; r < fake.size; r++)
        if (living >> r & 1)
            name[size++] = r;
    for (int i = 0; i < size; i++) {
        struct mu_comm *c = &fake.comm[name[i]];

        c->epoch++;
        c->gathers = 0;
        c->place = i;
        c->size = size;
        memcpy(c->name, name, sizeof name);
    }
    fake.revoked = false;
    for (struct fake_operation *o = fake.first, *next; o; o = next) { /* of no rank any more */
        next = o->next;
        if (!o->abandoned)
            continue;
        if (o->peer)
            o->peer->peer = NULL;
        fake_remove(o);
    }
}

/* Ends the meeting when all that live are there. */
static inline void fake_look_at_meeting(void)
{
    struct fake_meeting *m = &fake.meeting;
    uint32_t living = fake_living();

    if (m->here == 0 || (living & ~m->here) != 0)
        return;
    if (m->shrinks)
        fake_shrink(living);
    for (int r = 0; r < fake.size; r++)
        if (living >> r & 1)
            m->all_say_yes = m->all_say_yes && !fake_one_is_dead(&fake.comm[r]);
    m->result[m->number % 2] = m->all_say_yes;
    m->number++;
    m->here = 0;
    pthread_cond_broadcast(&m->over);
}

static inline bool fake_meet(struct mu_comm *c, bool shrinks, bool yes)
{
    struct fake_meeting *m = &fake.meeting;
    uint64_t number;
    bool result;

    pthread_mutex_lock(&fake.lock);
    number = m->number;
    m->all_say_yes = m->here == 0 ? yes : m->all_say_yes && yes;
    MU_ASSERT(m->here == 0 || m->shrinks == shrinks);
    m->shrinks = shrinks;
    m->here |= UINT32_C(1) << c->self;
    fake_look_at_meeting();
    while (m->number == number && !fake.doomed[c->self])
        pthread_cond_wait(&m->over, &fake.lock);
    result = m->result[number % 2];
    pthread_mutex_unlock(&fake.lock);
    return result;
}

/* Each request of this rank's ends now. */
static inline void fake_drain(const struct mu_comm *c)
{
    pthread_mutex_lock(&fake.lock);
    for (struct fake_operation *o = fake.first, *next; o; o = next) {
        next = o->next;
        if (o->self != c->self)
            continue;
        MU_ASSERT(o->epoch < c->epoch);
        if (o->peer && !o->is_send && fake_draw(2)) {
            fake_transfer(o->peer); /* its rank's request stays, done */
            next = o->next;
        }
        if (o->peer)
            o->peer->peer = NULL;
        fake_remove(o);
    }
    fake.repairs++;
    pthread_mutex_unlock(&fake.lock);
}

enum mu_status mu_comm_repair(struct mu_comm *c, bool quietly, mu_comm_exchange *exchange,
                              void *context)
{
    bool agreed = false;

    MU_ASSERT(!c->base);
    fake_pass(FAKE_REPAIR);
    if (!quietly)
        mu_comm_revoke(c);
    while (!agreed) {
        enum mu_status st;

        fake_meet(c, true, true);
        fake_pass(FAKE_SHRUNK);
        st = exchange(context);
        if (mu_status_is_death(st))
            mu_comm_revoke(c);
        else if (st != MU_OK)
            return st;
        fake_pass(FAKE_AGREE);
        agreed = fake_meet(c, false, st == MU_OK);
        fake_pass(FAKE_AGREED);
    }
    fake_drain(c);
    return MU_OK;
}

/* What this rank hears of a gathering that all took part in, or that somebody died in. */
static inline enum mu_status fake_outcome(const struct mu_comm *c, bool complete)
{
    bool broken = fake.revoked || fake_one_is_dead(c);

    if (complete && (!broken || fake_draw(2)))
        return MU_OK;
    return fake.revoked ? MU_REVOKED : MU_PEER_LOST;
}

static inline bool fake_all_gathered(const struct mu_comm *c, const struct fake_gathering *g)
{
    for (int i = 0; i < c->size; i++)
        if (!(g->here >> c->name[i] & 1))
            return false;
    return true;
}

enum mu_status mu_comm_allgather(struct mu_comm *c, const void *own, size_t bytes, void *all)
{
    struct fake_gathering *g = &fake.gathering[c->gathers % 2];
    enum mu_status st;

    MU_ASSERT(!c->base);
    fake_pass(FAKE_GATHER);
    pthread_mutex_lock(&fake.lock);
    if (g->id != ((uint64_t)c->epoch << 32 | c->gathers)) {
        free(g->data);
        *g = (struct fake_gathering){.id = (uint64_t)c->epoch << 32 | c->gathers,
                                     .data = malloc(FAKE_RANKS * bytes)};
        MU_ASSERT(g->data);
    }
    c->gathers++;
    memcpy(g->data + (size_t)c->self * bytes, own, bytes);
    g->here |= UINT32_C(1) << c->self;
    pthread_cond_broadcast(&fake.gathered);
    while (!fake_all_gathered(c, g) && !fake.revoked && !fake_one_is_dead(c) &&
           !fake.doomed[c->self])
        pthread_cond_wait(&fake.gathered, &fake.lock);
    st = fake_outcome(c, fake_all_gathered(c, g));
    for (int i = 0; st == MU_OK && i < c->size; i++)
        memcpy((uint8_t *)all + (size_t)i * bytes, g->data + (size_t)c->name[i] * bytes, bytes);
    pthread_mutex_unlock(&fake.lock);
    fake_pass(FAKE_GATHERED);
    return st;
}

#endif

#include <math.h>
#include <stdlib.h>

#include "orchestrator/sweep/pack_plan.h"

enum {
    CLEARLY = 2,   /* times move_cost */
    FOR_NOW = 4,   /* while trials are to come, which may need the workers back */
    PASSES = 8,    /* over the trials of a host that gain too little */
    LOOKED_AT = 32 /* trials without room, in one decision */
};
static const double late = 1.05; /* less is noise */

bool mu_pack_is_worth(const struct mu_packing *p, double seconds)
{
    return seconds > (p->problem->later > 0 ? FOR_NOW : CLEARLY) * p->problem->move_cost;
}

static double seconds_on(const struct mu_pack_item *i, uint32_t workers)
{
    return mu_pack_seconds(i->trial->work, i->trial->serial, workers);
}

void mu_pack_hurry(struct mu_packing *p, struct mu_pack_item *i)
{
    const uint32_t left = p->fleet.left[i->host];
    uint32_t more;

    if (i->trial->moving || left == 0 || i->end <= late * i->due || i->want <= i->given)
        return;
    more = i->want - i->given < left ? i->want - i->given : left;
    if (!mu_pack_is_worth(p, i->end - seconds_on(i, i->given + more)))
        return;
    mu_pack_fleet_take(&p->fleet, i->host, more, 0, 0);
    i->given = i->floor = i->given + more;
}

/* ---- grow ---- */
/* What could use more of a host's workers. On one that is kept for another trial, only what ends
 * before that could begin. */
static uint32_t growing_on(struct mu_packing *p, uint32_t host)
{
    const struct mu_pack_reserved *r = mu_pack_fleet_reserved(&p->fleet, host);
    uint32_t count = 0;

    for (uint32_t n = p->fleet.head[host]; n != MU_PACK_NOWHERE; n = p->item[n].next) {
        struct mu_pack_item *i = &p->item[n];

        if (!i->trial->moving && i->given < i->most && (!r || i->end <= r->until))
            p->set[count++] = i;
    }
    return count;
}

static struct mu_pack_item *last_to_end(struct mu_packing *p, uint32_t count)
{
    struct mu_pack_item *last = NULL;
    double end = -1;

    for (uint32_t n = 0; n < count; n++) {
        struct mu_pack_item *i = p->set[n];
        const double ends = seconds_on(i, i->given) + i->trial->tail;

        if (i->given < i->most && ends > end) {
            end = ends;
            last = i;
        }
    }
    return last;
}

/* Evenly as far as whole workers allow, the rest one by one. */
static void share_out(struct mu_packing *p, uint32_t count, uint32_t left)
{
    uint32_t workers = left;
    struct mu_pack_item *i = p->set[0];
    double level;

    if (count == 1) { /* most often */
        i->given = left < i->most - i->given ? i->given + left : i->most;
        return;
    }
    for (uint32_t n = 0; n < count; n++)
        workers += p->set[n]->given;
    level = mu_pack_level(p->set, count, workers);
    for (uint32_t n = 0; n < count; n++) {
        p->set[n]->given =
            mu_pack_need(p->set[n], p->set[n]->given, level - p->set[n]->trial->tail);
        workers -= p->set[n]->given;
    }
    for (; workers > 0 && (i = last_to_end(p, count)); workers--)
        i->given++;
}

/* Of the set, that which gains least, too little to be moved for: its place; count: none. */
static uint32_t find_idle_move(const struct mu_packing *p, uint32_t count)
{
    uint32_t worst = count;
    double least = INFINITY;

    for (uint32_t n = 0; n < count; n++) {
        const struct mu_pack_item *i = p->set[n];
        const double gain = i->end - seconds_on(i, i->given);

        /* One that hurries moves anyway. */
        if (i->trial->workers == 0 || i->trial->workers < i->floor || i->given == i->floor)
            continue;
        if (!mu_pack_is_worth(p, gain) && gain < least) {
            least = gain;
            worst = n;
        }
    }
    return worst;
}

static void grow_on(struct mu_packing *p, uint32_t host)
{
    uint32_t count = growing_on(p, host), left = p->fleet.left[host], idle;

    for (int pass = 0; count > 0; pass++) {
        share_out(p, count, left);
        idle = find_idle_move(p, count);
        if (idle == count)
            break;
        for (uint32_t n = 0; n < count && pass < PASSES; n++)
            p->set[n]->given = p->set[n]->floor;
        p->set[idle]->given = p->set[idle]->floor;
        p->set[idle] = p->set[--count];
        if (pass >= PASSES) { /* who is left keeps what was shared out, if it is worth it */
            while ((idle = find_idle_move(p, count)) < count)
                p->set[idle]->given = p->set[idle]->floor;
            break;
        }
    }
    for (uint32_t n = 0; n < count; n++)
        if (p->set[n]->given > p->set[n]->floor)
            mu_pack_fleet_take(&p->fleet, host, p->set[n]->given - p->set[n]->floor, 0, 0);
}

void mu_pack_grow(struct mu_packing *p)
{
    for (uint32_t h = 0; h < p->fleet.hosts; h++)
        if (p->fleet.left[h] > 0)
            grow_on(p, h);
}

/* ---- shrink ---- */
static int by_given(const void *a, const void *b)
{
    const struct mu_pack_item *x = *(struct mu_pack_item *const *)a;
    const struct mu_pack_item *y = *(struct mu_pack_item *const *)b;

    if (x->given != y->given)
        return x->given > y->given ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

/* Seconds until workers become free by themselves for a trial that waits behind `before` others. */
static double wait_for_room(const struct mu_packing *p, const struct mu_pack_item *j,
                            uint32_t before)
{
    if (j->host != MU_PACK_NOWHERE) {
        const uint32_t first = p->fleet.head[j->host];

        return first == MU_PACK_NOWHERE ? INFINITY : p->item[first].end;
    }
    return p->training[before < p->trains ? before : p->trains - 1]->end;
}

/* Group g makes way for trial j with `fewer` workers left: it pays if what ends last of the two
 * ends clearly sooner, or if so many workers got in each other's way that the work as a whole is
 * less. */
static bool pays(const struct mu_packing *p, const struct mu_pack_item *g, uint32_t fewer,
                 const struct mu_pack_item *j, double wait)
{
    const struct mu_pack_trial *t = g->trial;
    const double move = p->problem->move_cost;
    const double alone = fmax(wait + seconds_on(j, j->most) + j->trial->tail, g->end + t->tail);
    const double beside = fmax(move + seconds_on(j, j->trial->least) + j->trial->tail,
                               move + seconds_on(g, fewer) + t->tail);
    const double saved =
        t->workers * seconds_on(g, t->workers) - (double)fewer * seconds_on(g, fewer);

    if (!mu_pack_is_worth(p, wait))
        return false;
    return mu_pack_is_worth(p, alone - beside) || mu_pack_is_worth(p, saved / t->workers);
}

static bool is_kept_for_another(const struct mu_packing *p, uint32_t host,
                                const struct mu_pack_item *j)
{
    const struct mu_pack_reserved *r = mu_pack_fleet_reserved(&p->fleet, host);

    return r && r->item != j->index;
}

/* Of groups that are needed as wide as they are, only for the last trial that waits: with more of
 * them, such a group would be late, and have the free workers first (mu_pack_hurry). */
static void make_room(struct mu_packing *p, const struct mu_pack_item *j, uint32_t groups,
                      uint32_t before, bool is_last)
{
    const double wait = wait_for_room(p, j, before);
    const uint32_t least = j->trial->least;

    for (uint32_t n = 0; n < groups; n++) {
        struct mu_pack_item *g = p->set[n];
        const uint32_t left = p->fleet.left[g->host], freed = least > left ? least - left : 0;
        const uint32_t keep = is_last ? g->trial->least : g->want;

        if (freed == 0 || g->given < freed + keep ||
            (j->host != MU_PACK_NOWHERE && j->host != g->host) ||
            p->fleet.bytes[g->host] < j->trial->bytes || is_kept_for_another(p, g->host, j) ||
            !pays(p, g, g->given - freed, j, wait))
            continue;
        g->given -= freed;
        p->fleet.left[g->host] -= least - freed;
        p->fleet.bytes[g->host] -= j->trial->bytes;
        return;
    }
}

/* Groups that have been asked already make room for as many trials, as far as is known. */
void mu_pack_shrink(struct mu_packing *p)
{
    uint32_t groups = 0, before = 0, promised = p->moving, looked_at = 0, without = 0;

    for (uint32_t n = 0; n < p->trains; n++) {
        struct mu_pack_item *i = p->training[n];

        if (!i->trial->moving && i->given == i->trial->workers && i->given > i->trial->least) {
            i->want = mu_pack_need(i, i->trial->least, i->due - p->problem->move_cost);
            p->set[groups++] = i;
        }
    }
    for (uint32_t n = 0; n < p->waits; n++)
        without += p->waiting[n]->given == 0;
    qsort(p->set, groups, sizeof *p->set, by_given);
    for (uint32_t n = 0; n < p->waits && groups > 0 && looked_at < LOOKED_AT; n++) {
        if (p->waiting[n]->given > 0)
            continue;
        if (promised > 0) {
            promised--;
        } else {
            make_room(p, p->waiting[n], groups, before, without == 1);
            looked_at++;
        }
        before++;
    }
}

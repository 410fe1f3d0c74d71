#include <math.h>

#include "orchestrator/sweep/pack_plan.h"

enum { HALVINGS = 20, FEW_HALVINGS = 6 };

double mu_pack_seconds(double work, double serial, uint32_t workers)
{
    return work * (serial + (1 - serial) / (double)workers);
}

uint32_t mu_pack_need(const struct mu_pack_item *i, uint32_t least, double seconds)
{
    const double serial = i->trial->serial;
    double need;

    if (seconds >= i->trial->work)
        return least;
    if (seconds <= i->trial->work * serial)
        return i->most;
    /* Amdahl's law solved for workers; a hair less, so that rounding does not cost a worker. */
    need = ceil((1 - serial) / (seconds / i->trial->work - serial) - 1e-9);
    if (need >= (double)i->most)
        return i->most;
    return need <= (double)least ? least : (uint32_t)need;
}

double mu_pack_level(struct mu_pack_item *const *set, uint32_t count, uint32_t workers)
{
    double late = 0, early = INFINITY;

    for (uint32_t n = 0; n < count; n++) {
        const struct mu_pack_trial *t = set[n]->trial;

        late = fmax(late, mu_pack_seconds(t->work, t->serial, set[n]->given) + t->tail);
        early = fmin(early, mu_pack_seconds(t->work, t->serial, set[n]->most) + t->tail);
    }
    for (int step = 0; step < HALVINGS && early < late; step++) {
        const double middle = (early + late) / 2;
        uint64_t needed = 0;

        for (uint32_t n = 0; n < count; n++)
            needed += mu_pack_need(set[n], set[n]->given, middle - set[n]->trial->tail);
        if (needed <= workers)
            late = middle;
        else
            early = middle;
    }
    return late;
}

/* ---- when trials are due ---- */
/* What the list as a whole allows. */
struct bounds {
    double now;     /* seconds for the work of the list */
    double behind;  /* for what waits for it, at the least */
    double tail;    /* longest */
    double fastest; /* of the longest chain, at full speed all along */
};

/* A chain goes at one speed all along, and what is not on the longest chain may end later than the
 * list by as much as its tail is shorter: the first is right where the work behind is a few chains,
 * the second where all of it waits for all of the list. */
static double due(const struct mu_pack_item *i, const struct bounds *b, double now)
{
    const double whole = fmax(now + b->behind, b->fastest);
    const double even = i->path > 0 ? whole * (i->trial->work / i->path) : whole;

    return fmin(even, now + b->tail - i->trial->tail);
}

/* Workers are busy for longer where a trial has several. How many train it now does not
 * matter: a group that made way would be due sooner, and want its workers back. */
static double seconds_of_all(struct mu_packing *p, const struct bounds *b, double now)
{
    double busy = 0;

    for (uint32_t n = 0; n < p->problem->trials; n++) {
        struct mu_pack_item *i = &p->item[n];

        i->due = due(i, b, now);
        i->want = mu_pack_need(i, i->trial->least, i->due);
        busy += i->want * mu_pack_seconds(i->trial->work, i->trial->serial, i->want);
    }
    return p->fleet.workers > 0 ? busy / p->fleet.workers : 0;
}

static struct bounds find_bounds(const struct mu_packing *p)
{
    struct bounds b = {0, 0, 0, 0};
    double work = 0, behind = 0, longest = 0;

    for (uint32_t n = 0; n < p->problem->trials; n++) {
        const struct mu_pack_item *i = &p->item[n];
        const double full = mu_pack_seconds(1, i->trial->serial, i->most);

        work += i->trial->work;
        behind += i->trial->tail;
        longest = fmax(longest, i->trial->work * full);
        b.tail = fmax(b.tail, i->trial->tail);
        b.fastest = fmax(b.fastest, i->path * full);
    }
    if (p->fleet.workers > 0) {
        b.now = fmax(work / p->fleet.workers, longest);
        b.behind = behind / p->fleet.workers;
    }
    return b;
}

void mu_pack_set_due(struct mu_packing *p)
{
    const struct bounds b = find_bounds(p);
    double early = b.now, late = seconds_of_all(p, &b, early);

    if (late <= early)
        return;
    for (int step = 0; step < FEW_HALVINGS; step++) {
        const double middle = (early + late) / 2;

        if (seconds_of_all(p, &b, middle) <= middle)
            late = middle;
        else
            early = middle;
    }
    (void)seconds_of_all(p, &b, late);
}

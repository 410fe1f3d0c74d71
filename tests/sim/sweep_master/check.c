#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sweep_master/master_sim.h"

void check_failed(struct sim *s, const char *what, const char *who)
{
    if (s->out.mistake[0] == '\0')
        snprintf(s->out.mistake, sizeof s->out.mistake, "at %.3f s, %s: %s", s->now, who, what);
}

static bool has_order(const struct sim *s, uint32_t rank, uint64_t number)
{
    for (uint32_t i = s->parts; i > 0 && s->part[i - 1].group >= number; i--)
        if (s->part[i - 1].group == number && s->part[i - 1].rank == rank)
            return true;
    return false;
}

/* A rank takes an order up. */
void check_join(struct sim *s, uint32_t rank, uint64_t number)
{
    const uint32_t crew = crew_find(s, number);
    const struct rank *r = &s->rank[rank];
    const struct crew *c = crew == NONE ? NULL : &s->crew[crew];
    const struct fact *f = c ? &s->fact[c->fact] : NULL;

    if (!c)
        check_failed(s, "an order of no group", "");
    else if (!has_order(s, rank, number))
        check_failed(s, "a rank takes an order that is not written down", f->name);
    else if (r->crew != NONE)
        check_failed(s, "a rank is in two groups", f->name);
    else if (c->expected == 0)
        check_failed(s, "a rank joins a group that has begun", f->name);
    else if (c->count > 0 && c->host != r->host)
        check_failed(s, "a group is on two hosts", f->name);
    else if (f->crew != NONE && f->crew != crew)
        check_failed(s, "is in two groups at once", f->name);
    else if (f->ends > 0)
        check_failed(s, "is begun after its end", f->name);
}

/* Who begins a trial begins where it stands, unless the host of that state is dead. */
void check_begin(struct sim *s, const struct crew *c, int64_t from)
{
    const struct fact *f = &s->fact[c->fact];
    const struct fact *trunk = f->trunk == NONE ? NULL : &s->fact[f->trunk];

    if (f->host != NONE && s->host_alive[f->host] > 0 && from < f->step)
        check_failed(s, "leaves its state behind", f->name);
    if (trunk && f->step == 0 && from < f->shared &&
        (trunk->end == MU_TRIAL_COMPLETE || trunk->ends == 0))
        check_failed(s, "takes its trunk's steps itself", f->name);
}

/* It has killed a rank. A group ends by itself after as many as there may be tries, and then each
 * try takes one; a master that dies has not written down what it had not heard. */
void check_killer(struct sim *s, const struct fact *f)
{
    const uint32_t tries = (uint32_t)s->spec->retries + 1;

    if (f->killed > (1 + s->out.masters) * tries)
        check_failed(s, "kills without end", f->name);
}

/* The master's own figures. */
static void check_members(struct sim *s)
{
    const struct mu_sweep_master *m = &s->master;
    uint32_t waiting = 0, busy = 0, free = 0, free_there = 0, size = 0, size_there = 0;

    for (uint32_t i = 0; i < m->members; i++) {
        const struct mu_sweep_member *r = &m->member[i];

        waiting += r->lives && r->is_ready && r->group == 0;
        free += r->lives && r->is_ready && r->group == 0 && r->kept == MU_TRIAL_ALONE;
        busy += r->group != 0;
    }
    for (uint32_t i = 0; i < m->hosts; i++)
        free_there += m->host[i].free;
    for (uint32_t i = 0; i < m->groups; i++)
        size_there += m->group[i].size;
    for (uint32_t i = 0; i < m->known; i++)
        size += m->state.cell[i].workers;
    if (waiting != m->waiting || free != free_there)
        check_failed(s, "ranks that wait are miscounted", "");
    if (busy != m->state.busy || busy != size_there || size > busy)
        check_failed(s, "ranks in groups are miscounted", "");
}

static void check_trials(struct sim *s)
{
    const struct mu_sweep_master *m = &s->master;

    for (uint32_t i = 0; i < m->known; i++) {
        const struct mu_cell *c = &m->state.cell[i];
        const struct fact *f = &s->fact[fact_of(s, i)];

        if (c->retries > f->failures + f->deaths)
            check_failed(s, "was tried again for nothing", f->name);
    }
}

/* With many ranks not every time. */
void check_fleet(struct sim *s)
{
    if (s->serves++ % (1 + s->ranks / 100) != 0)
        return;
    check_members(s);
    check_trials(s);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct result *)a)->name, ((const struct result *)b)->name);
}

/* What is wrong with it may lie in the steps that its trunk takes for it. */
static bool can_end(const struct fact *f)
{
    return f->end == MU_TRIAL_COMPLETE ||
           (f->end != MU_TRIAL_OUT_OF_MEMORY && f->end_step <= f->shared);
}

void check_end(struct sim *s)
{
    const struct mu_sweep_master *m = &s->master;
    struct result *r = calloc(m->known, sizeof *r);

    MU_ASSERT(r);
    check_members(s);
    check_trials(s);
    for (uint32_t i = 0; i < m->known; i++) {
        const struct mu_cell *c = &m->state.cell[i];
        const struct fact *f = &s->fact[fact_of(s, i)];

        if (!mu_cell_has_ended(c->phase) || f->ends + (s->setup.plant == PLANT_no_ends) != 1)
            check_failed(s, "has not ended, and the sweep has", f->name);
        if (c->phase == MU_CELL_COMPLETE && !can_end(f))
            check_failed(s, "is complete, and cannot be", f->name);
        if (c->phase == MU_CELL_COMPLETE && c->valid_loss != f->loss)
            check_failed(s, "has another one's loss", f->name);
        r[i] = (struct result){.phase = c->phase, .loss = c->valid_loss};
        snprintf(r[i].name, sizeof r[i].name, "%s", f->name);
        s->out.retries += c->retries;
    }
    for (uint32_t i = 0; i < s->ranks; i++)
        if (s->rank[i].lives && s->rank[i].crew != NONE)
            check_failed(s, "is trained after the sweep's end",
                         s->fact[s->crew[s->rank[i].crew].fact].name);
    qsort(r, m->known, sizeof *r, by_name);
    s->out.result = r;
}

/* Deaths change nothing. */
void check_same(const struct outcome *without, struct outcome *with)
{
    if (with->mistake[0] != '\0')
        return;
    if (without->trials != with->trials) {
        snprintf(with->mistake, sizeof with->mistake, "%u trials, and without deaths %u",
                 with->trials, without->trials);
        return;
    }
    for (uint32_t i = 0; i < with->trials && with->mistake[0] == '\0'; i++) {
        const struct result *a = &without->result[i], *b = &with->result[i];
        const bool same = strcmp(a->name, b->name) == 0 && a->phase == b->phase &&
                          (a->phase != MU_CELL_COMPLETE || a->loss == b->loss);

        if (!same)
            snprintf(with->mistake, sizeof with->mistake, "%s: %s, and without deaths %s", b->name,
                     mu_cell_word(b->phase), mu_cell_word(a->phase));
    }
}

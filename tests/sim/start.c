/* From nothing to a state that every host holds: the newest that a segment kept, else the newest
 * good checkpoint, else the initial one. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { TAG_COPY = 3, TAGS = 4 };

static bool leads_host(const struct rank *r)
{
    const struct mu_roll *roll = &r->comm->roll;

    return mu_roll_local(roll, roll->host_of[r->place], 0) == r->place;
}

/* Slots are given for as long as the state is laid as it is: to the ranks of this roll. */
static void lay_fleet(struct sim *s, struct comm *c)
{
    uint32_t *name;
    enum mu_status st;

    if (c->base == c)
        return;
    c->base = c;
    name = calloc(c->size, sizeof *name);
    MU_ASSERT(name);
    for (uint32_t i = 0; i < c->size; i++)
        name[i] = i;
    st = mu_fleet_init(&c->fleet, &c->roll, name, c->size);
    MU_ASSERT(st == MU_OK);
    free(name);
    c->fleet_host = calloc(c->fleet.hosts, sizeof *c->fleet_host);
    for (uint32_t i = 0; i < c->size; i++)
        c->fleet_host[c->fleet.home[i]] = s->rank[c->member[i]].host;
}

/* Its token comes last: only then may others use it. */
static void lay_segment(struct rank *r)
{
    struct segment *g = segment_of(r);
    uint32_t slots = base_of(r)->fleet.slots[home_of(r)];

    act(r, "takes the segment");
    g->token = 0;
    for (uint32_t i = 0; i < slots; i++) {
        act(r, "clears slot %u", i);
        memset(&g->slot[i], 0, sizeof g->slot[i]);
    }
    act(r, "clears the words of the chunks");
    memset(g->chunk, 0, sizeof g->chunk);
    g->slots = slots;
    act(r, "opens the segment");
    g->token = r->comm->id;
    host_wake(r->sim, r->host);
}

static bool attach(struct rank *r)
{
    if (leads_host(r))
        lay_segment(r);
    while (segment_of(r)->token != r->comm->id) {
        if (poll(r))
            return false;
        rank_sleep(r);
    }
    return true;
}

static bool put(struct rank *r, uint32_t c, const uint32_t *value)
{
    struct segment *g = segment_of(r);
    uint32_t half = g->state == NO_STATE ? 0 : ~g->state & 1;

    for (uint32_t i = 0; i < CHUNK; i++) {
        act(r, "puts a part of chunk %u", c);
        g->half[half][c * CHUNK + i] = value[i];
    }
    return !poll(r);
}

static void commit(struct rank *r, uint64_t step)
{
    struct segment *g = segment_of(r);

    act(r, "commits the state of step %llu", (unsigned long long)step);
    g->state = step << 1 | (g->state == NO_STATE ? 0 : ~g->state & 1);
    check_load(r->sim, r->host);
    host_wake(r->sim, r->host);
}

/* From a checkpoint; step 0: initial values. */
static bool load(struct rank *r, uint64_t step)
{
    const struct checkpoint *from = &r->sim->disk.checkpoint[step];
    uint32_t initial[CHUNK];

    for (uint32_t c = 0; c < r->sim->chunks; c++) {
        for (uint32_t i = 0; i < CHUNK; i++)
            initial[i] = model_initial(c * CHUNK + i);
        if (!put(r, c, step > 0 ? from->part[c].value : initial))
            return false;
    }
    commit(r, step);
    return true;
}

/* The leader of the host that has the newest state gives it to the leaders of all others. */
static void give(struct rank *r)
{
    const struct mu_roll *roll = &r->comm->roll;
    const struct segment *g = segment_of(r);

    for (uint32_t c = 0; c < r->sim->chunks; c++)
        for (uint32_t h = 0; h < roll->hosts; h++) {
            struct message m = {.tag = TAG_COPY + TAGS * c};

            if (h == roll->host_of[r->place])
                continue;
            act(r, "gives chunk %u", c);
            memcpy(m.value, g->half[g->state & 1] + c * CHUNK, sizeof m.value);
            mpi_send(r, mu_roll_local(roll, h, 0), m);
        }
}

static bool take(struct rank *r, uint32_t from, uint64_t step)
{
    for (uint32_t c = 0; c < r->sim->chunks; c++) {
        struct message m;

        while (!mpi_receive(r, from, TAG_COPY + TAGS * c, &m)) {
            if (poll(r))
                return false;
            rank_sleep(r);
        }
        if (!put(r, c, m.value))
            return false;
    }
    commit(r, step);
    return true;
}

static bool get_state(struct rank *r, const struct gather *kept, int64_t saved)
{
    uint64_t own = segment_of(r)->state == NO_STATE ? 0 : (segment_of(r)->state >> 1) + 1;

    if (!leads_host(r))
        return true;
    if (kept->max < (uint64_t)saved + 1)
        return load(r, (uint64_t)saved);
    if (kept->max_place == r->place && kept->min < kept->max)
        give(r);
    return own == kept->max || take(r, kept->max_place, kept->max - 1);
}

/* What is written of steps that will be done again stays: it is the same whoever does them. What
 * goes on from a newer state later, that a host has kept meanwhile, would find it missing. */
static void open_records(struct rank *r)
{
    struct disk *d = &r->sim->disk;

    act(r, "opens the records");
    while (d->records > 0 && !d->record[d->records - 1].whole)
        d->records--;
}

bool start(struct rank *r)
{
    struct sim *s = r->sim;
    struct segment *g = segment_of(r);
    struct gather kept, all;
    int64_t saved, step;

    lay_fleet(s, r->comm);
    r->number = r->place;
    if (!attach(r))
        return false;
    saved = newest_checkpoint(s);
    if (!gather(r, g->state == NO_STATE ? 0 : (g->state >> 1) + 1, &kept))
        return false;
    if (!get_state(r, &kept, saved))
        return false;
    step = kept.max < (uint64_t)saved + 1 ? saved : (int64_t)kept.max - 1;
    if (r->place == 0)
        open_records(r);
    /* A segment does not tell whether the duties of its step were done to their end; a checkpoint
     * is the last of them. */
    r->passed = step > saved ? step - 1 : step;
    r->duties = r->passed;
    r->settle = true;
    if (!gather(r, 0, &all))
        return false;
    check_steps(s, step);
    return true;
}

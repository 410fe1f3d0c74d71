/* A poll and the repair in it: revoke; then shrink, fence, report, exchange, agree, all of it again
 * until it went well everywhere. From the shrink to the end of the exchange every living rank is in
 * here, so that what they report stands still. */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

uint32_t home_of(const struct rank *r)
{
    return base_of(r)->fleet.home[r->number];
}

uint32_t slot_of(const struct rank *r, uint32_t place)
{
    const struct comm *base = base_of(r);

    return base->fleet.slot[base->place_of[r->comm->member[place]]];
}

struct mu_crew crew_of(const struct rank *r)
{
    uint32_t dead = base_of(r)->size - r->comm->size,
             spares = r->sim->spares > dead ? r->sim->spares - dead : 0;

    return mu_recovery_crew(r->comm->size, spares, r->sim->shards, r->sim->dedicated);
}

/* Who is not on the new roll must be unable to write before anybody relies on what it left. A host
 * that has nobody on it is seen to by the launcher's daemon there. */
static void fence(struct rank *r, const struct comm *fresh)
{
    struct sim *s = r->sim;

    for (uint32_t i = 0; i < s->deaths; i++) {
        struct rank *other = &s->rank[s->death[i]];

        if (other->alive && other->declared_dead && fresh->place_of[other->id] < 0 &&
            !planted(s, PLANT_no_fence))
            rank_die(other, "fenced");
    }
}

/* By the lowest rank of a host. */
static void report_host(struct rank *r, struct comm *fresh)
{
    struct sim *s = r->sim;
    const struct comm *base = fresh->base;
    const struct segment *g = segment_of(r);
    uint32_t home = base->fleet.home[r->number], slots = base->fleet.slots[home];
    struct mu_host_report *h;
    uint64_t turn;

    if (!fresh->host_report)
        fresh->host_report = calloc(base->fleet.hosts, sizeof *fresh->host_report);
    MU_ASSERT(fresh->host_report);
    h = &fresh->host_report[home];
    if (h->slot)
        return;
    h->slot = calloc(slots, sizeof *h->slot);
    h->done = calloc(1, sizeof *h->done);
    MU_ASSERT(h->slot && h->done);
    h->state = g->state == NO_STATE ? 0 : g->state;
    for (uint32_t i = 0; i < slots; i++) {
        const struct slot *from = &g->slot[i];

        h->slot[i] =
            (struct mu_slot_report){from->entered, from->adding, from->claim, from->shards};
        if (planted(s, PLANT_count_torn))
            h->slot[i].adding &= ~UINT64_C(1);
        if (planted(s, PLANT_deal_claims))
            h->slot[i].claim = 0;
    }
    turn = mu_recovery_host_turn(h, slots);
    for (uint32_t c = 0; c < s->chunks; c++)
        h->done[0] |= (uint64_t)(g->chunk[c].reduced == turn) << c;
}

static void report(struct rank *r, struct comm *fresh)
{
    uint64_t state = segment_of(r)->state;
    int64_t before = state == NO_STATE ? 0 : (int64_t)(state >> 1) - 1;

    /* That a step is committed says that the duties of the one before it were done. */
    if (r->phase != MU_RECOVERY_STARTING && before > r->duties &&
        !planted(r->sim, PLANT_own_duties))
        r->duties = before;
    fresh->report[fresh->place_of[r->id]] = (struct mu_rank_report){r->number, r->phase, r->duties};
    report_host(r, fresh);
}

void comm_roll(struct sim *s, struct comm *c)
{
    uint64_t *key = calloc(c->size, sizeof *key);
    enum mu_status st;

    MU_ASSERT(key);
    for (uint32_t i = 0; i < c->size; i++)
        key[i] = s->rank[c->member[i]].host;
    st = mu_roll_init(&c->roll, c->id, key, c->size);
    MU_ASSERT(st == MU_OK);
    free(key);
}

/* The same for all of its members: computed by the first that needs it. */
static void plan(struct sim *s, struct comm *c)
{
    enum mu_status st;

    if (c->planned)
        return;
    comm_roll(s, c);
    st = mu_recovery_plan_init(&c->plan, &c->base->fleet, &c->roll, c->report, c->host_report,
                               s->shards, s->chunks, s->dedicated);
    MU_ASSERT(st == MU_OK);
    c->planned = true;
    s->repairs++;
    s->unfinished += !c->plan.finished;
    check_repair(s);
    if (!c->plan.restart)
        check_steps(s, c->plan.step);
}

static void adopt(struct rank *r, struct comm *fresh)
{
    plan(r->sim, fresh);
    r->comm = fresh;
    r->place = (uint32_t)fresh->place_of[r->id];
    r->gathers = 1;
    r->in_repair = false;
    r->recovered = r->settle = true;
    mpi_forget_mail(r);
    sim_trace(r->sim, (int)r->id, "goes on as place %u of %u%s", r->place, fresh->size,
              fresh->plan.restart    ? ": starts again"
              : fresh->plan.finished ? ": all are finished"
                                     : "");
    if (fresh->plan.restart)
        return;
    r->phase = r->phase == MU_RECOVERY_STARTING ? MU_RECOVERY_RUNNING : r->phase;
    r->passed = r->duties = fresh->plan.duties;
    serve(r);
}

void repair(struct rank *r, bool quietly)
{
    struct comm *from = r->comm, *fresh;

    r->in_repair = true;
    r->repair_since = r->sim->now;
    r->repair = from->id + 1;
    if (!quietly) {
        act(r, "revokes");
        mpi_revoke(r, from);
    }
    for (;;) {
        bool ok;

        act(r, "shrinks");
        fresh = mpi_shrink(r, from);
        act(r, "fences");
        fence(r, fresh);
        act(r, "reports");
        report(r, fresh);
        mpi_contribute(r, fresh, 0, 0);
        while (!mpi_gathered(fresh, 0) && !mpi_broken(r, fresh))
            rank_sleep(r);
        ok = mpi_gathered(fresh, 0);
        if (!ok)
            mpi_revoke(r, fresh); /* releases those who still wait in it */
        if (ok && planted(r->sim, PLANT_skip_agreement))
            break;
        act(r, "agrees that the exchange %s", ok ? "went well" : "failed");
        if (mpi_agree(r, fresh, ok))
            break;
        from = fresh;
    }
    adopt(r, fresh);
}

bool poll(struct rank *r)
{
    if (r->sim->now > r->lease_until) {
        rank_die(r, "at the end of its lease");
        rank_sleep(r);
    }
    if (mpi_broken(r, r->comm))
        repair(r, false);
    return r->recovered;
}

bool gather(struct rank *r, uint64_t value, struct gather *out)
{
    struct comm *c = r->comm;
    uint32_t index = r->gathers++;

    mpi_contribute(r, c, index, value);
    while (!mpi_gathered(c, index)) {
        if (poll(r))
            return false;
        rank_sleep(r);
    }
    *out = c->gather[index];
    return true;
}

/* The step protocol of worker/step.c, word by word and in its order. Every function that gives back
 * a bool says false when a repair came between: then everything is looked at again. */
#include "tests/sim/sim.h"

struct mu_shard_set deal_of(const struct rank *r, uint64_t turn, uint32_t place)
{
    return mu_recovery_deal(plan_of(r), turn, place, crew_of(r), r->sim->shards);
}

struct mu_shard_set whole_in(const struct slot *slot, uint64_t turn)
{
    return slot->adding == turn << 1 ? slot->shards : (struct mu_shard_set){{0}};
}

static struct slot *own_slot(const struct rank *r)
{
    return &segment_of(r)->slot[slot_of(r, r->place)];
}

/* ---- shards ---- */
static void enter(struct rank *r, uint64_t turn)
{
    struct slot *slot = own_slot(r);

    if (slot->entered >= turn)
        return;
    act(r, "clears its shards");
    slot->shards = (struct mu_shard_set){{0}};
    slot->samples = 0;
    act(r, "enters turn %llu", (unsigned long long)turn);
    slot->entered = turn;
    host_wake(r->sim, r->host);
}

/* A repair in the middle changes nothing: the plan leaves a rank what it claims. */
static bool add_shard(struct rank *r, uint64_t turn, uint32_t shard, uint32_t raised, bool first)
{
    struct segment *g = segment_of(r);
    struct slot *slot = own_slot(r);
    uint64_t k = g->state >> 1;
    const uint32_t *weight = g->half[g->state & 1];
    uint32_t gradient[MAX_ELEMENTS], n = r->sim->chunks * CHUNK;

    act(r, "claims shard %u of turn %llu", shard, (unsigned long long)turn);
    slot->claim = mu_recovery_claim(turn, shard);
    for (uint32_t e = 0; e < n; e++) {
        if (e % (CHUNK * 2) == 0) {
            act(r, "computes shard %u", shard);
            poll(r);
        }
        gradient[e] = model_gradient(weight[e], e, k, shard, raised);
    }
    act(r, "begins to add shard %u", shard);
    slot->adding = turn << 1 | 1;
    for (uint32_t e = 0; e < n; e++) {
        if (e == n / 2) {
            act(r, "adds shard %u", shard);
            poll(r);
        }
        slot->sum[e] = first ? gradient[e] : slot->sum[e] + gradient[e];
    }
    slot->samples += model_sample(k, shard);
    act(r, "marks shard %u", shard);
    mu_shard_set_add(&slot->shards, shard);
    act(r, "ends adding shard %u", shard);
    slot->adding = turn << 1;
    host_wake(r->sim, r->host);
    act(r, "gives up its claim");
    slot->claim = 0;
    return !poll(r);
}

static bool compute_shards(struct rank *r, uint64_t turn, uint32_t raised)
{
    struct mu_shard_set all, have, missing;

    enter(r, turn);
    if (poll(r))
        return false;
    all = deal_of(r, turn, r->place);
    for (;;) {
        have = whole_in(own_slot(r), turn);
        missing = mu_shard_set_minus(&all, &have);
        if (mu_shard_set_is_empty(&missing))
            return true;
        if (!add_shard(r, turn, mu_shard_set_first(&missing), raised, mu_shard_set_is_empty(&have)))
            return false;
    }
}

/* ---- waits ---- */
static bool all_whole(struct rank *r, uint64_t turn)
{
    const struct mu_roll *roll = &r->comm->roll;
    const struct mu_roll_host *host = &roll->host[roll->host_of[r->place]];

    for (uint32_t i = 0; i < host->count; i++) {
        uint32_t place = roll->local[host->first + i];
        const struct slot *slot = &segment_of(r)->slot[slot_of(r, place)];
        struct mu_shard_set all = deal_of(r, turn, place), have = whole_in(slot, turn), missing;

        if (slot->entered > turn && !planted(r->sim, PLANT_wait_exactly))
            return true; /* it has seen every chunk of this turn reduced */
        if (slot->entered < turn && !planted(r->sim, PLANT_no_entered_wait))
            return false;
        missing = mu_shard_set_minus(&all, &have);
        if (!mu_shard_set_is_empty(&missing))
            return false;
    }
    return true;
}

static bool all_reduced(struct rank *r, uint64_t turn)
{
    for (uint32_t c = 0; c < r->sim->chunks; c++)
        if (segment_of(r)->chunk[c].reduced < turn)
            return false;
    return true;
}

static bool all_written(struct rank *r, uint64_t step)
{
    for (uint32_t c = 0; c < r->sim->chunks; c++)
        if (segment_of(r)->chunk[c].written < step)
            return false;
    return true;
}

static bool wait_for(struct rank *r, bool (*ready)(struct rank *, uint64_t), uint64_t mark)
{
    while (!ready(r, mark)) {
        if (poll(r))
            return false;
        rank_sleep(r);
    }
    return true;
}

/* ---- reduce, decide ---- */
static bool owns(const struct rank *r, uint32_t chunk)
{
    const struct mu_roll *roll = &r->comm->roll;

    return mu_roll_owner(roll, roll->host_of[r->place], chunk) == r->place;
}

static bool reduce(struct rank *r, uint64_t turn)
{
    if (!wait_for(r, all_whole, turn))
        return false;
    for (uint32_t c = 0; c < r->sim->chunks; c++)
        if (owns(r, c) && segment_of(r)->chunk[c].reduced < turn && !reduce_chunk(r, c, turn))
            return false;
    return wait_for(r, all_reduced, turn);
}

static bool overflow(const struct rank *r)
{
    bool any = false;

    for (uint32_t c = 0; c < r->sim->chunks; c++)
        any = any || segment_of(r)->chunk[c].overflow;
    return any;
}

static uint64_t turn_of_host(const struct rank *r, uint64_t step)
{
    uint64_t turn = 2 * step + 1, last = turn + 1;

    for (uint32_t i = 0; i < segment_of(r)->slots; i++) {
        uint64_t entered = segment_of(r)->slot[i].entered;

        if (entered > turn && entered <= last)
            turn = entered;
    }
    return turn;
}

static uint32_t raise_prediction(struct rank *r, uint64_t turn)
{
    if (r->raised_turn != turn) {
        r->raised = 0;
        for (uint32_t c = 0; c < r->sim->chunks; c++)
            r->raised = model_mix(r->raised ^ segment_of(r)->chunk[c].largest);
        r->raised |= 1;
    }
    r->raised_turn = turn;
    return r->raised;
}

static bool sum_up(struct rank *r, uint64_t step)
{
    uint64_t first = 2 * step + 1;

    for (uint64_t turn = turn_of_host(r, step);; turn++) {
        uint32_t raised = turn > first ? raise_prediction(r, turn) : 0;

        if (turn > first + 1) {
            sim_violation(r->sim, "rank %u would attempt step %llu a third time", r->id,
                          (unsigned long long)step);
            return false;
        }
        if (!compute_shards(r, turn, raised) || !reduce(r, turn))
            return false;
        if (!overflow(r))
            return true;
    }
}

static uint32_t agreed_norm(const struct rank *r)
{
    uint32_t norm = 0;

    for (uint32_t c = 0; c < r->sim->chunks; c++)
        norm = model_mix(norm ^ segment_of(r)->chunk[c].norm);
    return norm;
}

/* ---- update, commit ---- */
static void update_chunk(struct rank *r, uint32_t c, uint64_t state, uint32_t norm)
{
    struct segment *g = segment_of(r);
    const uint32_t *from = g->half[state & 1];
    uint32_t *to = g->half[~state & 1];

    for (uint32_t e = c * CHUNK; e < (c + 1) * CHUNK; e++) {
        act(r, "writes a part of chunk %u of step %llu", c, (unsigned long long)(state >> 1) + 1);
        to[e] = model_update(from[e], g->total[e], norm);
        poll(r); /* the chunk is written to its end: all of its owners write the same */
    }
    act(r, "says that chunk %u is written", c);
    g->chunk[c].written = (state >> 1) + 1;
    host_wake(r->sim, r->host);
}

static bool update(struct rank *r, uint64_t state)
{
    struct segment *g = segment_of(r);
    uint64_t next = (state >> 1) + 1;
    uint32_t norm = agreed_norm(r);

    if (poll(r))
        return false;
    for (uint32_t c = 0; c < r->sim->chunks; c++) {
        if (!owns(r, c) || g->chunk[c].written >= next)
            continue;
        update_chunk(r, c, state, norm);
        if (poll(r))
            return false;
    }
    if (!planted(r->sim, PLANT_early_flip) && !wait_for(r, all_written, next))
        return false;
    act(r, "flips the state to step %llu", (unsigned long long)next);
    if (g->state == state) {
        g->state = next << 1 | (~state & 1);
        check_state(r->sim, r->host, state);
        host_wake(r->sim, r->host);
    }
    return true;
}

bool step(struct rank *r, int64_t k)
{
    uint64_t state = segment_of(r)->state;

    if ((int64_t)(state >> 1) == k) {
        if (!sum_up(r, (uint64_t)k) || !update(r, state))
            return false;
    } else if ((int64_t)(state >> 1) != k + 1) {
        sim_violation(r->sim, "rank %u is at step %lld, its host at %llu", r->id, (long long)k,
                      (unsigned long long)(state >> 1));
        return false;
    }
    check_result(r->sim, r->host, k + 1, agreed_norm(r));
    return true;
}

/* The plan in the order of the invariants: where the hosts stand, what the living have, which sums
 * of the dead count, and the deal of the rest. */
#include "orchestrator/core/recovery.h"

#include <stdlib.h>
#include <string.h>

enum mu_status mu_fleet_init(struct mu_fleet *f, const struct mu_roll *roll, const uint32_t *name,
                             uint32_t ranks)
{
    memset(f, 0, sizeof *f);
    f->ranks = ranks;
    f->hosts = roll->hosts;
    f->home = calloc(ranks, sizeof *f->home);
    f->slot = calloc(ranks, sizeof *f->slot);
    f->slots = calloc(f->hosts, sizeof *f->slots);
    if (!f->home || !f->slot || !f->slots) {
        mu_fleet_deinit(f);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a fleet of %u ranks", ranks);
    }
    for (uint32_t r = 0; r < ranks; r++)
        f->home[r] = f->hosts;
    for (uint32_t i = 0; i < roll->size; i++) {
        uint32_t r = name[i];

        f->home[r] = roll->host_of[i];
        f->slot[r] = f->slots[f->home[r]]++;
    }
    return MU_OK;
}

void mu_fleet_deinit(struct mu_fleet *f)
{
    free(f->home);
    free(f->slot);
    free(f->slots);
    memset(f, 0, sizeof *f);
}

uint64_t mu_recovery_host_turn(const struct mu_host_report *r, uint32_t slots)
{
    uint64_t turn = 2 * (r->state >> 1) + 1;

    for (uint32_t i = 0; i < slots; i++)
        if (r->slot[i].entered > turn)
            turn = r->slot[i].entered;
    return turn;
}

static bool is_done(const struct mu_recovery_plan *p, uint32_t host, uint32_t chunk)
{
    return p->done[(uint64_t)host * p->done_words + chunk / 64] >> chunk % 64 & 1;
}

/* Steps, turns and chunks of the hosts where somebody lives. */
static void place_hosts(struct mu_recovery_plan *p, const struct mu_fleet *fleet,
                        const struct mu_roll *roll, const struct mu_rank_report *report,
                        const struct mu_host_report *host)
{
    for (uint32_t i = 0; i < roll->size; i++) {
        uint32_t h = fleet->home[report[i].rank];
        int64_t step = (int64_t)(host[h].state >> 1);

        if (p->host_turn[h] > 0)
            continue;
        p->host_turn[h] = mu_recovery_host_turn(&host[h], fleet->slots[h]);
        memcpy(p->done + (uint64_t)h * p->done_words, host[h].done,
               p->done_words * sizeof *p->done);
        p->step = step > p->step ? step : p->step;
        p->turn = p->host_turn[h] > p->turn ? p->host_turn[h] : p->turn;
    }
}

/* Who has which total of the turn under way. True: some chunk is reduced nowhere, so that its
 * shards are needed. */
static bool find_servers(struct mu_recovery_plan *p, uint32_t chunks)
{
    uint32_t missing = chunks;

    for (uint32_t c = 0; c < chunks; c++)
        p->server[c] = MU_RECOVERY_NOBODY;
    for (uint32_t h = 0; h < p->hosts && missing > 0; h++) {
        if (p->host_turn[h] != p->turn)
            continue;
        for (uint32_t c = 0; c < chunks; c++)
            if (p->server[c] == MU_RECOVERY_NOBODY && is_done(p, h, c)) {
                p->server[c] = (int)h;
                missing--;
            }
    }
    return missing > 0;
}

/* What a slot's rank has, or is busy with, in a turn. */
static struct mu_shard_set held(const struct mu_slot_report *s, uint64_t turn)
{
    struct mu_shard_set set = {{0}};

    if (s->adding >> 1 == turn)
        set = s->shards;
    if (s->claim >> 16 == turn)
        mu_shard_set_add(&set, (uint32_t)(s->claim & 0xffff) - 1);
    return set;
}

static void keep_the_livings(struct mu_recovery_plan *p, const struct mu_fleet *fleet,
                             const struct mu_roll *roll, const struct mu_rank_report *report,
                             const struct mu_host_report *host, struct mu_shard_set *have)
{
    for (uint32_t i = 0; i < roll->size; i++) {
        uint32_t rank = report[i].rank;

        p->deal[i] = held(&host[fleet->home[rank]].slot[fleet->slot[rank]], p->turn);
        MU_ASSERT(!mu_shard_set_meets(have, &p->deal[i]));
        mu_shard_set_add_all(have, &p->deal[i]);
    }
}

static void count_the_deads(struct mu_recovery_plan *p, const struct mu_fleet *fleet,
                            const struct mu_roll *roll, const struct mu_rank_report *report,
                            const struct mu_host_report *host, struct mu_shard_set *have)
{
    uint32_t next = 0; /* places are in the order of ranks */

    for (uint32_t r = 0; r < fleet->ranks; r++) {
        uint32_t h = fleet->home[r];
        const struct mu_slot_report *s;

        while (next < roll->size && report[next].rank < r)
            next++;
        if ((next < roll->size && report[next].rank == r) || h == fleet->hosts ||
            p->host_turn[h] == 0)
            continue; /* alive, or nothing of it is left */
        s = &host[h].slot[fleet->slot[r]];
        if (s->adding != p->turn << 1 || mu_shard_set_meets(have, &s->shards))
            continue; /* of another turn, torn, or somebody has it */
        p->counted[r] = s->shards;
        mu_shard_set_add_all(have, &s->shards);
    }
}

/* What ranks that are dead had begun in the turn under way, as far as their host tells. */
static struct mu_shard_set begun_by_the_deads(const struct mu_recovery_plan *p,
                                              const struct mu_fleet *fleet,
                                              const struct mu_host_report *host)
{
    struct mu_shard_set begun = {{0}};

    for (uint32_t r = 0; r < fleet->ranks; r++) {
        uint32_t h = fleet->home[r];

        if (h < fleet->hosts && p->host_turn[h] > 0) {
            struct mu_shard_set set = held(&host[h].slot[fleet->slot[r]], p->turn);

            mu_shard_set_add_all(&begun, &set); /* the livings' are not dealt */
        }
    }
    return begun;
}

static uint32_t first_of(uint32_t size, bool dedicated)
{
    return dedicated && size > 1;
}

/* One by one to the lowest place of those that have the fewest: level by level, in the order of
 * places. In a large fleet one round is enough. */
static void deal_the_rest(struct mu_recovery_plan *p, const struct mu_roll *roll, uint32_t first,
                          uint32_t shards, const struct mu_shard_set *have,
                          const struct mu_shard_set *begun)
{
    uint32_t next = 0;

    for (uint32_t level = 0; next < shards; level++) {
        for (uint32_t i = first; i < roll->size; i++) {
            while (next < shards && mu_shard_set_has(have, next))
                next++;
            if (next == shards)
                return;
            if (mu_shard_set_count(&p->deal[i]) != level)
                continue;
            mu_shard_set_add(&p->deal[i], next);
            if (mu_shard_set_has(begun, next))
                mu_shard_set_add(&p->again, next);
            next++;
        }
    }
}

enum mu_status mu_recovery_plan_init(struct mu_recovery_plan *p, const struct mu_fleet *fleet,
                                     const struct mu_roll *roll,
                                     const struct mu_rank_report *report,
                                     const struct mu_host_report *host, uint32_t shards,
                                     uint32_t chunks, bool dedicated)
{
    struct mu_shard_set have = {{0}}, begun;

    memset(p, 0, sizeof *p);
    p->restart = p->finished = true;
    p->duties = INT64_MIN;
    for (uint32_t i = 0; i < roll->size; i++) {
        p->restart = p->restart && report[i].phase == MU_RECOVERY_STARTING;
        p->finished = p->finished && report[i].phase == MU_RECOVERY_FINISHED;
        p->duties = report[i].duties > p->duties ? report[i].duties : p->duties;
    }
    if (p->restart)
        return MU_OK;
    p->hosts = fleet->hosts;
    p->done_words = (chunks + 63) / 64;
    p->deal = calloc(roll->size, sizeof *p->deal);
    p->counted = calloc(fleet->ranks, sizeof *p->counted);
    p->host_turn = calloc(fleet->hosts, sizeof *p->host_turn);
    p->done = calloc((size_t)fleet->hosts * p->done_words, sizeof *p->done);
    p->server = calloc(chunks, sizeof *p->server);
    if (!p->deal || !p->counted || !p->host_turn || !p->done || !p->server) {
        mu_recovery_plan_deinit(p);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a plan of %u ranks", roll->size);
    }
    place_hosts(p, fleet, roll, report, host);
    keep_the_livings(p, fleet, roll, report, host, &have);
    count_the_deads(p, fleet, roll, report, host, &have);
    begun = begun_by_the_deads(p, fleet, host);
    if (find_servers(p, chunks))
        deal_the_rest(p, roll, first_of(roll->size, dedicated), shards, &have, &begun);
    return MU_OK;
}

void mu_recovery_plan_deinit(struct mu_recovery_plan *p)
{
    free(p->deal);
    free(p->counted);
    free(p->host_turn);
    free(p->done);
    free(p->server);
    memset(p, 0, sizeof *p);
}

struct mu_shard_set mu_recovery_deal(const struct mu_recovery_plan *plan, uint64_t turn,
                                     uint32_t place, struct mu_crew crew, uint32_t shards)
{
    if (plan && turn < plan->turn)
        return (struct mu_shard_set){{0}}; /* of that turn only totals are fetched */
    if (plan && turn == plan->turn)
        return plan->deal[place];
    if (place < crew.first || place - crew.first >= crew.count)
        return (struct mu_shard_set){{0}};
    return mu_shard_set_of(mu_shards_of_worker(shards, place - crew.first, crew.count));
}

int mu_recovery_server(const struct mu_recovery_plan *p, uint32_t host, uint32_t chunk,
                       uint64_t turn)
{
    if (!p || turn > p->turn || (p->host_turn[host] == turn && is_done(p, host, chunk)))
        return MU_RECOVERY_NOBODY;
    if (turn == p->turn)
        return p->server[chunk];
    for (uint32_t h = 0; h < p->hosts; h++) {
        /* Ahead of that turn: all of its totals are there. */
        if (p->host_turn[h] > turn || (p->host_turn[h] == turn && is_done(p, h, chunk)))
            return (int)h;
    }
    return MU_RECOVERY_NOBODY;
}

bool mu_recovery_is_reduced(const struct mu_recovery_plan *p, uint32_t host, uint64_t turn,
                            uint32_t chunks)
{
    for (uint32_t c = 0; c < chunks; c++) {
        bool own = p && p->host_turn[host] == turn && is_done(p, host, c);

        if (!own && mu_recovery_server(p, host, c, turn) == MU_RECOVERY_NOBODY)
            return false;
    }
    return true;
}

struct mu_crew mu_recovery_crew(uint32_t size, uint32_t spares, uint32_t shards, bool dedicated)
{
    const uint32_t first = first_of(size, dedicated);
    const uint32_t most = size - first > spares ? size - first - spares : 1;

    return (struct mu_crew){first, most < shards ? most : shards};
}

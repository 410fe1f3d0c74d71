/* A chunk's total, by its owner, as in worker/reduce.c and worker/fetch.c: from the sums of the
 * host and the owners on the other hosts, or from a host that has it. Given up wherever a repair
 * comes between; but from the last look to the word `reduced` nothing looks. */
#include "tests/sim/sim.h"

enum { TAG_RING = 1, TAG_FETCH = 2, TAGS = 4 };

static uint32_t own_host(const struct rank *r)
{
    return r->comm->roll.host_of[r->place];
}

/* The same words of the segment for whoever writes them in this turn. */
static void put_words(struct rank *r, uint32_t c, const struct message *m)
{
    struct segment *g = segment_of(r);

    act(r, "writes flags and maxima of chunk %u", c);
    g->chunk[c].largest = m->largest;
    g->chunk[c].overflow = m->overflow;
    if (c == 0)
        g->samples = m->samples;
}

static void put_total(struct rank *r, uint32_t c, const struct message *m)
{
    struct segment *g = segment_of(r);

    for (uint32_t i = 0; !m->overflow && i < CHUNK; i++) {
        act(r, "writes a part of the total of chunk %u", c);
        g->total[c * CHUNK + i] = m->value[i];
    }
    act(r, "says that chunk %u is reduced in turn %llu", c, (unsigned long long)m->turn);
    g->chunk[c].norm = m->norm;
    g->chunk[c].from = m->shards;
    g->chunk[c].reduced = m->turn;
    host_wake(r->sim, r->host);
}

/* ---- from a host that has it ---- */
static uint32_t roll_host_of_home(const struct rank *r, uint32_t home)
{
    const struct mu_roll *roll = &r->comm->roll;
    uint32_t wanted = base_of(r)->fleet_host[home];

    for (uint32_t h = 0; h < roll->hosts; h++)
        if (r->sim->rank[r->comm->member[mu_roll_local(roll, h, 0)]].host == wanted)
            return h;
    MU_ASSERT(!"a server is on the roll");
    return 0;
}

void serve(struct rank *r)
{
    const struct mu_roll *roll = &r->comm->roll;
    const struct mu_recovery_plan *plan = plan_of(r);
    struct segment *g = segment_of(r);
    uint32_t own = own_host(r), home = home_of(r);

    for (uint32_t c = 0; c < r->sim->chunks; c++) {
        if (mu_roll_owner(roll, own, c) != r->place)
            continue;
        for (uint32_t h = 0; h < roll->hosts; h++) {
            uint32_t first = r->comm->member[mu_roll_local(roll, h, 0)],
                     other = base_of(r)->fleet.home[base_of(r)->place_of[first]];
            struct message m = {.tag = TAG_FETCH + TAGS * c, .turn = plan->host_turn[other]};

            if (h == own || mu_recovery_server(plan, other, c, m.turn) != (int)home)
                continue;
            act(r, "serves chunk %u of turn %llu", c, (unsigned long long)m.turn);
            m.samples = g->samples;
            m.norm = g->chunk[c].norm;
            m.largest = g->chunk[c].largest;
            m.overflow = g->chunk[c].overflow;
            m.shards = g->chunk[c].from;
            for (uint32_t i = 0; i < CHUNK; i++)
                m.value[i] = g->total[c * CHUNK + i];
            mpi_send(r, mu_roll_owner(roll, h, c), m);
        }
    }
}

static bool receive(struct rank *r, uint32_t from, uint32_t tag, struct message *m)
{
    while (!mpi_receive(r, from, tag, m)) {
        if (poll(r))
            return false;
        rank_sleep(r);
    }
    return true;
}

static bool fetch(struct rank *r, uint32_t c, uint64_t turn, uint32_t server)
{
    struct message m;
    uint32_t from = mu_roll_owner(&r->comm->roll, roll_host_of_home(r, server), c);

    act(r, "fetches chunk %u", c);
    if (!receive(r, from, TAG_FETCH + TAGS * c, &m))
        return false;
    if (m.turn != turn) {
        sim_violation(r->sim, "rank %u got chunk %u of turn %llu, not %llu", r->id, c,
                      (unsigned long long)m.turn, (unsigned long long)turn);
        return false;
    }
    for (uint32_t i = 0; !m.overflow && i < CHUNK; i++) { /* received to where it belongs */
        act(r, "receives a part of chunk %u", c);
        segment_of(r)->total[c * CHUNK + i] = m.value[i];
        if (i + 1 < CHUNK && poll(r))
            return false;
    }
    put_words(r, c, &m);
    put_total(r, c, &m);
    return true;
}

/* ---- from the sums ---- */
static void add_sum(struct rank *r, uint32_t c, uint32_t slot, struct message *m)
{
    const struct slot *from = &segment_of(r)->slot[slot];

    check_shards(r->sim, &m->shards, &from->shards);
    mu_shard_set_add_all(&m->shards, &from->shards);
    for (uint32_t i = 0; i < CHUNK; i++)
        m->value[i] += from->sum[c * CHUNK + i];
    m->samples += from->samples;
}

/* What stands on this host. False: a repair came. */
static bool add_host(struct rank *r, uint32_t c, struct message *m)
{
    const struct mu_roll *roll = &r->comm->roll;
    const struct mu_roll_host *host = &roll->host[own_host(r)];
    const struct mu_recovery_plan *plan = plan_of(r);
    const struct mu_fleet *fleet = &base_of(r)->fleet;

    for (uint32_t i = 0; i < host->count; i++) {
        uint32_t place = roll->local[host->first + i];
        struct mu_shard_set deal = deal_of(r, m->turn, place);

        if (mu_shard_set_is_empty(&deal))
            continue;
        act(r, "takes the sum of place %u for chunk %u", place, c);
        add_sum(r, c, slot_of(r, place), m);
        if (poll(r) && !planted(r->sim, PLANT_keep_chunk))
            return false;
    }
    if (!plan || m->turn != plan->turn)
        return true;
    for (uint32_t i = 0, h = home_of(r); i < r->sim->host[r->host].ranks; i++) {
        int32_t number = base_of(r)->place_of[r->sim->host[r->host].rank[i]];

        if (number < 0 || fleet->home[number] != h || mu_shard_set_is_empty(&plan->counted[number]))
            continue;
        act(r, "takes the sum of dead rank %d for chunk %u", number, c);
        add_sum(r, c, fleet->slot[number], m);
        if (poll(r) && !planted(r->sim, PLANT_keep_chunk))
            return false;
    }
    return true;
}

/* Every host's sum goes once round. */
static bool ring(struct rank *r, uint32_t c, struct message *all)
{
    const struct mu_roll *roll = &r->comm->roll;
    uint32_t own = own_host(r), n = roll->hosts;
    struct message m = *all;

    for (uint32_t hop = 1; hop < n; hop++) {
        uint32_t next = mu_roll_owner(roll, (own + 1) % n, c),
                 previous = mu_roll_owner(roll, (own + n - 1) % n, c);

        act(r, "sends chunk %u round", c);
        m.tag = TAG_RING + TAGS * c;
        mpi_send(r, next, m);
        if (!receive(r, previous, TAG_RING + TAGS * c, &m))
            return false;
        if (m.turn != all->turn)
            sim_violation(r->sim, "rank %u got chunk %u of turn %llu in turn %llu", r->id, c,
                          (unsigned long long)m.turn, (unsigned long long)all->turn);
        check_shards(r->sim, &all->shards, &m.shards);
        mu_shard_set_add_all(&all->shards, &m.shards);
        for (uint32_t i = 0; i < CHUNK; i++)
            all->value[i] += m.value[i];
        all->samples += m.samples;
    }
    return !poll(r);
}

bool reduce_chunk(struct rank *r, uint32_t c, uint64_t turn)
{
    struct message m = {.turn = turn};
    int server = mu_recovery_server(plan_of(r), home_of(r), c, turn);

    if (server != MU_RECOVERY_NOBODY)
        return fetch(r, c, turn, (uint32_t)server);
    if (poll(r) || !add_host(r, c, &m) || !ring(r, c, &m))
        return false;
    check_all_shards(r->sim, &m.shards, turn);
    m.largest = model_fold(m.value, c);
    m.overflow = turn % 2 == 1 && model_overflows(r->sim, turn / 2);
    m.norm = m.overflow ? 0 : m.largest;
    put_words(r, c, &m);
    if (poll(r))
        return false;
    put_total(r, c, &m);
    return true;
}

/* What goes wrong. Kills come at random moments and, by dice, at any action, most of all inside
 * repairs. Ranks are also taken for dead while they live, stopped, or slow; mpirun dies; a host is
 * cut off or goes down with its memory and what its files had in the cache. All of it ends after a
 * while, so that the job can. */
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { HORIZON = 14000, MS = 10000, STILL = 4500 * MS, STOPPED = 9000 * MS, CUT = 60000 };

static void add(struct sim *s, uint64_t time, enum fault_kind kind, uint32_t target,
                uint64_t length)
{
    s->fault = realloc(s->fault, (s->faults + 1) * sizeof *s->fault);
    MU_ASSERT(s->fault);
    s->fault[s->faults] = (struct fault){kind, target, length};
    sim_push(s, time, EVENT_FAULT, s->faults++, 0);
}

void faults_plan(struct sim *s)
{
    uint64_t horizon = HORIZON * (uint64_t)(s->ranks > 100 ? 10 : 1);
    uint32_t deaths = s->options.deaths >= 0 ? (uint32_t)s->options.deaths
                      : s->ranks > 100       ? 12
                                             : (uint32_t)sim_below(s, s->ranks + 2);

    s->dice_deaths = (uint32_t)sim_below(s, deaths + 1);
    s->dice = 40 + sim_below(s, 60 * s->ranks);
    for (uint32_t i = s->dice_deaths; i < deaths; i++)
        add(s, sim_below(s, horizon), FAULT_KILL, (uint32_t)sim_below(s, s->ranks), 0);
    if (s->options.deaths >= 0)
        return;
    for (uint64_t n = sim_below(s, 3); n > 0; n--)
        add(s, sim_below(s, horizon), FAULT_DECLARE, (uint32_t)sim_below(s, s->ranks), 0);
    for (uint64_t n = sim_below(s, 8); n > 5; n--)
        add(s, sim_below(s, horizon), FAULT_FREEZE, (uint32_t)sim_below(s, s->ranks),
            sim_below(s, sim_below(s, 2) ? STOPPED : 100 * MS));
    if (sim_below(s, 3) == 0)
        add(s, sim_below(s, horizon), FAULT_SLOW, (uint32_t)sim_below(s, s->ranks), 0);
    if (sim_below(s, 8) == 0)
        add(s, sim_below(s, horizon), FAULT_MPIRUN, 0, 0);
    if (sim_below(s, 8) == 0 && s->hosts > 1)
        add(s, sim_below(s, horizon), FAULT_CUT, (uint32_t)sim_below(s, s->hosts), CUT);
    if (sim_below(s, 8) == 0)
        add(s, sim_below(s, horizon), FAULT_HOST, (uint32_t)sim_below(s, s->hosts), 0);
}

/* Somebody on its host is there to fence it. */
static bool has_company(const struct sim *s, const struct rank *r)
{
    for (uint32_t i = 0; i < s->host[r->host].ranks; i++) {
        const struct rank *other = &s->rank[s->host[r->host].rank[i]];

        if (other != r && other->alive && !other->declared_dead)
            return true;
    }
    return false;
}

/* Memory is gone, and what its files have not been synced. */
static void crash(struct sim *s, uint32_t host)
{
    sim_trace(s, -1, "host %u goes down", host);
    launcher_lost(s, host);
    for (uint32_t i = 0; i < s->host[host].ranks; i++)
        rank_die(&s->rank[s->host[host].rank[i]], "with its host");
    s->host[host].segment.state = NO_STATE;
    s->host[host].segment.token = 0;
    for (uint32_t k = 0; k <= s->steps; k++)
        for (uint32_t c = 0; c < s->chunks; c++) {
            struct part *p = &s->disk.checkpoint[k].part[c];

            if (p->host == host && !p->synced)
                p->whole = false;
        }
    check_checkpoints(s);
}

static void happen(struct sim *s, struct fault f)
{
    struct rank *r = &s->rank[f.target];

    switch (f.kind) {
    case FAULT_KILL:
        rank_die(r, "killed");
        break;
    case FAULT_DECLARE:
        if (!r->alive || r->declared_dead || !has_company(s, r))
            break;
        sim_trace(s, (int)r->id, "is taken for dead");
        r->declared_dead = true;
        r->slow = 1 + sim_below(s, 60);
        mpi_death(s, r->id);
        break;
    case FAULT_FREEZE:
        if (!r->alive)
            break;
        sim_trace(s, (int)r->id, "stops for %llu ms", (unsigned long long)f.length / MS);
        r->frozen_since = s->now;
        r->frozen_until = s->now + f.length;
        add(s, s->now + STILL, FAULT_STILL_FROZEN, f.target, 0);
        if (!planted(s, PLANT_no_watch))
            watchers_begin(s, r->host);
        break;
    case FAULT_STILL_FROZEN:
        watchers_check(s, r);
        break;
    case FAULT_SLOW:
        r->slow = 1 + sim_below(s, 30);
        break;
    case FAULT_MPIRUN:
        sim_trace(s, -1, "mpirun dies");
        s->mpirun_died = true;
        for (uint32_t i = 0; i < s->room; i++)
            if (s->rank[i].alive)
                add(s, s->now + sim_below(s, 50), FAULT_KILL, i, 0);
        break;
    case FAULT_CUT:
        sim_trace(s, -1, "host %u is %s", f.target, f.length > 0 ? "cut off" : "back");
        s->host[f.target].cut = f.length > 0;
        if (f.length > 0)
            add(s, s->now + f.length, FAULT_CUT, f.target, 0);
        break;
    case FAULT_HOST:
        crash(s, f.target);
        break;
    }
}

void faults_happen(struct sim *s, uint32_t index)
{
    s->last_fault = s->now;
    happen(s, s->fault[index]);
}

bool faults_strike(struct rank *r)
{
    struct sim *s = r->sim;

    if (s->dice_deaths == 0 || sim_below(s, r->in_repair ? s->dice / 8 : s->dice) != 0)
        return false;
    s->dice_deaths--;
    return true;
}

/* Work follows changes. A repair has a death that it is for, or is the last one. And what the
 * master does does not grow with the fleet: for each turn and each repair no more than all shards,
 * all chunks of its host, and what is written between two steps. */
#include "tests/sim/sim.h"

void check_work(struct sim *s)
{
    const struct comm *c = s->comm[s->comms - 1];
    const struct rank *master = &s->rank[c->member[0]];
    uint64_t of_shard = 12 + s->chunks, of_chunk = 16 + 2 * s->host[master->host].ranks + s->hosts,
             times = 2 * (s->steps + 1) + s->repairs + 2 * s->generation,
             most = times * (s->shards * of_shard + s->chunks * of_chunk + 32);

    if (master->actions > most)
        sim_violation(s, "the master has done %llu actions, more than %llu",
                      (unsigned long long)master->actions, (unsigned long long)most);
}

void check_repair(struct sim *s)
{
    if (s->unfinished > s->deaths)
        sim_violation(s, "%llu repairs for %u deaths", (unsigned long long)s->unfinished,
                      s->deaths);
}

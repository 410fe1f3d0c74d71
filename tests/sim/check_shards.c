/* No chunk sums a shard twice, and none without one. */
#include "tests/sim/sim.h"

void check_shards(struct sim *s, const struct mu_shard_set *into, const struct mu_shard_set *more)
{
    if (mu_shard_set_meets(into, more))
        sim_violation(s, "a chunk sums a shard twice");
}

void check_all_shards(struct sim *s, const struct mu_shard_set *all, uint64_t turn)
{
    if (mu_shard_set_count(all) != s->shards)
        sim_violation(s, "a chunk of turn %llu sums %u shards of %u", (unsigned long long)turn,
                      mu_shard_set_count(all), s->shards);
}

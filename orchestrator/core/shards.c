#include "orchestrator/core/shards.h"

#include "orchestrator/base/status.h"

const struct mu_shards_rule mu_shards_cpu = {.shard_tokens = 512, .micro_tokens = 2048};
const struct mu_shards_rule mu_shards_gpu = {.shard_tokens = 16384, .micro_tokens = 8192};

static uint64_t boundary(uint64_t total, uint64_t i, uint64_t w)
{
    return (uint64_t)((unsigned __int128)total * i / w);
}

struct mu_range mu_shards_of_worker(uint64_t total, uint64_t i, uint64_t w)
{
    MU_ASSERT(i < w);
    return (struct mu_range){boundary(total, i, w), boundary(total, i + 1, w)};
}

uint32_t mu_shard_set_first(const struct mu_shard_set *s)
{
    uint32_t i = 0;

    while (s->word[i] == 0) {
        i++;
        MU_ASSERT(i < MU_SHARD_WORDS);
    }
    return 64 * i + (uint32_t)__builtin_ctzll(s->word[i]);
}

struct mu_shard_set mu_shard_set_of(struct mu_range range)
{
    struct mu_shard_set s = {{0}};

    MU_ASSERT(range.to <= MU_SHARDS_MAX);
    for (uint64_t i = range.from; i < range.to; i++)
        mu_shard_set_add(&s, (uint32_t)i);
    return s;
}

uint64_t mu_shards_auto(const struct mu_shards_rule *rule, uint64_t sequences, uint64_t context)
{
    uint64_t shards = 1;

    while (shards < MU_SHARDS_AUTO_MAX && sequences % (2 * shards) == 0 &&
           sequences / (2 * shards) * context >= rule->shard_tokens)
        shards *= 2;
    return shards;
}

uint64_t mu_shards_auto_micro(const struct mu_shards_rule *rule, uint64_t sequences_of_shard,
                              uint64_t context)
{
    uint64_t micro = rule->micro_tokens / context;

    if (micro > sequences_of_shard)
        micro = sequences_of_shard;
    while (micro > 1 && sequences_of_shard % micro != 0)
        micro--;
    return micro > 1 ? micro : 1;
}

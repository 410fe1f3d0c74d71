#include "orchestrator/core/shards_auto.h"

enum { MAX_SHARDS = 64, MIN_SHARD_TOKENS = 512, MAX_MICRO_TOKENS = 2048 };

int64_t mu_shards_auto(int64_t sequences, int64_t context)
{
    int64_t shards = 1;

    while (shards < MAX_SHARDS && sequences % (2 * shards) == 0 &&
           sequences / (2 * shards) * context >= MIN_SHARD_TOKENS)
        shards *= 2;
    return shards;
}

int64_t mu_shards_auto_micro(int64_t shard_sequences, int64_t context)
{
    int64_t micro = MAX_MICRO_TOKENS / context;

    if (micro > shard_sequences)
        micro = shard_sequences;
    while (micro > 1 && shard_sequences % micro != 0)
        micro--;
    return micro > 1 ? micro : 1;
}

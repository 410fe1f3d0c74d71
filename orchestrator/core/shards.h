/* How a step's batch is cut and dealt. Shards are part of a run's identity; who computes them is
 * not: worker i of w takes a contiguous range, and the ranges of all workers are the whole,
 * whatever w is. Pieces of an evaluation are dealt in the same way. */
#ifndef MUSTER_CORE_SHARDS_H
#define MUSTER_CORE_SHARDS_H

#include <stdint.h>

enum {
    MU_SHARDS_AUTO_MAX = 64,
    MU_SHARDS_AUTO_TOKENS = 512, /* at least, of a shard: what keeps quantising cheap beside it */
    MU_MICRO_AUTO_TOKENS = 2048, /* at most, of a micro-batch: what keeps activations in cache */
};

struct mu_range {
    uint64_t from, to;
};

/* Items [total i / w, total (i + 1) / w): sizes differ by one at most. i < w. */
struct mu_range mu_shards_of_worker(uint64_t total, uint64_t i, uint64_t w);

/* batch.shards = "auto": the largest power of two, at most 64, that divides the sequences and
 * leaves at least 512 tokens a shard; 1 when there is none. */
uint64_t mu_shards_auto(uint64_t sequences, uint64_t context);
/* batch.micro = "auto": the largest divisor of a shard's sequences with at most 2048 tokens; at
 * least 1. */
uint64_t mu_shards_auto_micro(uint64_t sequences_of_shard, uint64_t context);

#endif

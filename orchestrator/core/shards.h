/* How a step's batch is cut and dealt. Shards are part of a run's identity; who computes them is
 * not: worker i of w takes a contiguous range, and the ranges of all workers are the whole,
 * whatever w is. Pieces of an evaluation are dealt in the same way. */
#ifndef MUSTER_CORE_SHARDS_H
#define MUSTER_CORE_SHARDS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    MU_SHARDS_MAX = 256,
    MU_SHARD_WORDS = MU_SHARDS_MAX / 64,
    MU_SHARDS_AUTO_MAX = 64,
};

/* What is cheap depends on where it is computed: on CPUs, and on GPUs. */
struct mu_shards_rule {
    uint64_t shard_tokens; /* at least, of a shard: what keeps quantising cheap beside it */
    uint64_t micro_tokens; /* at most, of a micro-batch: what keeps activations in cache; on a GPU,
                              what fills it and leaves room in its memory */
};
extern const struct mu_shards_rule mu_shards_cpu, mu_shards_gpu;

struct mu_range {
    uint64_t from, to;
};

/* Items [total i / w, total (i + 1) / w): sizes differ by one at most. i < w. */
struct mu_range mu_shards_of_worker(uint64_t total, uint64_t i, uint64_t w);

/* A set of shards. */
struct mu_shard_set {
    uint64_t word[MU_SHARD_WORDS];
};

static inline bool mu_shard_set_has(const struct mu_shard_set *s, uint32_t shard)
{
    return s->word[shard / 64] >> shard % 64 & 1;
}
static inline void mu_shard_set_add(struct mu_shard_set *s, uint32_t shard)
{
    s->word[shard / 64] |= UINT64_C(1) << shard % 64;
}
static inline void mu_shard_set_add_all(struct mu_shard_set *s, const struct mu_shard_set *other)
{
    for (int i = 0; i < MU_SHARD_WORDS; i++)
        s->word[i] |= other->word[i];
}
/* What is in a and not in b. */
static inline struct mu_shard_set mu_shard_set_minus(const struct mu_shard_set *a,
                                                     const struct mu_shard_set *b)
{
    struct mu_shard_set d;

    for (int i = 0; i < MU_SHARD_WORDS; i++)
        d.word[i] = a->word[i] & ~b->word[i];
    return d;
}
static inline bool mu_shard_set_is_empty(const struct mu_shard_set *s)
{
    return (s->word[0] | s->word[1] | s->word[2] | s->word[3]) == 0;
}
static inline bool mu_shard_set_meets(const struct mu_shard_set *a, const struct mu_shard_set *b)
{
    for (int i = 0; i < MU_SHARD_WORDS; i++)
        if (a->word[i] & b->word[i])
            return true;
    return false;
}
static inline uint32_t mu_shard_set_count(const struct mu_shard_set *s)
{
    uint32_t n = 0;

    for (int i = 0; i < MU_SHARD_WORDS; i++)
        n += (uint32_t)__builtin_popcountll(s->word[i]);
    return n;
}
/* The lowest shard of a set that is not empty. */
uint32_t mu_shard_set_first(const struct mu_shard_set *s);
/* Shards [from, to). */
struct mu_shard_set mu_shard_set_of(struct mu_range range);

/* batch.shards = "auto": the largest power of two, at most 64, that divides the sequences and
 * leaves at least the rule's tokens a shard; 1 when there is none. */
uint64_t mu_shards_auto(const struct mu_shards_rule *rule, uint64_t sequences, uint64_t context);
/* batch.micro = "auto": the largest divisor of a shard's sequences with at most the rule's tokens;
 * at least 1. */
uint64_t mu_shards_auto_micro(const struct mu_shards_rule *rule, uint64_t sequences_of_shard,
                              uint64_t context);

#endif

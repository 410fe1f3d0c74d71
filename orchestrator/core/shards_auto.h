/* What batch.shards = "auto" and batch.micro = "auto" stand for. Functions of the batch alone,
 * never of the number of ranks: the shards are part of what a run computes. */
#ifndef MUSTER_CORE_SHARDS_AUTO_H
#define MUSTER_CORE_SHARDS_AUTO_H

#include <stdint.h>

/* The largest power of two, at most 64, that divides `sequences` and leaves at least 512 tokens a
 * shard; 1 when there is none. Below 512 tokens, rounding a shard's gradient to integers costs more
 * than a few per cent of computing it. */
int64_t mu_shards_auto(int64_t sequences, int64_t context);

/* The largest divisor of a shard's sequences with at most 2048 tokens a micro-batch, at least 1. */
int64_t mu_shards_auto_micro(int64_t shard_sequences, int64_t context);

#endif

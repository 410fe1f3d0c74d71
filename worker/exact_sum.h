/* Sums of gradients that do not depend on who adds what, in which order, or in how many parts.
 *
 * A block is up to MU_BLOCK consecutive elements of one row (core/layout.h). Its predicted exponent
 * p (worker/prediction.h) is part of the state; the block's capacity is 2^c, c = ceil(p / 8) +
 * 2 bits of headroom (kernels/quantum.h), and its quantum q = 2^(c + L - 31), L = ceil(log2(S *
 * addends)), S shards. Every addend of every shard rounds its block to integers rint(g / q) and
 * adds them: with |rint(g/q)| <= limit = (2^31 - 1) / (S * addends) no sum can overflow int32, in
 * any order.
 *
 * An addend's block that has a larger element *escapes*: it goes, whole, to an int64 slot of the
 * same quantum instead. Dense + slots is the exact sum whoever escaped. More escaped blocks (over
 * all shards, counted once) than capacity = ceil(blocks / 16), or a value whose sum could leave
 * int64, and the step is redone with predictions raised to the maxima just agreed
 * (mu_predict_raise); the first step of a run, which knows nothing (MU_PREDICTION_NONE), is this
 * rule.
 *
 * Exponents. A block's largest |g| is kept as the biased exponent of that float, a byte: 0 for zero
 * and subnormals, e for 2^(e-127) <= |g| < 2^(e-126), 255 for Inf and NaN: the non-finite flag for
 * nothing. Maxima of bytes are associative. What is not finite is not added.
 *
 * Scalars (loss, counts, squared norms) go through the wide accumulator (worker/wide_sum.h).
 *
 * Source: the reproducible summation of Demmel & Nguyen (2013) with the bins fixed before the data
 * are seen. */
#ifndef MUSTER_WORKER_EXACT_SUM_H
#define MUSTER_WORKER_EXACT_SUM_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/device.h"
#include "orchestrator/core/layout.h"
#include "worker/prediction.h"
#include "worker/wide_sum.h"
#include "worker/workload.h"

enum {
    MU_SLOT_SHARE = 16,   /* slots: one in so many blocks */
    MU_ADDENDS_MAX = 512, /* S * addends: 256 shards of a tied embedding */
};

/* ---- a rank's own sum: every array lies in the host's segment, lent memory ---- */
enum {                       /* flags of a sum */
       MU_SUM_NONFINITE = 1, /* some gradient was Inf or NaN */
       MU_SUM_BEYOND = 2,    /* a value would leave int64: redo */
       MU_SUM_FULL = 4,      /* this rank alone escaped more blocks than there are slots: redo */
       MU_SUM_DISPUTED = 8,  /* an audit cannot tell who computes wrong: stop (worker/audit.h) */
};
struct mu_sum_counts {
    uint32_t slots_used, flags;
};
struct mu_sum {
    int32_t *dense;    /* layout->elements */
    uint8_t *largest;  /* blocks */
    uint64_t *escaped; /* bitmap, ceil(blocks / 64) words */
    uint32_t *slot_of; /* blocks; of meaning where the bit is set */
    int64_t *slots;    /* capacity x MU_BLOCK, in order of first escape */
    struct mu_sum_counts *counts;
};

struct mu_exact_sum {
    const struct mu_layout *layout;
    struct mu_device *device;
    uint32_t shards;
    uint64_t capacity; /* slots: ceil(blocks / MU_SLOT_SHARE), at least 1 */
    uint8_t *misfit;   /* scratch, blocks of the largest tensor; lent memory */
};

/* layout and device are borrowed. MU_NO_MEMORY. shards * addends of every tensor is at most
 * MU_ADDENDS_MAX (the configuration's limits). */
enum mu_status mu_exact_sum_init(struct mu_exact_sum *x, const struct mu_layout *layout,
                                 struct mu_device *device, uint32_t shards) MU_CHECKED;
void mu_exact_sum_deinit(struct mu_exact_sum *x);
uint64_t mu_exact_sum_capacity(const struct mu_layout *layout);

/* Adds one shard's gradient (dense part and rows) to `sum`. first: the sum holds nothing yet
 * (whatever its memory holds is overwritten, pads become zero, escapes and maxima are cleared).
 * prediction: blocks of the committed half, or the raised ones of a redo; lent memory. Polls. Once
 * a flag is set the sum may lack escaped blocks: only its maxima and its flags are of use, to redo
 * the step or to skip it. */
void mu_exact_sum_add(struct mu_exact_sum *x, struct mu_sum *sum, const int16_t *prediction,
                      const struct mu_shard_result *gradient, bool first);

/* Whether a step must be redone with raised predictions; escapes over all chunks, flags of all
 * sums. A step with non-finite gradients is not: it is stopped or skipped, whatever its sum. */
bool mu_exact_sum_must_redo(uint64_t escapes, uint64_t capacity, uint32_t flags);

/* ---- a chunk's total (chunk_sum.c) ---- */
/* Integers of one chunk, added over ranks, then over hosts. `wide` holds a slot (MU_BLOCK int64)
 * for each escaped block of the chunk, in order of block: its layout is known once `escaped` is the
 * OR over everybody. */
struct mu_chunk_maxima { /* phase A: OR and MAX, associative */
    uint8_t *largest;    /* chunk->block_count */
    uint64_t *escaped;   /* bitmap of the chunk's blocks, bit 0 is its first block */
    uint32_t flags;
};
void mu_chunk_maxima_clear(struct mu_chunk_maxima *m, const struct mu_chunk *chunk);
void mu_chunk_maxima_merge(struct mu_chunk_maxima *m, const struct mu_chunk *chunk,
                           const struct mu_sum *sum);
/* How many blocks are escaped. */
uint64_t mu_chunk_escapes(const struct mu_chunk_maxima *m, const struct mu_chunk *chunk);

/* dense[chunk->count] += sum's; wide[escapes x MU_BLOCK] += its slots. Both zeroed by the caller
 * before the first. m must hold the escapes of `sum`. Returns the sum of the dense part's elements
 * mod 2^32: those of all sums together are mu_chunk_check of the result. */
uint32_t mu_chunk_add(struct mu_exact_sum *x, int32_t *dense, int64_t *wide,
                      const struct mu_chunk_maxima *m, const struct mu_chunk *chunk,
                      const struct mu_sum *sum);
/* The sum of n integers mod 2^32. */
uint32_t mu_chunk_check(const int32_t *dense, uint64_t n);

/* The gradient as floats, (dense + slot) * quantum rounded once; pads become 0. norm receives the
 * squares of it, one double a block: 8 lanes, lane j the sum of elements j, j + 8, ... in order;
 * then ((0+4)+(2+6)) + ((1+5)+(3+7)). A sum beyond the largest float becomes infinite, and the
 * norm's value with it NaN: finite gradients can do that, so look at the norm too. prediction: the
 * one that the sums were made with. */
void mu_chunk_to_float(const struct mu_exact_sum *x, float *out, struct mu_wide *norm,
                       const int32_t *dense, const int64_t *wide, const struct mu_chunk_maxima *m,
                       const struct mu_chunk *chunk, const int16_t *prediction);

#endif

/* The exact sum and the update where every array of a layout lies in a GPU's memory: launches, as
 * kernels.h has them. The arithmetic is that of worker/exact_sum.h and worker/prediction.h, and the
 * bits are those of the code there.
 *
 * A step, with one GPU a rank:
 *
 *   mu_cuda_sum_add, _add_rows     a shard's gradient into this rank's own sum, for each shard
 *   (all ranks)                    largest, escaped, flags: MAX of bytes
 *   mu_cuda_sum_number             slots of the total, in order of block: the same on every rank
 *   mu_cuda_sum_scatter            this rank's slots to their places in the total's
 *   (all ranks)                    dense: int32 sum; slots: int64 sum
 *   mu_cuda_total_to_float         the gradient and its squared norm
 *   mu_cuda_predict, mu_cuda_update    half k + 1 from half k
 *
 * Nothing of a rank's own sum is written once its shards are in it: a reduction can be repeated.
 *
 * Arrays are whole, of the layout's elements, blocks, chunks or tensors, device memory, 16-byte
 * aligned. Predictions are at least MU_CUDA_PREDICTION_NONE. */
#ifndef MUSTER_KERNELS_CUDA_SUMS_H
#define MUSTER_KERNELS_CUDA_SUMS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/device.h"
#include "orchestrator/core/layout.h"

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st;

enum {
    /* of worker/prediction.h and worker/wide_sum.h, which lie above this folder */
    MU_CUDA_PREDICTION_NONE = -1200,
    MU_CUDA_PREDICTION_FLOOR = 160,
    MU_CUDA_LARGEST_NONFINITE = 255,
    MU_CUDA_WIDE_WORDS = 69, /* struct mu_wide: its limbs, then its count */

    MU_CUDA_FLAGS = 4, /* bytes, so that they are reduced like maps; byte i stands for bit i */
    MU_CUDA_FLAG_NONFINITE = 0,
    MU_CUDA_FLAG_BEYOND = 1,
    MU_CUDA_FLAG_FULL = 2,
};

/* ---- where blocks are ---- */
/* A layout's span, and what kernels must know of its tensor. Its i-th block is block
 * (skip + i) % blocks_per_row of row (skip + i) / blocks_per_row; rows are counted from row_at. */
struct mu_cuda_span {
    int64_t offset, count;        /* elements */
    int64_t row_at, cols;         /* the first element of the row that the first block is in */
    int64_t first_block;          /* in the layout */
    uint32_t block_count, skip;   /* skip: blocks of that row that lie before the first */
    uint32_t blocks_per_row, pad; /* pad: elements up to the next tensor, kept zero */
    uint32_t tensor, chunk;
    int32_t log2_addends, limit; /* struct mu_quantise */
    bool dense, decay;
};

/* Consecutive spans in device memory. */
struct mu_cuda_spans {
    const struct mu_cuda_span *span;
    int64_t count;
    int64_t first_block, block_count;
    int64_t most_elements, most_blocks; /* of one span: how wide launches are */
};

/* Host: the table of all of a layout's spans, layout->span_count of them. shards * addends is at
 * most 512, as in worker/exact_sum.h. */
void mu_cuda_spans_fill(struct mu_cuda_span *table, const struct mu_layout *layout,
                        uint32_t shards);
/* Host: spans [first, first + count) of the table, given its copy on the host and on the device. */
struct mu_cuda_spans mu_cuda_spans_of(const struct mu_cuda_span *host,
                                      const struct mu_cuda_span *device, int64_t first,
                                      int64_t count);
/* Host: a tensor as if it were one span, for its rows. */
struct mu_cuda_span mu_cuda_span_of_tensor(const struct mu_layout *layout, uint32_t tensor,
                                           uint32_t shards);

/* ---- a rank's own sum ---- */
struct mu_cuda_sum {
    int64_t blocks;    /* of the layout */
    uint32_t capacity; /* slots */
    int32_t *dense;    /* elements */
    uint8_t *largest;  /* blocks */
    uint8_t *escaped;  /* blocks: 1 where there is a slot */
    uint8_t *flags;    /* MU_CUDA_FLAGS: 0 or 1 */
    uint32_t *slot_of; /* blocks: of meaning where escaped */
    int64_t *slots;    /* capacity x MU_BLOCK, in order of first escape: by shard, then by block */
    uint32_t *slots_used;
    uint8_t *misfit;   /* scratch: blocks */
    uint32_t *scratch; /* mu_cuda_sum_scratch(blocks) */
};
int64_t mu_cuda_sum_scratch(int64_t blocks); /* uint32_t's */

/* Adds a shard's dense gradients (elements; of dense tensors alone it is read). first: the sum
 * holds nothing yet, whatever its memory holds. gradient NULL, with first: the sum of no shard.
 * Flags: a step's decision is worker/exact_sum.h's; which of BEYOND and FULL it is for may differ,
 * since here each is found whatever else was. */
int mu_cuda_sum_add(struct CUstream_st *stream, const struct mu_cuda_sum *sum,
                    const struct mu_cuda_spans *all, const int16_t *prediction,
                    const float *gradient, bool first);
/* The same in parts: the sum holds nothing from now on, then the spans of each part once a shard.
 * first: the sum holds nothing of the part's spans yet. */
/* CUDA loads a kernel at its first launch, and may wait for the GPU to be idle then, without polls.
 * Those that add to a sum run beside all-reduces, which end only when other ranks come: they are
 * loaded before. (What a model is made of is, by the probe. CUDA_MODULE_LOADING=EAGER would do it
 * for all, and load the thousands of kernels of cuBLASLt too.) */
int mu_cuda_sum_load(void);
int mu_cuda_sum_begin(struct CUstream_st *stream, const struct mu_cuda_sum *sum);
int mu_cuda_sum_add_part(struct CUstream_st *stream, const struct mu_cuda_sum *sum,
                         const struct mu_cuda_spans *part, const int16_t *prediction,
                         const float *gradient, bool first);
/* Adds `rows` rows of a tensor: row (rows) are their numbers, distinct; value is (rows, cols). */
int mu_cuda_sum_add_rows(struct CUstream_st *stream, const struct mu_cuda_sum *sum,
                         const struct mu_cuda_span *tensor, const int16_t *prediction,
                         const uint32_t *row, const float *value, int64_t rows);

/* ---- the total ---- */
/* What the host reads of a step: one download. */
struct mu_cuda_words {
    uint32_t flags;                              /* bits: MU_SUM_NONFINITE, ... */
    uint32_t escapes;                            /* blocks; more than capacity: redo */
    unsigned long long norm[MU_CUDA_WIDE_WORDS]; /* struct mu_wide, but that digits may be larger:
                                                    mu_wide_merge it into a zeroed one */
};
struct mu_cuda_total {
    int64_t blocks;
    uint32_t capacity;
    int32_t *dense;    /* elements */
    uint8_t *largest;  /* blocks */
    uint8_t *escaped;  /* blocks */
    uint8_t *flags;    /* MU_CUDA_FLAGS */
    uint32_t *slot_of; /* blocks: of meaning where escaped */
    int64_t *slots;    /* capacity x MU_BLOCK, in order of block */
    struct mu_cuda_words *words;
    uint32_t *scratch; /* mu_cuda_sum_scratch(blocks) */
    double *squares;   /* blocks: scratch of the norm */
};

/* total->slot_of, flags and escapes of total->words, from the maps that all ranks agreed on. */
int mu_cuda_sum_number(struct CUstream_st *stream, const struct mu_cuda_total *total);
/* The first `slots` (at most capacity) slots of the total: this rank's share, zero where it has
 * none. */
int mu_cuda_sum_scatter(struct CUstream_st *stream, const struct mu_cuda_total *total,
                        const struct mu_cuda_sum *sum, uint32_t slots);
/* *sum += x's n elements mod 2^32 (x may begin anywhere): those of all ranks' dense parts together
 * are the total's. */
int mu_cuda_check_int32(struct CUstream_st *stream, uint32_t *sum, const int32_t *x, int64_t n);

/* out = (dense + slot) * quantum rounded once, pads 0; words->norm = the sum of squares, over the
 * spans given. As mu_chunk_to_float. escapes is at most capacity. */
int mu_cuda_total_to_float(struct CUstream_st *stream, float *out,
                           const struct mu_cuda_total *total, const struct mu_cuda_spans *spans,
                           const int16_t *prediction);

/* ---- half k + 1 ---- */
/* Predictions learned from what was agreed, and what a step is redone with (out may be
 * prediction). tensor_max: scratch, a word a tensor. check (NULL: none), a word a chunk:
 * check_begin + the new predictions, mod 2^32. */
int mu_cuda_predict(struct CUstream_st *stream, const struct mu_cuda_spans *all, int16_t *out,
                    const int16_t *prediction, const uint8_t *largest, int32_t *tensor_max,
                    int64_t tensors, uint32_t *check, int64_t chunks, uint32_t check_begin);
int mu_cuda_predict_raise(struct CUstream_st *stream, const struct mu_cuda_spans *all, int16_t *out,
                          const int16_t *prediction, const uint8_t *largest, int32_t *tensor_max,
                          int64_t tensors);
/* AdamW over spans: a's arrays are whole, a->count and a->check are not looked at, a->decay goes to
 * tensors that decay. check (NULL: none), a word a chunk: += the bits stored. After
 * mu_cuda_predict it is mu_state_check_chunk, where spans has all of the chunk. */
int mu_cuda_update(struct CUstream_st *stream, const struct mu_adamw *a,
                   const struct mu_cuda_spans *spans, uint32_t *check);

#ifdef __cplusplus
}
#endif

#endif

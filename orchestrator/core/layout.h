/* Where every number of a model lives: tensors laid one after the other in one line of elements,
 * which is cut into blocks (the unit of exact summation) and chunks (the unit of work of the
 * reduction and the update). Pure, and a function of the tensors' shapes alone: it does not depend
 * on ranks, hosts or threads.
 *
 *   elements  tensor 0: row 0, row 1, ... | pad | tensor 1: ...
 *             pads, up to the next multiple of 64 elements, are zero for ever
 *   blocks    up to MU_BLOCK consecutive elements of one row; a row's last block may be shorter;
 *             pads have none
 *   chunks    consecutive whole blocks, about MU_CHUNK elements; a chunk is a list of spans
 *   spans     the part of one chunk that lies in one tensor: same decay, same addends */
#ifndef MUSTER_CORE_LAYOUT_H
#define MUSTER_CORE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

enum {
    MU_BLOCK = 256,       /* elements */
    MU_CHUNK = 1 << 18,   /* elements: 1 MiB of int32 */
    MU_TENSOR_ALIGN = 64, /* elements */
    MU_TENSOR_NAME_MAX = 64,
};

/* What a workload says of a tensor. Two-dimensional; a vector is one row. */
struct mu_tensor_spec {
    char name[MU_TENSOR_NAME_MAX]; /* "h.3.attn.qkv.weight" */
    uint64_t rows, cols;
    bool decay; /* weight decay applies */
    /* What a shard adds to the gradient: a dense addend, and 0 or 1 sparse ones, whose rows the
     * shard names. An untied embedding has only the sparse one, a tied embedding both. */
    bool dense;
    uint8_t row_addends;
};

struct mu_tensor {
    struct mu_tensor_spec spec;
    uint64_t offset; /* of element (0, 0) */
    uint64_t first_block;
    uint32_t blocks_per_row;
    uint8_t addends; /* dense + row_addends, at least 1 */
};

struct mu_span {
    uint32_t tensor;
    uint64_t offset, count; /* elements */
    uint64_t first_block, block_count;
};

struct mu_chunk {
    uint64_t offset, count; /* elements, first span's first to last span's last, with pads */
    uint64_t first_block, block_count;
    uint32_t first_span, span_count;
};

struct mu_layout {
    uint32_t tensor_count, chunk_count, span_count;
    uint64_t elements;   /* with pads; a multiple of MU_TENSOR_ALIGN */
    uint64_t parameters; /* without pads */
    uint64_t blocks;
    struct mu_tensor *tensors;
    struct mu_chunk *chunks;
    struct mu_span *spans;
};

/* MU_CONFIG when a shape is empty or the whole is beyond 2^40 elements; MU_NO_MEMORY. */
enum mu_status mu_layout_init(struct mu_layout *layout, const struct mu_tensor_spec *specs,
                              uint32_t count) MU_CHECKED;
void mu_layout_deinit(struct mu_layout *layout);

/* Element range of a block of tensor t. */
struct mu_block_range {
    uint64_t offset;
    uint32_t count; /* 1 .. MU_BLOCK */
};
struct mu_block_range mu_layout_block(const struct mu_tensor *t, uint64_t block);

/* Hash of all names and shapes: two runs whose values differ cannot share a segment or a
 * checkpoint. */
uint64_t mu_layout_identity(const struct mu_layout *layout);

#endif

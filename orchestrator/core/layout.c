#include "orchestrator/core/layout.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/hash.h"

static const uint64_t max_elements = (uint64_t)1 << 40;

static enum mu_status place_tensors(struct mu_layout *l, const struct mu_tensor_spec *specs)
{
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        struct mu_tensor *t = &l->tensors[i];

        t->spec = specs[i];
        if (specs[i].rows == 0 || specs[i].cols == 0 ||
            specs[i].rows > max_elements / specs[i].cols)
            return MU_FAIL(MU_CONFIG, "tensor %s cannot have %" PRIu64 " x %" PRIu64 " elements",
                           specs[i].name, specs[i].rows, specs[i].cols);
        t->offset = l->elements;
        t->first_block = l->blocks;
        t->blocks_per_row = (uint32_t)((specs[i].cols + MU_BLOCK - 1) / MU_BLOCK);
        t->addends = (uint8_t)((specs[i].dense ? 1 : 0) + specs[i].row_addends);
        MU_ASSERT(t->addends > 0);
        l->parameters += specs[i].rows * specs[i].cols;
        l->elements += (specs[i].rows * specs[i].cols + MU_TENSOR_ALIGN - 1) / MU_TENSOR_ALIGN *
                       MU_TENSOR_ALIGN;
        l->blocks += specs[i].rows * t->blocks_per_row;
        if (l->elements > max_elements)
            return MU_FAIL(MU_CONFIG, "the model has more than 2^40 elements");
    }
    return MU_OK;
}

struct mu_block_range mu_layout_block(const struct mu_tensor *t, uint64_t block)
{
    uint64_t index = block - t->first_block, row = index / t->blocks_per_row;
    uint64_t col = index % t->blocks_per_row * MU_BLOCK, left = t->spec.cols - col;

    return (struct mu_block_range){t->offset + row * t->spec.cols + col,
                                   left < MU_BLOCK ? (uint32_t)left : MU_BLOCK};
}

/* Blocks are dealt in order; a chunk is closed as soon as it holds MU_CHUNK elements or more.
 * Called twice: to count (arrays NULL), and to fill. */
static void cut(struct mu_layout *l)
{
    uint32_t chunks = 0, spans = 0;
    uint64_t filled = 0;

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        uint64_t end = t->first_block + t->spec.rows * t->blocks_per_row, b = t->first_block;

        while (b < end) {
            uint64_t from = b, start = mu_layout_block(t, b).offset, stop = start;
            bool opens = filled == 0;

            while (b < end && filled < MU_CHUNK) {
                struct mu_block_range r = mu_layout_block(t, b++);

                stop = r.offset + r.count;
                filled += r.count;
            }
            if (l->spans) {
                struct mu_chunk *c = &l->chunks[chunks];

                l->spans[spans] = (struct mu_span){i, start, stop - start, from, b - from};
                if (opens)
                    *c = (struct mu_chunk){
                        .offset = start, .first_block = from, .first_span = spans};
                c->count = stop - c->offset;
                c->block_count = b - c->first_block;
                c->span_count = spans + 1 - c->first_span;
            }
            spans++;
            if (filled >= MU_CHUNK) {
                filled = 0;
                chunks++;
            }
        }
    }
    l->span_count = spans;
    l->chunk_count = chunks + (filled > 0);
}

enum mu_status mu_layout_init(struct mu_layout *l, const struct mu_tensor_spec *specs,
                              uint32_t count)
{
    enum mu_status st = MU_OK;

    memset(l, 0, sizeof *l);
    l->tensor_count = count;
    l->tensors = calloc(count, sizeof *l->tensors);
    if (!l->tensors) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a layout of %u tensors", count);
        goto failed;
    }
    MU_TRY(place_tensors(l, specs), st, failed);
    cut(l);
    l->chunks = calloc(l->chunk_count, sizeof *l->chunks);
    l->spans = calloc(l->span_count, sizeof *l->spans);
    if (!l->chunks || !l->spans) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a layout of %u chunks", l->chunk_count);
        goto failed;
    }
    cut(l);
    return MU_OK;
failed:
    mu_layout_deinit(l);
    return st;
}

void mu_layout_deinit(struct mu_layout *l)
{
    free(l->tensors);
    free(l->chunks);
    free(l->spans);
    memset(l, 0, sizeof *l);
}

uint64_t mu_layout_identity(const struct mu_layout *l)
{
    uint64_t id = l->tensor_count;

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor_spec *s = &l->tensors[i].spec;
        uint64_t shape[3] = {s->rows, s->cols, l->tensors[i].addends};

        id = mu_hash_bytes(s->name, strlen(s->name), id).low;
        id = mu_hash_bytes(shape, sizeof shape, id).low;
    }
    return id;
}

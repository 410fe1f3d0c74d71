/* The table of spans, made on the host. */
#include "kernels/cuda/sums.h"

namespace
{
struct mu_cuda_span span_of(const struct mu_tensor *t, const struct mu_span &s, uint32_t shards)
{
    uint64_t index = s.first_block - t->first_block, row = index / t->blocks_per_row;
    uint32_t addends = shards * t->addends;
    struct mu_cuda_span span = {};

    span.offset = int64_t(s.offset);
    span.count = int64_t(s.count);
    span.row_at = int64_t(t->offset + row * t->spec.cols);
    span.cols = int64_t(t->spec.cols);
    span.first_block = int64_t(s.first_block);
    span.block_count = uint32_t(s.block_count);
    span.skip = uint32_t(index % t->blocks_per_row);
    span.blocks_per_row = t->blocks_per_row;
    if (s.offset + s.count == t->offset + t->spec.rows * t->spec.cols)
        span.pad = uint32_t(-(s.offset + s.count) % MU_TENSOR_ALIGN);
    span.tensor = s.tensor;
    while ((uint32_t(1) << span.log2_addends) < addends)
        span.log2_addends++;
    span.limit = int32_t(INT32_MAX / addends);
    span.dense = t->spec.dense;
    span.decay = t->spec.decay;
    return span;
}
} // namespace

void mu_cuda_spans_fill(struct mu_cuda_span *table, const struct mu_layout *layout, uint32_t shards)
{
    for (uint32_t c = 0; c < layout->chunk_count; c++) {
        const struct mu_chunk *chunk = &layout->chunks[c];

        for (uint32_t i = chunk->first_span; i < chunk->first_span + chunk->span_count; i++) {
            const struct mu_span *s = &layout->spans[i];

            table[i] = span_of(&layout->tensors[s->tensor], *s, shards);
            table[i].chunk = c;
        }
    }
}

struct mu_cuda_spans mu_cuda_spans_of(const struct mu_cuda_span *host,
                                      const struct mu_cuda_span *device, int64_t first,
                                      int64_t count)
{
    struct mu_cuda_spans spans = {};

    spans.span = device + first;
    spans.count = count;
    spans.first_block = count > 0 ? host[first].first_block : 0;
    for (const struct mu_cuda_span *s = host + first; s < host + first + count; s++) {
        spans.block_count += s->block_count;
        spans.most_blocks = s->block_count > spans.most_blocks ? s->block_count : spans.most_blocks;
        spans.most_elements = s->count > spans.most_elements ? s->count : spans.most_elements;
    }
    return spans;
}

struct mu_cuda_span mu_cuda_span_of_tensor(const struct mu_layout *layout, uint32_t tensor,
                                           uint32_t shards)
{
    const struct mu_tensor *t = &layout->tensors[tensor];
    struct mu_span whole = {};

    whole.tensor = tensor;
    whole.offset = t->offset;
    whole.count = t->spec.rows * t->spec.cols;
    whole.first_block = t->first_block;
    whole.block_count = t->spec.rows * t->blocks_per_row;
    return span_of(t, whole, shards);
}

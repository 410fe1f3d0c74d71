#include "worker/state_check.h"

#include <string.h>

#include "kernels/bf16.h"

uint32_t mu_state_check_begin(int64_t step)
{
    return (uint32_t)step * 0x9e3779b9u; /* odd: steps 2^32 apart at least have the same */
}

uint32_t mu_state_check_predictions(const struct mu_state_view *view, const struct mu_chunk *chunk)
{
    uint32_t sum = 0;

    for (uint64_t b = chunk->first_block; b < chunk->first_block + chunk->block_count; b++)
        sum += (uint16_t)view->prediction[b];
    return sum;
}

static uint32_t sum_of_bits(const float *x, uint64_t count)
{
    uint32_t sum = 0, bits;

    for (uint64_t i = 0; i < count; i++) {
        memcpy(&bits, x + i, sizeof bits);
        sum += bits;
    }
    return sum;
}

uint32_t mu_state_check_chunk(const struct mu_state_view *view, const struct mu_chunk *chunk,
                              int64_t step)
{
    uint32_t sum = mu_state_check_begin(step) + mu_state_check_predictions(view, chunk);

    for (uint32_t i = chunk->first_span; i < chunk->first_span + chunk->span_count; i++) {
        const struct mu_span *span = &view->layout->spans[i];

        sum += sum_of_bits(view->weight + span->offset, span->count);
        sum += sum_of_bits(view->m + span->offset, span->count);
        sum += sum_of_bits(view->v + span->offset, span->count);
    }
    return sum;
}

bool mu_state_check_bf16(const struct mu_state_view *view, const uint16_t *bf16,
                         const struct mu_chunk *chunk)
{
    bool same = true;

    for (uint32_t i = chunk->first_span; i < chunk->first_span + chunk->span_count; i++) {
        const struct mu_span *span = &view->layout->spans[i];

        for (uint64_t j = span->offset; j < span->offset + span->count; j++)
            same &= bf16[j] == mu_bf16_from_f32(view->weight[j]);
    }
    return same;
}

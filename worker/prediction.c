/* The rule is in the header. */
#include "worker/prediction.h"

static int16_t larger(int a, int b)
{
    return (int16_t)(a > b ? a : b);
}

/* max(reach of `largest`, otherwise) */
static int16_t reach(uint8_t largest, int otherwise)
{
    if (largest == MU_LARGEST_NONFINITE)
        return (int16_t)otherwise;
    return larger(8 * (largest - 126), otherwise);
}

static int16_t learn(int16_t prediction, uint8_t largest)
{
    return reach(largest, larger(prediction - 1, MU_PREDICTION_NONE));
}

static uint64_t blocks_of(const struct mu_tensor *t)
{
    return t->spec.rows * t->blocks_per_row;
}

void mu_predict_tensor_maxima(const struct mu_layout *layout, const int16_t *prediction,
                              const uint8_t *largest, int16_t *tensor_max)
{
    for (uint32_t i = 0; i < layout->tensor_count; i++) {
        uint64_t b = layout->tensors[i].first_block, end = b + blocks_of(&layout->tensors[i]);
        int16_t top = MU_PREDICTION_NONE;

        for (; b < end; b++)
            top = larger(top, learn(prediction[b], largest[b]));
        tensor_max[i] = top;
    }
}

void mu_predict_chunk(const struct mu_layout *layout, const struct mu_chunk *chunk,
                      const int16_t *prediction, const uint8_t *largest, const int16_t *tensor_max,
                      int16_t *out)
{
    for (uint32_t s = 0; s < chunk->span_count; s++) {
        const struct mu_span *span = &layout->spans[chunk->first_span + s];
        int floor = larger(tensor_max[span->tensor] - MU_PREDICTION_FLOOR, MU_PREDICTION_NONE);

        for (uint64_t b = span->first_block; b < span->first_block + span->block_count; b++)
            out[b] = larger(learn(prediction[b], largest[b]), floor);
    }
}

void mu_predict_raise(const struct mu_layout *layout, const int16_t *prediction,
                      const uint8_t *largest, int16_t *out)
{
    for (uint32_t i = 0; i < layout->tensor_count; i++) {
        uint64_t first = layout->tensors[i].first_block;
        uint64_t end = first + blocks_of(&layout->tensors[i]);
        int16_t top = MU_PREDICTION_NONE;

        for (uint64_t b = first; b < end; b++) {
            out[b] = reach(largest[b], prediction[b]);
            top = larger(top, out[b]);
        }
        for (uint64_t b = first; b < end; b++)
            out[b] = larger(out[b], top - MU_PREDICTION_FLOOR);
    }
}

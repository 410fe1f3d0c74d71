/* Predicted exponents of gradient blocks: what fixes a block's quantum before its gradients are
 * seen. See worker/exact_sum.h for what they are used for.
 *
 * A prediction p is in eighths of a bit: the block's elements are expected below 2^(p/8). With e
 * the biased exponent of the block's largest |g| of a step, |g| < 2^(e - 126); call 8 (e - 126) its
 * reach. A step that was committed moves p to
 *
 *   p' = max(reach, p - 1), then no lower than its tensor's largest p' less MU_PREDICTION_FLOOR.
 *
 * A block of zeros or subnormals (e = 0) reaches 2^-126, the bottom of what is learned;
 * MU_PREDICTION_NONE, below it, means that nothing was learned yet. Non-finite blocks (255) reach
 * nothing: they are never learned.
 *
 * Every array is the layout's, indexed by its blocks (tensor_max: by its tensors), whole. All of it
 * is pure: every rank computes the same from what was agreed. */
#ifndef MUSTER_WORKER_PREDICTION_H
#define MUSTER_WORKER_PREDICTION_H

#include <stdint.h>

#include "kernels/quantum.h"
#include "orchestrator/core/layout.h"

enum {
    MU_PREDICTION_NONE = -1200, /* eighths: 2^-150, below every float */
    MU_PREDICTION_FLOOR = 160,  /* eighths below the tensor's largest: 2^-20 */
    MU_LARGEST_NONFINITE = 255, /* of `largest`: an element is Inf or NaN */
};

/* L = ceil(log2(n)) of n = S * addends >= 1; with p it gives the quantum (kernels/quantum.h). */
static inline int mu_log2_addends(uint32_t n)
{
    return n > 1 ? 32 - __builtin_clz(n - 1) : 0;
}

/* Largest p' of each tensor from everybody's agreed maxima. */
void mu_predict_tensor_maxima(const struct mu_layout *layout, const int16_t *prediction,
                              const uint8_t *largest, int16_t *tensor_max);
/* p' of the chunk's blocks, written to their places in `out`. */
void mu_predict_chunk(const struct mu_layout *layout, const struct mu_chunk *chunk,
                      const int16_t *prediction, const uint8_t *largest, const int16_t *tensor_max,
                      int16_t *out);

/* What a step is redone with: max(p, reach), then the floor. None of the same gradients escapes
 * from it: |g| < 2^(e-126) is at most 2^(29 - L) quanta, below the limit for any S * addends <=
 * 512. So a step is redone once at most. Learning from raised predictions gives the same p' as
 * learning from those they were raised from. out may be prediction. */
void mu_predict_raise(const struct mu_layout *layout, const int16_t *prediction,
                      const uint8_t *largest, int16_t *out);

#endif

/* Scaling by a power of two is exact in double for every float (a float's exponent lies in
 * [-149, 127], a quantum's in [-179, 160] for predictions in use; beyond, ldexp gives Inf or 0,
 * which are the right answers to compare with the limit), so rint is the only rounding. */
#include "kernels/reference/reference_quantise.h"

#include <math.h>
#include <string.h>

#include "kernels/quantum.h"
#include "kernels/reference/reference_math.h"

static uint8_t biased_exponent(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    return (uint8_t)(u >> 23 & 0xff);
}

void mu_reference_quantise_add(struct mu_device *device, const struct mu_quantise *q)
{
    int64_t blocks_per_row = (q->cols + MU_BLOCK - 1) / MU_BLOCK;

    for (int64_t i = 0; i < q->rows * blocks_per_row; i++) {
        int64_t col = i % blocks_per_row * MU_BLOCK;
        int64_t at = i / blocks_per_row * q->cols + col;
        int64_t count = q->cols - col < MU_BLOCK ? q->cols - col : MU_BLOCK;
        int shift = -mu_quantum_exponent(q->prediction[i], q->log2_addends);
        uint8_t largest = 0;
        bool fits = true;

        for (int64_t j = at; j < at + count; j++) {
            uint8_t e = biased_exponent(q->gradient[j]);

            largest = e > largest ? e : largest;
            fits = fits && fabs(rint(ldexp((double)q->gradient[j], shift))) <= q->limit;
        }
        q->largest[i] = largest > q->largest[i] ? largest : q->largest[i];
        q->misfit[i] = !fits;
        for (int64_t j = at; j < at + count; j++) {
            int32_t add = fits ? (int32_t)rint(ldexp((double)q->gradient[j], shift)) : 0;

            q->sum[j] = q->overwrite ? add : (int32_t)((uint32_t)q->sum[j] + (uint32_t)add);
        }
        reference_poll(device);
    }
}

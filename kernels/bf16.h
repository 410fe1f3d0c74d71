/* bf16, the upper half of a float: what matrix products read when precision is bf16. One value at a
 * time; vectors of them are in cpu/vector.h, with the same bits. */
#ifndef MUSTER_KERNELS_BF16_H
#define MUSTER_KERNELS_BF16_H

#include <stdint.h>
#include <string.h>

/* Round to nearest even; overflow becomes Inf; a NaN stays one (quiet, upper payload bits kept). */
static inline uint16_t mu_bf16_from_f32(float x)
{
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((u >> 16) | 0x40u);
    return (uint16_t)((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

static inline float mu_bf16_to_f32(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;

    memcpy(&x, &u, sizeof x);
    return x;
}

#endif

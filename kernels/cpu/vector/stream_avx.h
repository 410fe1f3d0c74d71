/* Stores past the caches, for memory that is not read again soon: AVX, half a line at a time. p is
 * aligned to the size of what is stored; others see it after stream_fence. */
#ifndef MUSTER_KERNELS_CPU_VECTOR_STREAM_AVX_H
#define MUSTER_KERNELS_CPU_VECTOR_STREAM_AVX_H

#include <immintrin.h>

INLINE void stream_f32(float *p, vec v)
{
    __m256 half[2];

    memcpy(half, &v, sizeof half);
    _mm256_stream_ps(p, half[0]);
    _mm256_stream_ps(p + 8, half[1]);
}

INLINE void stream_u16(uint16_t *p, vec_u16 v)
{
    _mm256_stream_si256((void *)p, (__m256i)v);
}

INLINE void stream_fence(void)
{
    _mm_sfence();
}

#endif

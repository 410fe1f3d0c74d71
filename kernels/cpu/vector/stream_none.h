/* Stores past the caches, for memory that is not read again soon: this instruction set has none
 * worth using. p is aligned to the size of what is stored; others see it after stream_fence. */
#ifndef MUSTER_KERNELS_CPU_VECTOR_STREAM_NONE_H
#define MUSTER_KERNELS_CPU_VECTOR_STREAM_NONE_H

INLINE void stream_f32(float *p, vec v)
{
    memcpy(p, &v, sizeof v);
}

INLINE void stream_u16(uint16_t *p, vec_u16 v)
{
    memcpy(p, &v, sizeof v);
}

INLINE void stream_fence(void)
{
    /* nothing was held back */
}

#endif

/* Launches of the kernels around matrix products; rules as in kernels.h. */
#ifndef MUSTER_KERNELS_CUDA_LINEAR_KERNELS_H
#define MUSTER_KERNELS_CUDA_LINEAR_KERNELS_H

#include "kernels/cuda/kernels.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- linear_finish.cu: what an epilogue does, where there is none ---- */
/* y (rows, cols) f32 or bf16 += b (cols) f32, in every row. */
int mu_cuda_add_bias(struct CUstream_st *stream, bool y_is_bf16, void *y, const float *b,
                     int64_t rows, int64_t cols);
/* y (n) = gelu(before (n)), tanh form. y is bf16 only if before is. */
int mu_cuda_gelu(struct CUstream_st *stream, bool y_is_bf16, bool before_is_bf16, void *y,
                 const void *before, int64_t n);

/* ---- column_sums.cu ---- */
/* Floats of scratch that the sums take. */
int64_t mu_cuda_column_sums_scratch(int64_t rows, int64_t cols);
/* sums (cols) f32 (+)= sum over rows of x (rows, cols) act. */
int mu_cuda_column_sums(struct CUstream_st *stream, bool act_is_bf16, float *sums, const void *x,
                        float *scratch, int64_t rows, int64_t cols, bool overwrite);

/* ---- classifier.cu ---- */
/* logits (rows, ld) f32, of which v count; ld a multiple of 4. losses (rows) in nats. With
 * gradient: scale (softmax - [target]) in the logits' place, as act: (rows, ld) f32, or (rows,
 * 2 ld) bf16. */
int mu_cuda_cross_entropy(struct CUstream_st *stream, bool act_is_bf16, float *losses,
                          float *logits, const int32_t *target, bool gradient, float scale,
                          int64_t rows, int64_t v, int64_t ld);

#ifdef __cplusplus
}
#endif

#endif

/* Launches of our own CUDA kernels, as C sees them. Each is its namesake of kernels/device.h, where
 * shapes and meaning are told. Here it is put on a stream and not waited for. All pointers are
 * device memory, those inside of structs too; tensors are 16-byte aligned.
 *
 * They return a cudaError_t, 0 when the launch was taken. Bits depend on shapes alone: no
 * reduction's order follows the number of multiprocessors, and no atomics touch floats.
 *
 * The same sources compile for the host, for tests: kernels/emulate/emulate.h. */
#ifndef MUSTER_KERNELS_CUDA_KERNELS_H
#define MUSTER_KERNELS_CUDA_KERNELS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/device.h"

#ifdef __cplusplus
extern "C" {
#endif

struct CUstream_st; /* cudaStream_t points to it */

/* ---- embed.cu ---- */
int mu_cuda_embed(struct CUstream_st *stream, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t, int64_t c);
int mu_cuda_embed_backward(struct CUstream_st *stream, float *rows, float *dposition,
                           const float *dout, const int32_t *row_of, int64_t n, int64_t t,
                           int64_t c, bool overwrite_position);

/* ---- layernorm.cu, layernorm_backward.cu: RMSNorm too ---- */
int mu_cuda_layernorm(struct CUstream_st *stream, bool act_is_bf16, void *out, float *mean,
                      float *rstd, float *x_out, const float *x, const float *branch,
                      const float *weight, const float *bias, int64_t n, int64_t c);
int mu_cuda_rmsnorm(struct CUstream_st *stream, bool act_is_bf16, void *out, float *rstd,
                    float *x_out, const float *x, const float *branch, const float *weight,
                    int64_t n, int64_t c);
/* Floats of scratch that either's backward pass takes. */
int64_t mu_cuda_norm_backward_scratch(int64_t n, int64_t c);
int mu_cuda_layernorm_backward(struct CUstream_st *stream, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, float *scratch, int64_t n,
                               int64_t c, bool overwrite);
int mu_cuda_rmsnorm_backward(struct CUstream_st *stream, float *dx, float *dweight,
                             const float *dout, const float *x, const float *weight,
                             const float *rstd, float *scratch, int64_t n, int64_t c,
                             bool overwrite);

/* ---- swiglu.cu, rotate.cu ---- */
int mu_cuda_swiglu(struct CUstream_st *stream, bool act_is_bf16, void *out, const void *both,
                   int64_t n, int64_t f);
int mu_cuda_swiglu_backward(struct CUstream_st *stream, bool act_is_bf16, void *dboth,
                            const void *dout, const void *both, int64_t n, int64_t f);
int mu_cuda_rotate(struct CUstream_st *stream, bool act_is_bf16, struct mu_attention s, void *qkv,
                   const float *turn, bool backward);

/* ---- elements.cu ---- */
int mu_cuda_gelu_backward(struct CUstream_st *stream, bool act_is_bf16, void *d, const void *before,
                          int64_t n);
int mu_cuda_to_act(struct CUstream_st *stream, bool act_is_bf16, void *out, const float *x,
                   int64_t n);
int mu_cuda_add(struct CUstream_st *stream, float *to, const float *from, int64_t n,
                bool overwrite);
/* *sum += the sum of b's elements mod 2^32. */
int mu_cuda_add_int32(struct CUstream_st *stream, int32_t *a, const int32_t *b, uint32_t *sum,
                      int64_t n);

/* ---- adamw.cu, quantise.cu ---- */
int mu_cuda_adamw(struct CUstream_st *stream, const struct mu_adamw *a);
int mu_cuda_quantise_add(struct CUstream_st *stream, const struct mu_quantise *q);

/* ---- attention.cu, attention_backward.cu: D <= 256, else cudaErrorInvalidConfiguration; fast for
 * D = 64 and 128 in bf16 ---- */
int mu_cuda_attention(struct CUstream_st *stream, bool act_is_bf16, struct mu_attention s,
                      void *out, float *lse, const void *qkv);
/* Bytes of scratch that the backward pass takes. */
int64_t mu_cuda_attention_backward_scratch(struct mu_attention s);
int mu_cuda_attention_backward(struct CUstream_st *stream, bool act_is_bf16, struct mu_attention s,
                               void *dqkv, const void *dout, const void *out, const void *qkv,
                               const float *lse, void *scratch);

#ifdef __cplusplus
}
#endif

#endif

/* Linear layers and the fused head of the CUDA device: cuBLASLt's products (blas.h) and the kernels
 * around them (linear_kernels.h). Each is its namesake of kernels/device.h, where shapes and
 * meaning are told; act is the engine's type. They are put on a stream and not waited for; all
 * pointers are device memory, 16-byte aligned.
 *
 * One thing is other than there: where y is bf16 the bias is rounded to bf16 before it is added,
 * since the library's epilogue takes it in y's type; it is off by 2^-8 of itself at most, as y is.
 *
 * They fail as products and scratch do: MU_NO_MEMORY, MU_FAILED, MU_CONFIG. */
#ifndef MUSTER_KERNELS_CUDA_LINEAR_H
#define MUSTER_KERNELS_CUDA_LINEAR_H

#include "kernels/cuda/blas.h"
#include "kernels/device.h"

enum mu_status mu_cuda_linear(struct mu_blas *blas, struct CUstream_st *stream, struct mu_linear s,
                              void *y, bool y_is_act, void *before, const void *x, const void *w,
                              const float *b, enum mu_epilogue epilogue) MU_CHECKED;
enum mu_status mu_cuda_linear_backward_input(struct mu_blas *blas, struct CUstream_st *stream,
                                             struct mu_linear s, void *dx, bool dx_is_act,
                                             const void *dy, const void *w) MU_CHECKED;
enum mu_status mu_cuda_linear_backward_weight(struct mu_blas *blas, struct CUstream_st *stream,
                                              struct mu_linear s, float *dw, float *db,
                                              const void *dy, const void *x,
                                              bool overwrite) MU_CHECKED;

/* Takes scratch for the logits of a block of rows: mu_blas_options.block_logits f32 at most. */
enum mu_status mu_cuda_classifier(struct mu_blas *blas, struct CUstream_st *stream, float *losses,
                                  float *dx, float *dtable, const void *x, const void *table,
                                  const int32_t *target, float scale, int64_t n, int64_t c,
                                  int64_t v, bool overwrite) MU_CHECKED;

#endif

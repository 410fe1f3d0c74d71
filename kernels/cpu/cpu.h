/* The fast CPU device, inside: what its operations share. Operations are spread over cpu_*.c by
 * subject; matrix products go through products.h, the rest through vector/vector_ops.h, both cut
 * into tasks by shape alone and shared out by pool.h. */
#ifndef MUSTER_KERNELS_CPU_CPU_H
#define MUSTER_KERNELS_CPU_CPU_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/pool.h"
#include "kernels/cpu/vector/vector_ops.h"
#include "kernels/device.h"

struct mu_cpu_scratch {
    void *memory;
    size_t bytes;
};

struct mu_cpu {
    struct mu_device base;
    bool bf16;
    const struct mu_vector_ops *vector;
    struct mu_pool *pool;
    struct mu_gemm_engine *gemm;
    struct mu_cpu_scratch shared;     /* of one operation */
    struct mu_cpu_scratch *of_worker; /* a worker each */
};

static inline struct mu_cpu *mu_cpu_of(struct mu_device *d)
{
    return (struct mu_cpu *)d; /* base is first */
}

/* Address of element i of an act array. */
static inline void *mu_act_at(const struct mu_cpu *cpu, const void *act, int64_t i)
{
    return (char *)(uintptr_t)act + i * (cpu->bf16 ? 2 : 4);
}

static inline int64_t mu_ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t mu_min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Scratch, 64-byte aligned, grown when too small; what it held is lost. Called by the device's
 * caller, outside of tasks. No memory is a bug here (MU_ASSERT): operations cannot fail, and sizes
 * are those of a first step that succeeded. */
void *mu_cpu_shared_scratch(struct mu_cpu *cpu, size_t bytes);
void mu_cpu_reserve_worker_scratch(struct mu_cpu *cpu, size_t bytes); /* on every worker */

/* cpu_norm.c */
void mu_cpu_embed(struct mu_device *d, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t, int64_t c);
void mu_cpu_embed_backward(struct mu_device *d, float *rows, float *dposition, const float *dout,
                           const int32_t *row_of, int64_t n, int64_t t, int64_t c,
                           bool overwrite_position);
void mu_cpu_layernorm(struct mu_device *d, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t c);
void mu_cpu_layernorm_backward(struct mu_device *d, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, int64_t n, int64_t c,
                               bool overwrite);
void mu_cpu_rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t n, int64_t c);
void mu_cpu_rmsnorm_backward(struct mu_device *d, float *dx, float *dweight, const float *dout,
                             const float *x, const float *weight, const float *rstd, int64_t n,
                             int64_t c, bool overwrite);

/* cpu_linear.c */
void mu_cpu_linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act, void *before,
                   const void *x, const void *w, const float *b, enum mu_epilogue epilogue);
void mu_cpu_linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx, bool dx_is_act,
                                  const void *dy, const void *w);
void mu_cpu_linear_backward_weight(struct mu_device *d, struct mu_linear s, float *dw, float *db,
                                   const void *dy, const void *x, bool overwrite);
double mu_cpu_measure_peak(struct mu_device *d, double seconds);

/* cpu_attention.c */
void mu_cpu_attention(struct mu_device *d, struct mu_attention s, void *out, float *lse,
                      const void *qkv);
void mu_cpu_attention_last(struct mu_device *d, struct mu_attention s, void *out, const void *qkv);
void mu_cpu_attention_backward(struct mu_device *d, struct mu_attention s, void *dqkv,
                               const void *dout, const void *out, const void *qkv,
                               const float *lse);

/* cpu_classifier.c */
void mu_cpu_classifier(struct mu_device *d, float *losses, float *dx, float *dtable, const void *x,
                       const void *table, const int32_t *target, float scale, int64_t n, int64_t c,
                       int64_t v, bool overwrite);

/* cpu_elements.c */
void mu_cpu_gelu_backward(struct mu_device *d, void *grad, const void *before, int64_t n);
void mu_cpu_swiglu(struct mu_device *d, void *out, const void *both, int64_t n, int64_t f);
void mu_cpu_swiglu_backward(struct mu_device *d, void *dboth, const void *dout, const void *both,
                            int64_t n, int64_t f);
void mu_cpu_rotate(struct mu_device *d, struct mu_attention s, void *qkv, const float *turn,
                   bool backward);
void mu_cpu_to_act(struct mu_device *d, void *out, const float *x, int64_t n);
void mu_cpu_adamw(struct mu_device *d, const struct mu_adamw *a);
void mu_cpu_quantise_add(struct mu_device *d, const struct mu_quantise *q);
void mu_cpu_add(struct mu_device *d, float *to, const float *from, int64_t n, bool overwrite);
uint32_t mu_cpu_add_int32(struct mu_device *d, int32_t *a, const int32_t *b, int64_t n);

#endif

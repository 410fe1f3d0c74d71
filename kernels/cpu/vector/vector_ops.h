/* The inner loops that are not matrix products: each works on one thread, on a range that its
 * caller cut. The same source is compiled for several instruction sets (kernels/CMakeLists.txt)
 * into one table each; all tables give the same bits, since every one works on 16 lanes in the same
 * order, without contraction.
 *
 * `bf16` says that act pointers are bf16, else float. `ld` names are strides between rows, in
 * elements of the array they belong to. Buffers need no alignment. */
#ifndef MUSTER_KERNELS_CPU_VECTOR_OPS_H
#define MUSTER_KERNELS_CPU_VECTOR_OPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/device.h"

/* A tile of a linear layer after its product: y = epilogue(acc + bias). */
struct mu_vector_epilogue {
    int64_t rows, cols;
    const float *acc; /* may be y itself when y is f32 */
    int64_t ld_acc;
    void *y;
    bool y_bf16;
    int64_t ld_y;
    void *before; /* with GELU: act */
    bool before_bf16;
    const float *bias; /* cols, or NULL */
    bool gelu;
};

/* One query block of causal attention: `rows` queries, the first at position `first`, against
 * keys 0 .. keys - 1. score and dprob are (rows, ld) f32 and are overwritten in place by act
 * values: row r of a bf16 result begins at (uint16_t *)score + r * 2 * ld. What is masked
 * becomes 0. */
struct mu_vector_attention {
    int64_t rows, first, keys, ld;
    float *score, *dprob; /* ld a multiple of 16, at least that of keys rounded up */
    float scale;
    float *lse;         /* rows: written forward, read backward */
    float *inverse_sum; /* rows; forward only */
    const float *inner; /* rows: dout . out; backward only */
    bool bf16;
};

struct mu_vector_ops {
    const char *name;

    /* One row each; see mu_device_ops. */
    void (*layernorm)(void *out, bool bf16, float *mean, float *rstd, float *x_out, const float *x,
                      const float *branch, const float *weight, const float *bias, int64_t c);
    /* dx += ; dweight, dbias += */
    void (*layernorm_backward)(float *dx, float *dweight, float *dbias, const float *dout,
                               const float *x, const float *weight, float mean, float rstd,
                               int64_t c);
    void (*rmsnorm)(void *out, bool bf16, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t c);
    void (*rmsnorm_backward)(float *dx, float *dweight, const float *dout, const float *x,
                             const float *weight, float rstd, int64_t c);
    /* out (F), dout (F), both and dboth (2F) */
    void (*swiglu)(void *out, const void *both, bool bf16, int64_t f);
    void (*swiglu_backward)(void *dboth, const void *dout, const void *both, bool bf16, int64_t f);
    /* x (heads, size), turn (size / 2, 2): of one token */
    void (*rotate)(void *x, bool bf16, const float *turn, bool backward, int64_t heads,
                   int64_t size);

    void (*epilogue)(const struct mu_vector_epilogue *e);
    void (*gelu_backward)(void *d, const void *before, bool bf16, int64_t n);
    void (*to_bf16)(uint16_t *out, const float *x, int64_t n);
    /* to (n) = sum of the rows of `from` (rows, n), act. */
    void (*sum_rows)(float *to, const void *from, bool bf16, int64_t rows, int64_t ld, int64_t n);
    /* to (act) = from * factor */
    void (*scale_to_act)(void *to, bool bf16, const float *from, float factor, int64_t n);
    float (*dot_act)(const void *a, const void *b, bool bf16, int64_t n);
    /* to (n) = the sum over r of weight[r] times row r of `from` (rows, n), whose rows are ld
     * elements apart; weight and from are act. */
    void (*sum_weighted)(float *to, const void *from, const void *weight, bool bf16, int64_t rows,
                         int64_t ld, int64_t n);

    /* score -> exp(scale score - row maximum), lse, 1 / row sum. */
    void (*attention_softmax)(const struct mu_vector_attention *a);
    /* score -> p = exp(scale score - lse); dprob -> p (dprob - inner) scale. */
    void (*attention_gradient)(const struct mu_vector_attention *a);

    /* One row of logits: returns the loss in nats. When gradient, logit -> scale (softmax -
     * [target]), in place, as act (bf16: in the front half of the row). */
    float (*cross_entropy)(float *logit, int64_t v, int32_t target, bool gradient, float scale,
                           bool bf16);

    /* Elements [0, n) of `a`, whose count and check are not read; returns what check is due. */
    uint32_t (*adamw)(const struct mu_adamw *a, int64_t n);
    /* The block's largest |g|, as the bits of a float: NaN > Inf > numbers. */
    uint32_t (*largest_bits)(const float *g, int64_t n);
    /* sum (+)= rint(g * first * second); every product below 2^31. */
    void (*quantise)(int32_t *sum, const float *g, float first, float second, int64_t n,
                     bool overwrite);
    /* out = a + b; out may be either. */
    void (*add)(float *out, const float *a, const float *b, int64_t n);
    /* Returns the sum of b mod 2^32. */
    uint32_t (*add_int32)(int32_t *a, const int32_t *b, int64_t n);
};

extern const struct mu_vector_ops mu_vector_generic, mu_vector_avx2, mu_vector_avx512;

#endif

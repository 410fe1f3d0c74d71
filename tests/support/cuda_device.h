/* The kernels of kernels/cuda/, compiled for the host, as a device: the operations that are there,
 * the others are NULL. Each call copies its tensors into allocations of their exact sizes and
 * back, so that AddressSanitizer sees the first byte out of bounds; a launch that the emulation
 * finds at fault fails the test with its words. Include after cmocka.h. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_DEVICE_H
#define MUSTER_TESTS_SUPPORT_CUDA_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cuda_runtime_api.h>

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/linear.h"
#include "kernels/emulate/control.h"
#include "orchestrator/core/layout.h"

static inline void launched(int error)
{
    if (error)
        fail_msg("%s", mu_emulate_fault());
}

static inline void *lend(const void *host, int64_t bytes)
{
    void *lent = host ? calloc(1, (size_t)bytes) : NULL;

    if (lent && bytes > 0) {
        memcpy(lent, host, (size_t)bytes);
        assert_int_equal(cudaHostRegister(lent, (size_t)bytes, cudaHostRegisterMapped), 0);
    }
    return lent;
}

/* host NULL: only read. */
static inline void take_back(void *host, void *lent, int64_t bytes)
{
    (void)cudaHostUnregister(lent); /* waits; not of an empty one */
    (void)cudaGetLastError();
    if (host && bytes > 0)
        memcpy(host, lent, (size_t)bytes);
    free(lent);
}

static inline int64_t rows_named(const int32_t *row, int64_t n)
{
    int64_t rows = 0;

    for (int64_t i = 0; i < n; i++)
        rows = row[i] >= rows ? row[i] + 1 : rows;
    return rows;
}

static inline bool emulates_bf16(const struct mu_device *d)
{
    return d->options.precision == MU_PRECISION_BF16;
}

static inline void emulated_embed(struct mu_device *d, float *out, const float *table,
                                  const float *position, const int32_t *token, int64_t n, int64_t t,
                                  int64_t c)
{
    int64_t v = rows_named(token, n);
    void *o = lend(out, n * c * 4), *w = lend(table, v * c * 4), *p = lend(position, t * c * 4);
    void *k = lend(token, n * 4);

    (void)d;
    launched(mu_cuda_embed(NULL, o, w, p, k, n, t, c));
    take_back(out, o, n * c * 4);
    take_back(NULL, w, 0);
    take_back(NULL, p, 0);
    take_back(NULL, k, 0);
}

static inline void emulated_embed_backward(struct mu_device *d, float *rows, float *dposition,
                                           const float *dout, const int32_t *row_of, int64_t n,
                                           int64_t t, int64_t c, bool overwrite)
{
    int64_t v = rows_named(row_of, n);
    void *r = lend(rows, v * c * 4), *p = lend(dposition, t * c * 4), *g = lend(dout, n * c * 4);
    void *k = lend(row_of, n * 4);

    (void)d;
    launched(mu_cuda_embed_backward(NULL, r, p, g, k, n, t, c, overwrite));
    take_back(rows, r, v * c * 4);
    take_back(dposition, p, t * c * 4);
    take_back(NULL, g, 0);
    take_back(NULL, k, 0);
}

static inline void emulated_layernorm(struct mu_device *d, void *out, float *mean, float *rstd,
                                      float *x_out, const float *x, const float *branch,
                                      const float *weight, const float *bias, int64_t n, int64_t c)
{
    int64_t act_bytes = n * c * (int64_t)mu_device_act_bytes(d);
    void *o = lend(out, act_bytes), *m = lend(mean, n * 4), *s = lend(rstd, n * 4);
    void *from = lend(x, n * c * 4), *sum = x_out == x ? from : lend(x_out, n * c * 4);
    void *add = lend(branch, n * c * 4), *w = lend(weight, c * 4), *b = lend(bias, c * 4);

    launched(mu_cuda_layernorm(NULL, emulates_bf16(d), o, m, s, sum, from, add, w, b, n, c));
    take_back(out, o, act_bytes);
    take_back(mean, m, n * 4);
    take_back(rstd, s, n * 4);
    take_back(x_out, sum, n * c * 4);
    if (sum != from)
        take_back(NULL, from, 0);
    take_back(NULL, add, 0);
    take_back(NULL, w, 0);
    take_back(NULL, b, 0);
}

static inline void emulated_layernorm_backward(struct mu_device *d, float *dx, float *dweight,
                                               float *dbias, const float *dout, const float *x,
                                               const float *weight, const float *mean,
                                               const float *rstd, int64_t n, int64_t c,
                                               bool overwrite)
{
    int64_t scratch_bytes = 4 * mu_cuda_norm_backward_scratch(n, c);
    void *dx_ = lend(dx, n * c * 4), *dw = lend(dweight, c * 4), *db = lend(dbias, c * 4);
    void *g = lend(dout, n * c * 4), *x_ = lend(x, n * c * 4), *w = lend(weight, c * 4);
    void *m = lend(mean, n * 4), *s = lend(rstd, n * 4), *scratch = malloc((size_t)scratch_bytes);

    (void)d;
    assert_non_null(scratch);
    memset(scratch, 0xff, (size_t)scratch_bytes);
    launched(
        mu_cuda_layernorm_backward(NULL, dx_, dw, db, g, x_, w, m, s, scratch, n, c, overwrite));
    take_back(dx, dx_, n * c * 4);
    take_back(dweight, dw, c * 4);
    take_back(dbias, db, c * 4);
    take_back(NULL, g, 0);
    take_back(NULL, x_, 0);
    take_back(NULL, w, 0);
    take_back(NULL, m, 0);
    take_back(NULL, s, 0);
    free(scratch);
}

static inline void emulated_rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out,
                                    const float *x, const float *branch, const float *weight,
                                    int64_t n, int64_t c)
{
    int64_t act_bytes = n * c * (int64_t)mu_device_act_bytes(d);
    void *o = lend(out, act_bytes), *s = lend(rstd, n * 4), *from = lend(x, n * c * 4);
    void *sum = x_out == x ? from : lend(x_out, n * c * 4);
    void *add = lend(branch, n * c * 4), *w = lend(weight, c * 4);

    launched(mu_cuda_rmsnorm(NULL, emulates_bf16(d), o, s, sum, from, add, w, n, c));
    take_back(out, o, act_bytes);
    take_back(rstd, s, n * 4);
    take_back(x_out, sum, n * c * 4);
    if (sum != from)
        take_back(NULL, from, 0);
    take_back(NULL, add, 0);
    take_back(NULL, w, 0);
}

static inline void emulated_rmsnorm_backward(struct mu_device *d, float *dx, float *dweight,
                                             const float *dout, const float *x, const float *weight,
                                             const float *rstd, int64_t n, int64_t c,
                                             bool overwrite)
{
    int64_t scratch_bytes = 4 * mu_cuda_norm_backward_scratch(n, c);
    void *dx_ = lend(dx, n * c * 4), *dw = lend(dweight, c * 4), *g = lend(dout, n * c * 4);
    void *x_ = lend(x, n * c * 4), *w = lend(weight, c * 4), *s = lend(rstd, n * 4);
    void *scratch = malloc((size_t)scratch_bytes + 1);

    (void)d;
    assert_non_null(scratch);
    memset(scratch, 0xff, (size_t)scratch_bytes);
    launched(mu_cuda_rmsnorm_backward(NULL, dx_, dw, g, x_, w, s, scratch, n, c, overwrite));
    take_back(dx, dx_, n * c * 4);
    take_back(dweight, dw, c * 4);
    take_back(NULL, g, 0);
    take_back(NULL, x_, 0);
    take_back(NULL, w, 0);
    take_back(NULL, s, 0);
    free(scratch);
}

static inline void emulated_swiglu(struct mu_device *d, void *out, const void *both, int64_t n,
                                   int64_t f)
{
    int64_t bytes = n * f * (int64_t)mu_device_act_bytes(d);
    void *o = lend(out, bytes), *b = lend(both, 2 * bytes);

    launched(mu_cuda_swiglu(NULL, emulates_bf16(d), o, b, n, f));
    take_back(out, o, bytes);
    take_back(NULL, b, 0);
}

static inline void emulated_swiglu_backward(struct mu_device *d, void *dboth, const void *dout,
                                            const void *both, int64_t n, int64_t f)
{
    int64_t bytes = n * f * (int64_t)mu_device_act_bytes(d);
    void *to = lend(dboth, 2 * bytes), *from = dboth == both ? to : lend(both, 2 * bytes);
    void *o = lend(dout, bytes);

    launched(mu_cuda_swiglu_backward(NULL, emulates_bf16(d), to, o, from, n, f));
    take_back(dboth, to, 2 * bytes);
    if (from != to)
        take_back(NULL, from, 0);
    take_back(NULL, o, 0);
}

static inline void emulated_rotate(struct mu_device *d, struct mu_attention s, void *qkv,
                                   const float *turn, bool backward)
{
    int64_t elements = s.batch * s.context * 3 * s.heads * s.head_size;
    int64_t bytes = elements * (int64_t)mu_device_act_bytes(d);
    void *x = lend(qkv, bytes), *by = lend(turn, s.context * s.head_size * 4);

    launched(mu_cuda_rotate(NULL, emulates_bf16(d), s, x, by, backward));
    take_back(qkv, x, bytes);
    take_back(NULL, by, 0);
}

static inline void emulated_gelu_backward(struct mu_device *d, void *grad, const void *before,
                                          int64_t n)
{
    int64_t bytes = n * (int64_t)mu_device_act_bytes(d);
    void *g = lend(grad, bytes), *b = lend(before, bytes);

    launched(mu_cuda_gelu_backward(NULL, emulates_bf16(d), g, b, n));
    take_back(grad, g, bytes);
    take_back(NULL, b, 0);
}

static inline void emulated_to_act(struct mu_device *d, void *out, const float *x, int64_t n)
{
    int64_t bytes = n * (int64_t)mu_device_act_bytes(d);
    void *o = lend(out, bytes), *from = lend(x, n * 4);

    launched(mu_cuda_to_act(NULL, emulates_bf16(d), o, from, n));
    take_back(out, o, bytes);
    take_back(NULL, from, 0);
}

static inline void emulated_add(struct mu_device *d, float *to, const float *from, int64_t n,
                                bool overwrite)
{
    void *a = lend(to, n * 4), *b = lend(from, n * 4);

    (void)d;
    launched(mu_cuda_add(NULL, a, b, n, overwrite));
    take_back(to, a, n * 4);
    take_back(NULL, b, 0);
}

static inline uint32_t emulated_add_int32(struct mu_device *d, int32_t *a, const int32_t *b,
                                          int64_t n)
{
    void *to = lend(a, n * 4), *from = lend(b, n * 4);
    uint32_t sum = 0;

    (void)d;
    launched(mu_cuda_add_int32(NULL, to, from, &sum, n));
    take_back(a, to, n * 4);
    take_back(NULL, from, 0);
    return sum;
}

static inline void emulated_adamw(struct mu_device *d, const struct mu_adamw *a)
{
    int64_t bytes = a->count * 4;
    struct mu_adamw e = *a;
    void *w = lend(a->weight, bytes), *m = lend(a->m, bytes), *v = lend(a->v, bytes);
    void *g = lend(a->gradient, bytes);

    (void)d;
    e.weight = w;
    e.m = m;
    e.v = v;
    e.gradient = g;
    e.weight_out = a->weight_out == a->weight ? w : lend(a->weight_out, bytes);
    e.m_out = a->m_out == a->m ? m : lend(a->m_out, bytes);
    e.v_out = a->v_out == a->v ? v : lend(a->v_out, bytes);
    e.weight_bf16 = lend(a->weight_bf16, bytes / 2);
    launched(mu_cuda_adamw(NULL, &e));
    if (e.weight_out != w)
        take_back(NULL, w, 0);
    if (e.m_out != m)
        take_back(NULL, m, 0);
    if (e.v_out != v)
        take_back(NULL, v, 0);
    take_back(a->weight_out, e.weight_out, bytes);
    take_back(a->m_out, e.m_out, bytes);
    take_back(a->v_out, e.v_out, bytes);
    take_back(a->weight_bf16, e.weight_bf16, bytes / 2);
    take_back(NULL, g, 0);
}

static inline void emulated_quantise_add(struct mu_device *d, const struct mu_quantise *q)
{
    int64_t blocks = q->rows * ((q->cols + MU_BLOCK - 1) / MU_BLOCK), n = q->rows * q->cols;
    struct mu_quantise e = *q;
    void *g = lend(q->gradient, n * 4), *p = lend(q->prediction, blocks * 2);

    (void)d;
    e.gradient = g;
    e.prediction = p;
    e.sum = lend(q->sum, n * 4);
    e.largest = lend(q->largest, blocks);
    e.misfit = lend(q->misfit, blocks);
    launched(mu_cuda_quantise_add(NULL, &e));
    take_back(q->sum, e.sum, n * 4);
    take_back(q->largest, e.largest, blocks);
    take_back(q->misfit, e.misfit, blocks);
    take_back(NULL, g, 0);
    take_back(NULL, p, 0);
}

static inline void emulated_attention(struct mu_device *d, struct mu_attention s, void *out,
                                      float *lse, const void *qkv)
{
    int64_t rows = s.batch * s.heads * s.context;
    int64_t bytes = rows * s.head_size * (int64_t)mu_device_act_bytes(d);
    void *o = lend(out, bytes), *l = lend(lse, rows * 4), *from = lend(qkv, 3 * bytes);

    launched(mu_cuda_attention(NULL, emulates_bf16(d), s, o, l, from));
    take_back(out, o, bytes);
    take_back(lse, l, rows * 4);
    take_back(NULL, from, 0);
}

static inline void emulated_attention_backward(struct mu_device *d, struct mu_attention s,
                                               void *dqkv, const void *dout, const void *out,
                                               const void *qkv, const float *lse)
{
    int64_t rows = s.batch * s.heads * s.context;
    int64_t bytes = rows * s.head_size * (int64_t)mu_device_act_bytes(d);
    int64_t scratch_bytes = mu_cuda_attention_backward_scratch(s);
    void *grad = lend(dqkv, 3 * bytes), *g = lend(dout, bytes), *o = lend(out, bytes);
    void *from = lend(qkv, 3 * bytes), *l = lend(lse, rows * 4);
    void *scratch = malloc((size_t)scratch_bytes);

    assert_non_null(scratch);
    memset(scratch, 0xff, (size_t)scratch_bytes);
    launched(mu_cuda_attention_backward(NULL, emulates_bf16(d), s, grad, g, o, from, l, scratch));
    take_back(dqkv, grad, 3 * bytes);
    take_back(NULL, g, 0);
    take_back(NULL, o, 0);
    take_back(NULL, from, 0);
    take_back(NULL, l, 0);
    free(scratch);
}

/* ---- matrix products ---- */
/* fp32, bf16: opened at the first call. Few logits at a time, so that the classifier has several
 * blocks of rows. */
static struct mu_blas *emulated_engines[2];

static inline struct mu_blas *emulated_blas(struct mu_device *d)
{
    struct mu_blas_options options = {.bf16 = emulates_bf16(d), .block_logits = 4096};
    struct mu_blas **engine = &emulated_engines[options.bf16];

    if (!*engine)
        assert_int_equal(mu_blas_open(&options, engine), MU_OK);
    return *engine;
}

/* Their plans too; also as a test group's teardown. */
static inline int emulated_blas_close(void **unused)
{
    (void)unused;
    for (int i = 0; i < 2; i++) {
        mu_blas_close(emulated_engines[i]);
        emulated_engines[i] = NULL;
    }
    return 0;
}

static inline void emulated_linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act,
                                   void *before, const void *x, const void *w, const float *b,
                                   enum mu_epilogue epilogue)
{
    int64_t act = (int64_t)mu_device_act_bytes(d), n = s.rows * s.out;
    int64_t y_bytes = n * (y_is_act ? act : 4);
    void *y_ = lend(y, y_bytes), *z = lend(before, n * act), *x_ = lend(x, s.rows * s.in * act);
    void *w_ = lend(w, s.out * s.in * act), *b_ = lend(b, s.out * 4);

    assert_int_equal(
        mu_cuda_linear(emulated_blas(d), NULL, s, y_, y_is_act, z, x_, w_, b_, epilogue), MU_OK);
    take_back(y, y_, y_bytes);
    take_back(before, z, n * act);
    take_back(NULL, x_, 0);
    take_back(NULL, w_, 0);
    take_back(NULL, b_, 0);
}

static inline void emulated_linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx,
                                                  bool dx_is_act, const void *dy, const void *w)
{
    int64_t act = (int64_t)mu_device_act_bytes(d), dx_bytes = s.rows * s.in * (dx_is_act ? act : 4);
    void *dx_ = lend(dx, dx_bytes), *dy_ = lend(dy, s.rows * s.out * act);
    void *w_ = lend(w, s.out * s.in * act);

    assert_int_equal(
        mu_cuda_linear_backward_input(emulated_blas(d), NULL, s, dx_, dx_is_act, dy_, w_), MU_OK);
    take_back(dx, dx_, dx_bytes);
    take_back(NULL, dy_, 0);
    take_back(NULL, w_, 0);
}

static inline void emulated_linear_backward_weight(struct mu_device *d, struct mu_linear s,
                                                   float *dw, float *db, const void *dy,
                                                   const void *x, bool overwrite)
{
    int64_t act = (int64_t)mu_device_act_bytes(d);
    void *dw_ = lend(dw, s.out * s.in * 4), *db_ = lend(db, s.out * 4);
    void *dy_ = lend(dy, s.rows * s.out * act), *x_ = lend(x, s.rows * s.in * act);

    assert_int_equal(
        mu_cuda_linear_backward_weight(emulated_blas(d), NULL, s, dw_, db_, dy_, x_, overwrite),
        MU_OK);
    take_back(dw, dw_, s.out * s.in * 4);
    take_back(db, db_, s.out * 4);
    take_back(NULL, dy_, 0);
    take_back(NULL, x_, 0);
}

static inline void emulated_classifier(struct mu_device *d, float *losses, float *dx, float *dtable,
                                       const void *x, const void *table, const int32_t *target,
                                       float scale, int64_t n, int64_t c, int64_t v, bool overwrite)
{
    int64_t act = (int64_t)mu_device_act_bytes(d);
    void *l = lend(losses, n * 4), *dx_ = lend(dx, n * c * 4), *dt = lend(dtable, v * c * 4);
    void *x_ = lend(x, n * c * act), *w = lend(table, v * c * act), *k = lend(target, n * 4);

    assert_int_equal(
        mu_cuda_classifier(emulated_blas(d), NULL, l, dx_, dt, x_, w, k, scale, n, c, v, overwrite),
        MU_OK);
    take_back(losses, l, n * 4);
    take_back(dx, dx_, n * c * 4);
    take_back(dtable, dt, v * c * 4);
    take_back(NULL, x_, 0);
    take_back(NULL, w, 0);
    take_back(NULL, k, 0);
}

static const struct mu_device_ops emulated_ops = {
    .name = "cuda, emulated",
    .embed = emulated_embed,
    .embed_backward = emulated_embed_backward,
    .layernorm = emulated_layernorm,
    .layernorm_backward = emulated_layernorm_backward,
    .rmsnorm = emulated_rmsnorm,
    .rmsnorm_backward = emulated_rmsnorm_backward,
    .swiglu = emulated_swiglu,
    .swiglu_backward = emulated_swiglu_backward,
    .rotate = emulated_rotate,
    .attention = emulated_attention,
    .attention_backward = emulated_attention_backward,
    .gelu_backward = emulated_gelu_backward,
    .to_act = emulated_to_act,
    .adamw = emulated_adamw,
    .quantise_add = emulated_quantise_add,
    .add = emulated_add,
    .add_int32 = emulated_add_int32,
    .linear = emulated_linear,
    .linear_backward_input = emulated_linear_backward_input,
    .linear_backward_weight = emulated_linear_backward_weight,
    .classifier = emulated_classifier,
};

static inline struct mu_device emulated_device(enum mu_precision precision)
{
    return (struct mu_device){.ops = &emulated_ops, .options = {.precision = precision}};
}

#endif

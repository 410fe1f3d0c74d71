/* A device that makes mistakes about memory visible: it wraps another, and pretends that the host
 * cannot touch device memory. That is an arena without any access outside of operations, so that a
 * host which reads or writes it dies of SIGSEGV; lent memory is known by its ranges. Every
 * operation asserts that what it is given lies, whole, in the one or the other.
 *
 * The wrapped device is opened by the caller, with the caller's poll hook. */
#ifndef MUSTER_TESTS_APART_DEVICE_H
#define MUSTER_TESTS_APART_DEVICE_H

#include "tests/support/apart_memory.h"

/* ---- training: sizes as in kernels/device.h; where one is not known, the least it can be ---- */
static inline void apart_embed(struct mu_device *d, float *out, const float *table,
                               const float *position, const int32_t *token, int64_t n, int64_t t,
                               int64_t c)
{
    struct apart *a = apart_begin(d);

    apart_check(a, out, n * c * 4);
    apart_check(a, table, c * 4);
    apart_check_if(a, position, t * c * 4);
    apart_check(a, token, n * 4);
    a->inner->ops->embed(a->inner, out, table, position, token, n, t, c);
    apart_end(a);
}

static inline void apart_embed_backward(struct mu_device *d, float *rows, float *dposition,
                                        const float *dout, const int32_t *row_of, int64_t n,
                                        int64_t t, int64_t c, bool overwrite)
{
    struct apart *a = apart_begin(d);

    apart_check(a, rows, c * 4);
    apart_check_if(a, dposition, t * c * 4);
    apart_check(a, dout, n * c * 4);
    apart_check(a, row_of, n * 4);
    a->inner->ops->embed_backward(a->inner, rows, dposition, dout, row_of, n, t, c, overwrite);
    apart_end(a);
}

static inline void apart_layernorm(struct mu_device *d, void *out, float *mean, float *rstd,
                                   float *x_out, const float *x, const float *branch,
                                   const float *weight, const float *bias, int64_t n, int64_t c)
{
    struct apart *a = apart_begin(d);

    apart_check(a, out, n * c * apart_act(a));
    apart_check(a, mean, n * 4);
    apart_check(a, rstd, n * 4);
    apart_check_if(a, x_out, n * c * 4);
    apart_check(a, x, n * c * 4);
    apart_check_if(a, branch, n * c * 4);
    apart_check(a, weight, c * 4);
    apart_check(a, bias, c * 4);
    a->inner->ops->layernorm(a->inner, out, mean, rstd, x_out, x, branch, weight, bias, n, c);
    apart_end(a);
}

static inline void apart_layernorm_backward(struct mu_device *d, float *dx, float *dweight,
                                            float *dbias, const float *dout, const float *x,
                                            const float *weight, const float *mean,
                                            const float *rstd, int64_t n, int64_t c, bool overwrite)
{
    struct apart *a = apart_begin(d);

    apart_check(a, dx, n * c * 4);
    apart_check(a, dweight, c * 4);
    apart_check(a, dbias, c * 4);
    apart_check(a, dout, n * c * 4);
    apart_check(a, x, n * c * 4);
    apart_check(a, weight, c * 4);
    apart_check(a, mean, n * 4);
    apart_check(a, rstd, n * 4);
    a->inner->ops->layernorm_backward(a->inner, dx, dweight, dbias, dout, x, weight, mean, rstd, n,
                                      c, overwrite);
    apart_end(a);
}

static inline void apart_rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out,
                                 const float *x, const float *branch, const float *weight,
                                 int64_t n, int64_t c)
{
    struct apart *a = apart_begin(d);

    apart_check(a, out, n * c * apart_act(a));
    apart_check(a, rstd, n * 4);
    apart_check_if(a, x_out, n * c * 4);
    apart_check(a, x, n * c * 4);
    apart_check_if(a, branch, n * c * 4);
    apart_check(a, weight, c * 4);
    a->inner->ops->rmsnorm(a->inner, out, rstd, x_out, x, branch, weight, n, c);
    apart_end(a);
}

static inline void apart_rmsnorm_backward(struct mu_device *d, float *dx, float *dweight,
                                          const float *dout, const float *x, const float *weight,
                                          const float *rstd, int64_t n, int64_t c, bool overwrite)
{
    struct apart *a = apart_begin(d);

    apart_check(a, dx, n * c * 4);
    apart_check(a, dweight, c * 4);
    apart_check(a, dout, n * c * 4);
    apart_check(a, x, n * c * 4);
    apart_check(a, weight, c * 4);
    apart_check(a, rstd, n * 4);
    a->inner->ops->rmsnorm_backward(a->inner, dx, dweight, dout, x, weight, rstd, n, c, overwrite);
    apart_end(a);
}

static inline void apart_swiglu(struct mu_device *d, void *out, const void *both, int64_t n,
                                int64_t f)
{
    struct apart *a = apart_begin(d);

    apart_check(a, out, n * f * apart_act(a));
    apart_check(a, both, n * 2 * f * apart_act(a));
    a->inner->ops->swiglu(a->inner, out, both, n, f);
    apart_end(a);
}

static inline void apart_swiglu_backward(struct mu_device *d, void *dboth, const void *dout,
                                         const void *both, int64_t n, int64_t f)
{
    struct apart *a = apart_begin(d);

    apart_check(a, dboth, n * 2 * f * apart_act(a));
    apart_check(a, dout, n * f * apart_act(a));
    apart_check(a, both, n * 2 * f * apart_act(a));
    a->inner->ops->swiglu_backward(a->inner, dboth, dout, both, n, f);
    apart_end(a);
}

static inline void apart_rotate(struct mu_device *d, struct mu_attention s, void *qkv,
                                const float *turn, bool backward)
{
    struct apart *a = apart_begin(d);
    const int64_t size = s.context * s.head_size;

    apart_check(a, qkv, s.batch * size * s.heads * 3 * apart_act(a));
    apart_check(a, turn, size * 4);
    a->inner->ops->rotate(a->inner, s, qkv, turn, backward);
    apart_end(a);
}

static inline void apart_linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act,
                                void *before, const void *x, const void *w, const float *b,
                                enum mu_epilogue epilogue)
{
    struct apart *a = apart_begin(d);

    apart_check(a, y, s.rows * s.out * (y_is_act ? apart_act(a) : 4));
    apart_check_if(a, before, s.rows * s.out * apart_act(a));
    apart_check(a, x, s.rows * s.in * apart_act(a));
    apart_check(a, w, s.out * s.in * apart_act(a));
    apart_check_if(a, b, s.out * 4);
    a->inner->ops->linear(a->inner, s, y, y_is_act, before, x, w, b, epilogue);
    apart_end(a);
}

static inline void apart_linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx,
                                               bool dx_is_act, const void *dy, const void *w)
{
    struct apart *a = apart_begin(d);

    apart_check(a, dx, s.rows * s.in * (dx_is_act ? apart_act(a) : 4));
    apart_check(a, dy, s.rows * s.out * apart_act(a));
    apart_check(a, w, s.out * s.in * apart_act(a));
    a->inner->ops->linear_backward_input(a->inner, s, dx, dx_is_act, dy, w);
    apart_end(a);
}

static inline void apart_linear_backward_weight(struct mu_device *d, struct mu_linear s, float *dw,
                                                float *db, const void *dy, const void *x,
                                                bool overwrite)
{
    struct apart *a = apart_begin(d);

    apart_check(a, dw, s.out * s.in * 4);
    apart_check_if(a, db, s.out * 4);
    apart_check(a, dy, s.rows * s.out * apart_act(a));
    apart_check(a, x, s.rows * s.in * apart_act(a));
    a->inner->ops->linear_backward_weight(a->inner, s, dw, db, dy, x, overwrite);
    apart_end(a);
}

static inline void apart_gelu_backward(struct mu_device *d, void *dy, const void *before, int64_t n)
{
    struct apart *a = apart_begin(d);

    apart_check(a, dy, n * apart_act(a));
    apart_check(a, before, n * apart_act(a));
    a->inner->ops->gelu_backward(a->inner, dy, before, n);
    apart_end(a);
}

static inline void apart_to_act(struct mu_device *d, void *out, const float *x, int64_t n)
{
    struct apart *a = apart_begin(d);

    apart_check(a, out, n * apart_act(a));
    apart_check(a, x, n * 4);
    a->inner->ops->to_act(a->inner, out, x, n);
    apart_end(a);
}

static inline void apart_attention(struct mu_device *d, struct mu_attention s, void *out,
                                   float *lse, const void *qkv)
{
    struct apart *a = apart_begin(d);
    int64_t heads = s.batch * s.context * s.heads;

    apart_check(a, out, heads * s.head_size * apart_act(a));
    apart_check(a, lse, heads * 4);
    apart_check(a, qkv, 3 * heads * s.head_size * apart_act(a));
    a->inner->ops->attention(a->inner, s, out, lse, qkv);
    apart_end(a);
}

static inline void apart_attention_backward(struct mu_device *d, struct mu_attention s, void *dqkv,
                                            const void *dout, const void *out, const void *qkv,
                                            const float *lse)
{
    struct apart *a = apart_begin(d);
    int64_t heads = s.batch * s.context * s.heads;

    apart_check(a, dqkv, 3 * heads * s.head_size * apart_act(a));
    apart_check(a, dout, heads * s.head_size * apart_act(a));
    apart_check(a, out, heads * s.head_size * apart_act(a));
    apart_check(a, qkv, 3 * heads * s.head_size * apart_act(a));
    apart_check(a, lse, heads * 4);
    a->inner->ops->attention_backward(a->inner, s, dqkv, dout, out, qkv, lse);
    apart_end(a);
}

static inline void apart_classifier(struct mu_device *d, float *losses, float *dx, float *dtable,
                                    const void *x, const void *table, const int32_t *target,
                                    float scale, int64_t n, int64_t c, int64_t v, bool overwrite)
{
    struct apart *a = apart_begin(d);

    apart_check(a, losses, n * 4);
    apart_check_if(a, dx, n * c * 4);
    apart_check_if(a, dtable, v * c * 4);
    apart_check(a, x, n * c * apart_act(a));
    apart_check(a, table, v * c * apart_act(a));
    apart_check(a, target, n * 4);
    a->inner->ops->classifier(a->inner, losses, dx, dtable, x, table, target, scale, n, c, v,
                              overwrite);
    apart_end(a);
}

static inline void apart_adamw(struct mu_device *d, const struct mu_adamw *u)
{
    struct apart *a = apart_begin(d);
    const void *f32[] = {u->weight, u->m, u->v, u->gradient, u->weight_out, u->m_out, u->v_out};

    for (size_t i = 0; i < sizeof f32 / sizeof *f32; i++)
        apart_check(a, f32[i], u->count * 4);
    apart_check_if(a, u->weight_bf16, u->count * 2);
    apart_check_host(a, u->check);
    a->inner->ops->adamw(a->inner, u);
    apart_end(a);
}

static inline void apart_quantise_add(struct mu_device *d, const struct mu_quantise *q)
{
    struct apart *a = apart_begin(d);
    int64_t blocks = q->rows * ((q->cols + 255) / 256);

    apart_check(a, q->gradient, q->rows * q->cols * 4);
    apart_check(a, q->sum, q->rows * q->cols * 4);
    apart_check(a, q->prediction, blocks * 2);
    apart_check(a, q->largest, blocks);
    apart_check(a, q->misfit, blocks);
    a->inner->ops->quantise_add(a->inner, q);
    apart_end(a);
}

static inline void apart_add(struct mu_device *d, float *to, const float *from, int64_t n,
                             bool overwrite)
{
    struct apart *a = apart_begin(d);

    apart_check(a, to, n * 4);
    apart_check(a, from, n * 4);
    a->inner->ops->add(a->inner, to, from, n, overwrite);
    apart_end(a);
}

static inline uint32_t apart_add_int32(struct mu_device *d, int32_t *to, const int32_t *from,
                                       int64_t n)
{
    struct apart *a = apart_begin(d);
    uint32_t sum;

    apart_check(a, to, n * 4);
    apart_check(a, from, n * 4);
    sum = a->inner->ops->add_int32(a->inner, to, from, n);
    apart_end(a);
    return sum;
}

/* ---- opening ---- */
static inline void apart_close(struct mu_device *d)
{
    struct apart *a = (struct apart *)d;

    MU_ASSERT(a->count == 0); /* all that was taken or lent came back */
    mu_device_close(a->inner);
    munmap(a->arena, APART_ARENA_BYTES);
    free(a);
}

static const struct mu_device_ops apart_ops = {
    .name = "apart",
    .close = apart_close,
    .alloc = apart_alloc,
    .free = apart_free,
    .alloc_lent = apart_alloc_lent,
    .free_lent = apart_free_lent,
    .lend = apart_lend,
    .take_back = apart_take_back,
    .upload = apart_upload,
    .download = apart_download,
    .clear = apart_clear,
    .wait = apart_wait,
    .copy = apart_copy,
    .embed = apart_embed,
    .embed_backward = apart_embed_backward,
    .layernorm = apart_layernorm,
    .layernorm_backward = apart_layernorm_backward,
    .rmsnorm = apart_rmsnorm,
    .rmsnorm_backward = apart_rmsnorm_backward,
    .swiglu = apart_swiglu,
    .swiglu_backward = apart_swiglu_backward,
    .rotate = apart_rotate,
    .linear = apart_linear,
    .linear_backward_input = apart_linear_backward_input,
    .linear_backward_weight = apart_linear_backward_weight,
    .gelu_backward = apart_gelu_backward,
    .to_act = apart_to_act,
    .attention = apart_attention,
    .attention_backward = apart_attention_backward,
    .classifier = apart_classifier,
    .adamw = apart_adamw,
    .quantise_add = apart_quantise_add,
    .add = apart_add,
    .add_int32 = apart_add_int32,
};

/* `inner` belongs to what is given back, and is closed with it. */
static inline struct mu_device *apart_wrap(struct mu_device *inner)
{
    struct apart *a = calloc(1, sizeof *a);

    MU_ASSERT(a);
    a->base.ops = &apart_ops;
    a->base.options = inner->options;
    a->inner = inner;
    a->arena = mmap(NULL, APART_ARENA_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    MU_ASSERT(a->arena != MAP_FAILED);
    return &a->base;
}

#endif

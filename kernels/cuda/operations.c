/* Operations: a launch each, of the kernel of the same name (kernels.h), on the device's stream. */
#include "kernels/cuda/cuda.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/linear.h"

/* Whether any of the pointers is to lent memory. */
#define LENT(c, ...)                                         \
    mu_cuda_is_lent((c), (const void *const[]){__VA_ARGS__}, \
                    (int)(sizeof((const void *[]){__VA_ARGS__}) / sizeof(const void *)))

static bool is_bf16(const struct mu_cuda *c)
{
    return c->base.options.precision == MU_PRECISION_BF16;
}

static void embed(struct mu_device *d, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t, int64_t width)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "embed", mu_cuda_embed(c->stream, out, table, position, token, n, t, width),
                   LENT(c, out, table, position, token));
}

static void embed_backward(struct mu_device *d, float *rows, float *dposition, const float *dout,
                           const int32_t *row_of, int64_t n, int64_t t, int64_t width,
                           bool overwrite_position)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "embed_backward",
                   mu_cuda_embed_backward(c->stream, rows, dposition, dout, row_of, n, t, width,
                                          overwrite_position),
                   LENT(c, rows, dposition, dout, row_of));
}

static void layernorm(struct mu_device *d, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t width)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "layernorm",
                   mu_cuda_layernorm(c->stream, is_bf16(c), out, mean, rstd, x_out, x, branch,
                                     weight, bias, n, width),
                   LENT(c, out, mean, rstd, x_out, x, branch, weight, bias));
}

static void layernorm_backward(struct mu_device *d, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, int64_t n, int64_t width,
                               bool overwrite)
{
    struct mu_cuda *c = mu_cuda_of(d);
    size_t bytes = sizeof(float) * (size_t)mu_cuda_norm_backward_scratch(n, width);
    float *scratch = mu_cuda_scratch(c, bytes, "layernorm_backward");

    if (scratch)
        mu_cuda_queued(c, "layernorm_backward",
                       mu_cuda_layernorm_backward(c->stream, dx, dweight, dbias, dout, x, weight,
                                                  mean, rstd, scratch, n, width, overwrite),
                       LENT(c, dx, dweight, dbias, dout, x, weight, mean, rstd));
}

static void rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t n, int64_t width)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(
        c, "rmsnorm",
        mu_cuda_rmsnorm(c->stream, is_bf16(c), out, rstd, x_out, x, branch, weight, n, width),
        LENT(c, out, rstd, x_out, x, branch, weight));
}

static void rmsnorm_backward(struct mu_device *d, float *dx, float *dweight, const float *dout,
                             const float *x, const float *weight, const float *rstd, int64_t n,
                             int64_t width, bool overwrite)
{
    struct mu_cuda *c = mu_cuda_of(d);
    size_t bytes = sizeof(float) * (size_t)mu_cuda_norm_backward_scratch(n, width);
    float *scratch = mu_cuda_scratch(c, bytes, "rmsnorm_backward");

    if (scratch)
        mu_cuda_queued(c, "rmsnorm_backward",
                       mu_cuda_rmsnorm_backward(c->stream, dx, dweight, dout, x, weight, rstd,
                                                scratch, n, width, overwrite),
                       LENT(c, dx, dweight, dout, x, weight, rstd));
}

static void linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act, void *before,
                   const void *x, const void *w, const float *b, enum mu_epilogue epilogue)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (!mu_cuda_is_broken(c))
        mu_cuda_queued_with(
            c, "linear",
            mu_cuda_linear(c->blas, c->stream, s, y, y_is_act, before, x, w, b, epilogue),
            LENT(c, y, before, x, w, b));
}

static void linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx, bool dx_is_act,
                                  const void *dy, const void *w)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (!mu_cuda_is_broken(c))
        mu_cuda_queued_with(
            c, "linear_backward_input",
            mu_cuda_linear_backward_input(c->blas, c->stream, s, dx, dx_is_act, dy, w),
            LENT(c, dx, dy, w));
}

static void linear_backward_weight(struct mu_device *d, struct mu_linear s, float *dw, float *db,
                                   const void *dy, const void *x, bool overwrite)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (!mu_cuda_is_broken(c))
        mu_cuda_queued_with(
            c, "linear_backward_weight",
            mu_cuda_linear_backward_weight(c->blas, c->stream, s, dw, db, dy, x, overwrite),
            LENT(c, dw, db, dy, x));
}

static void gelu_backward(struct mu_device *d, void *grad, const void *before, int64_t n)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "gelu_backward",
                   mu_cuda_gelu_backward(c->stream, is_bf16(c), grad, before, n),
                   LENT(c, grad, before));
}

static void swiglu(struct mu_device *d, void *out, const void *both, int64_t n, int64_t f)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "swiglu", mu_cuda_swiglu(c->stream, is_bf16(c), out, both, n, f),
                   LENT(c, out, both));
}

static void swiglu_backward(struct mu_device *d, void *dboth, const void *dout, const void *both,
                            int64_t n, int64_t f)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "swiglu_backward",
                   mu_cuda_swiglu_backward(c->stream, is_bf16(c), dboth, dout, both, n, f),
                   LENT(c, dboth, dout, both));
}

static void rotate(struct mu_device *d, struct mu_attention s, void *qkv, const float *turn,
                   bool backward)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "rotate", mu_cuda_rotate(c->stream, is_bf16(c), s, qkv, turn, backward),
                   LENT(c, qkv, turn));
}

static void to_act(struct mu_device *d, void *out, const float *x, int64_t n)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "to_act", mu_cuda_to_act(c->stream, is_bf16(c), out, x, n), LENT(c, out, x));
}

static void attention(struct mu_device *d, struct mu_attention s, void *out, float *lse,
                      const void *qkv)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "attention", mu_cuda_attention(c->stream, is_bf16(c), s, out, lse, qkv),
                   LENT(c, out, lse, qkv));
}

static void attention_backward(struct mu_device *d, struct mu_attention s, void *dqkv,
                               const void *dout, const void *out, const void *qkv, const float *lse)
{
    struct mu_cuda *c = mu_cuda_of(d);
    size_t bytes = (size_t)mu_cuda_attention_backward_scratch(s);
    void *scratch = mu_cuda_scratch(c, bytes, "attention_backward");

    if (scratch)
        mu_cuda_queued(c, "attention_backward",
                       mu_cuda_attention_backward(c->stream, is_bf16(c), s, dqkv, dout, out, qkv,
                                                  lse, scratch),
                       LENT(c, dqkv, dout, out, qkv, lse));
}

static void classifier(struct mu_device *d, float *losses, float *dx, float *dtable, const void *x,
                       const void *table, const int32_t *target, float scale, int64_t n,
                       int64_t width, int64_t v, bool overwrite)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (!mu_cuda_is_broken(c))
        mu_cuda_queued_with(c, "classifier",
                            mu_cuda_classifier(c->blas, c->stream, losses, dx, dtable, x, table,
                                               target, scale, n, width, v, overwrite),
                            LENT(c, losses, dx, dtable, x, table, target));
}

static void adamw(struct mu_device *d, const struct mu_adamw *a)
{
    struct mu_cuda *c = mu_cuda_of(d);
    struct mu_adamw on_device = *a;

    if (a->check)
        on_device.check = c->word;
    mu_cuda_queued(c, "adamw", mu_cuda_adamw(c->stream, &on_device),
                   LENT(c, a->weight, a->m, a->v, a->gradient, a->weight_out, a->m_out, a->v_out,
                        a->weight_bf16));
    if (a->check)
        *a->check += mu_cuda_take_word(c, "adamw");
}

static void quantise_add(struct mu_device *d, const struct mu_quantise *q)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "quantise_add", mu_cuda_quantise_add(c->stream, q),
                   LENT(c, q->gradient, q->sum, q->prediction, q->largest, q->misfit));
}

static void add(struct mu_device *d, float *to, const float *from, int64_t n, bool overwrite)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "add", mu_cuda_add(c->stream, to, from, n, overwrite), LENT(c, to, from));
}

static uint32_t add_int32(struct mu_device *d, int32_t *a, const int32_t *b, int64_t n)
{
    struct mu_cuda *c = mu_cuda_of(d);

    mu_cuda_queued(c, "add_int32", mu_cuda_add_int32(c->stream, a, b, c->word, n), LENT(c, a, b));
    return mu_cuda_take_word(c, "add_int32");
}

void mu_cuda_operations(struct mu_device_ops *ops)
{
    ops->embed = embed;
    ops->embed_backward = embed_backward;
    ops->layernorm = layernorm;
    ops->layernorm_backward = layernorm_backward;
    ops->rmsnorm = rmsnorm;
    ops->rmsnorm_backward = rmsnorm_backward;
    ops->linear = linear;
    ops->linear_backward_input = linear_backward_input;
    ops->linear_backward_weight = linear_backward_weight;
    ops->gelu_backward = gelu_backward;
    ops->swiglu = swiglu;
    ops->swiglu_backward = swiglu_backward;
    ops->rotate = rotate;
    ops->to_act = to_act;
    ops->attention = attention;
    ops->attention_backward = attention_backward;
    ops->classifier = classifier;
    ops->adamw = adamw;
    ops->quantise_add = quantise_add;
    ops->add = add;
    ops->add_int32 = add_int32;
    ops->measure_peak = mu_cuda_measure_peak;
}

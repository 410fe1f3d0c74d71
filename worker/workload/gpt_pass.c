/* One micro-batch of a GPT through the device: forward, head, backward. Every buffer is written
 * before it is read within a micro-batch, so nothing is carried over but the gradients that are
 * added up, in the fixed order of micro-batches. */
#include "worker/workload/gpt.h"

static const float *weight(const struct mu_gpt *g, const struct mu_weights *w, uint32_t tensor)
{
    return w->f32 + g->base.layout.tensors[tensor].offset;
}

/* The same as matrix products read it. */
static const void *weight_act(const struct mu_gpt *g, const struct mu_weights *w, uint32_t tensor)
{
    const uint64_t offset = g->base.layout.tensors[tensor].offset;

    if (g->device->options.precision == MU_PRECISION_BF16)
        return w->bf16 + offset;
    return w->f32 + offset;
}

static float *gradient(const struct mu_gpt *g, uint32_t tensor)
{
    return g->buffers.dense + g->base.layout.tensors[tensor].offset;
}

static struct mu_linear linear_shape(int64_t rows, int64_t in, int64_t out)
{
    return (struct mu_linear){.rows = rows, .in = in, .out = out};
}

static struct mu_attention attention_shape(const struct mu_gpt *g, int64_t sequences)
{
    return (struct mu_attention){.batch = sequences,
                                 .context = g->dims.context,
                                 .heads = g->dims.heads,
                                 .head_size = g->dims.width / g->dims.heads};
}

/* Of block l. */
#define F32(which)  weight(g, w, mu_gpt_tensor(l, MU_GPT_##which))
#define ACT(which)  weight_act(g, w, mu_gpt_tensor(l, MU_GPT_##which))
#define GRAD(which) gradient(g, mu_gpt_tensor(l, MU_GPT_##which))

/* x: the stream before this block's pending branch is added (NULL: nothing is pending, and the
 * stream is b->x1 already). Leaves the attention's output in buffers.branch. */
static void forward_attention(struct mu_gpt *g, const struct mu_weights *w, int64_t l,
                              const float *x, int64_t sequences)
{
    struct mu_device *d = g->device;
    const struct mu_device_ops *op = d->ops;
    struct mu_gpt_block *b = &g->buffers.block[l];
    float *branch = g->buffers.branch;
    const int64_t n = sequences * g->dims.context, c = g->dims.width;

    op->layernorm(d, b->ln1, b->mean1, b->rstd1, b->x1, x == NULL ? b->x1 : x,
                  x == NULL ? NULL : branch, F32(LN1_WEIGHT), F32(LN1_BIAS), n, c);
    op->linear(d, linear_shape(n, c, 3 * c), b->qkv, true, NULL, b->ln1, ACT(QKV_WEIGHT),
               F32(QKV_BIAS), MU_EPILOGUE_NONE);
    op->attention(d, attention_shape(g, sequences), b->att, b->lse, b->qkv);
    op->linear(d, linear_shape(n, c, c), branch, false, NULL, b->att, ACT(PROJ_WEIGHT),
               F32(PROJ_BIAS), MU_EPILOGUE_NONE);
}

/* The mlp up to its GELU. x as above, of b->x2; here the pending branch is the attention's. */
static void forward_up(struct mu_gpt *g, const struct mu_weights *w, int64_t l, const float *x,
                       int64_t sequences)
{
    struct mu_device *d = g->device;
    const struct mu_device_ops *op = d->ops;
    struct mu_gpt_block *b = &g->buffers.block[l];
    const int64_t n = sequences * g->dims.context, c = g->dims.width;

    op->layernorm(d, b->ln2, b->mean2, b->rstd2, b->x2, x == NULL ? b->x2 : x,
                  x == NULL ? NULL : g->buffers.branch, F32(LN2_WEIGHT), F32(LN2_BIAS), n, c);
    op->linear(d, linear_shape(n, c, 4 * c), b->gelu, true, b->before, b->ln2, ACT(UP_WEIGHT),
               F32(UP_BIAS), MU_EPILOGUE_GELU);
}

/* x as for forward_attention. Leaves the mlp's output in buffers.branch. */
static void forward_block(struct mu_gpt *g, const struct mu_weights *w, int64_t l, const float *x,
                          int64_t sequences)
{
    struct mu_device *d = g->device;
    const struct mu_gpt_block *b = &g->buffers.block[l];
    const int64_t n = sequences * g->dims.context, c = g->dims.width;

    forward_attention(g, w, l, x, sequences);
    forward_up(g, w, l, b->x1, sequences);
    d->ops->linear(d, linear_shape(n, 4 * c, c), g->buffers.branch, false, NULL, b->gelu,
                   ACT(DOWN_WEIGHT), F32(DOWN_BIAS), MU_EPILOGUE_NONE);
}

/* What the layers share holds block l's again. */
static void recompute_block(struct mu_gpt *g, const struct mu_weights *w, int64_t l,
                            int64_t sequences)
{
    const bool is_whole = g->recompute == MU_RECOMPUTE_BLOCK;

    if (g->recompute == MU_RECOMPUTE_NONE || l == g->dims.layers - 1)
        return;
    if (is_whole)
        forward_attention(g, w, l, NULL, sequences);
    forward_up(g, w, l, is_whole ? g->buffers.block[l].x1 : NULL, sequences);
}

enum mu_status mu_gpt_forward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *input,
                              int64_t sequences)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const int64_t t = g->dims.context, n = sequences * t, c = g->dims.width;
    enum mu_status st = MU_OK;

    d->ops->embed(d, a->block[0].x1, weight(g, w, MU_GPT_WTE), weight(g, w, MU_GPT_WPE), input, n,
                  t, c);
    for (int64_t l = 0; l < g->dims.layers; l++) {
        forward_block(g, w, l, l == 0 ? NULL : a->block[l - 1].x2, sequences);
        MU_TRY(mu_device_status(d), st, failed);
    }
    d->ops->layernorm(d, a->lnf, a->meanf, a->rstdf, a->xf, a->block[g->dims.layers - 1].x2,
                      a->branch, weight(g, w, mu_gpt_lnf_weight(&g->dims)),
                      weight(g, w, mu_gpt_lnf_bias(&g->dims)), n, c);
failed:
    return st;
}

enum mu_status mu_gpt_head(struct mu_gpt *g, const struct mu_weights *w, const int32_t *target,
                           int64_t sequences, bool backward, float scale, bool first, double *loss)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const int64_t n = sequences * g->dims.context;
    const float *losses;

    *loss = 0;
    d->ops->classifier(
        d, a->losses, backward ? a->dnorm : NULL, backward ? gradient(g, MU_GPT_WTE) : NULL, a->lnf,
        weight_act(g, w, MU_GPT_WTE), target, scale, n, g->dims.width, g->dims.vocab, first);
    losses = mu_device_view(d, a->losses, (size_t)n * sizeof *losses, a->losses_copy);
    for (int64_t i = 0; i < n; i++)
        *loss += (double)losses[i];
    return mu_device_status(d);
}

/* buffers.dx: in, the gradient of the stream after the block; out, before it. */
static void backward_block(struct mu_gpt *g, const struct mu_weights *w, int64_t l,
                           int64_t sequences, bool first)
{
    struct mu_device *d = g->device;
    const struct mu_device_ops *op = d->ops;
    struct mu_gpt_buffers *a = &g->buffers;
    struct mu_gpt_block *b = &a->block[l];
    const int64_t n = sequences * g->dims.context, c = g->dims.width;
    const struct mu_linear down = linear_shape(n, 4 * c, c), up = linear_shape(n, c, 4 * c),
                           proj = linear_shape(n, c, c), qkv = linear_shape(n, c, 3 * c);

    op->to_act(d, a->dbranch, a->dx, n * c);
    op->linear_backward_weight(d, down, GRAD(DOWN_WEIGHT), GRAD(DOWN_BIAS), a->dbranch, b->gelu,
                               first);
    op->linear_backward_input(d, down, a->dwide, true, a->dbranch, ACT(DOWN_WEIGHT));
    op->gelu_backward(d, a->dwide, b->before, n * 4 * c);
    op->linear_backward_weight(d, up, GRAD(UP_WEIGHT), GRAD(UP_BIAS), a->dwide, b->ln2, first);
    op->linear_backward_input(d, up, a->dnorm, false, a->dwide, ACT(UP_WEIGHT));
    op->layernorm_backward(d, a->dx, GRAD(LN2_WEIGHT), GRAD(LN2_BIAS), a->dnorm, b->x2,
                           F32(LN2_WEIGHT), b->mean2, b->rstd2, n, c, first);

    op->to_act(d, a->dbranch, a->dx, n * c);
    op->linear_backward_weight(d, proj, GRAD(PROJ_WEIGHT), GRAD(PROJ_BIAS), a->dbranch, b->att,
                               first);
    op->linear_backward_input(d, proj, a->datt, true, a->dbranch, ACT(PROJ_WEIGHT));
    op->attention_backward(d, attention_shape(g, sequences), a->dwide, a->datt, b->att, b->qkv,
                           b->lse);
    op->linear_backward_weight(d, qkv, GRAD(QKV_WEIGHT), GRAD(QKV_BIAS), a->dwide, b->ln1, first);
    op->linear_backward_input(d, qkv, a->dnorm, false, a->dwide, ACT(QKV_WEIGHT));
    op->layernorm_backward(d, a->dx, GRAD(LN1_WEIGHT), GRAD(LN1_BIAS), a->dnorm, b->x1,
                           F32(LN1_WEIGHT), b->mean1, b->rstd1, n, c, first);
}

enum mu_status mu_gpt_backward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *row_of,
                               int64_t sequences, bool first, bool last)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const int64_t t = g->dims.context, n = sequences * t, c = g->dims.width;
    const uint32_t lnf_weight = mu_gpt_lnf_weight(&g->dims), lnf_bias = mu_gpt_lnf_bias(&g->dims);
    enum mu_status st = MU_OK;

    mu_device_clear(d, a->dx, (size_t)(n * c) * sizeof *a->dx); /* layernorm_backward adds */
    d->ops->layernorm_backward(d, a->dx, gradient(g, lnf_weight), gradient(g, lnf_bias), a->dnorm,
                               a->xf, weight(g, w, lnf_weight), a->meanf, a->rstdf, n, c, first);
    for (int64_t l = g->dims.layers - 1; l >= 0; l--) {
        recompute_block(g, w, l, sequences);
        MU_TRY(mu_device_status(d), st, failed);
        backward_block(g, w, l, sequences, first);
        if (last)
            mu_workload_tell_ready(&g->base, a->dense, mu_gpt_tensor(l, 0));
        MU_TRY(mu_device_status(d), st, failed);
    }
    d->ops->embed_backward(d, a->row_value, gradient(g, MU_GPT_WPE), a->dx, row_of, n, t, c, first);
failed:
    return st;
}

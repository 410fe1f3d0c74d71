/* One micro-batch of a GPT through the device: forward, head, backward. Every buffer is written
 * before it is read within a micro-batch, so nothing is carried over but the gradients that are
 * added up, in the fixed order of micro-batches. */
#include "worker/workload/gpt.h"

static struct mu_linear linear_shape(int64_t rows, int64_t in, int64_t out)
{
    return (struct mu_linear){.rows = rows, .in = in, .out = out};
}

static struct mu_attention attention_shape(const struct mu_gpt *g, int64_t sequences,
                                           int64_t context)
{
    return (struct mu_attention){.batch = sequences,
                                 .context = context,
                                 .heads = g->dims.heads,
                                 .head_size = g->dims.width / g->dims.heads};
}

static struct mu_gpt_span whole(const struct mu_gpt *g, int64_t sequences)
{
    return (struct mu_gpt_span){.sequences = sequences, .length = g->dims.context};
}

static int64_t tokens_of(struct mu_gpt_span span)
{
    return span.sequences * span.length;
}

/* Element i of an act buffer. */
static void *act_at(const struct mu_gpt *g, void *act, int64_t i)
{
    return (char *)act + (size_t)i * mu_device_act_bytes(g->device);
}

/* Of block l. */
#define F32(which)  mu_gpt_weight(g, w, l, MU_GPT_##which)
#define ACT(which)  mu_gpt_weight_act(g, w, l, MU_GPT_##which)
#define GRAD(which) mu_gpt_gradient(g, l, MU_GPT_##which)

static struct mu_gpt_norm first_norm(const struct mu_gpt_block *b)
{
    return (struct mu_gpt_norm){MU_GPT_LN1_WEIGHT, MU_GPT_LN1_BIAS, b->mean1,
                                b->rstd1,          b->x1,           b->ln1};
}

static struct mu_gpt_norm second_norm(const struct mu_gpt_block *b)
{
    return (struct mu_gpt_norm){MU_GPT_LN2_WEIGHT, MU_GPT_LN2_BIAS, b->mean2,
                                b->rstd2,          b->x2,           b->ln2};
}

static struct mu_gpt_norm last_norm(const struct mu_gpt_buffers *a)
{
    return (struct mu_gpt_norm){MU_GPT_LNF_WEIGHT, MU_GPT_LNF_BIAS, a->meanf,
                                a->rstdf,          a->xf,           a->lnf};
}

/* Queries of the span against the keys up to them. Gives back where in b->att the output is. */
static void *attend(struct mu_gpt *g, struct mu_gpt_block *b, struct mu_gpt_span span)
{
    const struct mu_attention seen = attention_shape(g, span.sequences, span.at + span.length);
    struct mu_device *d = g->device;

    if (span.at > 0 && d->ops->attention_last) {
        d->ops->attention_last(d, seen, b->att, b->qkv);
        return b->att;
    }
    d->ops->attention(d, seen, b->att, b->lse, b->qkv);
    return act_at(g, b->att, span.at * g->dims.width);
}

/* x: the stream before this block's pending branch is added (NULL: nothing is pending, and the
 * stream is b->x1 already). Leaves the attention's output in buffers.branch. */
static void forward_attention(struct mu_gpt *g, const struct mu_weights *w, int64_t l,
                              const float *x, struct mu_gpt_span span)
{
    struct mu_device *d = g->device;
    const struct mu_device_ops *op = d->ops;
    struct mu_gpt_block *b = &g->buffers.block[l];
    float *branch = g->buffers.branch;
    const struct mu_gpt_norm norm = first_norm(b);
    const int64_t n = tokens_of(span), c = g->dims.width;
    void *qkv = act_at(g, b->qkv, span.at * 3 * c);

    mu_gpt_normalise(g, w, l, &norm, x == NULL ? b->x1 : x, x == NULL ? NULL : branch, n);
    op->linear(d, linear_shape(n, c, 3 * c), qkv, true, NULL, b->ln1, ACT(QKV_WEIGHT),
               F32(QKV_BIAS), MU_EPILOGUE_NONE);
    mu_gpt_turn(g, attention_shape(g, span.sequences, span.length), span.at, qkv, false);
    op->linear(d, linear_shape(n, c, c), branch, false, NULL, attend(g, b, span), ACT(PROJ_WEIGHT),
               F32(PROJ_BIAS), MU_EPILOGUE_NONE);
}

/* The mlp up to its hidden layer. x as above, of b->x2; here the pending branch is the attention's.
 */
static void forward_up(struct mu_gpt *g, const struct mu_weights *w, int64_t l, const float *x,
                       struct mu_gpt_span span)
{
    const struct mu_gpt_block *b = &g->buffers.block[l];
    const struct mu_gpt_norm norm = second_norm(b);
    const int64_t n = tokens_of(span);

    mu_gpt_normalise(g, w, l, &norm, x == NULL ? b->x2 : x, x == NULL ? NULL : g->buffers.branch,
                     n);
    mu_gpt_widen(g, w, l, n);
}

/* x as for forward_attention. Leaves the mlp's output in buffers.branch. */
static void forward_block(struct mu_gpt *g, const struct mu_weights *w, int64_t l, const float *x,
                          struct mu_gpt_span span)
{
    struct mu_device *d = g->device;
    const struct mu_gpt_block *b = &g->buffers.block[l];

    forward_attention(g, w, l, x, span);
    forward_up(g, w, l, b->x1, span);
    d->ops->linear(d, linear_shape(tokens_of(span), g->dims.hidden, g->dims.width),
                   g->buffers.branch, false, NULL, b->hidden, ACT(DOWN_WEIGHT), F32(DOWN_BIAS),
                   MU_EPILOGUE_NONE);
}

/* What the layers share holds block l's again. */
static void recompute_block(struct mu_gpt *g, const struct mu_weights *w, int64_t l,
                            int64_t sequences)
{
    const bool is_whole = g->recompute == MU_RECOMPUTE_BLOCK;

    if (g->recompute == MU_RECOMPUTE_NONE || l == g->dims.layers - 1)
        return;
    if (is_whole)
        forward_attention(g, w, l, NULL, whole(g, sequences));
    forward_up(g, w, l, is_whole ? g->buffers.block[l].x1 : NULL, whole(g, sequences));
}

enum mu_status mu_gpt_forward_span(struct mu_gpt *g, const struct mu_weights *w,
                                   const int32_t *input, struct mu_gpt_span span)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const struct mu_gpt_norm norm = last_norm(a);
    const float *position = mu_gpt_weight(g, w, 0, MU_GPT_WPE);
    const int64_t n = tokens_of(span), c = g->dims.width;
    enum mu_status st = MU_OK;

    MU_ASSERT(span.at + span.length <= g->dims.context);
    MU_ASSERT(span.at == 0 || n == 1);
    d->ops->embed(d, a->block[0].x1, mu_gpt_weight(g, w, 0, MU_GPT_WTE),
                  position == NULL ? NULL : position + span.at * c, input, n, span.length, c);
    for (int64_t l = 0; l < g->dims.layers; l++) {
        forward_block(g, w, l, l == 0 ? NULL : a->block[l - 1].x2, span);
        MU_TRY(mu_device_status(d), st, failed);
    }
    mu_gpt_normalise(g, w, 0, &norm, a->block[g->dims.layers - 1].x2, a->branch, n);
failed:
    return st;
}

enum mu_status mu_gpt_forward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *input,
                              int64_t sequences)
{
    return mu_gpt_forward_span(g, w, input, whole(g, sequences));
}

enum mu_status mu_gpt_head(struct mu_gpt *g, const struct mu_weights *w, const int32_t *target,
                           int64_t sequences, bool backward, float scale, bool first, double *loss)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const int64_t n = sequences * g->dims.context;
    const float *losses;

    *loss = 0;
    d->ops->classifier(d, a->losses, backward ? a->dnorm : NULL,
                       backward ? mu_gpt_gradient(g, 0, MU_GPT_WTE) : NULL, a->lnf,
                       mu_gpt_weight_act(g, w, 0, MU_GPT_WTE), target, scale, n, g->dims.width,
                       g->dims.vocab, first);
    losses = mu_device_view(d, a->losses, (size_t)n * sizeof *losses, a->losses_copy);
    for (int64_t i = 0; i < n; i++)
        *loss += (double)losses[i];
    return mu_device_status(d);
}

/* buffers.dx: in, the gradient of the stream after the mlp; out, before it. */
static void backward_mlp(struct mu_gpt *g, const struct mu_weights *w, int64_t l, int64_t sequences,
                         bool first)
{
    struct mu_device *d = g->device;
    const struct mu_device_ops *op = d->ops;
    struct mu_gpt_buffers *a = &g->buffers;
    const struct mu_gpt_block *b = &a->block[l];
    const struct mu_gpt_norm norm = second_norm(b);
    const int64_t n = sequences * g->dims.context, c = g->dims.width;
    const struct mu_linear down = linear_shape(n, g->dims.hidden, c),
                           up = linear_shape(n, c, mu_gpt_up_width(&g->dims));
    void *dup;

    op->to_act(d, a->dbranch, a->dx, n * c);
    op->linear_backward_weight(d, down, GRAD(DOWN_WEIGHT), GRAD(DOWN_BIAS), a->dbranch, b->hidden,
                               first);
    op->linear_backward_input(d, down, a->dwide, true, a->dbranch, ACT(DOWN_WEIGHT));
    dup = mu_gpt_widen_backward(g, l, n);
    op->linear_backward_weight(d, up, GRAD(UP_WEIGHT), GRAD(UP_BIAS), dup, b->ln2, first);
    op->linear_backward_input(d, up, a->dnorm, false, dup, ACT(UP_WEIGHT));
    mu_gpt_normalise_backward(g, w, l, &norm, n, first);
}

/* The same of the attention. */
static void backward_attention(struct mu_gpt *g, const struct mu_weights *w, int64_t l,
                               int64_t sequences, bool first)
{
    struct mu_device *d = g->device;
    const struct mu_device_ops *op = d->ops;
    struct mu_gpt_buffers *a = &g->buffers;
    const struct mu_gpt_block *b = &a->block[l];
    const struct mu_attention shape = attention_shape(g, sequences, g->dims.context);
    const struct mu_gpt_norm norm = first_norm(b);
    const int64_t n = sequences * g->dims.context, c = g->dims.width;
    const struct mu_linear proj = linear_shape(n, c, c), qkv = linear_shape(n, c, 3 * c);

    op->to_act(d, a->dbranch, a->dx, n * c);
    op->linear_backward_weight(d, proj, GRAD(PROJ_WEIGHT), GRAD(PROJ_BIAS), a->dbranch, b->att,
                               first);
    op->linear_backward_input(d, proj, a->datt, true, a->dbranch, ACT(PROJ_WEIGHT));
    op->attention_backward(d, shape, a->dwide, a->datt, b->att, b->qkv, b->lse);
    mu_gpt_turn(g, shape, 0, a->dwide, true);
    op->linear_backward_weight(d, qkv, GRAD(QKV_WEIGHT), GRAD(QKV_BIAS), a->dwide, b->ln1, first);
    op->linear_backward_input(d, qkv, a->dnorm, false, a->dwide, ACT(QKV_WEIGHT));
    mu_gpt_normalise_backward(g, w, l, &norm, n, first);
}

enum mu_status mu_gpt_backward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *row_of,
                               int64_t sequences, bool first, bool last)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const int64_t t = g->dims.context, n = sequences * t, c = g->dims.width;
    const struct mu_gpt_norm norm = last_norm(a);
    enum mu_status st = MU_OK;

    mu_device_clear(d, a->dx, (size_t)(n * c) * sizeof *a->dx); /* what follows adds */
    mu_gpt_normalise_backward(g, w, 0, &norm, n, first);
    for (int64_t l = g->dims.layers - 1; l >= 0; l--) {
        recompute_block(g, w, l, sequences);
        MU_TRY(mu_device_status(d), st, failed);
        backward_mlp(g, w, l, sequences, first);
        backward_attention(g, w, l, sequences, first);
        if (last)
            mu_workload_tell_ready(&g->base, a->dense,
                                   mu_gpt_tensor(&g->dims, l, MU_GPT_LN1_WEIGHT));
        MU_TRY(mu_device_status(d), st, failed);
    }
    d->ops->embed_backward(d, a->row_value, mu_gpt_gradient(g, 0, MU_GPT_WPE), a->dx, row_of, n, t,
                           c, first);
failed:
    return st;
}

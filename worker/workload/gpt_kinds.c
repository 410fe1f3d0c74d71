/* Where gpt2 and llama differ within a pass: norms, the mlp's hidden layer, positions. A tensor
 * that a kind has not is NULL, which every operation takes for a bias. */
#include "worker/workload/gpt.h"

const float *mu_gpt_weight(const struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                           enum mu_gpt_part part)
{
    const uint32_t tensor = mu_gpt_tensor(&g->dims, layer, part);

    return tensor == MU_GPT_NO_TENSOR ? NULL : w->f32 + g->base.layout.tensors[tensor].offset;
}

const void *mu_gpt_weight_act(const struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                              enum mu_gpt_part part)
{
    const uint64_t offset = g->base.layout.tensors[mu_gpt_tensor(&g->dims, layer, part)].offset;

    if (g->device->options.precision == MU_PRECISION_BF16)
        return w->bf16 + offset;
    return w->f32 + offset;
}

float *mu_gpt_gradient(const struct mu_gpt *g, int64_t layer, enum mu_gpt_part part)
{
    const uint32_t tensor = mu_gpt_tensor(&g->dims, layer, part);

    return tensor == MU_GPT_NO_TENSOR ? NULL
                                      : g->buffers.dense + g->base.layout.tensors[tensor].offset;
}

void mu_gpt_normalise(struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                      const struct mu_gpt_norm *norm, const float *x, const float *branch,
                      int64_t n)
{
    struct mu_device *d = g->device;
    const float *weight = mu_gpt_weight(g, w, layer, norm->weight);
    const int64_t c = g->dims.width;

    if (g->dims.kind == MU_GPT_KIND_LLAMA)
        d->ops->rmsnorm(d, norm->out, norm->rstd, norm->stream, x, branch, weight, n, c);
    else
        d->ops->layernorm(d, norm->out, norm->mean, norm->rstd, norm->stream, x, branch, weight,
                          mu_gpt_weight(g, w, layer, norm->bias), n, c);
}

void mu_gpt_normalise_backward(struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                               const struct mu_gpt_norm *norm, int64_t n, bool first)
{
    struct mu_device *d = g->device;
    struct mu_gpt_buffers *a = &g->buffers;
    const float *weight = mu_gpt_weight(g, w, layer, norm->weight);
    float *dweight = mu_gpt_gradient(g, layer, norm->weight);
    const int64_t c = g->dims.width;

    if (g->dims.kind == MU_GPT_KIND_LLAMA)
        d->ops->rmsnorm_backward(d, a->dx, dweight, a->dnorm, norm->stream, weight, norm->rstd, n,
                                 c, first);
    else
        d->ops->layernorm_backward(d, a->dx, dweight, mu_gpt_gradient(g, layer, norm->bias),
                                   a->dnorm, norm->stream, weight, norm->mean, norm->rstd, n, c,
                                   first);
}

void mu_gpt_widen(struct mu_gpt *g, const struct mu_weights *w, int64_t layer, int64_t n)
{
    struct mu_device *d = g->device;
    const struct mu_gpt_block *b = &g->buffers.block[layer];
    const struct mu_linear shape = {
        .rows = n, .in = g->dims.width, .out = mu_gpt_up_width(&g->dims)};
    const void *weight = mu_gpt_weight_act(g, w, layer, MU_GPT_UP_WEIGHT);
    const float *bias = mu_gpt_weight(g, w, layer, MU_GPT_UP_BIAS);

    if (g->dims.kind == MU_GPT_KIND_LLAMA) {
        d->ops->linear(d, shape, b->up, true, NULL, b->ln2, weight, bias, MU_EPILOGUE_NONE);
        d->ops->swiglu(d, b->hidden, b->up, n, g->dims.hidden);
    } else
        d->ops->linear(d, shape, b->hidden, true, b->up, b->ln2, weight, bias, MU_EPILOGUE_GELU);
}

void *mu_gpt_widen_backward(struct mu_gpt *g, int64_t layer, int64_t n)
{
    struct mu_device *d = g->device;
    const struct mu_gpt_block *b = &g->buffers.block[layer];

    if (g->dims.kind == MU_GPT_KIND_LLAMA) {
        d->ops->swiglu_backward(d, b->up, g->buffers.dwide, b->up, n, g->dims.hidden);
        return b->up;
    }
    d->ops->gelu_backward(d, g->buffers.dwide, b->up, n * g->dims.hidden);
    return g->buffers.dwide;
}

void mu_gpt_turn(struct mu_gpt *g, struct mu_attention shape, int64_t at, void *qkv, bool backward)
{
    if (g->dims.kind == MU_GPT_KIND_LLAMA)
        g->device->ops->rotate(g->device, shape, qkv, g->buffers.turn + at * shape.head_size,
                               backward);
}

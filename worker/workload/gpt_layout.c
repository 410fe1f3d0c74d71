/* The tensors of a GPT: names, shapes, which decay, and their first values. Initial values follow
 * GPT-2: normal with standard deviation 0.02, the projections that write into the residual stream
 * scaled by 1/sqrt(2 L), LayerNorm 1, biases 0. A value is a function of (seed, tensor, element),
 * so that any rank can fill any part. */
#include <math.h> /* sqrt: correctly rounded everywhere */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "worker/workload/gpt.h"

static const char *const block_names[MU_GPT_BLOCK_COUNT] = {
#define MU_GPT_NAME(id, name) name,
    MU_GPT_BLOCK_TENSORS(MU_GPT_NAME)
#undef MU_GPT_NAME
};

static struct mu_tensor_spec matrix(uint64_t rows, uint64_t cols)
{
    return (struct mu_tensor_spec){.rows = rows, .cols = cols, .decay = true, .dense = true};
}

static struct mu_tensor_spec vector(uint64_t cols)
{
    return (struct mu_tensor_spec){.rows = 1, .cols = cols, .dense = true};
}

static struct mu_tensor_spec block_spec(enum mu_gpt_block_tensor which, uint64_t c)
{
    switch (which) {
    case MU_GPT_QKV_WEIGHT:
        return matrix(3 * c, c);
    case MU_GPT_PROJ_WEIGHT:
        return matrix(c, c);
    case MU_GPT_UP_WEIGHT:
        return matrix(4 * c, c);
    case MU_GPT_DOWN_WEIGHT:
        return matrix(c, 4 * c);
    case MU_GPT_QKV_BIAS:
        return vector(3 * c);
    case MU_GPT_UP_BIAS:
        return vector(4 * c);
    case MU_GPT_LN1_WEIGHT:
    case MU_GPT_LN1_BIAS:
    case MU_GPT_PROJ_BIAS:
    case MU_GPT_LN2_WEIGHT:
    case MU_GPT_LN2_BIAS:
    case MU_GPT_DOWN_BIAS:
    case MU_GPT_BLOCK_COUNT:
        break;
    }
    return vector(c);
}

static void fill_specs(const struct mu_gpt_dims *d, struct mu_tensor_spec *specs)
{
    const uint64_t c = (uint64_t)d->width;

    /* The head reads the same matrix: its gradient is a dense addend, the rows of the input tokens
     * are another. */
    specs[MU_GPT_WTE] = matrix((uint64_t)d->vocab, c);
    specs[MU_GPT_WTE].row_addends = 1;
    strcpy(specs[MU_GPT_WTE].name, "wte.weight");
    specs[MU_GPT_WPE] = matrix((uint64_t)d->context, c);
    strcpy(specs[MU_GPT_WPE].name, "wpe.weight");
    for (int64_t l = 0; l < d->layers; l++) {
        for (int k = 0; k < MU_GPT_BLOCK_COUNT; k++) {
            struct mu_tensor_spec *s = &specs[mu_gpt_tensor(l, (enum mu_gpt_block_tensor)k)];

            *s = block_spec((enum mu_gpt_block_tensor)k, c);
            snprintf(s->name, sizeof s->name, "h.%d.%s", (int)l, block_names[k]);
        }
    }
    specs[mu_gpt_lnf_weight(d)] = vector(c);
    strcpy(specs[mu_gpt_lnf_weight(d)].name, "ln_f.weight");
    specs[mu_gpt_lnf_bias(d)] = vector(c);
    strcpy(specs[mu_gpt_lnf_bias(d)].name, "ln_f.bias");
}

enum mu_status mu_gpt_layout(const struct mu_gpt_dims *dims, struct mu_layout *out)
{
    const uint32_t count = mu_gpt_lnf_bias(dims) + 1;
    struct mu_tensor_spec *specs = calloc(count, sizeof *specs);
    enum mu_status st;

    if (specs == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the list of %u tensors", count);
    fill_specs(dims, specs);
    st = mu_layout_init(out, specs, count);
    free(specs);
    return st;
}

/* Standard deviation of a tensor's initial values; 0: all are *constant. */
static double deviation(const struct mu_gpt_dims *d, uint32_t tensor, float *constant)
{
    *constant = tensor == mu_gpt_lnf_weight(d) ? 1.0f : 0.0f;
    if (tensor < MU_GPT_FIRST_BLOCK)
        return 0.02;
    if (tensor >= mu_gpt_lnf_weight(d))
        return 0;
    switch ((enum mu_gpt_block_tensor)((tensor - MU_GPT_FIRST_BLOCK) % MU_GPT_BLOCK_COUNT)) {
    case MU_GPT_QKV_WEIGHT:
    case MU_GPT_UP_WEIGHT:
        return 0.02;
    case MU_GPT_PROJ_WEIGHT:
    case MU_GPT_DOWN_WEIGHT:
        return 0.02 / sqrt(2.0 * (double)d->layers);
    case MU_GPT_LN1_WEIGHT:
    case MU_GPT_LN2_WEIGHT:
        *constant = 1.0f;
        return 0;
    case MU_GPT_LN1_BIAS:
    case MU_GPT_QKV_BIAS:
    case MU_GPT_PROJ_BIAS:
    case MU_GPT_LN2_BIAS:
    case MU_GPT_UP_BIAS:
    case MU_GPT_DOWN_BIAS:
    case MU_GPT_BLOCK_COUNT:
        break;
    }
    return 0;
}

void mu_gpt_init_tensor(const struct mu_workload *w, uint32_t tensor, uint64_t from, uint64_t to,
                        float *out)
{
    const struct mu_gpt *g = (const struct mu_gpt *)w;
    float constant;
    const double std = deviation(&g->dims, tensor, &constant);

    for (uint64_t e = from; e < to;) {
        if (std > 0) {
            const struct mu_rng_words words = mu_rng_draw(g->seed, MU_RNG_INIT, tensor, e / 4);

            for (uint64_t group = e / 4; e < to && e / 4 == group; e++)
                out[e - from] = (float)(std * mu_rng_normal(words.w[e % 4]));
        } else {
            out[e - from] = constant;
            e++;
        }
    }
}

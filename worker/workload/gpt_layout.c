/* The tensors of a GPT: names, shapes, which decay, and their first values. Initial values follow
 * GPT-2: normal with standard deviation 0.02, the projections that write into the residual stream
 * scaled by 1/sqrt(2 L), weights of norms 1, biases 0. A value is a function of (seed, tensor,
 * element), so that any rank can fill any part. */
#include <math.h> /* sqrt: correctly rounded everywhere */
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/rng.h"
#include "worker/workload/gpt.h"

static const char *const names[][MU_GPT_PARTS] = {
#define MU_GPT_NAME(id, gpt2, llama) gpt2,
    [MU_GPT_KIND_GPT2] = {MU_GPT_FIRST_TENSORS(MU_GPT_NAME) MU_GPT_BLOCK_TENSORS(MU_GPT_NAME)
                              MU_GPT_LAST_TENSORS(MU_GPT_NAME)},
#undef MU_GPT_NAME
#define MU_GPT_NAME(id, gpt2, llama) llama,
    [MU_GPT_KIND_LLAMA] = {MU_GPT_FIRST_TENSORS(MU_GPT_NAME) MU_GPT_BLOCK_TENSORS(MU_GPT_NAME)
                               MU_GPT_LAST_TENSORS(MU_GPT_NAME)},
#undef MU_GPT_NAME
};
static const char *const block_prefix[] = {
    [MU_GPT_KIND_GPT2] = "h", [MU_GPT_KIND_LLAMA] = "model.layers"};

/* Parts of [from, to) that the kind has. */
static uint32_t count_parts(enum mu_gpt_kind kind, int from, int to)
{
    uint32_t count = 0;

    for (int part = from; part < to; part++)
        count += names[kind][part] != NULL;
    return count;
}

static bool is_of_block(enum mu_gpt_part part)
{
    return part >= MU_GPT_LN1_WEIGHT && part < MU_GPT_LNF_WEIGHT;
}

uint32_t mu_gpt_tensor(const struct mu_gpt_dims *d, int64_t layer, enum mu_gpt_part part)
{
    const uint32_t before = count_parts(d->kind, 0, (int)part),
                   block = count_parts(d->kind, MU_GPT_LN1_WEIGHT, MU_GPT_LNF_WEIGHT);

    if (names[d->kind][part] == NULL)
        return MU_GPT_NO_TENSOR;
    if (part < MU_GPT_LN1_WEIGHT)
        return before;
    return before + (uint32_t)(is_of_block(part) ? layer : d->layers - 1) * block;
}

static uint32_t count_tensors(const struct mu_gpt_dims *d)
{
    return mu_gpt_tensor(d, 0, MU_GPT_LNF_WEIGHT) +
           count_parts(d->kind, MU_GPT_LNF_WEIGHT, MU_GPT_PARTS);
}

/* The part that a tensor is, as mu_gpt_tensor has it. */
static enum mu_gpt_part part_of(const struct mu_gpt_dims *d, uint32_t tensor)
{
    const uint32_t first = count_parts(d->kind, 0, MU_GPT_LN1_WEIGHT),
                   block = count_parts(d->kind, MU_GPT_LN1_WEIGHT, MU_GPT_LNF_WEIGHT);
    int64_t layer = tensor < first ? 0 : (tensor - first) / block;

    layer = layer < d->layers ? layer : d->layers - 1;
    for (int part = 0; part < MU_GPT_PARTS; part++)
        if (mu_gpt_tensor(d, layer, (enum mu_gpt_part)part) == tensor)
            return (enum mu_gpt_part)part;
    return MU_GPT_PARTS;
}

static struct mu_tensor_spec matrix(int64_t rows, int64_t cols)
{
    return (struct mu_tensor_spec){
        .rows = (uint64_t)rows, .cols = (uint64_t)cols, .decay = true, .dense = true};
}

static struct mu_tensor_spec vector(int64_t cols)
{
    return (struct mu_tensor_spec){.rows = 1, .cols = (uint64_t)cols, .dense = true};
}

static struct mu_tensor_spec spec_of(const struct mu_gpt_dims *d, enum mu_gpt_part part)
{
    const int64_t c = d->width;
    struct mu_tensor_spec wte;

    switch (part) {
    case MU_GPT_WTE:
        /* The head reads the same matrix: its gradient is a dense addend, the rows of the input
         * tokens are another. */
        wte = matrix(d->vocab, c);
        wte.row_addends = 1;
        return wte;
    case MU_GPT_WPE:
        return matrix(d->context, c);
    case MU_GPT_QKV_WEIGHT:
        return matrix(3 * c, c);
    case MU_GPT_PROJ_WEIGHT:
        return matrix(c, c);
    case MU_GPT_UP_WEIGHT:
        return matrix(mu_gpt_up_width(d), c);
    case MU_GPT_DOWN_WEIGHT:
        return matrix(c, d->hidden);
    case MU_GPT_QKV_BIAS:
        return vector(3 * c);
    case MU_GPT_UP_BIAS:
        return vector(mu_gpt_up_width(d));
    case MU_GPT_LN1_WEIGHT:
    case MU_GPT_LN1_BIAS:
    case MU_GPT_PROJ_BIAS:
    case MU_GPT_LN2_WEIGHT:
    case MU_GPT_LN2_BIAS:
    case MU_GPT_DOWN_BIAS:
    case MU_GPT_LNF_WEIGHT:
    case MU_GPT_LNF_BIAS:
    case MU_GPT_PARTS:
        break;
    }
    return vector(c);
}

static void fill_spec(const struct mu_gpt_dims *d, int64_t layer, enum mu_gpt_part part,
                      struct mu_tensor_spec *specs)
{
    const uint32_t tensor = mu_gpt_tensor(d, layer, part);
    const char *name = names[d->kind][part];
    struct mu_tensor_spec *s;

    if (tensor == MU_GPT_NO_TENSOR)
        return;
    s = &specs[tensor];
    *s = spec_of(d, part);
    if (is_of_block(part))
        snprintf(s->name, sizeof s->name, "%s.%d.%s", block_prefix[d->kind], (int)layer, name);
    else
        snprintf(s->name, sizeof s->name, "%s", name);
}

enum mu_status mu_gpt_layout(const struct mu_gpt_dims *dims, struct mu_layout *out)
{
    const uint32_t count = count_tensors(dims);
    struct mu_tensor_spec *specs = calloc(count, sizeof *specs);
    enum mu_status st;

    if (specs == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the list of %u tensors", count);
    for (int64_t layer = 0; layer < dims->layers; layer++)
        for (int part = 0; part < MU_GPT_PARTS; part++)
            fill_spec(dims, layer, (enum mu_gpt_part)part, specs);
    st = mu_layout_init(out, specs, count);
    free(specs);
    return st;
}

/* Standard deviation of a tensor's initial values; 0: all are *constant. */
static double deviation(const struct mu_gpt_dims *d, uint32_t tensor, float *constant)
{
    const enum mu_gpt_part part = part_of(d, tensor);

    *constant = part == MU_GPT_LN1_WEIGHT || part == MU_GPT_LN2_WEIGHT || part == MU_GPT_LNF_WEIGHT;
    if (part == MU_GPT_PROJ_WEIGHT || part == MU_GPT_DOWN_WEIGHT)
        return 0.02 / sqrt(2.0 * (double)d->layers);
    return spec_of(d, part).decay ? 0.02 : 0; /* matrices */
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

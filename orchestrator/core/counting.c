#include "orchestrator/core/counting.h"

/* Of integers and of reals alike. rows: vectors of width c in the embeddings that count. */
#define GPT_PARAMETERS(layers, c, rows)                                \
    ((layers) * (MU_GPT_MATRICES * (c) * (c) + MU_GPT_VECTORS * (c)) + \
     (MU_GPT_LAST_VECTORS + (rows)) * (c))

/* attention: FLOPs of its scores for a token. */
static struct mu_counts with_flops(struct mu_counts n, double attention)
{
    n.flops_all = 6.0 * (double)n.all + attention;
    n.flops_non_embedding = 6.0 * (double)n.non_embedding + attention;
    n.flops_non_embedding_head = 6.0 * (double)n.non_embedding_head + attention;
    return n;
}

struct mu_counts mu_count_gpt(const struct mu_gpt_shape *s)
{
    const struct mu_counts n = {
        .all = GPT_PARAMETERS(s->layers, s->width, s->vocab + s->context),
        .non_embedding = GPT_PARAMETERS(s->layers, s->width, 0),
        .non_embedding_head = GPT_PARAMETERS(s->layers, s->width, s->vocab),
    };

    return with_flops(n,
                      mu_count_attention((double)s->layers, (double)s->width, (double)s->context));
}

struct mu_counts mu_count_llama(const struct mu_llama_shape *s)
{
    /* qkv and proj; gate, up and down; two RMSNorms, and one after the last block */
    const uint64_t block = 4 * s->width * s->width + 3 * s->width * s->hidden + 2 * s->width,
                   blocks = s->layers * block + s->width, head = s->vocab * s->width;
    const struct mu_counts n = {
        .all = blocks + head, .non_embedding = blocks, .non_embedding_head = blocks + head};

    return with_flops(n,
                      mu_count_attention((double)s->layers, (double)s->width, (double)s->context));
}

double mu_count_parameters(double layers, double width, double rows)
{
    return GPT_PARAMETERS(layers, width, rows);
}

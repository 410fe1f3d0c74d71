#include "orchestrator/core/counting.h"

/* Of integers and of reals alike. rows: vectors of width c in the embeddings that count. */
#define GPT_PARAMETERS(layers, c, rows)                                \
    ((layers) * (MU_GPT_MATRICES * (c) * (c) + MU_GPT_VECTORS * (c)) + \
     (MU_GPT_LAST_VECTORS + (rows)) * (c))

static double flops_per_token(uint64_t parameters, const struct mu_gpt_shape *s)
{
    return 6.0 * (double)parameters +
           mu_count_attention((double)s->layers, (double)s->width, (double)s->context);
}

struct mu_counts mu_count_gpt(const struct mu_gpt_shape *s)
{
    struct mu_counts n = {
        .all = GPT_PARAMETERS(s->layers, s->width, s->vocab + s->context),
        .non_embedding = GPT_PARAMETERS(s->layers, s->width, 0),
        .non_embedding_head = GPT_PARAMETERS(s->layers, s->width, s->vocab),
    };

    n.flops_all = flops_per_token(n.all, s);
    n.flops_non_embedding = flops_per_token(n.non_embedding, s);
    n.flops_non_embedding_head = flops_per_token(n.non_embedding_head, s);
    return n;
}

double mu_count_parameters(double layers, double width, double rows)
{
    return GPT_PARAMETERS(layers, width, rows);
}

#include "orchestrator/core/counting.h"

static double flops_per_token(uint64_t parameters, const struct mu_gpt_shape *s)
{
    return 6.0 * (double)parameters +
           12.0 * (double)s->layers * (double)s->width * (double)s->context;
}

struct mu_counts mu_count_gpt(const struct mu_gpt_shape *s)
{
    const uint64_t c = s->width;
    /* two LayerNorms; qkv, proj, up and down with their biases */
    const uint64_t block =
        2 * 2 * c + (3 * c * c + 3 * c) + (c * c + c) + (4 * c * c + 4 * c) + (4 * c * c + c);
    struct mu_counts n = {.non_embedding = s->layers * block + 2 * c};

    n.non_embedding_head = n.non_embedding + s->vocab * c;
    n.all = n.non_embedding_head + s->context * c;
    n.flops_all = flops_per_token(n.all, s);
    n.flops_non_embedding = flops_per_token(n.non_embedding, s);
    n.flops_non_embedding_head = flops_per_token(n.non_embedding_head, s);
    return n;
}

/* Parameters and arithmetic of a GPT-2 or Llama, under every convention in use: laws fitted under
 * different ones do not compare (Pearce & Song 2024), so all are kept and none is called "the"
 * number. Counts are of real parameters; the tied embedding counts once. */
#ifndef MUSTER_CORE_COUNTING_H
#define MUSTER_CORE_COUNTING_H

#include <stdint.h>

struct mu_gpt_shape {
    uint64_t layers, width, context, vocab;
};

struct mu_counts {
    uint64_t all;                /* with token and position embeddings (Hoffmann et al. 2022) */
    uint64_t non_embedding;      /* without both (Kaplan et al. 2020) */
    uint64_t non_embedding_head; /* and with the head: every matrix a token is multiplied with */
    /* Of a training token, forward and backward: 6 N + 12 L d T (Chowdhery et al. 2022, appendix
     * B), attention scores counted as if not causal. One for each N above. */
    double flops_all, flops_non_embedding, flops_non_embedding_head;
};

struct mu_counts mu_count_gpt(const struct mu_gpt_shape *shape);

/* A Llama has neither biases nor learned positions: `all` is `non_embedding_head`. */
struct mu_llama_shape {
    uint64_t layers, width, hidden, context, vocab;
};

struct mu_counts mu_count_llama(const struct mu_llama_shape *shape);

enum {
    MU_GPT_MATRICES = 3 + 1 + 4 + 4,          /* qkv, proj, up, down: times width^2, of a block */
    MU_GPT_VECTORS = (3 + 1 + 4 + 1) + 2 * 2, /* their biases; two LayerNorms */
    MU_GPT_LAST_VECTORS = 2                   /* the LayerNorm after the last block */
};

/* The same for real layers and widths, between the models that can be built; exact for whole ones
 * up to 2^53. rows: vectors in the embeddings that count, 0, vocab, or vocab + context. */
double mu_count_parameters(double layers, double width, double rows);
/* FLOPs of attention scores for a training token: 12 L d T. */
static inline double mu_count_attention(double layers, double width, double context)
{
    return 12 * layers * width * context;
}

#endif

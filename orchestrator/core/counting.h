/* Parameters and arithmetic of a GPT, under every convention in use: laws fitted under different
 * ones do not compare (Pearce & Song 2024), so all are kept and none is called "the" number. Counts
 * are of real parameters; the tied embedding counts once. */
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

#endif

/* Inside the gpt workload: what its files share. Nothing outside worker/workload/ includes this.
 *
 *   gpt.c         opening: checks, data, buffers; the entries of the table
 *   gpt_layout.c  tensors: names, shapes, decay, initial values
 *   gpt_pass.c    one micro-batch, forward and backward
 *
 * The block is GPT-2's (Radford et al. 2019): x + attention(LN(x)), then x + mlp(LN(x)), tanh-GELU,
 * learned positions, a final LayerNorm, and a head that is the token embedding. No dropout.
 *
 * The residual stream is fp32 and kept at every LayerNorm; a branch's output stays a separate fp32
 * buffer until the next LayerNorm adds it on its way (one pass over memory instead of two). */
#ifndef MUSTER_WORKER_WORKLOAD_GPT_H
#define MUSTER_WORKER_WORKLOAD_GPT_H

#include "orchestrator/core/counting.h"
#include "worker/data/sampler.h"
#include "worker/data/tokens.h"
#include "worker/workload.h"

/* Tensors of a block, in the order of the layout. X(identifier, name) */
#define MU_GPT_BLOCK_TENSORS(X)        \
    X(LN1_WEIGHT, "ln_1.weight")       \
    X(LN1_BIAS, "ln_1.bias")           \
    X(QKV_WEIGHT, "attn.qkv.weight")   \
    X(QKV_BIAS, "attn.qkv.bias")       \
    X(PROJ_WEIGHT, "attn.proj.weight") \
    X(PROJ_BIAS, "attn.proj.bias")     \
    X(LN2_WEIGHT, "ln_2.weight")       \
    X(LN2_BIAS, "ln_2.bias")           \
    X(UP_WEIGHT, "mlp.up.weight")      \
    X(UP_BIAS, "mlp.up.bias")          \
    X(DOWN_WEIGHT, "mlp.down.weight")  \
    X(DOWN_BIAS, "mlp.down.bias")

enum mu_gpt_block_tensor {
#define MU_GPT_ENUM(id, name) MU_GPT_##id,
    MU_GPT_BLOCK_TENSORS(MU_GPT_ENUM)
#undef MU_GPT_ENUM
        MU_GPT_BLOCK_COUNT
};

enum { MU_GPT_WTE, MU_GPT_WPE, MU_GPT_FIRST_BLOCK };

struct mu_gpt_dims {
    int64_t layers, heads, width, context, vocab;
};

static inline uint32_t mu_gpt_tensor(int64_t layer, enum mu_gpt_block_tensor which)
{
    return (uint32_t)(MU_GPT_FIRST_BLOCK + layer * MU_GPT_BLOCK_COUNT + (int64_t)which);
}
static inline uint32_t mu_gpt_lnf_weight(const struct mu_gpt_dims *d)
{
    return mu_gpt_tensor(d->layers, 0);
}
static inline uint32_t mu_gpt_lnf_bias(const struct mu_gpt_dims *d)
{
    return mu_gpt_tensor(d->layers, 0) + 1;
}

/* What a block's backward pass reads of its forward pass. N tokens, C width, T context, H heads.
 *
 * Recomputation (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost): with
 * device.recompute = "mlp" the third part, with "block" the second and third too, are one set of
 * buffers that all layers share. A layer's backward pass then fills them again, by the operations
 * and from the inputs of the forward pass, and so with the same bits. It never runs `down`, whose
 * output nobody reads; and the last layer finds its own still there. `gelu` alone cannot be had
 * again: `linear` takes it of a value that `before` is rounded from. */
struct mu_gpt_block {
    float *x1; /* (N, C): the stream that ln_1 normalised */

    float *mean1, *rstd1;  /* (N), (N) */
    void *ln1, *qkv, *att; /* act (N, C), (N, 3C), (N, C) */
    float *lse;            /* (B, H, T) */
    float *x2;             /* (N, C): the stream that ln_2 normalised */

    float *mean2, *rstd2;      /* (N), (N) */
    void *ln2, *before, *gelu; /* act (N, C), (N, 4C), (N, 4C) */
};

/* One micro-batch's worth, allocated once at opening; device memory. */
struct mu_gpt_buffers {
    struct mu_gpt_block *block;   /* layers; some buffers may be shared by all */
    float *branch;                /* (N, C) what the last branch adds to the stream */
    float *xf, *meanf, *rstdf;    /* the stream that ln_f normalised */
    void *lnf;                    /* act (N, C) */
    float *losses;                /* (N) nats */
    float *losses_copy;           /* the host's; NULL where it can read them */
    float *dx;                    /* (N, C) gradient of the stream */
    float *dnorm;                 /* (N, C) gradient of a LayerNorm's output */
    void *dbranch, *datt, *dwide; /* act (N, C), (N, C), (N, 4C) */
    float *dense;                 /* layout's elements: a shard's gradient */
    float *row_value;             /* (R, C), R = most distinct tokens of a shard */
};

/* Numbers that the host fills in and the device reads: the same memory where both can touch it. */
struct mu_gpt_ids {
    int32_t *host, *device;
};

/* Tokens of a shard, or of a piece of an evaluation: (sequences, T) each. */
struct mu_gpt_tokens {
    struct mu_gpt_ids input, target;
    struct mu_gpt_ids row_of; /* entry of `row` that names the input token */
    uint32_t *row;            /* distinct input tokens, ascending */
    int32_t *row_of_id;       /* V: scratch */
};

struct mu_gpt {
    struct mu_workload base;
    struct mu_device *device;
    struct mu_gpt_dims dims;
    enum mu_recompute recompute;
    uint64_t seed;
    uint64_t batch, shard_sequences, micro; /* sequences */
    uint64_t eval_sequences;
    struct mu_tokens train, valid;
    struct mu_sampler sampler;
    struct mu_gpt_buffers buffers;
    struct mu_gpt_tokens tokens;
    void **owned; /* device memory, and lent memory, for closing */
    void **owned_lent;
    uint32_t owned_count, lent_count;
    bool starved; /* some allocation failed */
};

enum mu_status mu_gpt_open(const struct mu_settings *settings, struct mu_device *device,
                           struct mu_workload **out) MU_CHECKED;
/* model.vocab = "auto". */
enum mu_status mu_gpt_resolve(struct mu_settings *settings) MU_CHECKED;

/* ---- gpt_layout.c */
enum mu_status mu_gpt_layout(const struct mu_gpt_dims *dims, struct mu_layout *out) MU_CHECKED;
void mu_gpt_init_tensor(const struct mu_workload *w, uint32_t tensor, uint64_t from, uint64_t to,
                        float *out);

/* ---- gpt_pass.c: `sequences` sequences, at most g->micro. input, target, row_of: their tokens, in
 * device memory. */
/* Each looks at the device's status between layers, and gives it back: the work is given up in the
 * middle, and its buffers hold nothing of use. */
/* From tokens to the normalised stream that the head reads. */
enum mu_status mu_gpt_forward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *input,
                              int64_t sequences) MU_CHECKED;
/* loss: out, in nats, summed over the tokens in order; with `backward` the head's gradients too, of
 * scale * that sum. `first`: gradients are written, not added to. */
enum mu_status mu_gpt_head(struct mu_gpt *g, const struct mu_weights *w, const int32_t *target,
                           int64_t sequences, bool backward, float scale, bool first,
                           double *loss) MU_CHECKED;
/* After mu_gpt_forward and mu_gpt_head of the same micro-batch. `last`: of the shard, so that
 * gradients are final, and whoever waits for them is told. */
enum mu_status mu_gpt_backward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *row_of,
                               int64_t sequences, bool first, bool last) MU_CHECKED;

#endif

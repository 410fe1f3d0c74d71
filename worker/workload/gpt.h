/* Inside the gpt workload: what its files share. Nothing outside worker/workload/ includes this.
 *
 *   gpt.c         opening: checks, data; the entries of the table
 *   gpt_layout.c  tensors: names, shapes, decay, initial values
 *   gpt_memory.c  buffers, and the table of angles
 *   gpt_pass.c    one micro-batch, forward and backward
 *   gpt_decoder.c one token after the other, by the same forward pass (decoder.h)
 *   gpt_kinds.c   the operations in which the kinds differ
 *
 * A block is x + attention(norm(x)), then x + mlp(norm(x)); after the last one comes another norm,
 * and a head that is the token embedding. No dropout. Two kinds:
 *   gpt2   (Radford et al. 2019): LayerNorm, tanh-GELU, learned positions, biases;
 *   llama  (Touvron et al. 2023): RMSNorm, SwiGLU, rotary positions, no biases.
 * Llama's tensors are named as Hugging Face names them, but for projections of the same input,
 * which are one matrix: first the rows of queries, then keys, then values (qkv_proj); gates, then
 * ups (gate_up_proj).
 *
 * The residual stream is fp32 and kept at every norm; a branch's output stays a separate fp32
 * buffer until the next norm adds it on its way (one pass over memory instead of two). */
#ifndef MUSTER_WORKER_WORKLOAD_GPT_H
#define MUSTER_WORKER_WORKLOAD_GPT_H

#include "orchestrator/core/counting.h"
#include "worker/data/sampler.h"
#include "worker/data/tokens.h"
#include "worker/workload.h"

/* Tensors in the order of the layout, those of each block between the others. X(identifier, gpt2's
 * name, llama's name); NULL: the kind has none. */
#define MU_GPT_FIRST_TENSORS(X)                       \
    X(WTE, "wte.weight", "model.embed_tokens.weight") \
    X(WPE, "wpe.weight", NULL)
#define MU_GPT_BLOCK_TENSORS(X)                                     \
    X(LN1_WEIGHT, "ln_1.weight", "input_layernorm.weight")          \
    X(LN1_BIAS, "ln_1.bias", NULL)                                  \
    X(QKV_WEIGHT, "attn.qkv.weight", "self_attn.qkv_proj.weight")   \
    X(QKV_BIAS, "attn.qkv.bias", NULL)                              \
    X(PROJ_WEIGHT, "attn.proj.weight", "self_attn.o_proj.weight")   \
    X(PROJ_BIAS, "attn.proj.bias", NULL)                            \
    X(LN2_WEIGHT, "ln_2.weight", "post_attention_layernorm.weight") \
    X(LN2_BIAS, "ln_2.bias", NULL)                                  \
    X(UP_WEIGHT, "mlp.up.weight", "mlp.gate_up_proj.weight")        \
    X(UP_BIAS, "mlp.up.bias", NULL)                                 \
    X(DOWN_WEIGHT, "mlp.down.weight", "mlp.down_proj.weight")       \
    X(DOWN_BIAS, "mlp.down.bias", NULL)
#define MU_GPT_LAST_TENSORS(X)                        \
    X(LNF_WEIGHT, "ln_f.weight", "model.norm.weight") \
    X(LNF_BIAS, "ln_f.bias", NULL)

enum mu_gpt_part {
#define MU_GPT_ENUM(id, gpt2, llama) MU_GPT_##id,
    MU_GPT_FIRST_TENSORS(MU_GPT_ENUM) MU_GPT_BLOCK_TENSORS(MU_GPT_ENUM)
        MU_GPT_LAST_TENSORS(MU_GPT_ENUM)
#undef MU_GPT_ENUM
            MU_GPT_PARTS
};

enum mu_gpt_kind { MU_GPT_KIND_GPT2, MU_GPT_KIND_LLAMA };

struct mu_gpt_dims {
    enum mu_gpt_kind kind;
    int64_t layers, heads, width, context, vocab;
    int64_t hidden; /* width of the mlp between its matrices: F */
};

/* Columns of what the mlp's first matrix gives: llama has a gate for each. */
static inline int64_t mu_gpt_up_width(const struct mu_gpt_dims *d)
{
    return d->kind == MU_GPT_KIND_LLAMA ? 2 * d->hidden : d->hidden;
}

/* What a block's backward pass reads of its forward pass. N tokens, C width, T context, H heads, F
 * hidden, U columns of what the mlp's first matrix gives.
 *
 * Recomputation (Chen et al. 2016, Training Deep Nets with Sublinear Memory Cost): with
 * device.recompute = "mlp" the third part, with "block" the second and third too, are one set of
 * buffers that all layers share. A layer's backward pass then fills them again, by the operations
 * and from the inputs of the forward pass, and so with the same bits. It never runs `down`, whose
 * output nobody reads; and the last layer finds its own still there. GELU's `hidden` alone cannot
 * be had again: `linear` takes it of a value that `up` is rounded from. */
struct mu_gpt_block {
    float *x1; /* (N, C): the stream that the first norm normalised */

    float *mean1, *rstd1;  /* (N), (N); llama has no mean, here and below */
    void *ln1, *qkv, *att; /* act (N, C), (N, 3C), (N, C); qkv of llama is turned */
    float *lse;            /* (B, H, T) */
    float *x2;             /* (N, C): the stream that the second norm normalised */

    float *mean2, *rstd2;    /* (N), (N) */
    void *ln2, *up, *hidden; /* act (N, C), (N, U), (N, F) */
};

/* One micro-batch's worth, allocated once at opening; device memory. */
struct mu_gpt_buffers {
    struct mu_gpt_block *block;   /* layers; some buffers may be shared by all */
    float *branch;                /* (N, C) what the last branch adds to the stream */
    float *xf, *meanf, *rstdf;    /* the stream that the last norm normalised */
    void *lnf;                    /* act (N, C) */
    float *losses;                /* (N) nats */
    float *losses_copy;           /* the host's; NULL where it can read them */
    float *dx;                    /* (N, C) gradient of the stream */
    float *dnorm;                 /* (N, C) gradient of a norm's output */
    void *dbranch, *datt, *dwide; /* act (N, C), (N, C), (N, max(3C, F)) */
    float *turn;                  /* (T, D/2, 2) llama: cosine and sine of each angle */
    float *dense;                 /* layout's elements: a shard's gradient */
    float *row_value;             /* (R, C), R = most distinct tokens of a shard */
    float *logits, *logits_copy;  /* (V) a decoder's; the host's copy as for losses */
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
    double rope_theta;
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
    bool decodes; /* forward only: mu_gpt_allocate_decoder */
};

/* What a forward pass is of: of each sequence `length` tokens, the first at position `at`. Beyond
 * position 0 it is one token of one sequence, and the rows of block.qkv before it are those of the
 * tokens before it: passes over them, of any length, left them there. */
struct mu_gpt_span {
    int64_t sequences, at, length;
};

enum mu_status mu_gpt_open(const struct mu_settings *settings, struct mu_device *device,
                           struct mu_workload **out) MU_CHECKED;
/* A gpt without data and buffers: shapes checked, layout made. Closed as any workload. */
enum mu_status mu_gpt_new(const struct mu_settings *settings, struct mu_device *device,
                          struct mu_gpt **out) MU_CHECKED;
/* model.vocab = "auto". */
enum mu_status mu_gpt_resolve(struct mu_settings *settings) MU_CHECKED;
/* For mu_workload_counts. */
struct mu_counts mu_gpt_counts(const struct mu_settings *settings);

/* ---- gpt_layout.c */
enum { MU_GPT_NO_TENSOR = UINT32_MAX };
/* Of block `layer` where the part is a block's. */
uint32_t mu_gpt_tensor(const struct mu_gpt_dims *dims, int64_t layer, enum mu_gpt_part part);
enum mu_status mu_gpt_layout(const struct mu_gpt_dims *dims, struct mu_layout *out) MU_CHECKED;
void mu_gpt_init_tensor(const struct mu_workload *w, uint32_t tensor, uint64_t from, uint64_t to,
                        float *out);

/* ---- gpt_memory.c: everything that a pass needs, once. MU_NO_MEMORY with advice. */
enum mu_status mu_gpt_allocate(struct mu_gpt *g) MU_CHECKED;
/* The same for forward passes over spans of one sequence: layers keep their qkv apart, the cache of
 * keys and values, and share the rest. Room for model.context input tokens. */
enum mu_status mu_gpt_allocate_decoder(struct mu_gpt *g) MU_CHECKED;
void mu_gpt_free(struct mu_gpt *g);

/* ---- gpt_kinds.c: of block `layer` where that matters. n tokens. */
/* Parts of a pass's tensors; NULL: the kind has none. _act: as matrix products read it. */
const float *mu_gpt_weight(const struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                           enum mu_gpt_part part);
const void *mu_gpt_weight_act(const struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                              enum mu_gpt_part part);
float *mu_gpt_gradient(const struct mu_gpt *g, int64_t layer, enum mu_gpt_part part);

/* One of the three norms: what it reads and leaves, see `layernorm` of kernels/device.h. */
struct mu_gpt_norm {
    enum mu_gpt_part weight, bias;
    float *mean, *rstd, *stream;
    void *out;
};
void mu_gpt_normalise(struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                      const struct mu_gpt_norm *norm, const float *x, const float *branch,
                      int64_t n);
/* buffers.dx += its gradient, from buffers.dnorm. */
void mu_gpt_normalise_backward(struct mu_gpt *g, const struct mu_weights *w, int64_t layer,
                               const struct mu_gpt_norm *norm, int64_t n, bool first);
/* block.up and block.hidden from block.ln2. */
void mu_gpt_widen(struct mu_gpt *g, const struct mu_weights *w, int64_t layer, int64_t n);
/* The gradient of block.up, from that of block.hidden in buffers.dwide; either may lose its old
 * contents. */
void *mu_gpt_widen_backward(struct mu_gpt *g, int64_t layer, int64_t n);
/* Positions of queries and keys, where a kind has them there, from position `at` on; backward: of
 * their gradients. */
void mu_gpt_turn(struct mu_gpt *g, struct mu_attention shape, int64_t at, void *qkv, bool backward);

/* ---- gpt_pass.c: `sequences` whole sequences, at most g->micro. input, target, row_of: their
 * tokens, in device memory. */
/* Each looks at the device's status between layers, and gives it back: the work is given up in the
 * middle, and its buffers hold nothing of use. */
/* From tokens to the normalised stream that the head reads. */
enum mu_status mu_gpt_forward(struct mu_gpt *g, const struct mu_weights *w, const int32_t *input,
                              int64_t sequences) MU_CHECKED;
/* The same of some of their positions. */
enum mu_status mu_gpt_forward_span(struct mu_gpt *g, const struct mu_weights *w,
                                   const int32_t *input, struct mu_gpt_span span) MU_CHECKED;
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

/* A device: the table of operations that training is made of, as coarse as the fused kernels we
 * want. Three rooms implement it: reference/ (plain loops, to be read and tested against), cpu/
 * (oneDNN for matrix products, our own vector code for the rest) and cuda/ (one GPU; a module that
 * is loaded by name). Chosen by name in one place (mu_device_open); nothing else asks which.
 *
 * Contract of every operation:
 *  - The bits of its output are a function of its inputs, its shapes, the precision and the
 *    instruction set; never of the number of threads, of alignment beyond 64 bytes, or of the
 *    machine's load.
 *  - It blocks until done, on the caller's thread and the device's own threads, and calls the poll
 *    hook on the caller's thread at least every few milliseconds. The hook must not call the
 *    device. A device is used by one thread, the one that opened it.
 *  - Where the device has memory of its own, an operation that is given device memory alone *may*
 *    return before it is done; every operation sees the effect of all earlier ones. Given lent
 *    memory it is done on return, and so is what gives the host a value (download, add_int32,
 *    mu_adamw.check); an upload has taken the host's bytes. mu_device_wait waits for everything.
 *    How far the device may lag behind is bounded, and waiting polls like any operation.
 *  - A device that fails (a GPU that fell off its bus) tells it once, in the status; from then on
 *    operations do nothing, and values for the host are 0. Before others are told that something is
 *    done, whoever tells them asks mu_device_verify.
 *  - What the hook says does not stop an operation: the first failure is kept, and whoever calls
 *    operations looks at mu_device_status between them.
 *  - Memory is of two kinds, both 64-byte aligned. *Device* memory (mu_device_alloc) is fast, and
 *    the host touches it only through upload, download, clear and copy. *Lent* memory is the
 *    host's: from mu_device_alloc_lent, or the segment's after mu_device_lend; both sides may touch
 *    it, the device slowly. Every pointer that an operation is given is one or the other, but for
 *    those that the operation says are the host's, and for structs themselves.
 *    Where has_host_memory holds (CPU) the two are the same, and copies may be spared.
 *  - Sizes are in elements unless a name ends in _bytes. All tensors are row-major and contiguous.
 *  - "act" is the type of what matrix products read: float when precision is fp32, bf16 (uint16_t,
 *    round to nearest even) when it is bf16. Products accumulate in fp32. `f32` buffers are float
 *    always.
 *
 * Letters: N tokens of a micro-batch (N = B*T), B sequences, T context, C width, H heads, V
 * vocabulary. */
#ifndef MUSTER_KERNELS_DEVICE_H
#define MUSTER_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/gpus.h"

struct mu_device;
struct mu_collective_ops;
struct mu_resident_ops;
struct mu_timed;

struct mu_device_options {
    enum mu_device_kind kind;
    enum mu_precision precision;
    enum mu_isa isa;           /* not AUTO: what the ranks agreed on, see mu_device_best_isa */
    int threads;               /* of this rank */
    int gpu;                   /* which of the visible ones */
    bool rehearses;            /* takes no memory and does nothing: for mu_device_memory */
    const char *host;          /* to be named with the GPU; NULL: it need not. Read while opening */
    bool tf32;                 /* cuda, fp32: products of inputs rounded to tf32 */
    unsigned stall_timeout_ms; /* of a GPU that ends no operation for so long; 0: a minute */
    enum mu_status (*poll)(void *context); /* NULL: none */
    void *poll_context;
};

enum mu_epilogue { MU_EPILOGUE_NONE, MU_EPILOGUE_GELU };

/* y = x W^T + b, the linear layer: x is (N, in), w (out, in), b (out) or NULL, y (N, out). */
struct mu_linear {
    int64_t rows, in, out; /* rows: N */
};

/* Causal self-attention over packed projections qkv (B, T, 3, H, D), D = C / H. */
struct mu_attention {
    int64_t batch, context, heads, head_size;
};

/* Gradient blocks of `rows` rows of `cols` elements; blocks as in orchestrator/core/layout.h. See
 * worker/exact_sum.h for the arithmetic. prediction[i] is the i-th block's predicted exponent in
 * eighths of a bit. */
struct mu_quantise {
    const float *gradient; /* rows x cols */
    int32_t *sum;          /* rows x cols, at the same place in the rank's sum */
    int64_t rows, cols;
    const int16_t *prediction; /* a block each */
    int log2_addends;          /* ceil(log2(shards * addends)) : fixes quantum */
    int32_t limit;  /* largest magnitude one addend may have: (2^31 - 1) / (shards * addends) */
    bool overwrite; /* sum = instead of sum += */
    /* A byte each block. largest, in and out: max of itself and the biased exponent of max|g|.
     * misfit, out: 1 when the block does not fit and was not added (overwrite: zeros written). */
    uint8_t *largest;
    uint8_t *misfit;
};

/* One span of AdamW from half k to half k+1 (they may be the same memory). Decoupled weight decay
 * (Loshchilov & Hutter 2019):
 *   w' = w - lr * (m' / (1 - b1^t) / (sqrt(v' / (1 - b2^t)) + eps) + decay * w) */
struct mu_adamw {
    int64_t count;
    const float *weight, *m, *v, *gradient;
    float *weight_out, *m_out, *v_out;
    uint16_t *weight_bf16; /* copy for matrix products, or NULL */
    float gradient_scale;  /* clipping */
    float lr, beta1, beta2, eps, decay;
    float bias1, bias2; /* 1 - beta^t, t = step + 1 */
    /* += the bits of what was stored in weight_out, m_out and v_out, as integers mod 2^32, in
     * whatever order; the host's, or NULL. */
    uint32_t *check;
};

/* Of the device's own, in bytes. */
struct mu_device_room {
    uint64_t free, total; /* now, and with what others use of it; 0 where it cannot be asked for */
    uint64_t held; /* what a device that rehearses was ever asked for, given back or not; else 0 */
};

struct mu_device_ops {
    const char *name;
    void (*close)(struct mu_device *);

    /* ---- memory; NULL, all of them, where has_host_memory holds ---- */
    struct mu_device_room (*memory)(const struct mu_device *);
    void *(*alloc)(struct mu_device *, size_t bytes); /* zeroed; NULL when there is none */
    void (*free)(struct mu_device *, void *memory);
    void *(*alloc_lent)(struct mu_device *, size_t bytes);
    void (*free_lent)(struct mu_device *, void *memory);
    enum mu_status (*lend)(struct mu_device *, void *host, size_t bytes);
    void (*take_back)(struct mu_device *, void *host);
    void (*upload)(struct mu_device *, void *to, const void *host, size_t bytes);
    void (*download)(struct mu_device *, void *host, const void *from, size_t bytes);
    void (*clear)(struct mu_device *, void *to, size_t bytes);
    void (*copy)(struct mu_device *, void *to, const void *from, size_t bytes);
    void (*wait)(struct mu_device *); /* NULL: operations are done on return */

    /* ---- training ---- */
    /* out (N, C) f32 = table[token] + position[n % T]. table (V, C) and position (T, C) are f32;
     * position NULL: without. So dposition below. */
    void (*embed)(struct mu_device *, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t, int64_t c);
    /* Rows of the table's gradient: rows (R, C) f32 += dout of every token, in order of n;
     * row_of[n] < R names the row of token n. dposition (T, C) f32 (+)= sum over sequences, in
     * order. */
    void (*embed_backward)(struct mu_device *, float *rows, float *dposition, const float *dout,
                           const int32_t *row_of, int64_t n, int64_t t, int64_t c,
                           bool overwrite_position);

    /* LayerNorm, eps 1e-5: out (N, C) act; mean, rstd (N) f32. When branch is not NULL the input is
     * x + branch, and that sum is also written to x_out (may be x): the residual stream. branch is
     * f32. Given that sum as x, without a branch, it gives the same bits. */
    void (*layernorm)(struct mu_device *, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t c);
    /* dx (N, C) f32 += ; dweight, dbias (C) f32 (+)=. dout is f32; x is what was normalised. */
    void (*layernorm_backward)(struct mu_device *, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, int64_t n, int64_t c,
                               bool overwrite);

    /* RMSNorm (Zhang & Sennrich 2019), eps 1e-5: out (N, C) act = x / sqrt(mean(x^2) + eps) *
     * weight; rstd (N) f32. x, branch and x_out as for layernorm. */
    void (*rmsnorm)(struct mu_device *, void *out, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t n, int64_t c);
    /* dx (N, C) f32 += ; dweight (C) f32 (+)=. dout is f32; x is what was normalised. */
    void (*rmsnorm_backward)(struct mu_device *, float *dx, float *dweight, const float *dout,
                             const float *x, const float *weight, const float *rstd, int64_t n,
                             int64_t c, bool overwrite);

    /* y = epilogue(x W^T + b). y is act when y_is_act, else f32. With GELU (tanh form) `before` (N,
     * out) act receives the value before it. w is act. */
    void (*linear)(struct mu_device *, struct mu_linear, void *y, bool y_is_act, void *before,
                   const void *x, const void *w, const float *b, enum mu_epilogue);
    /* dx (N, in) f32 or act = dy W. dy is act. */
    void (*linear_backward_input)(struct mu_device *, struct mu_linear, void *dx, bool dx_is_act,
                                  const void *dy, const void *w);
    /* dw (out, in) f32 (+)= dy^T x; db (out) f32 (+)= column sums of dy, or NULL. */
    void (*linear_backward_weight)(struct mu_device *, struct mu_linear, float *dw, float *db,
                                   const void *dy, const void *x, bool overwrite);
    /* d (n) act: in place, d *= gelu'(before). */
    void (*gelu_backward)(struct mu_device *, void *d, const void *before, int64_t n);
    /* SwiGLU (Shazeer 2020): out (N, F) act = silu(gate) * up; both (N, 2F) act: a row is its
     * gates, then its ups. */
    void (*swiglu)(struct mu_device *, void *out, const void *both, int64_t n, int64_t f);
    /* dboth (N, 2F) act, from dout (N, F) act; dboth may be both. */
    void (*swiglu_backward)(struct mu_device *, void *dboth, const void *dout, const void *both,
                            int64_t n, int64_t f);
    /* Rotary positions (Su et al. 2021), in place on the queries and keys of qkv (B, T, 3, H, D)
     * act; D is even. Element i < D/2 of a head and element i + D/2 are turned together, as Hugging
     * Face's Llama has it, by an angle whose cosine is turn[(t * D/2 + i) * 2] and whose sine is
     * the next one; turn (T, D/2, 2) f32. backward: by the negative angle, on dqkv. */
    void (*rotate)(struct mu_device *, struct mu_attention, void *qkv, const float *turn,
                   bool backward);
    /* out (n) act from x (n) f32: gradients of the residual stream on their way into products. A
     * copy in fp32. */
    void (*to_act)(struct mu_device *, void *out, const float *x, int64_t n);

    /* out (B, T, C) act; lse (B, H, T) f32: log of the softmax denominator, for the backward pass.
     * Scale 1/sqrt(D). */
    void (*attention)(struct mu_device *, struct mu_attention, void *out, float *lse,
                      const void *qkv);
    /* Optional, for decoding, where the keys and values of the tokens before stand in qkv already.
     * out (B, C) act: of each sequence what `attention` gives for its last token alone. */
    void (*attention_last)(struct mu_device *, struct mu_attention, void *out, const void *qkv);
    /* dqkv (B, T, 3C) act. Probabilities are computed again from qkv and lse. */
    void (*attention_backward)(struct mu_device *, struct mu_attention, void *dqkv,
                               const void *dout, const void *out, const void *qkv,
                               const float *lse);

    /* Fused head: logits = x table^T, softmax, cross entropy in nats. losses (N) f32 each token's.
     * When dx is not NULL also the backward pass: dx (N, C) f32 and dtable (V, C) f32 (+)=, of
     * scale * sum of losses. Logits never stand whole in memory: fixed blocks of rows. x is act,
     * table act; 0 <= target < V. */
    void (*classifier)(struct mu_device *, float *losses, float *dx, float *dtable, const void *x,
                       const void *table, const int32_t *target, float scale, int64_t n, int64_t c,
                       int64_t v, bool overwrite);

    void (*adamw)(struct mu_device *, const struct mu_adamw *);
    void (*quantise_add)(struct mu_device *, const struct mu_quantise *);
    /* to (n) += from (n) in fp32, or = when overwrite: batch.reduce = "fast". */
    void (*add)(struct mu_device *, float *to, const float *from, int64_t n, bool overwrite);
    /* a (n) += b (n), int32, wrapping. Returns the sum of b's elements mod 2^32. */
    uint32_t (*add_int32)(struct mu_device *, int32_t *a, const int32_t *b, int64_t n);

    /* See mu_device_measure_peak. */
    double (*measure_peak)(struct mu_device *, double seconds);

    /* Sums over the devices of several ranks; NULL: there are none (kernels/collective.h). */
    const struct mu_collective_ops *collective;
    /* State in the device's memory; NULL: it is the segment's alone (kernels/resident.h). */
    const struct mu_resident_ops *resident;
    /* The same, divided among the ranks; NULL: it cannot be (kernels/resident_parts.h). */
    const struct mu_resident_parts_ops *resident_parts;

    /* ---- choices: see mu_device_has_choices; NULL, all three, where there are none ---- */
    void (*tune_choices)(struct mu_device *, bool on);
    enum mu_status (*write_choices)(const struct mu_device *, void **bytes, size_t *size);
    enum mu_status (*read_choices)(struct mu_device *, const void *bytes, size_t size, char *why,
                                   size_t why_size);
};

enum { MU_DEVICE_FACTS_MAX = 384 };

struct mu_device {
    const struct mu_device_ops *ops;
    struct mu_device_options options;
    enum mu_status status; /* the first failure: the device's, or what the poll hook told */
    bool broken;           /* the device's own: what it was asked since may not have been done */
    /* What bits depend on besides the options, of a device that is not this CPU: "NVIDIA H100 ...
     * (9.0, 132 multiprocessors), CUDA 13.0, cuBLASLt 13.1.0, module 0123456789abcdef". Else
     * empty. */
    char facts[MU_DEVICE_FACTS_MAX];
    struct mu_timed *timed; /* who times its operations (kernels/timed.h); NULL: nobody */
};

/* Calls the hook: by operations, and by work between them that takes its time. */
static inline void mu_device_poll(struct mu_device *d)
{
    enum mu_status st = d->options.poll ? d->options.poll(d->options.poll_context) : MU_OK;

    if (d->status == MU_OK)
        d->status = st;
}

/* MU_OK, or why the work that this device is used for should be given up (a rank died). */
static inline enum mu_status mu_device_status(const struct mu_device *d)
{
    return d->status;
}

/* MU_OK: all operations have done what they were asked (waits for them). Apart from the status: a
 * death that the hook told is no reason to leave work half done. */
enum mu_status mu_device_verify(struct mu_device *device) MU_CHECKED;

/* MU_CONFIG with advice when the kind, precision or instruction set cannot be had here. */
enum mu_status mu_device_open(const struct mu_device_options *options,
                              struct mu_device **out) MU_CHECKED;
void mu_device_close(struct mu_device *device); /* NULL is allowed */

/* The GPUs that this process sees, by their numbers. */
enum { MU_DEVICE_GPUS_MAX = 64 };
struct mu_device_gpus {
    uint32_t count; /* 0 on devices of another kind, too */
    struct mu_gpu_id id[MU_DEVICE_GPUS_MAX];
    char pci[MU_DEVICE_GPUS_MAX][16]; /* of the GPU, also of one that is a MIG instance of it */
    char name[128];                   /* of the first */
    char problem[512];                /* empty, or why none can be used, and what to do */
};
/* Begins nothing on any of them. No GPU is no problem here. */
enum mu_status mu_device_look(enum mu_device_kind kind, struct mu_device_gpus *out) MU_CHECKED;

/* Whether mu_device_open could work, as far as that can be told without taking any memory. Says
 * what is missing as mu_device_open would. */
enum mu_status mu_device_check(const struct mu_device_options *options) MU_CHECKED;

/* What this CPU can do, best first choice of `auto`: MU_ISA_AMX > AVX512_BF16 > AVX512 > AVX2 >
 * GENERIC. Ranks take the minimum. */
enum mu_isa mu_device_best_isa(void);
/* Caps what oneDNN may use; must run before the first device is opened, once per process. */
void mu_device_set_isa(enum mu_isa isa);
const char *mu_isa_name(enum mu_isa isa);

/* ---- memory: see the contract above. 64-byte aligned, zeroed; NULL when there is none. ---- */
void *mu_device_alloc(struct mu_device *device, size_t bytes);
void mu_device_free(struct mu_device *device, void *memory); /* NULL is allowed, here and below */
void *mu_device_alloc_lent(struct mu_device *device, size_t bytes);
void mu_device_free_lent(struct mu_device *device, void *memory);
/* All zero where the device has no memory of its own. */
static inline struct mu_device_room mu_device_memory(const struct mu_device *d)
{
    return d->ops->memory ? d->ops->memory(d) : (struct mu_device_room){0, 0, 0};
}
/* Host memory that others have made (page-aligned) becomes lent, until it is taken back or the
 * device is closed. */
enum mu_status mu_device_lend(struct mu_device *device, void *host, size_t bytes) MU_CHECKED;
void mu_device_take_back(struct mu_device *device, void *host);

static inline bool mu_device_has_host_memory(const struct mu_device *d)
{
    return d->ops->alloc == NULL;
}
/* `host` is any memory of the host's; the rest is device or lent memory. */
enum { MU_DEVICE_PIECE = 1 << 22 }; /* bytes: a millisecond or less; more goes in pieces */
void mu_device_upload(struct mu_device *device, void *to, const void *host, size_t bytes);
void mu_device_download(struct mu_device *device, void *host, const void *from, size_t bytes);
void mu_device_clear(struct mu_device *device, void *to, size_t bytes);
void mu_device_copy(struct mu_device *device, void *to, const void *from, size_t bytes);
/* Device memory as the host may read it: the memory itself where has_host_memory holds, and `copy`
 * may be NULL; else downloaded to `copy`, of so many bytes, in pieces with polls between them. */
const void *mu_device_view(struct mu_device *device, const void *memory, size_t bytes, void *copy);
/* Until all operations are done. */
void mu_device_wait(struct mu_device *device);

/* ---- choices among algorithms that differ in their bits ----
 * A device may have several for one operation. It chooses when a shape comes up first, keeps to it,
 * and can tell what it has chosen, so that another device of its kind chooses the same. Without
 * tuning the choice is a function of the shape and of the device's facts; with it, of time as well,
 * so that two devices, or one at two times, choose differently. A device without choices does
 * nothing, has nothing to tell, and takes nothing. */
static inline bool mu_device_has_choices(const struct mu_device *d)
{
    return d->ops->write_choices != NULL;
}

/* Whether algorithms for shapes that come up from here on are timed. Off in the beginning. */
static inline void mu_device_tune_choices(struct mu_device *d, bool on)
{
    if (d->ops->tune_choices)
        d->ops->tune_choices(d, on);
}

/* What was chosen so far; *bytes is malloc'ed, the caller frees. The same choices give the same
 * bytes, in whatever order they were made. */
static inline enum mu_status MU_CHECKED mu_device_write_choices(const struct mu_device *d,
                                                                void **bytes, size_t *size)
{
    *bytes = NULL;
    *size = 0;
    return d->ops->write_choices ? d->ops->write_choices(d, bytes, size) : MU_OK;
}

/* Choices become those that were written; what they leave open is chosen here. MU_CORRUPT;
 * MU_CONFIG when they are of a device of another kind, library or precision: then they stay as they
 * were, and `why` says what is wrong, which is not reported. */
static inline enum mu_status MU_CHECKED mu_device_read_choices(struct mu_device *d,
                                                               const void *bytes, size_t size,
                                                               char *why, size_t why_size)
{
    return d->ops->read_choices ? d->ops->read_choices(d, bytes, size, why, why_size) : MU_OK;
}

static inline size_t mu_device_act_bytes(const struct mu_device *d)
{
    return d->options.precision == MU_PRECISION_BF16 ? 2 : 4;
}

/* Version text of what computes ("oneDNN 2.6.3"), for --version and the fingerprint. */
const char *mu_device_library_version(void);

/* Square matrix products in the device's precision, one on each of its threads, again and again for
 * about `seconds`: the best rate seen, in FLOP/s. The yardstick of "% of measured peak". */
double mu_device_measure_peak(struct mu_device *device, double seconds);

#endif

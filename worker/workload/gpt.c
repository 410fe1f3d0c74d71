/* The gpt workload: opening (checks, data) and the entries of its tables. Invariants:
 *  - what an entry computes depends on settings, weights, step and shard (or piece) only: every
 *    buffer is written before it is read;
 *  - nothing is allocated after opening;
 *  - the micro-batches of a shard are computed in order, each of the same shape. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "worker/workload/gpt.h"

/* ---- tokens ---------------------------------------------------------------------------------- */

/* Window of T + 1 tokens from `start` as place j of input and target. A file may hold tokens beyond
 * the vocabulary its header names; they would be read as addresses. */
static enum mu_status take_window(struct mu_gpt *g, const struct mu_tokens *file, uint64_t start,
                                  uint64_t j)
{
    const uint64_t t = (uint64_t)g->dims.context;
    int32_t *input = g->tokens.input.host + j * t, *target = g->tokens.target.host + j * t;

    mu_tokens_copy(file, start, t, input);
    mu_tokens_copy(file, start + 1, t, target);
    mu_device_poll(g->device); /* the file's pages may have come from a slow disk */
    for (uint64_t i = 0; i <= t; i++) {
        const int32_t token = i < t ? input[i] : target[t - 1];

        if (token < 0 || token >= g->dims.vocab)
            return MU_FAIL(MU_CORRUPT,
                           "%s: token %" PRIu64 " is %" PRId32 ", but the vocabulary has %" PRId64
                           " entries: tokenize the text again",
                           file == &g->train ? "data.train" : "data.valid", start + i, token,
                           g->dims.vocab);
    }
    return MU_OK;
}

/* The first n as the device reads them. */
static void hand_in(struct mu_gpt *g, const struct mu_gpt_ids *ids, uint64_t n)
{
    if (ids->device != ids->host)
        mu_device_upload(g->device, ids->device, ids->host, n * sizeof *ids->host);
}

/* Names the distinct input tokens of the shard, ascending; returns how many. */
static uint32_t name_rows(struct mu_gpt *g, uint64_t n)
{
    struct mu_gpt_tokens *k = &g->tokens;
    uint32_t count = 0;

    memset(k->row_of_id, 0, (size_t)g->dims.vocab * sizeof *k->row_of_id);
    for (uint64_t i = 0; i < n; i++)
        k->row_of_id[k->input.host[i]] = 1;
    for (int64_t id = 0; id < g->dims.vocab; id++) {
        if (k->row_of_id[id] != 0) {
            k->row_of_id[id] = (int32_t)count;
            k->row[count++] = (uint32_t)id;
        }
    }
    for (uint64_t i = 0; i < n; i++)
        k->row_of.host[i] = k->row_of_id[k->input.host[i]];
    return count;
}

/* ---- the table ------------------------------------------------------------------------------- */

static enum mu_status micro_batch(struct mu_gpt *g, const struct mu_weights *w, int64_t step,
                                  uint64_t from, double *loss)
{
    const uint64_t at = from * (uint64_t)g->dims.context;
    const float scale = (float)(1.0 / ((double)g->batch * (double)g->dims.context));
    const int64_t sequences = (int64_t)g->micro;
    const bool first = from == 0, last = from + g->micro == g->shard_sequences;
    enum mu_status st;
    double part;

    MU_TRY(mu_gpt_forward(g, w, g->tokens.input.device + at, sequences), st, done);
    if (mu_fault(MU_FAULT_FORWARD, step))
        return MU_FAIL(MU_FAILED, "MUSTER_FAULT: forward pass of step %" PRId64 " failed", step);
    MU_TRY(mu_gpt_head(g, w, g->tokens.target.device + at, sequences, true, scale, first, &part),
           st, done);
    *loss += part;
    if (mu_fault(MU_FAULT_BACKWARD, step))
        return MU_FAIL(MU_FAILED, "MUSTER_FAULT: backward pass of step %" PRId64 " failed", step);
    MU_TRY(mu_gpt_backward(g, w, g->tokens.row_of.device + at, sequences, first, last), st, done);
done:
    return st;
}

static enum mu_status gpt_shard_gradient(struct mu_workload *workload, const struct mu_weights *w,
                                         int64_t step, uint32_t shard, struct mu_shard_result *out)
{
    struct mu_gpt *g = (struct mu_gpt *)workload;
    const uint64_t count = g->shard_sequences, n = count * (uint64_t)g->dims.context;
    const uint64_t sample = (uint64_t)step * g->batch + shard * count;
    enum mu_status st = MU_OK;
    uint32_t rows;
    double loss = 0;

    MU_ASSERT(step >= 0 && shard < workload->facts.shards);
    for (uint64_t j = 0; j < count; j++)
        MU_TRY(take_window(g, &g->train, mu_sampler_start(&g->sampler, sample + j), j), st, done);
    rows = name_rows(g, n);
    mu_device_poll(g->device);
    hand_in(g, &g->tokens.input, n);
    hand_in(g, &g->tokens.target, n);
    hand_in(g, &g->tokens.row_of, n);
    mu_device_clear(g->device, g->buffers.row_value,
                    (size_t)rows * (size_t)g->dims.width * sizeof(float));
    for (uint64_t from = 0; from < count; from += g->micro)
        MU_TRY(micro_batch(g, w, step, from, &loss), st, done);
    *out = (struct mu_shard_result){
        .dense = g->buffers.dense,
        .rows = {{.tensor = mu_gpt_tensor(&g->dims, 0, MU_GPT_WTE),
                  .count = rows,
                  .row = g->tokens.row,
                  .value = g->buffers.row_value}},
        .row_count = 1,
        .loss_nats = loss,
        .tokens = n,
    };
done:
    return st;
}

/* Piece p is windows [p micro, (p + 1) micro) of the validation file; the last may be shorter. */
static enum mu_status gpt_evaluate(struct mu_workload *workload, const struct mu_weights *w,
                                   int64_t step, uint64_t piece, struct mu_piece_result *out)
{
    struct mu_gpt *g = (struct mu_gpt *)workload;
    const uint64_t t = (uint64_t)g->dims.context, from = piece * g->micro;
    uint64_t count = g->micro;
    enum mu_status st = MU_OK;

    (void)step;
    MU_ASSERT(piece < workload->facts.eval_pieces);
    if (count > g->eval_sequences - from)
        count = g->eval_sequences - from;
    for (uint64_t j = 0; j < count; j++)
        MU_TRY(take_window(g, &g->valid, (from + j) * t, j), st, done);
    hand_in(g, &g->tokens.input, count * t);
    hand_in(g, &g->tokens.target, count * t);
    MU_TRY(mu_gpt_forward(g, w, g->tokens.input.device, (int64_t)count), st, done);
    MU_TRY(mu_gpt_head(g, w, g->tokens.target.device, (int64_t)count, false, 0, false,
                       &out->loss_nats),
           st, done);
    out->tokens = count * t;
    out->bytes = (double)out->tokens * ((double)g->valid.source_bytes / (double)g->valid.count);
done:
    return st;
}

static void gpt_close(struct mu_workload *workload)
{
    struct mu_gpt *g = (struct mu_gpt *)workload;

    mu_gpt_free(g);
    mu_tokens_close(&g->train);
    mu_tokens_close(&g->valid);
    mu_layout_deinit(&g->base.layout);
    free(g);
}

#define OPS_NAMED(kind_name)                                                        \
    {                                                                               \
        .name = (kind_name), .close = gpt_close, .init_tensor = mu_gpt_init_tensor, \
        .shard_gradient = gpt_shard_gradient, .evaluate = gpt_evaluate,             \
    }
static const struct mu_workload_ops ops[] = {
    [MU_GPT_KIND_GPT2] = OPS_NAMED("gpt2"), [MU_GPT_KIND_LLAMA] = OPS_NAMED("llama")};

/* ---- opening --------------------------------------------------------------------------------- */

static enum mu_status check_divides(const char *part_key, int64_t part, const char *whole,
                                    int64_t size, const char *advice)
{
    if (part > 0 && size % part == 0)
        return MU_OK;
    return MU_FAIL(MU_CONFIG, "%s = %" PRId64 " does not divide %s = %" PRId64 ": %s", part_key,
                   part, whole, size, advice);
}

static enum mu_status check_shapes(const struct mu_settings *s)
{
    enum mu_status st;

    MU_TRY(check_divides("model.heads", s->model_heads, "model.width", s->model_width,
                         "every head has the same size, width / heads"),
           st, done);
    if (s->model_kind == MU_MODEL_LLAMA && s->model_width / s->model_heads % 2 != 0)
        return MU_FAIL(MU_CONFIG,
                       "model.width / model.heads = %" PRId64
                       " is odd: rotary positions turn pairs "
                       "of a head's elements",
                       s->model_width / s->model_heads);
    MU_TRY(check_divides("batch.shards", s->batch_shards, "batch.sequences", s->batch_sequences,
                         "every shard has the same number of sequences"),
           st, done);
    MU_TRY(check_divides("batch.micro", s->batch_micro, "the sequences of a shard",
                         s->batch_sequences / s->batch_shards,
                         "a shard is a whole number of micro-batches"),
           st, done);
done:
    return st;
}

/* Opens a token file and checks that it can be used with this model. */
static enum mu_status open_tokens(const struct mu_settings *s, const char *key, const char *path,
                                  struct mu_tokens *file)
{
    enum mu_status st;

    MU_TRY(mu_tokens_open(file, path), st, done);
    if ((int64_t)file->vocab > s->model_vocab)
        return MU_FAIL(MU_CONFIG,
                       "model.vocab = %" PRId64
                       " is smaller than the vocabulary of %s (%s: %" PRIu32
                       "): use model.vocab = \"auto\", or tokenize with the same vocabulary",
                       s->model_vocab, key, path, file->vocab);
    if (mu_sampler_windows(file->count, (uint32_t)s->model_context) == 0)
        return MU_FAIL(MU_CONFIG,
                       "%s: %s has %" PRIu64 " tokens, but one sequence needs model.context + 1 = "
                       "%" PRId64 ": use more text or a shorter context",
                       key, path, file->count, s->model_context + 1);
done:
    return st;
}

static enum mu_status open_data(struct mu_gpt *g, const struct mu_settings *s)
{
    const uint64_t t = (uint64_t)s->model_context;
    enum mu_status st = MU_OK;

    if (s->data_train[0] == '\0')
        return MU_FAIL(MU_CONFIG,
                       "data.train is not set: a %s model needs a token file to train "
                       "on (make one with `muster tokenize`)",
                       g->base.ops->name);
    MU_TRY(open_tokens(s, "data.train", s->data_train, &g->train), st, done);
    g->sampler = (struct mu_sampler){.seed = g->seed,
                                     .windows = mu_sampler_windows(g->train.count, (uint32_t)t),
                                     .context = (uint32_t)t};
    if (s->data_valid[0] == '\0')
        return MU_OK;
    MU_TRY(open_tokens(s, "data.valid", s->data_valid, &g->valid), st, done);
    g->eval_sequences = ((uint64_t)s->eval_tokens + t - 1) / t;
    if (g->eval_sequences > mu_sampler_windows(g->valid.count, (uint32_t)t))
        g->eval_sequences = mu_sampler_windows(g->valid.count, (uint32_t)t);
done:
    return st;
}

struct mu_counts mu_gpt_counts(const struct mu_settings *s)
{
    const uint64_t layers = (uint64_t)s->model_layers, width = (uint64_t)s->model_width,
                   context = (uint64_t)s->model_context, vocab = (uint64_t)s->model_vocab;

    if (s->model_kind == MU_MODEL_LLAMA)
        return mu_count_llama(
            &(struct mu_llama_shape){layers, width, (uint64_t)s->model_hidden, context, vocab});
    return mu_count_gpt(&(struct mu_gpt_shape){layers, width, context, vocab});
}

static void set_facts(struct mu_gpt *g, const struct mu_settings *s)
{
    struct mu_workload_facts *f = &g->base.facts;
    const struct mu_gpt_dims *d = &g->dims;
    const struct mu_counts n = mu_gpt_counts(s);
    char hidden[32] = "";

    MU_ASSERT(n.all == g->base.layout.parameters);
    if (d->kind == MU_GPT_KIND_LLAMA)
        snprintf(hidden, sizeof hidden, ", hidden %d", (int)d->hidden);
    snprintf(f->summary, sizeof f->summary,
             "%s, %d layers, width %d%s, %d heads, context %d, vocabulary %d: %.2fM parameters",
             g->base.ops->name, (int)d->layers, (int)d->width, hidden, (int)d->heads,
             (int)d->context, (int)d->vocab, (double)n.all / 1e6);
    f->tokens_per_step = g->batch * (uint64_t)d->context;
    f->flops_per_token = n.flops_non_embedding_head;
    f->shards = (uint64_t)s->batch_shards;
    f->eval_pieces = (g->eval_sequences + g->micro - 1) / g->micro;
    f->train_windows = (double)g->sampler.windows;
}

static struct mu_gpt_dims dims_of(const struct mu_settings *s)
{
    const bool llama = s->model_kind == MU_MODEL_LLAMA;

    return (struct mu_gpt_dims){.kind = llama ? MU_GPT_KIND_LLAMA : MU_GPT_KIND_GPT2,
                                .layers = s->model_layers,
                                .heads = s->model_heads,
                                .width = s->model_width,
                                .hidden = llama ? s->model_hidden : 4 * s->model_width,
                                .context = s->model_context,
                                .vocab = s->model_vocab};
}

enum mu_status mu_gpt_new(const struct mu_settings *s, struct mu_device *device,
                          struct mu_gpt **out)
{
    struct mu_gpt *g;
    enum mu_status st;

    MU_TRY(check_shapes(s), st, refused);
    g = calloc(1, sizeof *g);
    if (g == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a workload");
    g->device = device;
    g->dims = dims_of(s);
    g->base.ops = &ops[g->dims.kind];
    g->rope_theta = s->model_rope_theta;
    g->recompute = (enum mu_recompute)s->device_recompute;
    g->seed = (uint64_t)s->run_seed;
    g->batch = (uint64_t)s->batch_sequences;
    g->shard_sequences = (uint64_t)(s->batch_sequences / s->batch_shards);
    g->micro = (uint64_t)s->batch_micro;
    MU_TRY(mu_gpt_layout(&g->dims, &g->base.layout), st, failed);
    *out = g;
    return MU_OK;
failed:
    gpt_close(&g->base);
refused:
    return st;
}

enum mu_status mu_gpt_open(const struct mu_settings *s, struct mu_device *device,
                           struct mu_workload **out)
{
    struct mu_gpt *g;
    enum mu_status st;

    MU_TRY(mu_gpt_new(s, device, &g), st, refused);
    MU_TRY(open_data(g, s), st, failed);
    set_facts(g, s);
    if (device != NULL)
        MU_TRY(mu_gpt_allocate(g), st, failed);
    *out = &g->base;
    return MU_OK;
failed:
    gpt_close(&g->base);
refused:
    return st;
}

enum mu_status mu_gpt_resolve(struct mu_settings *s)
{
    struct mu_tokens train = {0};
    enum mu_status st = MU_OK;

    if (s->model_vocab != MU_AUTO)
        return MU_OK;
    if (s->data_train[0] == '\0')
        return MU_FAIL(MU_CONFIG, "model.vocab = \"auto\" needs data.train, whose header names the "
                                  "vocabulary: set one of them");
    MU_TRY(mu_tokens_open(&train, s->data_train), st, done);
    s->model_vocab = train.vocab;
done:
    mu_tokens_close(&train);
    return st;
}

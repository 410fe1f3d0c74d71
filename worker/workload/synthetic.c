/* A workload with a known truth: its loss is a law of model size and tokens,
 *
 *   L(N, D) = E + A / N^alpha + B / D^beta + noise(seed, N)
 *
 * so that a sweep of hundreds of trials takes seconds and the fit can be held against the constants
 * that made it. Noise is one normal number a run: the curve of a run is shifted as a whole, as the
 * luck of a seed does. Steps take as long as synthetic.step_ms asks.
 *
 * What is trained is real but has nothing to do with the loss: 4096 weights and a few more drawn
 * towards targets, f(w) = mean over the batch of |w - target - jitter(sample)|^2 / 2, so that sums,
 * state, checkpoints and hashes are exercised as with a model. Needs no data. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/detmath.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/rng.h"
#include "orchestrator/core/shards.h"
#include "worker/workload/synthetic.h"

enum { ROWS = 8, COLS = 512, BIAS = 100, SLICE_US = 1000 };

/* `a` of mu_rng_draw(seed, MU_RNG_SYNTHETIC, a, b): what a number is for. Jitter of step k and
 * shard s takes a = USE_JITTER + s. */
enum { USE_NOISE, USE_TARGET, USE_JITTER };

struct synthetic {
    struct mu_workload base;
    struct mu_device *device;
    struct mu_settings settings;
    float *dense;       /* lent memory: the host computes it */
    float *weight_copy; /* the host's; NULL where it can read them */
};

static double tokens_of_step(const struct mu_settings *s)
{
    return (double)s->batch_sequences * (double)s->model_context;
}

/* After `steps` steps; D is the tokens of that many. */
static double loss_after(const struct mu_settings *s, int64_t steps)
{
    const double n = (double)s->synthetic_params, d = (double)steps * tokens_of_step(s);
    const struct mu_rng_words luck = mu_rng_draw((uint64_t)s->run_seed, MU_RNG_SYNTHETIC, USE_NOISE,
                                                 (uint64_t)s->synthetic_params);

    return s->synthetic_e + s->synthetic_a / mu_det_pow(n, s->synthetic_alpha) +
           s->synthetic_b / mu_det_pow(d, s->synthetic_beta) +
           s->synthetic_noise * mu_rng_normal(luck.w[0]);
}

/* Sleeps in slices, so that a rank that waits answers as a rank that computes does. */
static enum mu_status pace(const struct synthetic *y)
{
    const double shard_ms = y->settings.synthetic_step_ms / (double)y->settings.batch_shards;
    const uint64_t end = mu_clock_ns() + (uint64_t)(shard_ms * 1e6);

    for (uint64_t now = mu_clock_ns(); now < end; now = mu_clock_ns()) {
        const uint64_t left_us = (end - now + 999) / 1000;

        mu_clock_sleep_us(left_us < SLICE_US ? (unsigned)left_us : SLICE_US);
        mu_device_poll(y->device);
        if (mu_device_status(y->device) != MU_OK)
            break;
    }
    return mu_device_status(y->device);
}

/* Four numbers in (-1, 1). */
static struct mu_rng_words draw(const struct synthetic *y, uint32_t use, uint64_t group)
{
    return mu_rng_draw((uint64_t)y->settings.run_seed, MU_RNG_SYNTHETIC, use, group);
}
static double symmetric(uint32_t word)
{
    return 2 * mu_rng_uniform(word) - 1;
}

/* dense = part * (w - target - jitter) of one tensor, whose offset is a multiple of 4. */
static void pull(struct synthetic *y, const struct mu_tensor *t, const float *w, int64_t step,
                 uint32_t shard)
{
    const double part = 1.0 / (double)y->settings.batch_shards;
    const uint64_t end = t->offset + t->spec.rows * t->spec.cols;
    const uint64_t step_groups = (uint64_t)step * (y->base.layout.elements / 4);

    for (uint64_t from = t->offset; from < end; from += 4) {
        const struct mu_rng_words target = draw(y, USE_TARGET, from / 4);
        const struct mu_rng_words jitter = draw(y, USE_JITTER + shard, step_groups + from / 4);

        for (uint64_t i = from; i < from + 4 && i < end; i++)
            y->dense[i] = (float)(part * ((double)w[i] - symmetric(target.w[i % 4]) -
                                          symmetric(jitter.w[i % 4])));
    }
}

static enum mu_status synthetic_shard_gradient(struct mu_workload *workload,
                                               const struct mu_weights *w, int64_t step,
                                               uint32_t shard, struct mu_shard_result *out)
{
    struct synthetic *y = (struct synthetic *)workload;
    const struct mu_layout *l = &workload->layout;
    const float *weight;
    enum mu_status st;

    MU_ASSERT(step >= 0 && shard < workload->facts.shards);
    if (mu_fault(MU_FAULT_FORWARD, step))
        return MU_FAIL(MU_FAILED, "MUSTER_FAULT: forward pass of step %" PRId64 " failed", step);
    MU_TRY(pace(y), st, failed);
    if (mu_fault(MU_FAULT_BACKWARD, step))
        return MU_FAIL(MU_FAILED, "MUSTER_FAULT: backward pass of step %" PRId64 " failed", step);
    weight = mu_device_view(y->device, w->f32, l->elements * sizeof *weight, y->weight_copy);
    for (uint32_t t = l->tensor_count; t-- > 0;) {
        pull(y, &l->tensors[t], weight, step, shard);
        mu_workload_tell_ready(workload, y->dense, t);
    }
    out->dense = y->dense;
    out->row_count = 0;
    out->tokens = workload->facts.tokens_per_step / workload->facts.shards;
    out->loss_nats = loss_after(&y->settings, step + 1) * (double)out->tokens;
failed:
    return st;
}

/* Before the first step D is 0 and the law infinite: the loss after one step stands for it. */
static enum mu_status synthetic_evaluate(struct mu_workload *workload, const struct mu_weights *w,
                                         int64_t step, uint64_t piece, struct mu_piece_result *out)
{
    const struct synthetic *y = (const struct synthetic *)workload;
    const struct mu_range tokens =
        mu_shards_of_worker((uint64_t)y->settings.eval_tokens, piece, workload->facts.eval_pieces);

    (void)w;
    out->tokens = tokens.to - tokens.from;
    out->loss_nats = loss_after(&y->settings, step > 0 ? step : 1) * (double)out->tokens;
    out->bytes = 0;
    return MU_OK;
}

static void synthetic_init_tensor(const struct mu_workload *workload, uint32_t tensor,
                                  uint64_t from, uint64_t to, float *out)
{
    const struct synthetic *y = (const struct synthetic *)workload;

    for (uint64_t e = from; e < to; e++)
        out[e - from] = (float)mu_rng_normal(
            mu_rng_draw((uint64_t)y->settings.run_seed, MU_RNG_INIT, tensor, e / 4).w[e % 4]);
}

static void synthetic_close(struct mu_workload *workload)
{
    struct synthetic *y = (struct synthetic *)workload;

    if (y->device != NULL)
        mu_device_free_lent(y->device, y->dense);
    free(y->weight_copy);
    mu_layout_deinit(&workload->layout);
    free(y);
}

static const struct mu_workload_ops synthetic_ops = {
    .name = "synthetic",
    .close = synthetic_close,
    .init_tensor = synthetic_init_tensor,
    .shard_gradient = synthetic_shard_gradient,
    .evaluate = synthetic_evaluate,
};

static void set_facts(struct mu_workload_facts *f, const struct mu_settings *s)
{
    snprintf(f->summary, sizeof f->summary,
             "synthetic, L = %g + %g / N^%g + %g / D^%g, N = %" PRId64, s->synthetic_e,
             s->synthetic_a, s->synthetic_alpha, s->synthetic_b, s->synthetic_beta,
             s->synthetic_params);
    f->tokens_per_step = (uint64_t)s->batch_sequences * (uint64_t)s->model_context;
    f->flops_per_token = 0; /* nothing of size N is computed: a rate would be fiction */
    f->shards = (uint64_t)s->batch_shards;
    f->eval_pieces =
        (uint64_t)(s->eval_tokens < s->batch_shards ? s->eval_tokens : s->batch_shards);
    f->train_windows = 0;
}

enum mu_status mu_synthetic_open(const struct mu_settings *s, struct mu_device *device,
                                 struct mu_workload **out)
{
    static const struct mu_tensor_spec specs[] = {
        {.name = "x.weight", .rows = ROWS, .cols = COLS, .decay = true, .dense = true},
        {.name = "x.bias", .rows = 1, .cols = BIAS, .dense = true},
    };
    struct synthetic *y;
    enum mu_status st = MU_OK;

    if (s->batch_sequences % s->batch_shards != 0)
        return MU_FAIL(MU_CONFIG,
                       "batch.shards = %" PRId64 " does not divide batch.sequences = %" PRId64
                       ": every shard has the same number of sequences",
                       s->batch_shards, s->batch_sequences);
    y = calloc(1, sizeof *y);
    if (y == NULL)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a workload");
    y->base.ops = &synthetic_ops;
    y->device = device;
    y->settings = *s;
    set_facts(&y->base.facts, s);
    MU_TRY(mu_layout_init(&y->base.layout, specs, sizeof specs / sizeof *specs), st, failed);
    if (device != NULL) {
        const size_t bytes = y->base.layout.elements * sizeof(float);

        y->dense = mu_device_alloc_lent(device, bytes);
        if (!mu_device_has_host_memory(device))
            y->weight_copy = malloc(bytes);
        if (y->dense == NULL || (!mu_device_has_host_memory(device) && y->weight_copy == NULL)) {
            st = MU_FAIL(MU_NO_MEMORY, "no memory for a gradient");
            goto failed;
        }
    }
    *out = &y->base;
    return MU_OK;
failed:
    synthetic_close(&y->base);
    return st;
}

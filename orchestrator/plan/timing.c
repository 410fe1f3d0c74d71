/* A device and a workload are opened as a worker has them, with weights of its shape. */
#include "orchestrator/plan/timing.h"

#include <math.h>
#include <string.h>

#include "kernels/bf16.h"
#include "worker/exact_sum.h"
#include "worker/workload.h"

enum { TRIES = 3, FILL = 1 << 16, REACH = 160 /* no gradient escapes: below 2^20 */ };

static const double least_seconds = 0.5; /* over so long shards are timed: others come and go */

struct weights {
    float *f32;
    uint16_t *bf16;
};

/* Values like the first ones: what they are does not matter to their time. */
static void fill(const struct mu_workload *w, struct weights *to)
{
    const struct mu_layout *l = &w->layout;

    for (uint32_t t = 0; t < l->tensor_count; t++) {
        const struct mu_tensor *tensor = &l->tensors[t];
        const uint64_t count = tensor->spec.rows * tensor->spec.cols;
        float *first = to->f32 + tensor->offset;

        w->ops->init_tensor(w, t, 0, count < FILL ? count : FILL, first);
        for (uint64_t at = FILL; at < count; at += FILL)
            memcpy(first + at, first, (count - at < FILL ? count - at : FILL) * sizeof *first);
    }
    for (uint64_t i = 0; to->bf16 && i < l->elements; i++)
        to->bf16[i] = mu_bf16_from_f32(to->f32[i]);
}

static enum mu_status take_weights(const struct mu_workload *w, struct mu_device *d,
                                   struct weights *out)
{
    const bool bf16 = d->options.precision == MU_PRECISION_BF16;

    out->f32 = mu_device_alloc(d, w->layout.elements * sizeof *out->f32);
    out->bf16 = bf16 ? mu_device_alloc(d, w->layout.elements * sizeof *out->bf16) : NULL;
    if (!out->f32 || (bf16 && !out->bf16))
        return MU_FAIL(MU_NO_MEMORY, "no memory for the weights of a model");
    fill(w, out);
    return MU_OK;
}

/* The best of some, or (for_seconds > 0) the mean over at least so long, as a run has it: without
 * the first one, which touches its memory. */
static enum mu_status time_shards(struct mu_workload *w, const struct weights *weights,
                                  double for_seconds, double *seconds,
                                  struct mu_shard_result *result)
{
    const struct mu_weights read = {weights->f32, weights->bf16};
    double best = INFINITY, sum = 0;
    enum mu_status st = MU_OK;
    int tries = 0;

    for (; st == MU_OK && (tries < TRIES || sum < for_seconds); tries++) {
        const double from = mu_clock_s();
        double took;

        st = w->ops->shard_gradient(w, &read, tries, 0, result);
        took = mu_clock_s() - from;
        best = fmin(best, took);
        sum += tries > 0 ? took : 0;
    }
    *seconds = for_seconds > 0 ? sum / (tries - 1) : best;
    return st;
}

/* A workload opened to be timed. */
struct bench {
    struct mu_device *device;
    struct mu_workload *workload;
    struct weights weights;
};

static void close_bench(struct bench *b)
{
    if (b->device) {
        mu_device_free(b->device, b->weights.f32);
        mu_device_free(b->device, b->weights.bf16);
    }
    mu_workload_close(b->workload);
    mu_device_close(b->device);
}

struct mu_device_options mu_timing_device(const struct mu_settings *s)
{
    return (struct mu_device_options){
        .kind = (enum mu_device_kind)s->device_kind,
        .precision = (enum mu_precision)s->device_precision,
        .isa = s->device_isa == MU_ISA_AUTO ? mu_device_best_isa() : (enum mu_isa)s->device_isa,
        .threads = (int)s->device_threads,
    };
}

static enum mu_status poll_deadline(void *context)
{
    const struct mu_deadline *deadline = context;

    return mu_deadline_passed(*deadline) ? MU_TIMEOUT : MU_OK;
}

static enum mu_status open_bench(const struct mu_settings *settings, struct mu_deadline *deadline,
                                 struct bench *b)
{
    struct mu_device_options options = mu_timing_device(settings);
    enum mu_status st;

    memset(b, 0, sizeof *b);
    if (deadline) {
        options.poll = poll_deadline;
        options.poll_context = deadline;
    }
    MU_TRY(mu_device_open(&options, &b->device), st, done);
    MU_TRY(mu_workload_open(settings, b->device, &b->workload), st, done);
    st = take_weights(b->workload, b->device, &b->weights);
done:
    return st;
}

enum mu_status mu_timing_gradients(const struct mu_settings *settings, double *seconds)
{
    struct mu_shard_result result;
    struct bench b;
    enum mu_status st;

    MU_TRY(open_bench(settings, NULL, &b), st, done);
    MU_TRY(time_shards(b.workload, &b.weights, 0, seconds, &result), st, done);
    *seconds *= (double)b.workload->facts.shards;
done:
    close_bench(&b);
    return st;
}

/* ---- what else a step does ---- */
/* A worker's sum, and what an update reads and writes. */
struct state {
    struct mu_exact_sum exact;
    struct mu_sum sum;
    int16_t *prediction;
    float *total, *m, *v;
    int32_t *dense; /* of a chunk */
    int64_t *wide;
    uint8_t *largest;
    uint64_t *escaped;
};

static void close_state(struct mu_device *d, struct state *s)
{
    void *const memory[] = {s->sum.dense, s->sum.largest, s->sum.escaped, s->sum.slot_of,
                            s->sum.slots, s->sum.counts,  s->prediction,  s->total,
                            s->m,         s->v,           s->dense,       s->wide,
                            s->largest,   s->escaped};

    mu_exact_sum_deinit(&s->exact);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        mu_device_free_lent(d, memory[i]);
}

static enum mu_status open_state(const struct mu_workload *w, struct mu_device *d, struct state *s)
{
    const struct mu_layout *l = &w->layout;
    const size_t n = l->elements, blocks = l->blocks, words = (blocks + 63) / 64;
    size_t chunk = 0;
    enum mu_status st;

    memset(s, 0, sizeof *s);
    MU_TRY(mu_exact_sum_init(&s->exact, l, d, (uint32_t)w->facts.shards), st, done);
    for (uint32_t c = 0; c < l->chunk_count; c++)
        chunk = l->chunks[c].count > chunk ? l->chunks[c].count : chunk;
    s->sum = (struct mu_sum){
        .dense = mu_device_alloc_lent(d, n * sizeof(int32_t)),
        .largest = mu_device_alloc_lent(d, blocks),
        .escaped = mu_device_alloc_lent(d, words * sizeof(uint64_t)),
        .slot_of = mu_device_alloc_lent(d, blocks * sizeof(uint32_t)),
        .slots = mu_device_alloc_lent(d, s->exact.capacity * MU_BLOCK * sizeof(int64_t)),
        .counts = mu_device_alloc_lent(d, sizeof(struct mu_sum_counts)),
    };
    s->prediction = mu_device_alloc_lent(d, blocks * sizeof *s->prediction);
    s->total = mu_device_alloc_lent(d, n * sizeof *s->total);
    s->m = mu_device_alloc_lent(d, n * sizeof *s->m);
    s->v = mu_device_alloc_lent(d, n * sizeof *s->v);
    s->dense = mu_device_alloc_lent(d, chunk * sizeof *s->dense);
    s->wide = mu_device_alloc_lent(d, MU_BLOCK * sizeof *s->wide);
    s->largest = mu_device_alloc_lent(d, blocks);
    s->escaped = mu_device_alloc_lent(d, words * sizeof(uint64_t));
    if (!s->sum.dense || !s->sum.largest || !s->sum.escaped || !s->sum.slot_of || !s->sum.slots ||
        !s->sum.counts || !s->prediction || !s->total || !s->m || !s->v || !s->dense || !s->wide ||
        !s->largest || !s->escaped)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the state of a model");
    for (size_t i = 0; i < blocks; i++)
        s->prediction[i] = REACH;
done:
    return st;
}

static double time_add(struct state *s, const struct mu_shard_result *result)
{
    double best = INFINITY;

    for (int i = 0; i < TRIES; i++) {
        const double from = mu_clock_s();

        mu_exact_sum_add(&s->exact, &s->sum, s->prediction, result, i == 0);
        best = i == 0 ? INFINITY
                      : fmin(best, mu_clock_s() - from); /* the first one touches its pages */
    }
    return best;
}

/* As worker/step.c does it, chunk by chunk. */
static void time_update(const struct bench *b, struct state *s, struct mu_timing *out)
{
    const struct mu_layout *l = &b->workload->layout;
    const struct mu_chunk_maxima none = {s->largest, s->escaped, 0};
    struct mu_adamw adamw = {.gradient_scale = 1,
                             .lr = 1e-4f,
                             .beta1 = 0.9f,
                             .beta2 = 0.95f,
                             .eps = 1e-8f,
                             .bias1 = 0.1f,
                             .bias2 = 0.05f,
                             .decay = 0.1f};

    out->sums = out->update = 0;
    for (uint32_t c = 0; c < l->chunk_count; c++) {
        const struct mu_chunk *chunk = &l->chunks[c];
        const double from = mu_clock_s();
        struct mu_wide norm = {0};
        double then;

        memset(s->dense, 0, chunk->count * sizeof *s->dense);
        (void)mu_chunk_add(&s->exact, s->dense, s->wide, &none, chunk, &s->sum);
        then = mu_clock_s();
        out->sums += then - from;
        mu_chunk_to_float(&s->exact, s->total + chunk->offset, &norm, s->dense, s->wide, &none,
                          chunk, s->prediction);
        adamw.count = (int64_t)chunk->count;
        adamw.gradient = s->total + chunk->offset;
        adamw.weight = adamw.weight_out = b->weights.f32 + chunk->offset;
        adamw.m = adamw.m_out = s->m + chunk->offset;
        adamw.v = adamw.v_out = s->v + chunk->offset;
        adamw.weight_bf16 = b->weights.bf16 ? b->weights.bf16 + chunk->offset : NULL;
        b->device->ops->adamw(b->device, &adamw);
        out->update += mu_clock_s() - then;
    }
}

/* A piece, twice: the first one opens what the forward pass alone needs. */
static enum mu_status time_evaluation(const struct bench *b, struct mu_timing *out)
{
    struct mu_workload *w = b->workload;
    const struct mu_weights read = {b->weights.f32, b->weights.bf16};
    struct mu_piece_result piece;
    double best = INFINITY;
    enum mu_status st = MU_OK;

    out->evaluation = 0;
    if (w->facts.eval_pieces == 0)
        return MU_OK;
    for (int i = 0; i < 2 && st == MU_OK; i++) {
        const double from = mu_clock_s();

        st = w->ops->evaluate(w, &read, 0, 0, &piece);
        best = fmin(best, mu_clock_s() - from);
    }
    out->evaluation = best * (double)w->facts.eval_pieces;
    return st;
}

enum mu_status mu_timing_take(const struct mu_settings *settings, struct mu_deadline deadline,
                              struct mu_timing *out)
{
    struct mu_shard_result result;
    struct state state = {0};
    struct bench b = {0};
    enum mu_status st;

    MU_TRY(open_bench(settings, &deadline, &b), st, done);
    MU_TRY(open_state(b.workload, b.device, &state), st, done);
    MU_TRY(time_shards(b.workload, &b.weights, least_seconds, &out->gradient, &result), st, done);
    out->add = time_add(&state, &result);
    MU_TRY(time_evaluation(&b, out), st, done);
    time_update(&b, &state, out);
    time_update(&b, &state, out); /* the first one touches its pages */
    st = mu_device_status(b.device);
done:
    if (b.device)
        close_state(b.device, &state);
    close_bench(&b);
    return st;
}

#include "orchestrator/plan/speed.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/memory_left.h"
#include "orchestrator/plan/load.h"
#include "orchestrator/plan/plan.h"
#include "worker/exact_sum.h"
#include "worker/workload.h"

enum {
    TRIES = 3,
    FILL = 1 << 16,
    LEAST_CONTEXT = 64,
    REACH = 160 /* no gradient escapes: below 2^20 */
};

/* Of the deadline: of one timing, with what is opened for it. */
static const double share_of_budget = 0.2;
/* Of the rate of large products: what the gradient of a shard reaches at least, as a rule. */
static const double usual_share = 0.25;
static const double peak_seconds = 0.03;
static const double least_seconds = 0.5; /* over so long shards are timed: others come and go */
/* An element takes: weights, their bf16 copy, moments, total, a sum, a shard's gradient. */
static const double bytes_an_element = 4 + 2 + 8 + 4 + 4 + 2 + 4;

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

static double since(uint64_t from)
{
    return 1e-9 * (double)(mu_clock_ns() - from);
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
        const uint64_t from = mu_clock_ns();

        st = w->ops->shard_gradient(w, &read, tries, 0, result);
        best = fmin(best, since(from));
        sum += tries > 0 ? since(from) : 0;
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

static struct mu_device_options options_of(const struct mu_settings *s)
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
    struct mu_device_options options = options_of(settings);
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

enum mu_status mu_speed_measure(const struct mu_settings *settings, double *seconds)
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
        const uint64_t from = mu_clock_ns();

        mu_exact_sum_add(&s->exact, &s->sum, s->prediction, result, i == 0);
        best = i == 0 ? INFINITY : fmin(best, since(from)); /* the first one touches its pages */
    }
    return best;
}

/* As worker/step.c does it, chunk by chunk. */
static void time_update(const struct bench *b, struct state *s, struct mu_speed *out)
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
        const uint64_t from = mu_clock_ns();
        struct mu_wide norm = {0};
        uint64_t then;

        memset(s->dense, 0, chunk->count * sizeof *s->dense);
        (void)mu_chunk_add(&s->exact, s->dense, s->wide, &none, chunk, &s->sum);
        then = mu_clock_ns();
        out->sums += 1e-9 * (double)(then - from);
        mu_chunk_to_float(&s->exact, s->total + chunk->offset, &norm, s->dense, s->wide, &none,
                          chunk, s->prediction);
        adamw.count = (int64_t)chunk->count;
        adamw.gradient = s->total + chunk->offset;
        adamw.weight = adamw.weight_out = b->weights.f32 + chunk->offset;
        adamw.m = adamw.m_out = s->m + chunk->offset;
        adamw.v = adamw.v_out = s->v + chunk->offset;
        adamw.weight_bf16 = b->weights.bf16 ? b->weights.bf16 + chunk->offset : NULL;
        b->device->ops->adamw(b->device, &adamw);
        out->update += since(then);
    }
}

/* A piece, twice: the first one opens what the forward pass alone needs. */
static enum mu_status time_evaluation(const struct bench *b, struct mu_speed *out)
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
        const uint64_t from = mu_clock_ns();

        st = w->ops->evaluate(w, &read, 0, 0, &piece);
        best = fmin(best, since(from));
    }
    out->evaluation = best * (double)w->facts.eval_pieces;
    return st;
}

/* What is timed: settings that may have fewer and shorter sequences in a shard than the run, and
 * fewer layers; what a run of those layers would take follows by its arithmetic. */
struct part {
    struct mu_settings settings;
    int64_t sequences, context; /* the run's, of a shard */
    uint32_t processes;         /* that are to do this at once */
};

static int64_t sequences_of_shard(const struct mu_settings *s)
{
    return s->batch_sequences / s->batch_shards;
}

/* The run's arithmetic of a token, over that of what is timed. */
static double of_token(const struct part *p)
{
    struct mu_settings *whole = malloc(sizeof *whole);
    double ratio = 1;

    if (!whole || p->context == p->settings.model_context)
        goto done;
    *whole = p->settings;
    whole->model_context = p->context;
    ratio = mu_plan_exact_flops(whole) / mu_plan_exact_flops(&p->settings);
done:
    free(whole);
    return ratio;
}

static double of_shard(const struct part *p)
{
    return of_token(p) * (double)(p->sequences * p->context) /
           (double)(sequences_of_shard(&p->settings) * p->settings.model_context);
}

static double elements_of(const struct mu_settings *s)
{
    return s->model_kind == MU_MODEL_SYNTHETIC ? 0 : (double)mu_workload_counts(s).all;
}

static enum mu_status time_part(const struct part *p, struct mu_deadline deadline,
                                struct mu_speed *out)
{
    const double bytes = bytes_an_element * elements_of(&p->settings) * p->processes;
    struct mu_shard_result result;
    struct state state = {0};
    struct bench b = {0};
    enum mu_status st;
    double gradient;

    if (bytes > 0.8 * (double)mu_memory_left(""))
        return MU_NO_MEMORY;
    MU_TRY(open_bench(&p->settings, &deadline, &b), st, done);
    MU_TRY(open_state(b.workload, b.device, &state), st, done);
    MU_TRY(time_shards(b.workload, &b.weights, least_seconds, &gradient, &result), st, done);
    out->shard = gradient * of_shard(p) + time_add(&state, &result);
    MU_TRY(time_evaluation(&b, out), st, done);
    out->evaluation *= of_token(p);
    time_update(&b, &state, out);
    time_update(&b, &state, out);
    st = mu_device_status(b.device);
done:
    if (b.device)
        close_state(b.device, &state);
    close_bench(&b);
    return st;
}

static double flops_of_shard(const struct mu_settings *s)
{
    return mu_plan_exact_flops(s) * (double)(sequences_of_shard(s) * s->model_context);
}

/* Cuts down what is timed until a few of it are done in `seconds`; whether of one and two layers
 * alone. */
static bool choose_part(struct part *p, double peak, double seconds)
{
    struct mu_settings *s = &p->settings, *two;
    const double most = seconds * share_of_budget * usual_share * peak / TRIES;

    if (flops_of_shard(s) > most)
        s->batch_sequences = s->batch_shards * s->batch_micro;
    if (flops_of_shard(s) > most) {
        s->batch_micro = 1;
        s->batch_sequences = s->batch_shards;
    }
    if (flops_of_shard(s) <= most || s->model_layers <= 2)
        return false;
    two = malloc(sizeof *two);
    if (two) {
        *two = *s;
        two->model_layers = 2;
        while (flops_of_shard(two) > most && two->model_context >= 2 * LEAST_CONTEXT)
            two->model_context /= 2;
        s->model_context = two->model_context;
    }
    free(two);
    return true;
}

/* Linear in the layers: what one and two of them take tells what all take. */
static double extrapolate(double one, double two, int64_t layers)
{
    return one + fmax(0, two - one) * (double)(layers - 1);
}

static enum mu_status time_layers(struct part *p, struct mu_deadline deadline, struct mu_speed *out)
{
    const int64_t layers = p->settings.model_layers;
    struct mu_speed one, two;
    enum mu_status st;

    p->settings.model_layers = 1;
    MU_TRY(time_part(p, deadline, &one), st, done);
    p->settings.model_layers = 2;
    MU_TRY(time_part(p, deadline, &two), st, done);
    out->shard = extrapolate(one.shard, two.shard, layers);
    out->sums = extrapolate(one.sums, two.sums, layers);
    out->update = extrapolate(one.update, two.update, layers);
    out->evaluation = extrapolate(one.evaluation, two.evaluation, layers);
done:
    return st;
}

static enum mu_status find_peak(const struct mu_settings *s, double *peak)
{
    const struct mu_device_options options = options_of(s);
    struct mu_device *d = NULL;
    enum mu_status st = mu_device_open(&options, &d);

    if (st == MU_OK)
        *peak = mu_device_measure_peak(d, peak_seconds);
    mu_device_close(d);
    return st;
}

static enum mu_status measure(const struct mu_settings *settings, uint32_t processes,
                              double seconds, struct mu_speed *out)
{
    const struct mu_deadline deadline = mu_deadline_in_ms((uint64_t)(1000 * seconds));
    struct part *p = malloc(sizeof *p);
    bool few_layers;
    double peak = 0;
    enum mu_status st;

    *out = (struct mu_speed){.beside = processes - 1};
    if (!p)
        return MU_FAIL(MU_NO_MEMORY, "no memory to measure");
    *p = (struct part){*settings, sequences_of_shard(settings), settings->model_context, processes};
    MU_TRY(find_peak(settings, &peak), st, done);
    few_layers = choose_part(p, peak, seconds);
    st = few_layers ? time_layers(p, deadline, out) : time_part(p, deadline, out);
    out->layers = p->settings.model_layers;
    out->context = p->settings.model_context;
done:
    free(p);
    return st;
}

struct company {
    const struct mu_settings *settings;
    uint32_t processes;
    double seconds;
};

static void keep_company(void *context)
{
    const struct company *c = context;
    struct mu_speed ignored;

    (void)measure(c->settings, c->processes, c->seconds, &ignored);
}

enum mu_status mu_speed_measure_parts(const struct mu_settings *settings, uint32_t beside,
                                      double seconds, struct mu_speed *out)
{
    struct company company = {settings, beside + 1, seconds};
    struct mu_load load;
    enum mu_status st = mu_load_open(&load, beside, keep_company, &company);

    if (st != MU_OK)
        return st;
    st = measure(settings, beside + 1, seconds, out);
    mu_load_close(&load);
    return st;
}

/* A step's exact sum and update in kernels/cuda/, emulated: bit for bit what worker/ makes of the
 * same gradients, over layouts, predictions and gradients of every kind, in three orders of
 * threads. */
#include "tests/support/cuda_sum.h"

#include "kernels/bf16.h"
#include "tests/support/kernel_run.h"
#include "tests/support/seed.h"
#include "worker/state_check.h"

_Static_assert(MU_CUDA_PREDICTION_NONE == (int)MU_PREDICTION_NONE &&
                   MU_CUDA_PREDICTION_FLOOR == (int)MU_PREDICTION_FLOOR &&
                   MU_CUDA_LARGEST_NONFINITE == (int)MU_LARGEST_NONFINITE,
               "of worker/prediction.h");
_Static_assert(1 << MU_CUDA_FLAG_NONFINITE == (int)MU_SUM_NONFINITE &&
                   1 << MU_CUDA_FLAG_BEYOND == (int)MU_SUM_BEYOND &&
                   1 << MU_CUDA_FLAG_FULL == (int)MU_SUM_FULL,
               "of worker/exact_sum.h");

enum {
    TENSORS = 5,
    SHARDS = 64,
};

/* What a trial's gradients are like. */
enum kind {
    ESCAPES,   /* no more than there are slots */
    FIRST,     /* nothing predicted: redone */
    FULL,      /* too many escapes: redone */
    BEYOND,    /* or a value too large for int64 */
    EDGE,      /* one just not too large */
    NONFINITE, /* skipped, whatever else is */
    TINY,      /* quanta that are subnormal floats */
    HUGE_SUM,  /* finite addends of an infinite sum */
    KINDS,
};

struct trial {
    enum kind kind;
    uint64_t random;
    uint32_t shards, added; /* S, and how many of them there are */
    int ranks;
    struct fleet fleet;
    struct mu_shard_result gradient[SHARDS];
    int exponent[TENSORS]; /* gradients are below 2^exponent */
};

static uint64_t draw(struct trial *t, uint64_t limit)
{
    return (uint64_t)((double)limit * 0.49999999 * (1 + (double)next_random(&t->random)));
}

static uint64_t rows_x_cols(const struct mu_tensor *t)
{
    return t->spec.rows * t->spec.cols;
}

/* The first tensor is dense and has some blocks; the others are of every kind. */
static uint32_t make_specs(struct trial *t, struct mu_tensor_spec *specs)
{
    static const uint64_t columns[] = {1, 3, 8, 31, 64, 129, 256, 257, 300, 511, 768, 999, 1000};
    uint32_t count = 1 + (uint32_t)draw(t, TENSORS), with_rows = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t cols = columns[draw(t, 13)], most = 3000 / cols + 1, kind = draw(t, 3);

        specs[i] = (struct mu_tensor_spec){.name = "t",
                                           .rows = 1 + draw(t, most < 40 ? most : 40),
                                           .cols = cols,
                                           .decay = draw(t, 2),
                                           .dense = i == 0 || kind < 2 || with_rows == 2};
        if (i == 0)
            specs[i].rows += 4;
        else if (kind > 0 && with_rows < 2) {
            specs[i].row_addends = 1;
            with_rows++;
        }
    }
    return count;
}

static float plain_value(struct trial *t, uint32_t tensor)
{
    if (t->kind == HUGE_SUM)
        return 2.9e38f + 0.4e38f * next_random(&t->random);
    return ldexpf(next_random(&t->random), t->exponent[tensor]);
}

static void make_gradient(struct trial *t, struct mu_shard_result *g)
{
    const struct mu_layout *l = &t->fleet.layout;
    float *dense = fleet_garbage(l->elements * sizeof *dense);

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *x = &l->tensors[i];
        bool zero = draw(t, 6) == 0;

        for (uint64_t e = 0; x->spec.dense && e < rows_x_cols(x); e++)
            dense[x->offset + e] = zero ? 0 : plain_value(t, i);
        if (x->spec.row_addends == 0)
            continue;
        uint32_t *row = fleet_garbage(x->spec.rows * sizeof *row), count = 0;
        bool few = draw(t, 2);

        for (uint32_t r = 0; r < x->spec.rows; r++)
            if (!draw(t, few ? 9 : 2))
                row[count++] = r;
        float *value = fleet_garbage(count * x->spec.cols * sizeof *value + 1);

        for (uint64_t e = 0; e < count * x->spec.cols; e++)
            value[e] = zero ? 0 : plain_value(t, i);
        g->rows[g->row_count++] = (struct mu_row_gradient){i, count, row, value};
    }
    g->dense = dense;
}

/* One value of the first tensor's block b becomes 2^up times what is predicted, or `special`. */
static void plant(struct trial *t, uint64_t b, int up, float special)
{
    struct mu_block_range r = mu_layout_block(&t->fleet.layout.tensors[0], b);
    float *dense = (float *)(uintptr_t)t->gradient[draw(t, t->added)].dense;
    float value = ldexpf(draw(t, 2) ? 1.0f : -1.0f, t->exponent[0] + up);

    dense[r.offset + draw(t, r.count)] = special != 0 ? special : value;
}

static void plant_outliers(struct trial *t)
{
    const struct mu_tensor *x = &t->fleet.layout.tensors[0];
    uint64_t blocks = x->spec.rows * x->blocks_per_row, capacity = t->fleet.exact.capacity;
    uint64_t few = blocks < capacity ? blocks : capacity;
    /* 63 - L bits of quanta: 2^(c + 32), c = exponent + headroom */
    const int edge = 32 + 2;

    if (t->kind == FIRST || t->kind == HUGE_SUM)
        return;
    for (uint64_t i = 0; i < (t->kind == FULL ? blocks : 1 + draw(t, few)); i++)
        plant(t, i * 7919 % blocks, 8 + (int)draw(t, 12), 0);
    if (t->kind == BEYOND)
        plant(t, draw(t, blocks), edge, 0);
    if (t->kind == EDGE)
        plant(t, draw(t, few) * 7919 % blocks, 0, nextafterf(ldexpf(1, t->exponent[0] + edge), 0));
    if (t->kind == NONFINITE)
        plant(t, draw(t, blocks), 0, draw(t, 2) ? INFINITY : -NAN);
}

static void predict_all(struct trial *t)
{
    const struct mu_layout *l = &t->fleet.layout;

    for (uint32_t i = 0; t->kind != FIRST && i < l->tensor_count; i++)
        for (uint64_t b = 0; b < l->tensors[i].spec.rows * l->tensors[i].blocks_per_row; b++)
            t->fleet.prediction[l->tensors[i].first_block + b] =
                (int16_t)(8 * t->exponent[i] - (int)draw(t, 7));
}

static void open_trial(struct trial *t, enum kind kind, uint64_t random,
                       const struct mu_tensor_spec *given, uint32_t count)
{
    struct mu_tensor_spec specs[TENSORS];

    *t = (struct trial){.kind = kind, .random = random};
    t->shards = 1 + (uint32_t)draw(t, SHARDS);
    t->added = 1 + (uint32_t)draw(t, t->shards < 5 ? t->shards : 5);
    if (kind == HUGE_SUM) /* of positive values: two make an infinite sum */
        t->shards = t->added = t->shards > 1 ? 2 + t->shards % 3 : 2;
    t->ranks = 1 + (int)draw(t, 4);
    if (!given)
        count = make_specs(t, specs);
    fleet_open(&t->fleet, given ? given : specs, count, t->shards, MU_DEVICE_REFERENCE);
    for (uint32_t i = 0; i < count; i++)
        t->exponent[i] = kind == HUGE_SUM ? 128
                         : kind == TINY   ? -130 - (int)draw(t, 10)
                                          : (int)draw(t, 60) - 40;
    predict_all(t);
    for (uint32_t s = 0; s < t->added; s++)
        make_gradient(t, &t->gradient[s]);
    plant_outliers(t);
}

static void close_trial(struct trial *t)
{
    for (uint32_t s = 0; s < t->added; s++) {
        for (uint32_t i = 0; i < t->gradient[s].row_count; i++) {
            free((void *)(uintptr_t)t->gradient[s].rows[i].row);
            free((void *)(uintptr_t)t->gradient[s].rows[i].value);
        }
        free((void *)(uintptr_t)t->gradient[s].dense);
    }
    fleet_close(&t->fleet);
}

static void same(const struct trial *t, const char *what, const void *a, const void *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const char *)a)[i] != ((const char *)b)[i])
            fail_msg("%s of a trial of kind %d: byte %zu of %zu", what, (int)t->kind, i, n);
}

static bool redo(const struct trial *t, uint64_t escapes, uint32_t flags)
{
    return mu_exact_sum_must_redo(escapes, t->fleet.exact.capacity, flags);
}

/* The total of all cards is the fleet's, as far as it is of use. */
static void compare_totals(struct trial *t, struct cards *c, const struct fleet_total *right)
{
    const struct mu_layout *l = &t->fleet.layout;
    const struct mu_cuda_words *words = c->total.words;
    double norm;

    cards_agree(c, &t->fleet);
    same(t, "largest", c->total.largest, right->largest, l->blocks);
    assert_int_equal(words->flags & MU_SUM_NONFINITE, right->flags & MU_SUM_NONFINITE);
    assert_int_equal(redo(t, words->escapes, words->flags), redo(t, right->escapes, right->flags));
    if (right->flags != 0 || redo(t, right->escapes, right->flags))
        return;
    assert_int_equal(words->flags, 0);
    assert_int_equal(words->escapes, right->escapes);
    same(t, "escapes", c->total.escaped, right->escaped, l->blocks);
    cards_reduce(c, draw(t, 2) ? words->escapes : c->total.capacity);
    cards_to_float(c, t->fleet.prediction, (uint32_t)draw(t, l->span_count + 1));
    same(t, "gradient", c->gradient, right->gradient, l->elements * sizeof(float));
    norm = mu_wide_value(&c->norm);
    same(t, "norm", &norm, &right->norm, sizeof norm);
}

struct state {
    struct mu_state_view half[2];
    uint16_t *bf16;
};

static void open_state(struct trial *t, struct state *s)
{
    const struct mu_layout *l = &t->fleet.layout;

    for (int h = 0; h < 2; h++) {
        struct mu_state_view *v = &s->half[h];

        *v = (struct mu_state_view){.layout = l,
                                    .weight = fleet_garbage(l->elements * 4),
                                    .m = fleet_garbage(l->elements * 4),
                                    .v = fleet_garbage(l->elements * 4),
                                    .prediction = fleet_garbage(l->blocks * 2)};
        for (uint64_t i = 0; h == 0 && i < l->elements; i++) {
            v->weight[i] = next_random(&t->random);
            v->m[i] = 1e-3f * next_random(&t->random);
            v->v[i] = 1e-6f + v->m[i] * v->m[i];
        }
    }
    s->bf16 = fleet_garbage(l->elements * 2);
}

static void close_state(struct state *s)
{
    for (int h = 0; h < 2; h++) {
        free(s->half[h].weight);
        free(s->half[h].m);
        free(s->half[h].v);
        free(s->half[h].prediction);
    }
    free(s->bf16);
}

static struct mu_adamw optimizer(const struct state *s, const float *gradient)
{
    const struct mu_state_view *from = &s->half[0], *to = &s->half[1];

    return (struct mu_adamw){
        .weight = from->weight,
        .m = from->m,
        .v = from->v,
        .gradient = gradient,
        .weight_out = to->weight,
        .m_out = to->m,
        .v_out = to->v,
        .gradient_scale = 0.75f,
        .lr = 1e-3f,
        .beta1 = 0.9f,
        .beta2 = 0.95f,
        .eps = 1e-8f,
        .decay = 0.1f,
        .bias1 = 0.271f,
        .bias2 = 0.142625f,
    };
}

/* Half 1 of s, as worker/step.c makes it: span by span. */
static void expected_update(struct trial *t, struct state *s, const struct fleet_total *total)
{
    const struct mu_layout *l = &t->fleet.layout;
    int16_t top[TENSORS];

    mu_predict_tensor_maxima(l, t->fleet.prediction, total->largest, top);
    for (uint32_t c = 0; c < l->chunk_count; c++)
        mu_predict_chunk(l, &l->chunks[c], t->fleet.prediction, total->largest, top,
                         s->half[1].prediction);
    for (uint32_t i = 0; i < l->span_count; i++) {
        const struct mu_span *span = &l->spans[i];
        struct mu_adamw a = optimizer(s, total->gradient);

        a.count = (int64_t)span->count;
        a.weight += span->offset;
        a.m += span->offset;
        a.v += span->offset;
        a.gradient += span->offset;
        a.weight_out += span->offset;
        a.m_out += span->offset;
        a.v_out += span->offset;
        a.weight_bf16 = s->bf16 + span->offset;
        a.decay = l->tensors[span->tensor].spec.decay ? a.decay : 0;
        t->fleet.device->ops->adamw(t->fleet.device, &a);
    }
}

/* From the same half 0; pads of half 1 are not touched. */
static void compare_update(struct trial *t, struct cards *c, const struct state *right)
{
    const struct mu_layout *l = &t->fleet.layout;
    uint32_t *check = fleet_garbage(l->chunk_count * sizeof *check);
    uint32_t cut = (uint32_t)draw(t, l->span_count + 1);
    int32_t *top = fleet_garbage(l->tensor_count * sizeof *top);
    struct state got;
    struct mu_adamw a;

    open_state(t, &got);
    memcpy(got.half[0].weight, right->half[0].weight, l->elements * 4);
    memcpy(got.half[0].m, right->half[0].m, l->elements * 4);
    memcpy(got.half[0].v, right->half[0].v, l->elements * 4);
    went_well(mu_cuda_predict(NULL, &c->all, got.half[1].prediction, t->fleet.prediction,
                              c->total.largest, top, l->tensor_count, check, l->chunk_count,
                              mu_state_check_begin(78)));
    a = optimizer(&got, c->gradient);
    a.weight_bf16 = got.bf16;
    for (int i = 0; i < 2; i++) {
        struct mu_cuda_spans part =
            mu_cuda_spans_of(c->table, c->table, i ? cut : 0, i ? l->span_count - cut : cut);

        went_well(mu_cuda_update(NULL, &a, &part, check));
    }
    same(t, "weights", got.half[1].weight, right->half[1].weight, l->elements * 4);
    same(t, "m", got.half[1].m, right->half[1].m, l->elements * 4);
    same(t, "v", got.half[1].v, right->half[1].v, l->elements * 4);
    same(t, "bf16", got.bf16, right->bf16, l->elements * 2);
    same(t, "predictions", got.half[1].prediction, right->half[1].prediction, l->blocks * 2);
    for (uint32_t i = 0; i < l->chunk_count; i++)
        assert_int_equal(check[i], mu_state_check_chunk(&right->half[1], &l->chunks[i], 78));
    close_state(&got);
    free(check);
    free(top);
}

static void raise(struct trial *t, struct cards *c)
{
    const struct mu_layout *l = &t->fleet.layout;
    int16_t *right = fleet_garbage(l->blocks * sizeof *right);
    int32_t *top = fleet_garbage(l->tensor_count * sizeof *top);

    mu_predict_raise(l, t->fleet.prediction, c->total.largest, right);
    went_well(mu_cuda_predict_raise(NULL, &c->all, t->fleet.prediction, t->fleet.prediction,
                                    c->total.largest, top, l->tensor_count));
    same(t, "raised predictions", t->fleet.prediction, right, l->blocks * 2);
    free(right);
    free(top);
}

static void add_in_order(struct trial *t, struct cards *c, const uint32_t *order,
                         const int *rank_of, enum mu_emulate_order threads)
{
    mu_emulate_set_order(threads, t->random);
    for (uint32_t i = 0; i < t->added; i++)
        cards_add(c, rank_of[order[i]], &t->fleet, &t->gradient[order[i]]);
}

/* A step, with its second attempt. Returns whether it was redone. */
static bool run_trial(struct trial *t)
{
    uint32_t order[SHARDS], flags;
    struct cards *c = cards_open(&t->fleet, t->ranks);
    bool again = false, redone = false;
    int rank_of[SHARDS];

    for (uint32_t i = 0; i < t->added; i++) {
        uint64_t j = draw(t, i + 1);

        rank_of[i] = (int)draw(t, (uint64_t)t->ranks);
        order[i] = order[j];
        order[j] = i;
    }
    do {
        struct fleet_total right = fleet_reduce(&t->fleet, t->gradient, t->added, order, rank_of);
        struct state next;

        again = redo(t, right.escapes, right.flags);
        flags = right.flags;
        open_state(t, &next);
        expected_update(t, &next, &right);
        for (int threads = MU_EMULATE_FORWARD; threads <= MU_EMULATE_SHUFFLED; threads++) {
            add_in_order(t, c, order, rank_of, (enum mu_emulate_order)threads);
            compare_totals(t, c, &right);
            if (!again && flags == 0 && isfinite(right.norm))
                compare_update(t, c, &next);
        }
        close_state(&next);
        fleet_total_close(&right);
        if (again)
            raise(t, c);
        assert_false(again && redone);
        redone |= again;
    } while (again);
    if (t->kind == NONFINITE)
        assert_true(flags & MU_SUM_NONFINITE);
    cards_close(c);
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    return redone;
}

/* Whether a step is redone is known for most kinds. */
static void every_kind(void **state)
{
    static struct trial t;

    (void)state;
    for (uint64_t i = 0; i < 4 * KINDS; i++) {
        enum kind kind = (enum kind)(i % KINDS);
        bool redone;

        open_trial(&t, kind, seed + i, NULL, 0);
        redone = run_trial(&t);
        if (kind == FIRST || kind == BEYOND)
            assert_true(redone);
        if (kind == ESCAPES || kind == EDGE || kind == NONFINITE || kind == HUGE_SUM)
            assert_false(redone);
        close_trial(&t);
    }
}

/* Chunks that end inside rows, at odd elements; a tensor of more chunks than one. */
static void several_chunks(void **state)
{
    const struct mu_tensor_spec specs[] = {
        {.name = "a", .rows = 270, .cols = 1000, .dense = true, .decay = true},
        {.name = "b", .rows = 280, .cols = 999, .dense = true, .row_addends = 1},
    };
    static struct trial t;

    (void)state;
    open_trial(&t, ESCAPES, seed, specs, 2);
    assert_true(t.fleet.layout.chunk_count == 3);
    run_trial(&t);
    close_trial(&t);
}

/* More blocks than one tile of the prefix sum has. */
static void many_blocks(void **state)
{
    const struct mu_tensor_spec spec = {.name = "a", .rows = 9000, .cols = 1, .dense = true};
    static struct trial t;

    (void)state;
    open_trial(&t, ESCAPES, seed, &spec, 1);
    run_trial(&t);
    close_trial(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),
        cmocka_unit_test(several_chunks),
        cmocka_unit_test(many_blocks),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

/* A step's exact sum and update in kernels/cuda/, emulated: bit for bit what worker/ makes of the
 * same gradients, over layouts, predictions and gradients of every kind, in three orders of
 * threads. */
#include "tests/support/cuda_sum.h"

#include "tests/support/cuda_sum_trial.h"
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

static bool redo(const struct trial *t, uint64_t escapes, uint32_t flags)
{
    return mu_exact_sum_must_redo(escapes, t->fleet.exact.capacity, flags);
}

/* The total of all cards is the fleet's, as far as it is of use. */
static void compare_totals(struct trial *t, struct cards *c, const struct fleet_total *right)
{
    const struct mu_layout *l = &t->fleet.layout;
    const struct mu_cuda_words *words = c->total.words;
    bool again = redo(t, right->escapes, right->flags);
    double norm;

    cards_agree(c, &t->fleet);
    same(t, "largest", c->total.largest, right->largest, l->blocks);
    assert_int_equal(words->flags & MU_SUM_NONFINITE, right->flags & MU_SUM_NONFINITE);
    assert_int_equal(redo(t, words->escapes, words->flags), again);
    cards_reduce(c, !again && draw(t, 2) ? words->escapes : c->total.capacity);
    if (right->flags != 0 || again)
        return;
    assert_int_equal(words->flags, 0);
    assert_int_equal(words->escapes, right->escapes);
    same(t, "escapes", c->total.escaped, right->escaped, l->blocks);
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

/* A total close to a tie of two floats, on either side, or any integer. */
static int64_t awkward_total(struct trial *t)
{
    uint64_t bits = draw(t, 63), any = (draw(t, 1u << 31) << 32 | draw(t, 1ull << 32)) >> bits;
    uint64_t half = bits < 39 ? (uint64_t)1 << (38 - bits) : 0;

    if (half > 0 && draw(t, 4) > 0) /* 24 bits, then a half of the last, or one more or less */
        any = ((any | (uint64_t)1 << (62 - bits)) & ~(2 * half - 1)) + half + draw(t, 3) - 1;
    return draw(t, 2) ? (int64_t)any : -(int64_t)any;
}

/* A total of whatever integers: some blocks have slots, quanta are any. */
static void one_rounding(void **state)
{
    const struct mu_tensor_spec spec = {.name = "a", .rows = 60, .cols = 260, .dense = true};
    static struct trial t;

    (void)state;
    open_trial(&t, ESCAPES, seed, &spec, 1);
    const struct mu_layout *l = &t.fleet.layout;
    struct cards *c = cards_open(&t.fleet, 0);
    float *right = fleet_garbage(l->elements * sizeof *right);
    uint64_t *escaped = calloc((l->blocks + 63) / 64, sizeof *escaped);
    struct mu_chunk_maxima m = {.escaped = escaped};
    struct mu_wide norm = {.nonfinite = 0};
    double value, expected;
    uint64_t slots = 0;

    free(c->total.slots);
    c->total.slots = fleet_garbage(l->blocks * MU_BLOCK * sizeof *c->total.slots);
    for (uint64_t b = 0; b < l->blocks; b++) {
        t.fleet.prediction[b] = (int16_t)((int)draw(&t, 2200) - 1200);
        c->total.escaped[b] = (uint8_t)draw(&t, 2);
        escaped[b / 64] |= (uint64_t)c->total.escaped[b] << b % 64;
        for (int j = 0; c->total.escaped[b] && j < MU_BLOCK; j++)
            c->total.slots[slots * MU_BLOCK + (uint64_t)j] = awkward_total(&t);
        c->total.slot_of[b] = (uint32_t)slots;
        slots += c->total.escaped[b];
    }
    for (uint64_t i = 0; i < l->elements; i++)
        c->total.dense[i] = draw(&t, 2) ? 0 : (int32_t)draw(&t, 1ull << 32);
    mu_chunk_to_float(&t.fleet.exact, right, &norm, c->total.dense, c->total.slots, &m,
                      &l->chunks[0], t.fleet.prediction);
    for (int threads = MU_EMULATE_FORWARD; threads <= MU_EMULATE_SHUFFLED; threads++) {
        mu_emulate_set_order((enum mu_emulate_order)threads, seed);
        cards_to_float(c, t.fleet.prediction, 0);
        same(&t, "gradient", c->gradient, right, l->parameters * sizeof(float));
        value = mu_wide_value(&c->norm);
        expected = mu_wide_value(&norm);
        same(&t, "norm", &value, &expected, sizeof value);
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    cards_close(c);
    free(right);
    free(escaped);
    close_trial(&t);
}

/* Any prediction, any maximum. */
static void predictions(void **state)
{
    const struct mu_tensor_spec specs[] = {
        {.name = "a", .rows = 700, .cols = 3, .dense = true},
        {.name = "b", .rows = 5, .cols = 700, .dense = true},
    };
    static struct trial t;
    int16_t top[2];

    (void)state;
    open_trial(&t, ESCAPES, seed, specs, 2);
    const struct mu_layout *l = &t.fleet.layout;
    struct cards *c = cards_open(&t.fleet, 0);
    int16_t *right = fleet_garbage(l->blocks * 2), *got = fleet_garbage(l->blocks * 2);
    int32_t scratch[2];

    for (uint64_t b = 0; b < l->blocks; b++) {
        int around = b < 700 ? -900 : 300;

        t.fleet.prediction[b] =
            draw(&t, 9) ? (int16_t)(around + (int)draw(&t, 300)) : MU_PREDICTION_NONE;
        c->total.largest[b] = draw(&t, 9) ? (uint8_t)draw(&t, 60) : MU_LARGEST_NONFINITE;
    }
    mu_predict_tensor_maxima(l, t.fleet.prediction, c->total.largest, top);
    mu_predict_chunk(l, &l->chunks[0], t.fleet.prediction, c->total.largest, top, right);
    went_well(mu_cuda_predict(NULL, &c->all, got, t.fleet.prediction, c->total.largest, scratch, 2,
                              NULL, 0, 0));
    same(&t, "predictions", got, right, l->blocks * 2);
    raise(&t, c);
    cards_close(c);
    free(right);
    free(got);
    close_trial(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind),  cmocka_unit_test(several_chunks),
        cmocka_unit_test(many_blocks), cmocka_unit_test(one_rounding),
        cmocka_unit_test(predictions),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

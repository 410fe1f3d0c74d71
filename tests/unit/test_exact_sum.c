/* The corners of exact sums, each made by hand, on both devices: limits, slots, redos, what is not
 * finite. */
#include "tests/support/fleet_sum.h"

static enum mu_device_kind kind;

static struct mu_tensor_spec spec(uint64_t rows, uint64_t cols, bool dense, uint8_t row_addends)
{
    return (struct mu_tensor_spec){
        .name = "t", .rows = rows, .cols = cols, .dense = dense, .row_addends = row_addends};
}

/* A fleet of one dense tensor whose blocks are full, with predictions p, and shard gradients of
 * zeros. */
struct plain {
    struct fleet fleet;
    struct mu_shard_result shard[8];
    float *memory[8];
};

static void plain_open(struct plain *t, uint64_t blocks, uint32_t shards, int16_t p)
{
    struct mu_tensor_spec s = spec(blocks, MU_BLOCK, true, 0);

    fleet_open(&t->fleet, &s, 1, shards, kind);
    for (uint64_t b = 0; b < blocks; b++)
        t->fleet.prediction[b] = p;
    for (uint32_t i = 0; i < shards; i++) {
        t->memory[i] = calloc(blocks * MU_BLOCK, sizeof(float));
        t->shard[i] = (struct mu_shard_result){.dense = t->memory[i]};
    }
}

static void plain_close(struct plain *t, uint32_t shards)
{
    for (uint32_t i = 0; i < shards; i++)
        free(t->memory[i]);
    fleet_close(&t->fleet);
}

static bool redo(const struct fleet *f, const struct fleet_total *t)
{
    return mu_exact_sum_must_redo(t->escapes, f->exact.capacity, t->flags);
}

static void zeros(void **state)
{
    struct plain t;

    (void)state;
    plain_open(&t, 3, 2, MU_PREDICTION_NONE);
    struct fleet_total total = fleet_reduce_alone(&t.fleet, t.shard, 2);

    assert_int_equal(total.flags, 0);
    assert_int_equal(total.escapes, 0);
    assert_true(total.norm == 0);
    for (int i = 0; i < 3 * MU_BLOCK; i++)
        assert_true(total.gradient[i] == 0 && !signbit(total.gradient[i]));
    for (int b = 0; b < 3; b++)
        assert_int_equal(total.largest[b], 0);
    fleet_total_close(&total);
    plain_close(&t, 2);
}

/* 256 shards of a tied embedding are 512 addends; each may be (2^31 - 1) / 512 quanta. With p = 0 a
 * quantum is 2^(0 + 2 + 9 - 31). */
static void the_limit_holds_the_most_addends(void **state)
{
    const int32_t limit = INT32_MAX / 512;
    const float quantum = 0x1p-20f;
    const uint32_t row = 0;
    struct mu_tensor_spec s = spec(1, 4, true, 1);
    float dense[64] = {0}, rows[4];
    struct mu_shard_result gradient = {
        .dense = dense, .rows = {{0, 1, &row, rows}}, .row_count = 1};
    struct fleet f;

    (void)state;
    fleet_open(&f, &s, 1, 256, kind);
    f.prediction[0] = 0;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int i = 0; i < 4; i++)
            dense[i] = rows[i] = (float)(sign * limit) * quantum;
        for (int i = 0; i < 256; i++)
            mu_exact_sum_add(&f.exact, &f.sum[0], f.prediction, &gradient, i == 0);
        assert_int_equal(f.sum[0].counts->flags, 0);
        assert_int_equal(f.sum[0].counts->slots_used, 0);
        for (int i = 0; i < 4; i++)
            assert_int_equal(f.sum[0].dense[i], (int64_t)512 * limit * sign);
    }
    /* one quantum more escapes, and only the addend that has it */
    dense[1] = (float)(limit + 1) * quantum;
    mu_exact_sum_add(&f.exact, &f.sum[0], f.prediction, &gradient, true);
    assert_int_equal(f.sum[0].counts->slots_used, 1);
    assert_int_equal(f.sum[0].escaped[0], 1);
    assert_int_equal(f.sum[0].slots[f.sum[0].slot_of[0] * MU_BLOCK + 1], limit + 1);
    assert_int_equal(f.sum[0].slots[f.sum[0].slot_of[0] * MU_BLOCK + 2], limit);
    assert_int_equal(f.sum[0].slots[f.sum[0].slot_of[0] * MU_BLOCK + 4], 0);
    assert_int_equal(f.sum[0].dense[1], limit);
    fleet_close(&f);
}

/* One shard escapes, the other fits: the total is what both rounded to the same quantum. */
static void one_escape(void **state)
{
    const uint32_t order[2] = {1, 0};
    const int rank_of[2] = {0, 1};
    float expected[2 * MU_BLOCK];
    struct plain t;

    (void)state;
    plain_open(&t, 2, 2, 0); /* quantum 2^-28: 1.1 fits, 100 does not */
    for (int i = 0; i < 2 * MU_BLOCK; i++) {
        t.memory[0][i] = 1.1f / (float)(1 + i);
        t.memory[1][i] = -1.3f / (float)(2 + i);
    }
    t.memory[1][MU_BLOCK + 7] = 100.1f;
    struct fleet_total total = fleet_reduce(&t.fleet, t.shard, 2, order, rank_of);

    assert_int_equal(total.flags, 0);
    assert_int_equal(total.escapes, 1);
    assert_int_equal(total.escaped[1], 1);
    oracle_gradient(&t.fleet, t.shard, 2, expected);
    assert_memory_equal(total.gradient, expected, sizeof expected);
    assert_int_equal(total.largest[0], 127); /* 1 <= 1.1 < 2 */
    assert_int_equal(total.largest[1], 133); /* 64 <= 100.1 < 128 */
    fleet_total_close(&total);
    plain_close(&t, 2);
}

/* 48 blocks have 3 slots. */
static void slots_run_out(void **state)
{
    const uint32_t order[2] = {0, 1};
    const int rank_of[2] = {0, 1};
    float expected[48 * MU_BLOCK];
    struct fleet_total total;
    struct plain t;

    (void)state;
    plain_open(&t, 48, 2, 0);
    assert_int_equal(t.fleet.exact.capacity, 3);
    for (int i = 0; i < 48 * MU_BLOCK; i++)
        t.memory[0][i] = t.memory[1][i] = 0.7f;
    t.memory[0][47 * MU_BLOCK] = t.memory[0][5 * MU_BLOCK] = t.memory[0][2 * MU_BLOCK] = 1e3f;
    t.memory[1][5 * MU_BLOCK] = -2e3f; /* the same block again takes no other slot */

    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.escapes, 3);
    assert_int_equal(total.flags, 0);
    assert_false(redo(&t.fleet, &total));
    oracle_gradient(&t.fleet, t.shard, 2, expected);
    assert_memory_equal(total.gradient, expected, sizeof expected);
    fleet_total_close(&total);

    /* a fourth: known to a rank that has all of them, else only to all ranks together */
    t.memory[1][46 * MU_BLOCK] = 1e3f;
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, MU_SUM_FULL);
    assert_true(redo(&t.fleet, &total));
    fleet_total_close(&total);
    total = fleet_reduce(&t.fleet, t.shard, 2, order, rank_of);
    assert_int_equal(total.flags, 0);
    assert_int_equal(total.escapes, 4);
    assert_true(redo(&t.fleet, &total));

    mu_predict_raise(&t.fleet.layout, t.fleet.prediction, total.largest, t.fleet.prediction);
    fleet_total_close(&total);
    total = fleet_reduce(&t.fleet, t.shard, 2, order, rank_of);
    assert_int_equal(total.flags, 0);
    assert_int_equal(total.escapes, 0);
    oracle_gradient(&t.fleet, t.shard, 2, expected);
    assert_memory_equal(total.gradient, expected, sizeof expected);
    fleet_total_close(&total);
    plain_close(&t, 2);
}

/* Two shards: an addend of 2^62 quanta (of 2^-28) could make 2^63. */
static void values_beyond_int64(void **state)
{
    const float edge = 0x1p34f;
    float expected[MU_BLOCK];
    struct fleet_total total;
    struct plain t;

    (void)state;
    plain_open(&t, 1, 2, 0);
    t.memory[0][3] = t.memory[1][3] = -nextafterf(edge, 0);
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, 0);
    oracle_gradient(&t.fleet, t.shard, 2, expected);
    assert_memory_equal(total.gradient, expected, sizeof expected);
    fleet_total_close(&total);

    t.memory[1][3] = edge;
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, MU_SUM_BEYOND);
    assert_true(redo(&t.fleet, &total));
    mu_predict_raise(&t.fleet.layout, t.fleet.prediction, total.largest, t.fleet.prediction);
    fleet_total_close(&total);
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, 0);
    assert_true(total.gradient[3] == 1024.0f); /* 2^34 and the float before it */
    fleet_total_close(&total);

    t.memory[0][3] = 3.4e38f; /* finite; from the smallest prediction that is 2^300 quanta */
    t.memory[1][3] = 0;
    t.fleet.prediction[0] = MU_PREDICTION_NONE;
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, MU_SUM_BEYOND);
    mu_predict_raise(&t.fleet.layout, t.fleet.prediction, total.largest, t.fleet.prediction);
    fleet_total_close(&total);
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, 0);
    assert_int_equal(total.escapes, 0);
    assert_true(total.gradient[3] == 3.4e38f);
    fleet_total_close(&total);

    t.memory[1][3] = 3.4e38f; /* finite addends, and a sum that no float holds */
    total = fleet_reduce_alone(&t.fleet, t.shard, 2);
    assert_int_equal(total.flags, 0);
    assert_true(isinf(total.gradient[3]));
    assert_true(isnan(total.norm));
    fleet_total_close(&total);
    plain_close(&t, 2);
}

/* A step with what is not finite is not redone, even when something else escaped too far. */
static void non_finite_gradients(void **state)
{
    const float bad[] = {(float)NAN, (float)INFINITY, (float)-INFINITY};

    (void)state;
    for (int i = 0; i < 3; i++) {
        const int rank_of[2] = {0, 1};
        const uint32_t order[2] = {0, 1};
        int16_t learned[2], top;
        struct fleet_total total;
        struct plain t;

        plain_open(&t, 2, 2, 0);
        t.memory[0][MU_BLOCK + 200] = bad[i];
        t.memory[1][MU_BLOCK + 1] = 0.5f;
        t.memory[1][7] = 1e30f;
        total = fleet_reduce(&t.fleet, t.shard, 2, order, rank_of);
        assert_int_equal(total.flags, MU_SUM_NONFINITE | MU_SUM_BEYOND);
        assert_false(redo(&t.fleet, &total));
        assert_int_equal(total.largest[1], MU_LARGEST_NONFINITE);
        assert_int_equal(total.escapes, 0);
        assert_true(total.gradient[MU_BLOCK + 200] == 0);
        mu_predict_tensor_maxima(&t.fleet.layout, t.fleet.prediction, total.largest, &top);
        mu_predict_chunk(&t.fleet.layout, t.fleet.layout.chunks, t.fleet.prediction, total.largest,
                         &top, learned);
        assert_true(top == learned[0] && learned[1] < top);
        fleet_total_close(&total);
        plain_close(&t, 2);
    }
}

/* Tensors with row addends alone, pads, and rows in runs: whatever the memory held before. */
static void rows_alone(void **state)
{
    const struct mu_tensor_spec specs[] = {spec(1, 3, true, 0), spec(5, 70, false, 1),
                                           spec(2, 300, true, 1)};
    const uint32_t rows1[] = {0, 1, 4}, rows2[] = {1};
    float dense[64 + 384 + 640], value1[3 * 70], value2[300], expected[64 + 384 + 640];
    struct mu_shard_result gradient = {
        .dense = dense, .rows = {{1, 3, rows1, value1}, {2, 1, rows2, value2}}, .row_count = 2};
    struct fleet f;

    (void)state;
    for (int i = 0; i < 64 + 384 + 640; i++)
        dense[i] = (float)NAN; /* pads and tensors without dense addends are not to be read */
    for (int i = 0; i < 3; i++)
        dense[i] = 0.1f * (float)(i + 1);
    for (int i = 0; i < 600; i++)
        dense[64 + 384 + i] = 0.3f / (float)(i + 1);
    for (int i = 0; i < 3 * 70; i++)
        value1[i] = 1.0f / (float)(i + 3);
    for (int i = 0; i < 300; i++)
        value2[i] = 2.0f / (float)(i + 5);
    fleet_open(&f, specs, 3, 1, kind);
    assert_int_equal(f.layout.elements, 64 + 384 + 640);
    for (uint64_t b = 0; b < f.layout.blocks; b++)
        f.prediction[b] = 0;
    f.prediction[1] = -80; /* row 0 of the second tensor escapes */

    struct fleet_total total = fleet_reduce_alone(&f, &gradient, 1);

    assert_int_equal(total.flags, 0);
    assert_int_equal(total.escapes, 1);
    oracle_gradient(&f, &gradient, 1, expected);
    assert_memory_equal(total.gradient, expected, sizeof expected);
    for (uint64_t i = 0; i < f.layout.elements; i++) /* also the pads of the sum itself */
        if (i < 64 ? i >= 3 : i >= 64 + 350 && i < 64 + 384)
            assert_int_equal(f.sum[0].dense[i], 0);
    fleet_total_close(&total);
    fleet_close(&f);
}

/* Totals on both sides of every tie, large and small, with and without a slot, in quanta of every
 * size down to where results are subnormal or vanish. */
static void totals_round_once(void **state)
{
    struct mu_tensor_spec s = spec(1, MU_BLOCK, true, 0);
    struct mu_wide norm = {.nonfinite = 0};
    uint64_t bitmap;
    uint8_t largest;
    struct mu_chunk_maxima m = {.largest = &largest, .escaped = &bitmap};
    int32_t dense[MU_BLOCK];
    int64_t wide[MU_BLOCK];
    float out[MU_BLOCK], expected;
    struct fleet f;

    (void)state;
    fleet_open(&f, &s, 1, 1, kind);
    for (int p = MU_PREDICTION_NONE; p <= 1024; p += 8) {
        int k = oracle_exponent((int16_t)p, 1, 1);

        f.prediction[0] = (int16_t)p;
        for (int width = 1; width <= 62; width++) {
            for (int i = 0; i < MU_BLOCK; i++) {
                /* ones in some places: 2^width, and near the ties of 24 bits and less */
                int64_t n = ((int64_t)1 << width) + ((int64_t)(i / 5 % 5) - 2);

                if (width > 30)
                    n += (int64_t)1 << (width - 24 + i / 25 % 4 - 1);
                dense[i] = (int32_t)(i % 3 == 0 ? -12345 : n % 1000);
                wide[i] = (i & 1 ? -n : n) - dense[i];
            }
            bitmap = 1;
            mu_chunk_to_float(&f.exact, out, &norm, dense, wide, &m, f.layout.chunks, f.prediction);
            for (int i = 0; i < MU_BLOCK; i++) {
                expected = oracle_float((__int128)wide[i] + dense[i], k);
                assert_memory_equal(&out[i], &expected, sizeof expected);
            }
            for (int i = 0; i < MU_BLOCK; i++)
                dense[i] = (int32_t)(wide[i] % INT32_MAX);
            bitmap = 0;
            mu_chunk_to_float(&f.exact, out, &norm, dense, NULL, &m, f.layout.chunks, f.prediction);
            for (int i = 0; i < MU_BLOCK; i++) {
                expected = oracle_float(dense[i], k);
                assert_memory_equal(&out[i], &expected, sizeof expected);
            }
        }
    }
    fleet_close(&f);
}

/* Three elements: 3, 4, 12 have the norm 13. */
static void norm_of_known_numbers(void **state)
{
    struct plain t;

    (void)state;
    plain_open(&t, 3, 1, 80);
    t.memory[0][0] = 3;
    t.memory[0][MU_BLOCK + 77] = -4;
    t.memory[0][3 * MU_BLOCK - 1] = 12;
    struct fleet_total total = fleet_reduce_alone(&t.fleet, t.shard, 1);

    assert_true(total.norm == 169.0);
    fleet_total_close(&total);
    plain_close(&t, 1);
}

static enum mu_status count_poll(void *context)
{
    ++*(int *)context;
    return MU_OK;
}

/* 3 MiB of integers are cleared, and nothing else is done: not without polling in between. */
/* Any length, and what a flipped bit does to it. */
static void the_check_is_the_sum(void **state)
{
    int32_t x[100];
    uint32_t sum = 0;

    (void)state;
    for (uint32_t i = 0; i < 100; i++)
        x[i] = (int32_t)(i * 2654435761u);
    for (uint64_t n = 0; n < 100; n++) {
        assert_true(mu_chunk_check(x, n) == sum);
        for (uint64_t i = 0; i < 32 * n; i += 31) {
            x[i / 32] = (int32_t)((uint32_t)x[i / 32] ^ 1u << i % 32);
            assert_true(mu_chunk_check(x, n) != sum);
            x[i / 32] = (int32_t)((uint32_t)x[i / 32] ^ 1u << i % 32);
        }
        sum += (uint32_t)x[n];
    }
}

static void clearing_polls(void **state)
{
    struct mu_tensor_spec s = spec(3, 1 << 18, false, 1);
    struct mu_shard_result nothing = {.row_count = 0};
    struct fleet f;
    int polls = 0;

    (void)state;
    fleet_open(&f, &s, 1, 1, kind);
    f.device->options.poll = count_poll;
    f.device->options.poll_context = &polls;
    mu_exact_sum_add(&f.exact, &f.sum[0], f.prediction, &nothing, true);
    assert_int_equal(polls, 3);
    for (uint64_t i = 0; i < f.layout.elements; i++)
        assert_true(f.sum[0].dense[i] == 0);
    fleet_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zeros),
        cmocka_unit_test(the_limit_holds_the_most_addends),
        cmocka_unit_test(one_escape),
        cmocka_unit_test(slots_run_out),
        cmocka_unit_test(values_beyond_int64),
        cmocka_unit_test(non_finite_gradients),
        cmocka_unit_test(rows_alone),
        cmocka_unit_test(totals_round_once),
        cmocka_unit_test(norm_of_known_numbers),
        cmocka_unit_test(the_check_is_the_sum),
        cmocka_unit_test(clearing_polls),
    };
    int failed;

    kind = MU_DEVICE_REFERENCE;
    failed = cmocka_run_group_tests_name("reference", tests, NULL, NULL);
    kind = MU_DEVICE_CPU;
    return failed + cmocka_run_group_tests_name("cpu", tests, NULL, NULL);
}

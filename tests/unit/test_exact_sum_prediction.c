/* Predicted exponents: how they rise, fall, and are kept up by their tensor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/exact_sum.h"

enum { blocks = 6 }; /* tensor 0: blocks 0..3; tensor 1: 4 and 5 */

static struct mu_layout layout;

static int open_layout(void **state)
{
    const struct mu_tensor_spec specs[2] = {
        {.name = "a", .rows = 2, .cols = 300, .dense = true},
        {.name = "b", .rows = 2, .cols = 10, .dense = true},
    };

    (void)state;
    return mu_layout_init(&layout, specs, 2) == MU_OK ? 0 : -1;
}

static int close_layout(void **state)
{
    (void)state;
    mu_layout_deinit(&layout);
    return 0;
}

static void learn(const int16_t *prediction, const uint8_t *largest, int16_t *out)
{
    int16_t top[2];

    assert_int_equal(layout.blocks, blocks);
    mu_predict_tensor_maxima(&layout, prediction, largest, top);
    for (uint32_t c = 0; c < layout.chunk_count; c++)
        mu_predict_chunk(&layout, &layout.chunks[c], prediction, largest, top, out);
}

static void assert_predictions(const int16_t *got, const int16_t *expected)
{
    for (int b = 0; b < blocks; b++)
        assert_int_equal(got[b], expected[b]);
}

/* e = 127: 1 <= |g| < 2, so 2^1 bounds it: 8 eighths. */
static void up_at_once_and_down_slowly(void **state)
{
    const int16_t before[blocks] = {0, 8, 9, 10, -40, -41};
    const uint8_t largest[blocks] = {127, 127, 127, 120, 121, 123};
    const int16_t expected[blocks] = {8, 8, 8, 9, -40, -24};
    int16_t after[blocks];

    (void)state;
    learn(before, largest, after);
    assert_predictions(after, expected);
}

/* An eighth of a bit a step: from 2^10 to 2^0 in 80 steps, and no further than what is there. */
static void falls_an_eighth_a_step(void **state)
{
    const uint8_t largest[blocks] = {126, 126, 126, 126, 126, 126};
    int16_t p[blocks] = {80, 80, 80, 80, 80, 80};

    (void)state;
    for (int step = 1; step <= 100; step++) {
        learn(p, largest, p);
        for (int b = 0; b < blocks; b++)
            assert_int_equal(p[b], step < 80 ? 80 - step : 0);
    }
}

/* 2^-20 of the tensor's largest, the other tensor's does not matter. */
static void no_lower_than_the_tensors_floor(void **state)
{
    const int16_t before[blocks] = {MU_PREDICTION_NONE, -150, -163, -300, MU_PREDICTION_NONE, -500};
    const uint8_t largest[blocks] = {0, 0, 0, 126, 0, 0};
    const int16_t expected[blocks] = {-160, -151, -160, 0, -501 - 160, -501};
    int16_t after[blocks];

    (void)state;
    learn(before, largest, after);
    assert_predictions(after, expected);
}

/* Zeros and subnormals cannot be told apart: nothing is predicted below 2^-126. */
static void zeros_and_subnormals_reach_the_bottom(void **state)
{
    const uint8_t largest[blocks] = {0};
    int16_t p[blocks], bottom[blocks];

    (void)state;
    for (int b = 0; b < blocks; b++) {
        p[b] = MU_PREDICTION_NONE;
        bottom[b] = -126 * 8;
    }
    learn(p, largest, p);
    assert_predictions(p, bottom);
    learn(p, largest, p);
    assert_predictions(p, bottom);
}

static void non_finite_blocks_are_not_learned(void **state)
{
    const int16_t before[blocks] = {40, 40, MU_PREDICTION_NONE, 40, MU_PREDICTION_NONE, -1200};
    const uint8_t largest[blocks] = {255, 130, 255, 255, 255, 255};
    const int16_t learned[blocks] = {39, 39, 39 - 160, 39, MU_PREDICTION_NONE, MU_PREDICTION_NONE};
    const int16_t raised[blocks] = {40, 40, 40 - 160, 40, MU_PREDICTION_NONE, MU_PREDICTION_NONE};
    int16_t after[blocks];

    (void)state;
    learn(before, largest, after);
    assert_predictions(after, learned);
    mu_predict_raise(&layout, before, largest, after);
    assert_predictions(after, raised);
}

static void raising_takes_the_larger_and_the_floor(void **state)
{
    const int16_t before[blocks] = {0, 800, MU_PREDICTION_NONE, 3, MU_PREDICTION_NONE, -1};
    const uint8_t largest[blocks] = {127, 127, 0, 254, 100, 126};
    /* block 4: 8 * (100 - 126) = -208 is below the floor */
    const int16_t raised[blocks] = {1024 - 160, 1024 - 160, 1024 - 160, 1024, -160, 0};
    int16_t after[blocks];

    (void)state;
    mu_predict_raise(&layout, before, largest, after);
    assert_predictions(after, raised);
}

static void when_to_redo(void **state)
{
    (void)state;
    assert_false(mu_exact_sum_must_redo(0, 1, 0));
    assert_false(mu_exact_sum_must_redo(7, 7, 0));
    assert_true(mu_exact_sum_must_redo(8, 7, 0));
    assert_true(mu_exact_sum_must_redo(0, 7, MU_SUM_BEYOND));
    assert_true(mu_exact_sum_must_redo(7, 7, MU_SUM_FULL));
    assert_false(mu_exact_sum_must_redo(8, 7, MU_SUM_NONFINITE));
    assert_false(mu_exact_sum_must_redo(8, 7, MU_SUM_NONFINITE | MU_SUM_BEYOND | MU_SUM_FULL));
}

static void quanta(void **state)
{
    (void)state;
    assert_int_equal(mu_log2_addends(1), 0);
    assert_int_equal(mu_log2_addends(2), 1);
    assert_int_equal(mu_log2_addends(3), 2);
    assert_int_equal(mu_log2_addends(4), 2);
    assert_int_equal(mu_log2_addends(5), 3);
    assert_int_equal(mu_log2_addends(512), 9);
    /* ceil(p / 8) + 2 + L - 31 */
    assert_int_equal(mu_quantum_exponent(0, 0), -29);
    assert_int_equal(mu_quantum_exponent(1, 3), -25);
    assert_int_equal(mu_quantum_exponent(8, 3), -25);
    assert_int_equal(mu_quantum_exponent(-1, 0), -29);
    assert_int_equal(mu_quantum_exponent(-7, 0), -29);
    assert_int_equal(mu_quantum_exponent(-8, 0), -30);
    assert_int_equal(mu_quantum_exponent(MU_PREDICTION_NONE, 0), -179);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(up_at_once_and_down_slowly),
        cmocka_unit_test(falls_an_eighth_a_step),
        cmocka_unit_test(no_lower_than_the_tensors_floor),
        cmocka_unit_test(zeros_and_subnormals_reach_the_bottom),
        cmocka_unit_test(non_finite_blocks_are_not_learned),
        cmocka_unit_test(raising_takes_the_larger_and_the_floor),
        cmocka_unit_test(when_to_redo),
        cmocka_unit_test(quanta),
    };

    return cmocka_run_group_tests(tests, open_layout, close_layout);
}

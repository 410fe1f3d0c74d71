/* Gradients to integers, on both devices: where a block fits, what is added, what is reported. */
#include "tests/support/kernel_run.h"

enum { LIMIT = (INT32_MAX) / 64, LOG2 = 6 };

/* Both devices, so that each test runs on both. */
static struct mu_device *devices[2];

struct block {
    int16_t prediction;
    int32_t limit;
    bool overwrite;
    float g[4];
    int64_t count;
    /* expected */
    int32_t added[4];
    uint8_t largest, misfit;
};

/* With prediction p = 8 c' and L, one quantum is 2^(c' + 2 + L - 31). */
static float quantum(int c)
{
    return ldexpf(1, c + 2 + LOG2 - 31);
}

static void check(struct block b, uint8_t largest_before)
{
    for (int d = 0; d < 2; d++) {
        int32_t sum[4] = {100, -100, INT32_MAX, 7};
        uint8_t largest = largest_before, misfit = 77;
        struct mu_quantise q = {.gradient = b.g,
                                .sum = sum,
                                .rows = 1,
                                .cols = b.count,
                                .prediction = &b.prediction,
                                .log2_addends = LOG2,
                                .limit = b.limit ? b.limit : LIMIT,
                                .overwrite = b.overwrite,
                                .largest = &largest,
                                .misfit = &misfit};
        uint32_t start[4] = {100, (uint32_t)-100, INT32_MAX, 7};

        devices[d]->ops->quantise_add(devices[d], &q);
        for (int i = 0; i < b.count; i++)
            assert_int_equal((uint32_t)sum[i], (b.overwrite ? 0 : start[i]) + (uint32_t)b.added[i]);
        for (int i = (int)b.count; i < 4; i++)
            assert_int_equal((uint32_t)sum[i], start[i]);
        assert_int_equal(largest, b.largest);
        assert_int_equal(misfit, b.misfit);
    }
}

static void rounds_to_even_and_adds(void **state)
{
    float q = quantum(0); /* 2^-23 */

    (void)state;
    check((struct block){.prediction = 0,
                         .g = {2.5f * q, -3.5f * q, 0.5f * q, -1.25f * q},
                         .count = 4,
                         .added = {2, -4, 0, -1},
                         .largest = 127 - 23 + 1},
          0);
    check((struct block){.prediction = 0,
                         .overwrite = true,
                         .g = {2.5f * q, -3.5f * q},
                         .count = 2,
                         .added = {2, -4},
                         .largest = 200},
          200);
    /* ceil(p / 8): p = 1 is c' = 1, p = -1 is 0, p = -8 is -1. */
    check(
        (struct block){
            .prediction = 1, .g = {4 * q}, .count = 1, .added = {2}, .largest = 127 - 21},
        0);
    check(
        (struct block){
            .prediction = -1, .g = {4 * q}, .count = 1, .added = {4}, .largest = 127 - 21},
        0);
    check(
        (struct block){
            .prediction = -8, .g = {4 * q}, .count = 1, .added = {8}, .largest = 127 - 21},
        0);
}

static void wraps_silently(void **state)
{
    (void)state;
    check((struct block){.prediction = 0,
                         .g = {0, 0, 5 * quantum(0)},
                         .count = 3,
                         .added = {0, 0, 5},
                         .largest = 127 - 23 + 2},
          0);
}

/* Integers up to 2^24 are floats, so limits below can be hit exactly. An odd and an even limit:
 * half above an odd one rounds up to even, out of bounds; half above an even one rounds down to
 * it. */
static void fits_up_to_the_limit(void **state)
{
    float q = quantum(0);

    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int32_t limit = 1000; limit <= 1001; limit++) {
            float at = (float)limit * q * (float)sign, half = 0.5f * q * (float)sign;
            struct block b = {.limit = limit, .count = 2, .largest = 127 - 23 + 9};

            b.g[0] = at;
            b.added[0] = sign * limit;
            check(b, 0);
            b.g[0] = at + half;
            b.misfit = limit % 2 != 0;
            b.added[0] = b.misfit ? 0 : sign * limit;
            check(b, 0);
            b.g[0] = at + 2 * half;
            b.misfit = 1;
            b.added[0] = 0;
            check(b, 0);
            b.overwrite = true;
            check(b, 0);
        }
    }
}

static void zero_always_fits(void **state)
{
    const int16_t predictions[] = {-1200, -1199, 0, 1024, INT16_MAX, INT16_MIN};

    (void)state;
    for (size_t i = 0; i < sizeof predictions / sizeof *predictions; i++) {
        struct block b = {.prediction = predictions[i], .g = {0, -0.0f}, .count = 2};

        check(b, 0);
        b.overwrite = true;
        check(b, 0);
    }
}

/* Prediction -1200 stands for a capacity of 2^-148 (L = 6: quanta of 2^-173): the one float below
 * that, 2^-149, is 2^24 quanta, and nothing else fits. */
static void nothing_known_fits_nothing(void **state)
{
    const float values[] = {0x1p-148f, -0x1p-148f, 0x1p-126f, 1, 0x1.fffffep127f};
    const uint8_t exponents[] = {0, 0, 1, 127, 254};

    (void)state;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        struct block b = {.prediction = -1200, .g = {0, values[i]}, .count = 2, .misfit = 1};

        b.largest = exponents[i];
        check(b, 0);
        b.overwrite = true;
        check(b, 0);
    }
    check((struct block){.prediction = -1200, .g = {0x1p-149f}, .count = 1, .added = {1 << 24}}, 0);
}

/* Gradients so small that they are subnormal are still integers of a small enough quantum; and with
 * a large quantum everything is nothing. */
static void extreme_quanta(void **state)
{
    /* c' = -126: quantum 2^(-126 + 2 + 6 - 31) = 2^-149. */
    struct block b = {.prediction = -126 * 8,
                      .g = {0x1p-149f, -5 * 0x1p-149f, 0x1p-126f, 0x1p-127f},
                      .count = 4,
                      .added = {1, -5, 1 << 23, 1 << 22},
                      .largest = 1};

    (void)state;
    check(b, 0);
    /* c' = 128: quantum 2^105. The largest float is 2^128: 2^23 quanta. */
    b = (struct block){.prediction = 128 * 8,
                       .g = {0x1.fffffep127f, -0x1p127f, 1, 0x1p-149f},
                       .count = 4,
                       .added = {1 << 23, -(1 << 22), 0, 0},
                       .largest = 254};
    check(b, 0);
    b.prediction = INT16_MAX;
    memset(b.added, 0, sizeof b.added);
    check(b, 0);
}

static void nonfinite_does_not_fit(void **state)
{
    const float values[] = {INFINITY, -INFINITY, NAN, -NAN};
    const int16_t predictions[] = {-1200, 0, 1024, INT16_MAX};

    (void)state;
    for (int v = 0; v < 4; v++)
        for (int p = 0; p < 4; p++)
            for (int overwrite = 0; overwrite < 2; overwrite++)
                check((struct block){.prediction = predictions[p],
                                     .overwrite = overwrite,
                                     .g = {1, values[v], 1},
                                     .count = 3,
                                     .largest = 255,
                                     .misfit = 1},
                      130);
}

/* Blocks are cut by row: 300 columns are a block of 256 and one of 44. */
static void blocks_follow_rows(void **state)
{
    enum { ROWS = 3, COLS = 300 };

    (void)state;
    for (int d = 0; d < 2; d++) {
        static float g[ROWS * COLS];
        static int32_t sum[ROWS * COLS];
        int16_t prediction[ROWS * 2] = {0, 0, 0, -1200, 0, 0};
        uint8_t largest[ROWS * 2] = {0}, misfit[ROWS * 2];
        struct mu_quantise q = {g, sum, ROWS, COLS, prediction, LOG2, LIMIT, true, largest, misfit};

        for (int i = 0; i < ROWS * COLS; i++)
            g[i] = (float)i * quantum(0);
        memset(sum, 0xff, sizeof sum);
        devices[d]->ops->quantise_add(devices[d], &q);
        for (int i = 0; i < ROWS * COLS; i++)
            assert_int_equal(sum[i], i >= COLS + 256 && i < 2 * COLS ? 0 : i);
        assert_memory_equal(misfit, ((uint8_t[]){0, 0, 0, 1, 0, 0}), 6);
        assert_int_equal(largest[0], 127 - 23 + 7); /* 255 */
        assert_int_equal(largest[1], 127 - 23 + 8); /* 299 */
        assert_int_equal(largest[5], 127 - 23 + 9); /* 899 */
    }
}

static int open_both(void **state)
{
    (void)state;
    devices[0] = open_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
    devices[1] = open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, mu_device_best_isa(), 1);
    return 0;
}

static int close_both(void **state)
{
    (void)state;
    mu_device_close(devices[0]);
    mu_device_close(devices[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rounds_to_even_and_adds),    cmocka_unit_test(wraps_silently),
        cmocka_unit_test(fits_up_to_the_limit),       cmocka_unit_test(zero_always_fits),
        cmocka_unit_test(nothing_known_fits_nothing), cmocka_unit_test(extreme_quanta),
        cmocka_unit_test(nonfinite_does_not_fit),     cmocka_unit_test(blocks_follow_rows),
    };

    return cmocka_run_group_tests(tests, open_both, close_both);
}

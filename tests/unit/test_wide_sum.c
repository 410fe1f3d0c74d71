/* The wide accumulator against integers of 128 bits, and against sums known in advance. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "worker/wide_sum.h"

static double sum(const double *x, int n)
{
    struct mu_wide w = {.nonfinite = 0};

    for (int i = 0; i < n; i++)
        mu_wide_add(&w, x[i]);
    return mu_wide_value(&w);
}
#define SUM(...) \
    sum((const double[]){__VA_ARGS__}, (int)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)))

/* Same number and same sign of zero. */
static void assert_same(double a, double b)
{
    assert_memory_equal(&a, &b, sizeof a);
}

static void known_sums(void **state)
{
    (void)state;
    assert_same(sum(NULL, 0), 0.0);
    assert_same(SUM(-0.0, -0.0), 0.0);
    assert_same(SUM(1.0, 2.0, 3.0), 6.0);
    assert_same(SUM(1e308, 1.0, -1e308), 1.0);
    assert_same(SUM(1e308, -1e-300, -1e308), -1e-300);
    assert_same(SUM(DBL_MAX, 0x1p-1074, -DBL_MAX), 0x1p-1074);
    assert_same(SUM(0x1p-1074, 0x1p-1074, 0x1p-1022), 0x1p-1022 + 0x1p-1073);
    assert_same(SUM(-0x1p-1074), -0x1p-1074);
    assert_same(SUM(5.0, -5.0), 0.0);
    assert_same(SUM(-1.0, 0x1p-60), -1.0);
    assert_same(SUM(DBL_MAX, DBL_MAX, -DBL_MAX), DBL_MAX);
}

static void ties_go_to_even(void **state)
{
    (void)state;
    assert_same(SUM(1.0, 0x1p-53), 1.0);
    assert_same(SUM(1.0 + 0x1p-52, 0x1p-53), 1.0 + 0x1p-51);
    assert_same(SUM(1.0, 0x1p-53, 0x1p-1074), 1.0 + 0x1p-52);
    assert_same(SUM(1.0, 0x1p-53, 0x1p-61), 1.0 + 0x1p-52);
    assert_same(SUM(1.0, 0x1p-53, -0x1p-1074), 1.0);
    assert_same(SUM(-1.0, -0x1p-53, -0x1p-1074), -1.0 - 0x1p-52);
    /* below a power of two doubles are twice as close: 2 - 2^-52 is one, 2 - 2^-53 is a tie */
    assert_same(SUM(2.0, -0x1p-52), 2.0 - 0x1p-52);
    assert_same(SUM(2.0, -0x1p-53), 2.0);
    assert_same(SUM(2.0, -0x1p-53, -0x1p-1074), 2.0 - 0x1p-52);
}

static void beyond_the_largest_double_is_infinite(void **state)
{
    double half_ulp = 0x1p970;

    (void)state;
    assert_same(SUM(DBL_MAX, DBL_MAX), (double)INFINITY);
    assert_same(SUM(-DBL_MAX, -DBL_MAX), (double)-INFINITY);
    assert_same(SUM(DBL_MAX, half_ulp), (double)INFINITY); /* the tie: to even is up */
    assert_same(SUM(DBL_MAX, half_ulp, -0x1p-1074), DBL_MAX);
}

static void non_finite_addends_are_counted(void **state)
{
    struct mu_wide w = {.nonfinite = 0}, other = {.nonfinite = 0};

    (void)state;
    mu_wide_add(&w, 1.0);
    mu_wide_add(&other, (double)INFINITY);
    mu_wide_add(&other, (double)-INFINITY);
    mu_wide_add(&other, (double)NAN);
    assert_same(mu_wide_value(&w), 1.0);
    mu_wide_merge(&w, &other);
    assert_int_equal(w.nonfinite, 3);
    assert_true(isnan(mu_wide_value(&w)));
}

/* Doubles m * 2^(e + scale), |m| < 2^53, 0 <= e < 40: 2,000 of them are below 2^104 in units of
 * 2^scale, so an __int128 sums them exactly, and its conversion to double rounds once. */
enum { addends = 2000, parts = 7 };

static double draw(uint32_t round, uint64_t i, int scale, __int128 *exact)
{
    struct mu_rng_words r = mu_rng_draw(1, MU_RNG_SYNTHETIC, round, i);
    int64_t m = (int64_t)(((uint64_t)r.w[0] << 32 | r.w[1]) >> 11);
    int e = (int)(r.w[2] % 40);

    if (r.w[3] & 1)
        m = -m;
    *exact += (__int128)m * ((__int128)1 << e);
    return ldexp((double)m, e + scale);
}

static void random_sums_in_any_order_and_parts(void **state)
{
    static const int scales[] = {-1074, -1060, -500, 0, 17, 800, 920};

    (void)state;
    for (uint32_t round = 0; round < sizeof scales / sizeof *scales; round++) {
        struct mu_wide forward = {.nonfinite = 0}, merged = {.nonfinite = 0}, part[parts];
        struct mu_wide plain = {.nonfinite = 0};
        __int128 exact = 0;

        memset(part, 0, sizeof part);
        for (uint64_t i = 0; i < addends; i++) {
            double x = draw(round, i, scales[round], &exact);

            mu_wide_add(&forward, x);
            mu_wide_add(&part[mu_rng_draw(2, MU_RNG_SYNTHETIC, round, i).w[0] % parts], x);
        }
        double expected = ldexp((double)exact, scales[round]);

        assert_same(mu_wide_value(&forward), expected);
        for (int p = parts - 1; p >= 0; p--) {
            mu_wide_merge(&merged, &part[p]);
            for (int i = 0; i < MU_WIDE_LIMBS; i++)
                plain.limb[i] += part[p].limb[i]; /* as MPI_SUM would */
        }
        assert_same(mu_wide_value(&merged), expected);
        assert_same(mu_wide_value(&plain), expected);
        /* a plain sum of limbs goes on being an accumulator */
        mu_wide_add(&plain, -expected);
        mu_wide_add(&forward, -expected);
        assert_same(mu_wide_value(&plain), mu_wide_value(&forward));
    }
}

/* A million equal addends carry through every digit; n * x is exact in double when x has few
 * bits. */
static void many_equal_addends(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct mu_wide w = {.nonfinite = 0};

        for (int i = 0; i < 1 << 20; i++)
            mu_wide_add(&w, sign * 0x1.fffffp31);
        assert_same(mu_wide_value(&w), sign * 0x1.fffffp51);
        for (int i = 0; i < MU_WIDE_LIMBS; i++)
            assert_true(w.limb[i] > -((int64_t)1 << 32) && w.limb[i] < (int64_t)1 << 32);
        for (int i = 0; i < 1 << 20; i++)
            mu_wide_add(&w, -sign * 0x1.fffffp31);
        assert_same(mu_wide_value(&w), 0.0);
    }
}

/* Merging an accumulator with itself 80 times multiplies it by 2^80 without losing a bit. */
static void doubling(void **state)
{
    struct mu_wide w = {.nonfinite = 0};

    (void)state;
    mu_wide_add(&w, -1.0 / 3);
    for (int i = 0; i < 80; i++) {
        struct mu_wide copy = w;

        mu_wide_merge(&w, &copy);
    }
    assert_same(mu_wide_value(&w), ldexp(-1.0 / 3, 80));
}

/* Digits of both signs and the count come back; the bytes are two's complement, lowest first. */
static void a_message_carries_it(void **state)
{
    uint8_t bytes[MU_WIDE_WIRE_BYTES],
        expected[8] = {0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct mu_wire_writer writer = mu_wire_write(bytes, sizeof bytes);
    struct mu_wire_reader reader = mu_wire_read(bytes, sizeof bytes);
    struct mu_wide w = {.limb = {-2, 1 << 20}, .nonfinite = 3}, back;

    (void)state;
    w.limb[MU_WIDE_LIMBS - 1] = INT64_MIN;
    mu_wide_put(&writer, &w);
    assert_true(writer.ok);
    assert_int_equal(writer.size, sizeof bytes);
    assert_memory_equal(bytes, expected, 8);
    assert_int_equal(bytes[8 + 2], 1 << 4);
    assert_int_equal(bytes[8 * MU_WIDE_LIMBS - 1], 0x80);
    assert_int_equal(bytes[8 * MU_WIDE_LIMBS], 3);
    mu_wide_get(&reader, &back);
    assert_true(mu_wire_finished(&reader));
    assert_memory_equal(&back, &w, sizeof w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sums),
        cmocka_unit_test(ties_go_to_even),
        cmocka_unit_test(beyond_the_largest_double_is_infinite),
        cmocka_unit_test(non_finite_addends_are_counted),
        cmocka_unit_test(random_sums_in_any_order_and_parts),
        cmocka_unit_test(many_equal_addends),
        cmocka_unit_test(doubling),
        cmocka_unit_test(a_message_carries_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

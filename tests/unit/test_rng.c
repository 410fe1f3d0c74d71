/* base/rng: the published vectors of Philox4x32-10, and the normal distribution against libm's
 * erfc and known quantiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/rng.h"

/* tests/kat_vectors of Random123, the reference implementation by the paper's authors. */
static const struct {
    uint32_t counter[4], key[2], out[4];
} vectors[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void the_published_vectors(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
        const uint32_t *c = vectors[i].counter, *k = vectors[i].key;
        struct mu_rng_words x = mu_rng_draw((uint64_t)k[1] << 32 | k[0], (enum mu_rng_stream)c[3],
                                            c[2], (uint64_t)c[1] << 32 | c[0]);

        assert_memory_equal(x.w, vectors[i].out, sizeof x.w);
    }
}

static void uniform_is_within_and_symmetric(void **state)
{
    (void)state;
    assert_true(mu_rng_uniform(0) == 0x1p-33);
    assert_true(mu_rng_uniform(UINT32_MAX) == 1 - 0x1p-33);
    for (uint64_t w = 0; w < (UINT64_C(1) << 32); w += 104729)
        assert_true(mu_rng_uniform((uint32_t)w) + mu_rng_uniform(~(uint32_t)w) == 1);
}

/* Tables of the normal distribution. The word nearest to p leaves |dp| <= 2^-33, and the quantile's
 * slope at p <= 0.9999 is below 3e3. */
static void known_quantiles(void **state)
{
    static const struct {
        double p, z;
    } known[] = {
        {0.5, 0},
        {0.75, 0.674489750196082},
        {0.841344746068543, 1},
        {0.95, 1.644853626951473},
        {0.975, 1.959963984540054},
        {0.99, 2.326347874040841},
        {0.995, 2.575829303548901},
        {0.999, 3.090232306167813},
        {0.9999, 3.719016485455709},
    };

    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        uint32_t word = (uint32_t)(known[i].p * 0x1p32);
        double tolerance = 1e-6 * (known[i].z > 1 ? known[i].z : 1);

        assert_true(fabs(mu_rng_normal(word) - known[i].z) < tolerance);
        assert_true(fabs(mu_rng_normal(~word) + known[i].z) < tolerance);
    }
}

/* Phi(normal(p)) = p: PPND7 promises seven digits of z, and dp = phi(z) dz. In the tail
 * z phi(z) ~ z^2 (1 - p), so that the relative error of the tail is z^2 times that of z. */
static void it_inverts_the_distribution(void **state)
{
    double before = -INFINITY;

    (void)state;
    for (uint64_t w = 0; w < (UINT64_C(1) << 32); w += 49999) {
        double p = mu_rng_uniform((uint32_t)w), z = mu_rng_normal((uint32_t)w);
        double tail = p < 0.5 ? p : 1 - p, got = 0.5 * erfc(fabs(z) / sqrt(2));

        assert_true(z > before);
        before = z;
        assert_true((z < 0) == (p < 0.5));
        assert_true(fabs(got - tail) < 2e-7 * (1 + z * z) * tail);
    }
}

static void the_ends_are_finite_and_opposite(void **state)
{
    (void)state;
    /* Phi^-1(1 - 2^-33): erfc says so to six digits */
    assert_true(mu_rng_normal(0) == -mu_rng_normal(UINT32_MAX));
    assert_true(fabs(0.5 * erfc(mu_rng_normal(UINT32_MAX) / sqrt(2)) / 0x1p-33 - 1) < 1e-5);
}

/* Of n draws the mean has deviation 1/sqrt n, the others sqrt(2/n), sqrt(6/n), sqrt(24/n) about
 * 0, 1, 0, 3. Six deviations; the draws are always the same. */
static void moments_of_a_sample(void **state)
{
    enum { N = 400000 };
    double sum[5] = {0}, mean, variance, third, fourth;

    (void)state;
    for (uint64_t i = 0; i < N / 4; i++) {
        struct mu_rng_words x = mu_rng_draw(20260101, MU_RNG_INIT, 3, i);

        for (int j = 0; j < 4; j++) {
            double z = mu_rng_normal(x.w[j]);

            sum[1] += z;
            sum[2] += z * z;
            sum[3] += z * z * z;
            sum[4] += z * z * z * z;
        }
    }
    mean = sum[1] / N;
    variance = sum[2] / N;
    third = sum[3] / N;
    fourth = sum[4] / N;
    assert_true(fabs(mean) < 6 * sqrt(1.0 / N));
    assert_true(fabs(variance - 1) < 6 * sqrt(2.0 / N));
    assert_true(fabs(third) < 6 * sqrt(15.0 / N));
    assert_true(fabs(fourth - 3) < 6 * sqrt(96.0 / N));
}

/* 64 bits of draw over n: floor(n * draw / 2^64). */
static void below_is_even_and_below(void **state)
{
    int hits[7] = {0};

    (void)state;
    assert_int_equal(mu_rng_below(1, UINT32_MAX, UINT32_MAX), 0);
    assert_true(mu_rng_below(UINT64_MAX, UINT32_MAX, UINT32_MAX) == UINT64_MAX - 1);
    assert_true(mu_rng_below(UINT64_C(1) << 32, 0x12345678, 0xffffffff) == 0x12345678);
    assert_int_equal(mu_rng_below(10, 0x80000000, 0), 5);
    for (uint64_t i = 0; i < 70000; i++) {
        struct mu_rng_words x = mu_rng_draw(1, MU_RNG_ORDER, 0, i);
        uint64_t n = mu_rng_below(7, x.w[0], x.w[1]);

        assert_true(n < 7);
        hits[n]++;
    }
    for (int i = 0; i < 7; i++) /* 10000 each, deviation 93 */
        assert_in_range(hits[i], 10000 - 560, 10000 + 560);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors),
        cmocka_unit_test(uniform_is_within_and_symmetric),
        cmocka_unit_test(known_quantiles),
        cmocka_unit_test(it_inverts_the_distribution),
        cmocka_unit_test(the_ends_are_finite_and_opposite),
        cmocka_unit_test(moments_of_a_sample),
        cmocka_unit_test(below_is_even_and_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* exp and log of eight at a time against libm's in long double, and every instruction set's loops
 * against the plain ones, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/terms.h"

enum { BLOCKS = 512, COUNT = BLOCKS * MU_LANES };

static mu_lanes in[BLOCKS], out[BLOCKS], other[BLOCKS];

static double uniform(uint32_t stream, size_t i)
{
    return mu_rng_uniform(mu_rng_draw(5, MU_RNG_SYNTHETIC, stream, i).w[0]);
}

static void test_exp_is_accurate(void **state)
{
    double *x = (double *)in, *y = (double *)out;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        x[i] = i < 4        ? (double[]){0, 1, -1, 1e-300}[i]
               : i % 2 == 0 ? -40 + 50 * uniform(0, i)
                            : -700 + 1400 * uniform(0, i);
    mu_terms_variant_at(0)->exp(in, 1, BLOCKS, out);
    for (size_t i = 0; i < COUNT; i++) {
        const long double exact = expl((long double)x[i]);

        if (!(fabsl((long double)y[i] - exact) <= 1e-15L * exact))
            fail_msg("exp %.17g = %.17g, not %.20Lg", x[i], y[i], exact);
    }
    assert_true(y[0] == 1);
}

static void test_exp_beyond_its_range_stays_finite(void **state)
{
    double *x = (double *)in, *y = (double *)out;

    (void)state;
    memset(in, 0, sizeof in);
    x[0] = -1e4;
    x[1] = 1e4;
    mu_terms_variant_at(0)->exp(in, 1, 1, out);
    assert_true(y[0] >= 0 && y[0] < 1e-300);
    assert_true(y[1] > 1e300 && isfinite(y[1]));
}

static void test_log_is_accurate(void **state)
{
    double *x = (double *)in, *y = (double *)out;

    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        x[i] = i < 6        ? (double[]){1, 2, 0.5, 1e300, 1e-300, 0x1.6a09e667f3bcdp-1}[i]
               : i % 2 == 0 ? 0.5 + 2 * uniform(1, i)
                            : exp(-600 + 1200 * uniform(1, i));
    mu_terms_variant_at(0)->log(in, BLOCKS, out);
    for (size_t i = 0; i < COUNT; i++) {
        const long double exact = logl((long double)x[i]);

        if (!(fabsl((long double)y[i] - exact) <= 1e-15L * fabsl(exact)))
            fail_msg("log %.17g = %.17g, not %.20Lg", x[i], y[i], exact);
    }
    assert_true(y[0] == 0);
}

static void test_all_instruction_sets_give_the_same_bits(void **state)
{
    static mu_lanes column[6][BLOCKS];
    const double theta[] = {1.7, 0.8, 0.9, 0.34, 0.28}, amplitude[] = {1.6, 0.7, 1.1};
    const struct mu_terms_points points = {.blocks = BLOCKS,
                                           .x = column[0],
                                           .y = column[1],
                                           .ln_loss = column[2],
                                           .inverse_loss = column[3],
                                           .weight = column[4],
                                           .shift_x = 0.125};
    const struct mu_terms_variant *plain = mu_terms_variant_at(0), *v;
    struct mu_terms_sums sums[2];
    struct mu_terms_moments moments[2];

    (void)state;
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < 3; k++)
            ((double *)column[k])[i] = -2 + 4 * uniform((uint32_t)(2 + k), i);
        ((double *)column[3])[i] = 0.2 + uniform(5, i);
        ((double *)column[4])[i] = floor(4 * uniform(6, i));
    }
    for (size_t k = 1; (v = mu_terms_variant_at(k)) != NULL; k++) {
        print_message("%s against %s\n", v->name, plain->name);
        memset(sums, 0, sizeof sums);
        memset(moments, 0, sizeof moments);
        for (enum mu_terms_second s = MU_TERMS_HESSIAN; s <= MU_TERMS_METRIC; s++) {
            plain->evaluate(&points, theta, 0.5, s, &sums[0]);
            v->evaluate(&points, theta, 0.5, s, &sums[1]);
            assert_memory_equal(&sums[0], &sums[1], sizeof sums[0]);
        }
        plain->exp(points.x, -0.3, BLOCKS, out);
        v->exp(points.x, -0.3, BLOCKS, other);
        assert_memory_equal(out, other, sizeof out);
        plain->moments(&points, out, points.weight, amplitude, 0.01, &moments[0]);
        v->moments(&points, out, points.weight, amplitude, 0.01, &moments[1]);
        assert_memory_equal(&moments[0], &moments[1], sizeof moments[0]);
        memcpy(in, out, sizeof in);
        plain->log(in, BLOCKS, out);
        v->log(in, BLOCKS, other);
        assert_memory_equal(out, other, sizeof out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_accurate),
        cmocka_unit_test(test_exp_beyond_its_range_stays_finite),
        cmocka_unit_test(test_log_is_accurate),
        cmocka_unit_test(test_all_instruction_sets_give_the_same_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

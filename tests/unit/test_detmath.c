/* base/detmath against libm in long double: relative error below 1e-14 where detmath.h promises
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/base/rng.h"

static double between(double from, double to, uint64_t draw)
{
    return from + (to - from) * mu_rng_uniform(mu_rng_draw(7, MU_RNG_SYNTHETIC, 0, draw).w[0]);
}

static void assert_close(double got, long double expected, double tolerance, double x)
{
    if (!(fabsl((long double)got - expected) <= (long double)tolerance * fabsl(expected)))
        fail_msg("at %.17g: %.17g instead of %.17Lg", x, got, expected);
}

static void exp_of_all_sizes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        double x = i % 2 ? between(-708, 709, i) : between(-1, 1, i);

        assert_close(mu_det_exp(x), expl(x), 1e-14, x);
    }
    assert_true(mu_det_exp(0) == 1);
    assert_true(mu_det_exp(-0.0) == 1);
}

static void log_of_all_sizes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        double x = i % 2 ? exp(between(-700, 700, i)) : between(0.5, 2, i);

        assert_close(mu_det_log(x), logl(x), 1e-14, x);
    }
    for (int k = -1022; k <= 1023; k++)
        assert_close(mu_det_log(ldexp(1, k)), k * 0.693147180559945309417232L, 1e-14, k);
    for (double x = 1; x < 1 + 1e-12; x += 0x1p-52)
        assert_close(mu_det_log(x), logl(x), 1e-14, x);
    assert_true(mu_det_log(1) == 0);
}

/* Learning rates, biases of the moments, laws of the synthetic workload. */
static void pow_of_what_is_used(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 100000; i++) {
        double x = exp(between(-20, 20, 2 * i)), y = between(-1.5, 1.5, 2 * i + 1);

        assert_close(mu_det_pow(x, y), powl(x, y), 1e-13, x);
    }
    for (int t = 1; t < 3000; t += 7) {
        assert_close(mu_det_pow(0.9, t), powl(0.9, t), 1e-14 * (10 + t), t);
        assert_close(mu_det_pow(0.95, t), powl(0.95, t), 1e-14 * (10 + t), t);
        assert_close(mu_det_pow(0.999, t), powl(0.999, t), 1e-14 * (10 + t), t);
    }
}

/* Near its zeros the error is small against 1, not against the cosine. */
static void cos_of_pi_times(void **state)
{
    const long double pi = 3.14159265358979323846264338L;

    (void)state;
    for (uint64_t i = 0; i < 200000; i++) {
        double x = between(-3, 3, i);

        assert_true(fabsl((long double)mu_det_cos_pi(x) - cosl(pi * (long double)x)) < 1e-15L);
    }
    for (int k = -9; k <= 9; k++) {
        assert_true(mu_det_cos_pi(k) == (k % 2 ? -1 : 1));
        assert_true(fabs(mu_det_cos_pi(k + 0.5)) < 1e-15);
    }
    assert_true(mu_det_cos_pi(0x1p31 - 1) == -1);
    assert_true(fabs(mu_det_cos_pi(1.0 / 3) - 0.5) < 1e-15);
}

static void check_cos_sin(double x)
{
    double c, s;

    mu_det_cos_sin(x, &c, &s);
    if (!(fabsl((long double)c - cosl((long double)x)) < 4e-16L) ||
        !(fabsl((long double)s - sinl((long double)x)) < 4e-16L))
        fail_msg("at %.17g: cos %.17g, sin %.17g", x, c, s);
}

/* Angles of rotary positions, up to the longest context; and next to multiples of pi / 4, where the
 * quarter changes and where nearly all of x is taken away. */
static void cos_and_sin_of_all_angles(void **state)
{
    double c, s;

    (void)state;
    for (uint64_t i = 0; i < 200000; i++)
        check_cos_sin(i % 2 ? between(-65536, 65536, i) : between(-4, 4, i));
    for (int t = 0; t <= 65536; t++)
        check_cos_sin(t);
    for (int k = -1000; k <= 1000; k++) {
        const double x = k * 667.0 * 0x1.921fb54442d18p-1;

        check_cos_sin(x);
        check_cos_sin(nextafter(x, 1e9));
        check_cos_sin(nextafter(x, -1e9));
    }
    check_cos_sin(0x1p20);
    check_cos_sin(-0x1p20);
    mu_det_cos_sin(0, &c, &s);
    assert_true(c == 1 && s == 0);
}

static void the_corners(void **state)
{
    (void)state;
    assert_true(mu_det_exp(1000) == INFINITY);
    assert_true(mu_det_exp(INFINITY) == INFINITY);
    assert_true(mu_det_exp(-1000) == 0);
    assert_true(mu_det_exp(-INFINITY) == 0);
    assert_true(isnan(mu_det_exp(NAN)));
    assert_true(mu_det_log(0) == -INFINITY);
    assert_true(isnan(mu_det_log(-1)));
    assert_true(isnan(mu_det_log(NAN)));
    assert_true(mu_det_log(INFINITY) == INFINITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_of_all_sizes),          cmocka_unit_test(log_of_all_sizes),
        cmocka_unit_test(pow_of_what_is_used),       cmocka_unit_test(cos_of_pi_times),
        cmocka_unit_test(cos_and_sin_of_all_angles), cmocka_unit_test(the_corners),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

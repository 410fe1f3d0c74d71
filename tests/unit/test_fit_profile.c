/* Profile intervals: against the curvature where the law is well determined, endless where it is
 * not, and how often they hold the truth. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/fit/parametric.h"
#include "orchestrator/fit/parametric_work.h"
#include "tests/support/fit_points.h"

static const struct mu_objective objectives[] = {
    {MU_OBJECTIVE_HUBER, 1e-3}, {.kind = MU_OBJECTIVE_ABSOLUTE}, {.kind = MU_OBJECTIVE_SQUARES}};
static struct mu_fit_point points[FIT_POINTS];

struct fitted {
    struct mu_parametric *problem;
    struct mu_law_estimate best;
};

static struct fitted fit(size_t count, enum mu_law_kind law, struct mu_objective objective)
{
    struct fitted f;

    assert_int_equal(mu_parametric_new(points, count, law, &f.problem), MU_OK);
    assert_int_equal(mu_parametric_fit(f.problem, objective, NULL, NULL, &f.best), MU_OK);
    return f;
}

static void profile(const struct fitted *f, struct mu_objective objective, size_t k, double *low,
                    double *high)
{
    assert_int_equal(mu_parametric_profile(f->problem, objective, &f->best, k, .95, 1, low, high),
                     MU_OK);
}

/* sd of parameter k by the normal equations: sigma^2 (J'J)^-1, in the minimiser's variables (of
 * which E and exponents are the law's own). */
static double curvature_sd(const struct fitted *f, size_t k, double sigma)
{
    double e[MU_LAW_PARAMETERS] = {0}, x[MU_LAW_PARAMETERS];
    struct mu_derivatives at;
    struct mu_work work;

    assert_int_equal(mu_work_new(f->problem, NULL, 1, &work), MU_OK);
    mu_work_variables(&work, f->best.theta, x);
    work.minimise.evaluate(&work, x, 1e300, true, &at);
    e[k] = 1;
    assert_true(
        mu_cholesky_solve(&at.second[0][0], MU_MINIMISE_VARIABLES, work.minimise.variables, e));
    mu_work_free(&work);
    return sigma * sqrt(e[k]);
}

/* Little noise on a wide design: the interval is +-1.96 sd; for absolute deviations sd is
 * sqrt(pi/2) times that of squares (their efficiency under normal noise is 2/pi), which is found
 * here through a density counted from 150 residuals. */
static void test_a_well_determined_law_agrees_with_the_curvature(void **state)
{
    const double theta[] = {1.7, 400, 1500, .34, .28}, sigma = 1e-3;
    const size_t count =
        fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 15, 10, sigma, false, 1);
    const double wider[] = {sqrt(acos(-1) / 2), sqrt(acos(-1) / 2), 1}, within[] = {.3, .3, .15};

    (void)state;
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        struct mu_objective objective = objectives[o];
        struct fitted f;

        objective.delta = sigma / 50;
        f = fit(count, MU_LAW_CHINCHILLA, objective);
        for (size_t k = 0; k < 5; k++) {
            const double sd = wider[o] * curvature_sd(&f, k, sigma);
            double low, high;

            if (k == 1 || k == 2)
                continue; /* in other units */
            profile(&f, objective, k, &low, &high);
            assert_true(low < f.best.theta[k] && f.best.theta[k] < high);
            if (!(fabs((high - low) / (2 * 1.96 * sd) - 1) < within[o]))
                fail_msg("objective %zu, parameter %zu: %g .. %g, by the curvature +-%g", o, k, low,
                         high, 1.96 * sd);
        }
        mu_parametric_free(f.problem);
    }
}

/* ln A moves with alpha: both ends of A are far apart, and it is their ratio that is meant. */
static void test_amplitudes_are_searched_by_ratio(void **state)
{
    const double theta[] = {1.7, 400, 1500, .34, .28};
    const size_t count =
        fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 15, 10, 3e-3, false, 1);
    struct fitted f = fit(count, MU_LAW_CHINCHILLA, objectives[2]);
    double low, high, alpha_low, alpha_high;

    (void)state;
    profile(&f, objectives[2], 3, &alpha_low, &alpha_high);
    profile(&f, objectives[2], 1, &low, &high);
    assert_true(low > 0 && low < 400 && high > 400 && isfinite(high));
    /* d ln A / d alpha = mean ln N, near 19; both have one direction of little curvature */
    assert_true(fabs(log(high / low) / (alpha_high - alpha_low) - 19) < 3);
    mu_parametric_free(f.problem);
}

/* Losses that do not depend on N: A = 0 fits, and then any alpha does. */
static void test_what_the_points_do_not_say_has_no_end(void **state)
{
    const double theta[] = {1.7, 0, 1500, .34, .28};

    (void)state;
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        const size_t count =
            fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 7, 6, 0, false, 1);
        struct fitted f = fit(count, MU_LAW_CHINCHILLA, objectives[o]);
        double low, high;

        profile(&f, objectives[o], 3, &low, &high);
        assert_true(low == 0 && isinf(high));
        profile(&f, objectives[o], 4, &low, &high);
        assert_true(fabs(low - .28) < 1e-4 && fabs(high - .28) < 1e-4);
        mu_parametric_free(f.problem);
    }
}

/* No point sees its data often enough to say how soon repeats lose their worth. */
static void test_worth_of_repeats_that_hardly_repeat(void **state)
{
    const double theta[] = {1.87, 521, 1488, .353, .34, 15.4, 5.3};
    const size_t count =
        fit_points_synthetic(points, MU_LAW_DATA_CONSTRAINED, theta, 7, 6, .01, false, 1);
    double low, high;
    struct fitted f;

    (void)state;
    for (size_t i = 0; i < count; i += 4)
        points[i].unique = points[i].d / 1.1;
    f = fit(count, MU_LAW_DATA_CONSTRAINED, objectives[2]);
    profile(&f, objectives[2], 5, &low, &high);
    assert_true(isinf(high));
    mu_parametric_free(f.problem);
}

/* E of points whose losses are far above it: its low end is 0. */
static void test_an_offset_out_of_sight(void **state)
{
    const double theta[] = {.2, 40, 60, .12, .11};
    const size_t count =
        fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 7, 6, .02, false, 1);
    struct fitted f = fit(count, MU_LAW_CHINCHILLA, objectives[2]);
    double low, high, least = INFINITY;

    (void)state;
    for (size_t i = 0; i < count; i++)
        least = fmin(least, points[i].loss);
    profile(&f, objectives[2], 0, &low, &high);
    assert_true(low == 0 && high > f.best.theta[0] && high < least);
    mu_parametric_free(f.problem);
}

/* Of 100 draws about 95 hold the truth; binomial, so 88 .. 100 within three sd and a little for
 * residuals that the fit has made smaller. */
static void test_coverage(void **state)
{
    const double theta[] = {1.7, 400, 1500, .34, .28};

    (void)state;
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        int held = 0;

        for (uint64_t seed = 0; seed < 100; seed++) {
            const size_t count = fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 9, 8, .01,
                                                      false, 100 + seed);
            struct fitted f = fit(count, MU_LAW_CHINCHILLA, objectives[o]);
            double low, high;

            profile(&f, objectives[o], 3, &low, &high);
            held += low <= theta[3] && theta[3] <= high;
            mu_parametric_free(f.problem);
        }
        print_message("objective %zu: %d of 100\n", o, held);
        assert_true(held >= 87);
    }
}

/* 12 points for 5 parameters, which take up over a third of the noise. What robust
 * objectives scale by is then counted from a handful of residuals. */
static void test_coverage_of_few_points(void **state)
{
    const double theta[] = {1.7, 400, 1500, .34, .28};

    (void)state;
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        int held = 0;

        for (uint64_t seed = 0; seed < 100; seed++) {
            const size_t count = fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 4, 3, .003,
                                                      false, 100 + seed);
            struct fitted f = fit(count, MU_LAW_CHINCHILLA, objectives[o]);
            double low, high;

            profile(&f, objectives[o], 3, &low, &high);
            held += low <= theta[3] && theta[3] <= high;
            mu_parametric_free(f.problem);
        }
        print_message("objective %zu: %d of 100\n", o, held);
        assert_true(held >= (objectives[o].kind == MU_OBJECTIVE_SQUARES ? 89 : 82));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_well_determined_law_agrees_with_the_curvature),
        cmocka_unit_test(test_amplitudes_are_searched_by_ratio),
        cmocka_unit_test(test_what_the_points_do_not_say_has_no_end),
        cmocka_unit_test(test_worth_of_repeats_that_hardly_repeat),
        cmocka_unit_test(test_an_offset_out_of_sight),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_coverage_of_few_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

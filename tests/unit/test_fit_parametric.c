/* Parametric fits: parameters that points were made from, Epoch's points with the values that their
 * authors and others found, minima at an edge, and replicates against full searches. */
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
static const double truths[MU_LAW_COUNT][MU_LAW_PARAMETERS] = {
    [MU_LAW_CHINCHILLA] = {1.7, 400, 1500, .34, .28},
    [MU_LAW_OVER_TRAINING] = {1.9, 300, 900, .31},
    [MU_LAW_DATA_CONSTRAINED] = {1.87, 521, 1488, .353, .34, 15.4, 5.3},
    [MU_LAW_POWER_N] = {1.6, 250, .3},
    [MU_LAW_POWER_D] = {1.8, 1200, .31},
    [MU_LAW_POWER_C] = {1.7, 3000, .15},
};
static struct mu_fit_point points[FIT_POINTS];

static struct mu_law_estimate fit(struct mu_parametric *problem, struct mu_objective objective,
                                  const double *multiplicity, const double *start)
{
    struct mu_law_estimate e;

    assert_int_equal(mu_parametric_fit(problem, objective, multiplicity, start, &e), MU_OK);
    return e;
}

static struct mu_law_estimate fit_once(size_t count, enum mu_law_kind law,
                                       struct mu_objective objective)
{
    struct mu_parametric *problem;
    struct mu_law_estimate e;

    assert_int_equal(mu_parametric_new(points, count, law, &problem), MU_OK);
    e = fit(problem, objective, NULL, NULL);
    mu_parametric_free(problem);
    return e;
}

static void check_theta(enum mu_law_kind law, const struct mu_law_estimate *e,
                        const double expected[], double relative, const char *what)
{
    for (size_t k = 0; k < mu_law_of(law)->parameters; k++)
        if (!(fabs(e->theta[k] - expected[k]) <= relative * fabs(expected[k])))
            fail_msg("%s, %s: %s = %.12g, expected %.12g", mu_law_of(law)->name, what,
                     mu_law_of(law)->parameter[k], e->theta[k], expected[k]);
}

static void test_points_without_noise_give_back_their_law(void **state)
{
    (void)state;
    for (enum mu_law_kind law = 0; law < MU_LAW_COUNT; law++)
        for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
            const bool repeats = law == MU_LAW_DATA_CONSTRAINED;
            const size_t count =
                fit_points_synthetic(points, law, truths[law], 7, 6, 0, repeats, 1);
            const struct mu_law_estimate e = fit_once(count, law, objectives[o]);

            check_theta(law, &e, truths[law], 1e-6, "without noise");
            assert_true(e.converged && e.at_bound == 0);
        }
}

static void test_unlike_exponents(void **state)
{
    static const double unlike[][MU_LAW_PARAMETERS] = {{1.5, 20000, 60, .55, .18},
                                                       {2.1, 30, 90000, .15, .55},
                                                       {0.5, 30, 9, .15, .1},
                                                       {1.9, 1e6, 1e7, .8, .7}};

    (void)state;
    for (size_t k = 0; k < sizeof unlike / sizeof *unlike; k++)
        for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
            const size_t count =
                fit_points_synthetic(points, MU_LAW_CHINCHILLA, unlike[k], 7, 6, 0, false, 1);
            const struct mu_law_estimate e = fit_once(count, MU_LAW_CHINCHILLA, objectives[o]);

            check_theta(MU_LAW_CHINCHILLA, &e, unlike[k], 1e-6, "unlike exponents");
        }
}

/* To one unit of the last digit that is told. */
static void check_digits(const struct mu_law_estimate *e, const double expected[],
                         const double unit[], const char *what)
{
    for (size_t k = 0; k < mu_law_of(MU_LAW_CHINCHILLA)->parameters; k++)
        if (!(fabs(e->theta[k] - expected[k]) <= unit[k]))
            fail_msg("%s: %s = %.12g, expected %.12g", what,
                     mu_law_of(MU_LAW_CHINCHILLA)->parameter[k], e->theta[k], expected[k]);
}

/* Besiroglu et al. 2024 (arXiv 2404.10102), table 1: Huber's function with a fitted scale, which
 * goes to 0, so least absolute deviations. The plain sum of Huber's function: the minimum of L-BFGS
 * from 4,500 starts (tests/oracle/fit_lbfgs.json). */
static void test_epoch(void **state)
{
    static const double published[] = {1.8169, 482.01, 2085.43, .3478, .3659},
                        published_unit[] = {1e-4, .01, .01, 1e-4, 1e-4},
                        huber[] = {1.81722, 477.83, 2143.42, .34731, .36717},
                        huber_unit[] = {1e-5, .01, .01, 1e-5, 1e-5};
    size_t count = fit_points_epoch(points);
    struct mu_law_estimate e;

    (void)state;
    if (count == 0) {
        print_message("skipped: no epoch_chinchilla.csv in MUSTER_SHARED/data\n");
        skip();
    }
    assert_int_equal(count, 245);
    e = fit_once(count, MU_LAW_CHINCHILLA, objectives[0]);
    assert_true(fabs(e.theta[4] - .453) < 5e-4);
    count = fit_points_drop_top(points, count, 5);
    assert_int_equal(count, 240);
    e = fit_once(count, MU_LAW_CHINCHILLA, objectives[0]);
    check_digits(&e, huber, huber_unit, "Huber");
    assert_true(fabs(e.objective - .00101827402) < 1e-11);
    e = fit_once(count, MU_LAW_CHINCHILLA, objectives[1]);
    check_digits(&e, published, published_unit, "absolute");
}

/* At the exact minimum of sum |r| as many residuals are 0 as there are parameters. */
static void test_absolute_deviations_pass_through_points(void **state)
{
    const size_t count =
        fit_points_synthetic(points, MU_LAW_CHINCHILLA, truths[0], 10, 9, .01, false, 3);
    const struct mu_law_estimate e = fit_once(count, MU_LAW_CHINCHILLA, objectives[1]);
    size_t zero = 0;

    (void)state;
    for (size_t i = 0; i < count; i++)
        zero += fabs(log(mu_law_loss(MU_LAW_CHINCHILLA, e.theta, points[i].n, points[i].d, 0, 0) /
                         points[i].loss)) < 1e-11;
    assert_int_equal(zero, 5);
}

/* Losses that fall without an offset, and faster than that: E ends at 0, and says so. */
static void test_an_offset_that_is_not_there_is_at_its_bound(void **state)
{
    const double theta[] = {0, 30, 60, .12, .15};

    (void)state;
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        const size_t count =
            fit_points_synthetic(points, MU_LAW_CHINCHILLA, theta, 7, 6, 0, false, 1);
        struct mu_law_estimate e;

        for (size_t i = 0; i < count; i++)
            points[i].loss -= 0.05;
        e = fit_once(count, MU_LAW_CHINCHILLA, objectives[o]);
        assert_true(e.theta[0] == 0);
        assert_int_equal(e.at_bound, 1);
        assert_true(e.converged);
    }
}

static void resample(double multiplicity[], size_t count, uint32_t replicate)
{
    memset(multiplicity, 0, count * sizeof *multiplicity);
    for (size_t i = 0; i < count; i++) {
        const struct mu_rng_words w = mu_rng_draw(9, MU_RNG_BOOTSTRAP, replicate, i);

        multiplicity[mu_rng_below(count, w.w[0], w.w[1])]++;
    }
}

/* From the fit to all points and few cells, a replicate arrives where a full search does. */
static void test_replicates_find_the_global_minimum(void **state)
{
    static double multiplicity[FIT_POINTS];

    (void)state;
    for (enum mu_law_kind law = 0; law < MU_LAW_COUNT; law++) {
        const bool repeats = law == MU_LAW_DATA_CONSTRAINED;
        const size_t count = fit_points_synthetic(points, law, truths[law], 9, 8, .01, repeats, 2);
        struct mu_parametric *problem;
        struct mu_law_estimate best, full, quick;

        assert_int_equal(mu_parametric_new(points, count, law, &problem), MU_OK);
        for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
            best = fit(problem, objectives[o], NULL, NULL);
            for (uint32_t r = 0; r < (repeats ? 3 : 20); r++) {
                resample(multiplicity, count, r);
                full = fit(problem, objectives[o], multiplicity, NULL);
                quick = fit(problem, objectives[o], multiplicity, best.theta);
                if (!(quick.objective <= full.objective * (1 + 1e-9)))
                    fail_msg("%s, objective %zu, replicate %u: %.15g, full search %.15g",
                             mu_law_of(law)->name, o, r, quick.objective, full.objective);
            }
        }
        mu_parametric_free(problem);
    }
}

static void test_all_instruction_sets_fit_alike(void **state)
{
    (void)state;
    for (enum mu_law_kind law = 0; law < MU_LAW_COUNT; law++) {
        const size_t count = fit_points_synthetic(points, law, truths[law], 7, 5, .02,
                                                  law == MU_LAW_DATA_CONSTRAINED, 8);
        struct mu_law_estimate plain, other;
        struct mu_parametric *problem;

        assert_int_equal(mu_parametric_new(points, count, law, &problem), MU_OK);
        for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
            problem->terms = mu_terms_variant_at(0);
            plain = fit(problem, objectives[o], NULL, NULL);
            for (size_t k = 1; mu_terms_variant_at(k) != NULL; k++) {
                problem->terms = mu_terms_variant_at(k);
                other = fit(problem, objectives[o], NULL, NULL);
                assert_memory_equal(plain.theta, other.theta, sizeof plain.theta);
                assert_true(plain.objective == other.objective);
            }
        }
        mu_parametric_free(problem);
    }
}

/* Whatever the points, an answer is finite and never fails: losses that rise with N, that are all
 * equal, one point, fewer than parameters. */
static void test_poor_points(void **state)
{
    (void)state;
    for (enum mu_law_kind law = 0; law < MU_LAW_COUNT; law++)
        for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++)
            for (size_t kind = 0; kind < 5; kind++) {
                const size_t all = fit_points_synthetic(points, law, truths[law], 5, 4, .3, true,
                                                        kind),
                             count = kind == 2   ? 1
                                     : kind == 3 ? 3
                                                 : all;
                struct mu_law_estimate e, again;
                struct mu_parametric *problem;

                for (size_t i = 0; i < count; i++)
                    points[i].loss = kind == 0   ? 2 + 1e-9 * points[i].n
                                     : kind == 1 ? 3
                                                 : points[i].loss;
                assert_int_equal(mu_parametric_new(points, count, law, &problem), MU_OK);
                e = fit(problem, objectives[o], NULL, NULL);
                again = fit(problem, objectives[o], NULL, e.theta);
                for (size_t k = 0; k < mu_law_of(law)->parameters; k++)
                    assert_true(isfinite(e.theta[k]) && e.theta[k] >= 0);
                assert_true(e.objective >= 0 && isfinite(e.objective));
                if (!(again.objective <= e.objective * (1 + 1e-6) + 1e-12))
                    fail_msg("law %d, objective %zu, points %zu: %g, from there %g", law, o, kind,
                             e.objective, again.objective);
                mu_parametric_free(problem);
            }
}

/* A weight of 2 is a point twice; a multiplicity of 0 a point that is not there. */
static void test_weights_and_multiplicities(void **state)
{
    const size_t count =
        fit_points_synthetic(points, MU_LAW_CHINCHILLA, truths[0], 7, 6, .01, false, 4);
    double multiplicity[FIT_POINTS];
    struct mu_parametric *problem;
    struct mu_law_estimate a, b;

    (void)state;
    for (size_t i = 0; i < count; i++)
        multiplicity[i] = (double)(i % 3);
    assert_int_equal(mu_parametric_new(points, count, MU_LAW_CHINCHILLA, &problem), MU_OK);
    a = fit(problem, objectives[0], multiplicity, NULL);
    assert_true(fabs(mu_parametric_objective(problem, objectives[0], multiplicity, a.theta) -
                     a.objective) < 1e-12 * a.objective);
    mu_parametric_free(problem);
    for (size_t i = 0; i < count; i++) {
        points[i].weight = i % 3 == 2 ? 2 : 1;
        points[i].end = i % 3 != 0;
    }
    b = fit_once(count, MU_LAW_CHINCHILLA, objectives[0]);
    check_theta(MU_LAW_CHINCHILLA, &b, a.theta, 1e-9, "weights");
    assert_true(fabs(a.objective - b.objective) < 1e-12 * a.objective);
}

/* Slopes and second derivatives against differences of values and slopes. */
static void test_derivatives(void **state)
{
    (void)state;
    for (enum mu_law_kind law = 0; law < MU_LAW_COUNT; law++) {
        const size_t count = fit_points_synthetic(points, law, truths[law], 6, 5, .1,
                                                  law == MU_LAW_DATA_CONSTRAINED, 6);
        struct mu_derivatives at, up, down;
        double x[MU_LAW_PARAMETERS];
        struct mu_parametric *problem;
        struct mu_work work;
        const double h = 1e-5;

        assert_int_equal(mu_parametric_new(points, count, law, &problem), MU_OK);
        assert_int_equal(mu_work_new(problem, NULL, 0, &work), MU_OK);
        mu_work_variables(&work, truths[law], x);
        work.minimise.evaluate(&work, x, MU_DELTA_SQUARES, false, &at);
        for (size_t k = 0; k < mu_law_of(law)->parameters; k++) {
            const double before = x[k];

            x[k] = before + h;
            work.minimise.evaluate(&work, x, MU_DELTA_SQUARES, false, &up);
            x[k] = before - h;
            work.minimise.evaluate(&work, x, MU_DELTA_SQUARES, false, &down);
            x[k] = before;
            if (!(fabs((up.value - down.value) / (2 * h) - at.gradient[k]) < 1e-7))
                fail_msg("%s: slope %zu", mu_law_of(law)->name, k);
            for (size_t j = 0; j < mu_law_of(law)->parameters; j++)
                if (!(fabs((up.gradient[j] - down.gradient[j]) / (2 * h) - at.second[j][k]) <
                      1e-6 * (1 + fabs(at.second[j][k]))))
                    fail_msg("%s: second derivative %zu %zu: %g, by differences %g",
                             mu_law_of(law)->name, j, k, at.second[j][k],
                             (up.gradient[j] - down.gradient[j]) / (2 * h));
        }
        mu_work_free(&work);
        mu_parametric_free(problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_derivatives),
        cmocka_unit_test(test_points_without_noise_give_back_their_law),
        cmocka_unit_test(test_unlike_exponents),
        cmocka_unit_test(test_epoch),
        cmocka_unit_test(test_absolute_deviations_pass_through_points),
        cmocka_unit_test(test_an_offset_that_is_not_there_is_at_its_bound),
        cmocka_unit_test(test_replicates_find_the_global_minimum),
        cmocka_unit_test(test_all_instruction_sets_fit_alike),
        cmocka_unit_test(test_poor_points),
        cmocka_unit_test(test_weights_and_multiplicities),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

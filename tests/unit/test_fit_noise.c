/* Scatter of repeats: which points are some, and what they say, by arithmetic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/noise.h"

static struct mu_fit_point run(double n, double d, double ln_loss, uint32_t cluster, uint32_t seed)
{
    return (struct mu_fit_point){.n = n,
                                 .d = d,
                                 .c = 6 * n * d,
                                 .loss = exp(ln_loss),
                                 .weight = 1,
                                 .unique = d,
                                 .cluster = cluster,
                                 .group = MU_FIT_NONE,
                                 .curve = MU_FIT_NONE,
                                 .seed = seed,
                                 .end = true};
}

static void check_noise(const struct mu_fit_point *points, size_t count, double sd, size_t expected)
{
    size_t degrees = 77;
    const double found = mu_noise_of_repeats(points, count, &degrees);

    assert_int_equal(degrees, expected);
    if (isnan(sd) ? !isnan(found) : !(fabs(found - sd) <= 1e-13))
        fail_msg("%.17g, expected %.17g", found, sd);
}

/* .10, .12, .17: mean .13, squares .0009 + .0001 + .0016; .2, .3: 2 x .0025. Three degrees. */
static void test_two_groups_are_pooled(void **state)
{
    const struct mu_fit_point points[] = {
        run(1e6, 1e8, .12, 0, 1), run(1e6, 3e8, .3, 1, 1), run(1e6, 1e8, .17, 2, 2),
        run(2e6, 1e8, .5, 3, 0),  run(1e6, 3e8, .2, 4, 0), run(1e6, 1e8, .10, 5, 0),
    };

    (void)state;
    check_noise(points, 6, sqrt((.0026 + .005) / 3), 3);
}

static void test_nothing_is_repeated(void **state)
{
    const struct mu_fit_point points[] = {run(1e6, 1e8, 1, 0, 0), run(1e6, 2e8, .9, 0, 1),
                                          run(2e6, 1e8, .8, 1, 0)};

    (void)state;
    check_noise(points, 3, NAN, 0);
    check_noise(points, 1, NAN, 0);
    check_noise(NULL, 0, NAN, 0);
}

/* Branches of one trunk that were told twice are one run; with another seed they are two, and in
 * another trunk as well. Without seeds nothing is known to be a repeat. */
static void test_what_makes_a_run_another(void **state)
{
    struct mu_fit_point points[] = {run(1e6, 1e8, .2, 0, 3), run(1e6, 1e8, .4, 0, 3)};
    const double sd = .1 * sqrt(2);

    (void)state;
    check_noise(points, 2, NAN, 0);
    points[1].seed = 4;
    check_noise(points, 2, sd, 1);
    points[1].seed = 3;
    points[1].cluster = 1;
    check_noise(points, 2, sd, 1);
    points[1].seed = MU_FIT_NONE;
    check_noise(points, 2, NAN, 0);
}

/* The first run is .2 and .4, that is .3; the other .7. */
static void test_a_run_told_twice_is_its_mean(void **state)
{
    const struct mu_fit_point points[] = {run(1e6, 1e8, .2, 0, 3), run(1e6, 1e8, .7, 1, 3),
                                          run(1e6, 1e8, .4, 0, 3)};

    (void)state;
    check_noise(points, 3, .2 * sqrt(2), 1);
}

static void test_how_near_is_equal(void **state)
{
    struct mu_fit_point points[] = {run(1e6, 1e8, .2, 0, 0), run(1e6, 1e8, .4, 1, 1)};
    const double sd = .1 * sqrt(2);

    (void)state;
    points[1].d = points[1].unique = 1.0009e8; /* a step more */
    check_noise(points, 2, sd, 1);
    points[1].d = 1.002e8;
    check_noise(points, 2, NAN, 0);
    points[1] = run(1e6 + 2, 1e8, .4, 1, 1);
    check_noise(points, 2, NAN, 0);
    points[1] = run(1e6, 1e8, .4, 1, 1);
    points[1].unique = .5e8; /* each token twice: not the same data */
    check_noise(points, 2, NAN, 0);
    points[1] = run(1e6, 1e8, .4, 1, 1);
    points[0].shape = (struct mu_gpt_shape){2, 32, 64, 256};
    points[1].shape = (struct mu_gpt_shape){8, 16, 64, 256};
    check_noise(points, 2, NAN, 0);
}

static void test_moments_and_weightless_points_do_not_count(void **state)
{
    struct mu_fit_point points[] = {run(1e6, 1e8, .2, 0, 0), run(1e6, 1e8, .4, 1, 1)};

    (void)state;
    points[1].end = false;
    check_noise(points, 2, NAN, 0);
    points[1].end = true;
    points[1].weight = 0;
    check_noise(points, 2, NAN, 0);
}

/* Each of 50 cells has 4 runs at fixed offsets from a mean of its own: squares of .002 and three
 * degrees a cell, whatever the mean and the order. */
static void test_many_cells_in_any_order(void **state)
{
    enum { CELLS = 50, RUNS = 4, POINTS = CELLS * RUNS };
    static const double offset[RUNS] = {-.03, -.01, .01, .03};
    struct mu_fit_point points[POINTS];
    size_t degrees;
    double first = NAN;

    (void)state;
    for (uint32_t shuffle = 0; shuffle < 3; shuffle++) {
        for (uint32_t i = 0; i < POINTS; i++) {
            const uint32_t cell = i / RUNS;

            points[i] = run(1e6 * (1 + cell % 7), 1e8 * (1 + cell / 7),
                            .5 + .01 * cell + offset[i % RUNS], i, i % RUNS);
        }
        for (uint32_t i = POINTS - 1; i > 0 && shuffle; i--) {
            const uint32_t j =
                (uint32_t)(mu_rng_draw(1, MU_RNG_SYNTHETIC, shuffle, i).w[0] % (i + 1));
            const struct mu_fit_point kept = points[i];

            points[i] = points[j];
            points[j] = kept;
        }
        check_noise(points, POINTS, sqrt(.002 / 3), CELLS * (RUNS - 1));
        if (!shuffle)
            first = mu_noise_of_repeats(points, POINTS, &degrees);
        assert_true(mu_noise_of_repeats(points, POINTS, &degrees) == first);
    }
}

static void check_effect(const double residual[], const uint32_t cluster[], size_t count,
                         uint32_t clusters, double expected)
{
    const double effect = mu_noise_design_effect(residual, cluster, count, clusters);

    if (!(fabs(effect - expected) < 1e-12))
        fail_msg("%.15g, expected %.15g", effect, expected);
}

static void test_points_that_share_noise_are_worth_fewer(void **state)
{
    static const uint32_t pairs[] = {0, 0, 1, 1}, alone[] = {0, 1, 2, 3}, one[] = {0, 0, 0, 0};

    (void)state;
    check_effect((double[]){1, 1, -1, -1}, pairs, 4, 2, 2); /* all of it is shared: two points */
    check_effect((double[]){1, -1, 1, -1}, pairs, 4, 2, 1);
    /* between 16 / 1, within 4 / 2: rho = 14 / 18 */
    check_effect((double[]){1, 3, -1, -3}, pairs, 4, 2, 1 + 14. / 18);
    check_effect((double[]){1, 3, -1, -3}, alone, 4, 4, 1);
    check_effect((double[]){1, 3, -1, -3}, one, 4, 1, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_groups_are_pooled),
        cmocka_unit_test(test_nothing_is_repeated),
        cmocka_unit_test(test_what_makes_a_run_another),
        cmocka_unit_test(test_a_run_told_twice_is_its_mean),
        cmocka_unit_test(test_how_near_is_equal),
        cmocka_unit_test(test_moments_and_weightless_points_do_not_count),
        cmocka_unit_test(test_many_cells_in_any_order),
        cmocka_unit_test(test_points_that_share_noise_are_worth_fewer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an interval promises: that it holds the truth as often as it says. Runs are drawn from a
 * known law with noise, again and again; each draw is fitted with its bootstrap, and how often the 95 %
 * interval holds each true value is counted.
 *
 *   MUSTER_TEST_COUNT=1000 build/tests/property-fit_coverage
 *
 * takes minutes: 1000 draws of 400 replicates, and asks for 91 to 98 %. Without it some dozen draws
 * must not be far off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/fit/fit.h"
#include "tests/support/fit_runs.h"

enum { FEW = 24, MANY = 1000, REPLICATES_FEW = 100, REPLICATES_MANY = 400 };

struct tally {
    const char *what;
    size_t held, draws;
};

static size_t draws(void)
{
    const char *given = getenv("MUSTER_TEST_COUNT");

    return given ? (size_t)strtoull(given, NULL, 10) : (size_t)FEW;
}

static void count(struct tally *t, const struct mu_estimate *x, double truth)
{
    assert_true(x->low95 <= x->high95); /* there is one */
    t->draws++;
    if (x->low95 <= truth && truth <= x->high95)
        t->held++;
}

/* False: too far off. */
static bool check(const struct tally *t, double most)
{
    const double share = (double)t->held / (double)t->draws;

    print_message("%-28s %zu of %zu: %.1f %%\n", t->what, t->held, t->draws, 100 * share);
    if (t->draws >= MANY)
        return share >= 0.91 && share <= most;
    return share >= 0.75; /* 17 of 24 or fewer: 13 in 100,000 where 95 % are true */
}

static struct mu_fit *fit(const struct mu_fit_points *points, uint64_t seed,
                          enum mu_objective_kind objective)
{
    struct mu_fit_options options;
    struct mu_fit *out = NULL;

    mu_fit_options_default(&options);
    options.objective.kind = objective;
    options.replicates = draws() >= MANY ? REPLICATES_MANY : REPLICATES_FEW;
    options.seed = seed;
    assert_int_equal(mu_fit_run(points, &options, &out), MU_OK);
    return out;
}

static const struct design independent = {.theta = {1.7, 400, 2000, 0.34, 0.37},
                                          .budgets = 5,
                                          .sizes = 9,
                                          .c_low = 1e18,
                                          .c_step = 4,
                                          .n_step = 1.6,
                                          .sd_point = 0.004,
                                          .seed = 11};

/* What the IsoFLOP line of these runs is without noise: the parabola's bias is not the
 * interval's. */
static double isoflop_truth(struct design d, struct mu_fit_points (*runs)(const struct design *))
{
    struct mu_fit_points points;
    struct mu_fit_options options;
    struct mu_fit *f = NULL;
    double a;

    d.sd_point = d.sd_cluster = 0;
    points = runs(&d);
    mu_fit_options_default(&options);
    options.replicates = 0;
    assert_int_equal(mu_fit_run(&points, &options, &f), MU_OK);
    a = f->scaling[MU_METHOD_ISOFLOP].a.value;
    mu_fit_free(f);
    free(points.point);
    return a;
}

/* most: the largest share of draws in which an interval may hold the truth. */
static void cover(struct design d, struct mu_fit_points (*runs)(const struct design *),
                  enum mu_objective_kind objective, double most)
{
    struct tally tallies[] = {
        {.what = "E"},
        {.what = "alpha"},
        {.what = "beta"},
        {.what = "a, parametric"},
        {.what = "a, IsoFLOP"},
        {.what = "N* at ten times the compute"},
        {.what = "loss of a new run there"},
    };
    bool good = true;
    const double exponent = d.theta[4] / (d.theta[3] + d.theta[4]);
    const double line = isoflop_truth(d, runs);

    for (d.draw = 0; d.draw < draws(); d.draw++) {
        struct mu_fit_points points = runs(&d);
        struct mu_fit *f = fit(&points, d.draw + 1, objective);
        const struct mu_fit_optimum *target = &f->scaling[MU_METHOD_PARAMETRIC].target[2];
        const double size = best_n(d.theta, target->c);
        const struct mu_fit_point new_run =
            run_of(&d, size, target->c / (6 * size), points.clusters, points.count);

        count(&tallies[0], &f->law.theta[0], d.theta[0]);
        count(&tallies[1], &f->law.theta[3], d.theta[3]);
        count(&tallies[2], &f->law.theta[4], d.theta[4]);
        count(&tallies[3], &f->scaling[MU_METHOD_PARAMETRIC].a, exponent);
        count(&tallies[4], &f->scaling[MU_METHOD_ISOFLOP].a, line);
        count(&tallies[5], &target->n, size);
        count(&tallies[6], &target->loss, new_run.loss);
        mu_fit_free(f);
        free(points.point);
    }
    for (size_t k = 0; k < sizeof tallies / sizeof *tallies; k++)
        good = check(&tallies[k], most) && good;
    assert_true(good);
}

static void test_independent_points(void **state)
{
    (void)state;
    cover(independent, isoflop_runs, MU_OBJECTIVE_HUBER, 0.98);
}

static void test_independent_points_by_squares(void **state)
{
    (void)state;
    cover(independent, isoflop_runs, MU_OBJECTIVE_SQUARES, 0.98);
}

/* A dozen trunks of five branches; 80 % of the variance is the trunk's. */
static struct design trunks(void)
{
    struct design d = independent;

    d.sizes = 12;
    d.c_step = 2;
    d.n_step = 1.5;
    d.sd_point = 0.002;
    d.sd_cluster = 0.004;
    return d;
}

static void test_trunks_with_shared_noise(void **state)
{
    (void)state;
    cover(trunks(), trunk_runs, MU_OBJECTIVE_SQUARES, 0.98);
}

/* With delta far below the noise Huber's function is the absolute value, whose minimum jumps
 * from corner to corner as trunks come and go: beta, which branches of one trunk tell, has
 * intervals that are wider than promised. */
static void test_trunks_by_huber_are_no_less_than_promised(void **state)
{
    (void)state;
    cover(trunks(), trunk_runs, MU_OBJECTIVE_HUBER, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_independent_points),
        cmocka_unit_test(test_independent_points_by_squares),
        cmocka_unit_test(test_trunks_with_shared_noise),
        cmocka_unit_test(test_trunks_by_huber_are_no_less_than_promised),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A whole fit of runs whose law is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "orchestrator/fit/fit.h"
#include "tests/support/fit_runs.h"

static const struct design quiet = {.theta = {1.7, 400, 2000, 0.34, 0.37},
                                    .budgets = 4,
                                    .sizes = 7,
                                    .c_low = 1e18,
                                    .c_step = 4,
                                    .n_step = 1.6,
                                    .seed = 21};

static struct design noisy(double sd)
{
    struct design d = quiet;

    d.sd_point = sd;
    return d;
}

static struct mu_fit *fit(const struct mu_fit_points *points, const struct mu_fit_options *options)
{
    struct mu_fit *out = NULL;

    assert_int_equal(mu_fit_run(points, options, &out), MU_OK);
    return out;
}

static struct mu_fit_options options_with(size_t replicates)
{
    struct mu_fit_options options;

    mu_fit_options_default(&options);
    options.replicates = replicates;
    return options;
}

static void check_close(double got, double expected, double tolerance)
{
    if (!(fabs(got / expected - 1) <= tolerance))
        fail_msg("%.12g, expected %.12g within %g", got, expected, tolerance);
}

static void test_without_noise_everything_is_recovered(void **state)
{
    const struct mu_fit_options options = options_with(0);
    const double exponent = quiet.theta[4] / (quiet.theta[3] + quiet.theta[4]);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f = fit(&points, &options);

    (void)state;
    for (size_t k = 0; k < 5; k++)
        check_close(f->law.theta[k].value, quiet.theta[k], 1e-6);
    check_close(f->scaling[MU_METHOD_PARAMETRIC].a.value, exponent, 1e-6);
    check_close(f->scaling[MU_METHOD_PARAMETRIC].b.value, 1 - exponent, 1e-6);
    check_close(f->scaling[MU_METHOD_ISOFLOP].a.value, exponent, 1e-6);
    assert_true(f->scaling[MU_METHOD_ENVELOPE].refusal.refused);
    assert_int_equal(f->options.targets, 4); /* 1, 3, 10 and 30 times the largest budget */
    check_close(f->options.target[3], 30 * 64e18, 1e-9);
    for (size_t k = 0; k < f->options.targets; k++) {
        const struct mu_fit_optimum *t = &f->scaling[MU_METHOD_PARAMETRIC].target[k];
        const double n = best_n(quiet.theta, t->c);

        check_close(t->n.value, n, 1e-5);
        check_close(t->ratio.value, t->c / (6 * n * n), 1e-5);
        check_close(t->loss.value,
                    mu_law_loss(MU_LAW_CHINCHILLA, quiet.theta, n, t->c / (6 * n), t->c, INFINITY),
                    1e-7);
        assert_true(t->n_low < t->n.value && t->n.value < t->n_high);
        assert_false(t->far);
        assert_true(isnan(t->n.low95)); /* nothing was resampled */
        assert_true(t->built.shape.layers > 0 && t->built.heads > 0);
        check_close(t->built.n, t->n.value, 0.1);
    }
    assert_int_equal(f->futures, 6); /* 3 + 2 + 1 */
    check_close(f->future[5].c_fitted, 16e18, 1e-9);
    check_close(f->future[5].c_predicted, 64e18, 1e-9);
    assert_true(f->future[5].rms < 1e-6);
    assert_int_equal(f->future[5].fitted, 21);
    assert_int_equal(f->future[5].predicted, 7);
    mu_fit_free(f);
    free(points.point);
}

/* The parabola's bias, as the law sees it, is the one that the parabola has. */
static void test_bias_of_the_parabola_is_told(void **state)
{
    const struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f = fit(&points, &options);

    (void)state;
    for (size_t b = 0; b < f->budgets.count; b++)
        check_close(f->isoflop_bias[b], f->vertex_n[b].value / best_n(quiet.theta, f->budgets.c[b]),
                    1e-5);
    assert_true(fabs(f->isoflop_bias[0] - 1) > 1e-4); /* alpha != beta */
    mu_fit_free(f);
    free(points.point);
}

/* NANs are equal here: the bytes are compared, of all but pointers and the number of threads. */
static void test_threads_change_no_bit(void **state)
{
    struct mu_fit_options options = options_with(64);
    const struct design d = noisy(0.004);
    struct mu_fit_points points = isoflop_runs(&d);
    struct mu_fit *one, *many;

    (void)state;
    options.threads = 1;
    one = fit(&points, &options);
    options.threads = 5;
    many = fit(&points, &options);
    assert_memory_equal(one->scaling, many->scaling, sizeof one->scaling);
    assert_memory_equal(one->law.theta, many->law.theta, sizeof one->law.theta);
    assert_memory_equal(one->vertex_n, many->vertex_n, sizeof one->vertex_n);
    assert_memory_equal(one->disagreement, many->disagreement, sizeof one->disagreement);
    options.seed++;
    mu_fit_free(many);
    many = fit(&points, &options);
    assert_true(one->law.theta[3].low95 != many->law.theta[3].low95);
    assert_true(one->law.theta[3].value == many->law.theta[3].value);
    mu_fit_free(one);
    mu_fit_free(many);
    free(points.point);
}

static void test_dropped_points_are_named_and_what_they_did(void **state)
{
    struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    points.point[3].loss *= 3;
    points.point[12].loss *= 2.5;
    options.objective.kind = MU_OBJECTIVE_SQUARES;
    options.drop_top = 2;
    f = fit(&points, &options);
    assert_int_equal(f->dropped, 2);
    assert_int_equal(f->used, points.count - 2);
    assert_int_equal(f->dropped_line[0], points.point[3].line);
    assert_int_equal(f->dropped_line[1], points.point[12].line);
    assert_false(f->residual[3].used);
    assert_true(f->residual[4].used);
    for (size_t k = 0; k < 5; k++)
        check_close(f->law.theta[k].value, quiet.theta[k], 1e-6);
    assert_true(fabs(f->law.undropped.theta[0] / quiet.theta[0] - 1) > 0.01);
    mu_fit_free(f);
    free(points.point);
}

/* Very unlike exponents and a wide grid: the parabola's bias is larger than the noise. */
static void test_methods_that_disagree_are_flagged(void **state)
{
    struct mu_fit_options options = options_with(200);
    struct design d = noisy(1e-4);
    struct mu_fit_points points;
    struct mu_fit *f;

    (void)state;
    d.theta[3] = 0.6;
    d.theta[1] = 3e4;
    d.theta[4] = 0.25;
    d.sizes = 15;
    d.n_step = 1.5;
    points = isoflop_runs(&d);
    f = fit(&points, &options);
    assert_int_equal(f->disagreements, 1);
    assert_int_equal(f->disagreement[0].one, MU_METHOD_ISOFLOP);
    assert_int_equal(f->disagreement[0].other, MU_METHOD_PARAMETRIC);
    assert_true(f->disagreement[0].flagged);
    assert_true(f->warnings > 0);
    mu_fit_free(f);
    free(points.point);

    d = noisy(0.01); /* wide intervals, and a grid on which both agree */
    d.theta[3] = d.theta[4] = 0.35;
    points = isoflop_runs(&d);
    f = fit(&points, &options);
    assert_false(f->disagreement[0].flagged);
    mu_fit_free(f);
    free(points.point);
}

static void test_far_targets_are_flagged(void **state)
{
    struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    options.targets = 2;
    options.target[0] = 1e23;
    options.target[1] = 64e18 * 29;
    f = fit(&points, &options);
    check_close(f->options.target[0], 64e18 * 29, 1e-12); /* ascending */
    assert_false(f->scaling[MU_METHOD_PARAMETRIC].target[0].far);
    assert_true(f->scaling[MU_METHOD_PARAMETRIC].target[1].far);
    assert_int_equal(f->warnings, 1);
    assert_non_null(strstr(f->warning[0], "1e23"));
    mu_fit_free(f);
    free(points.point);
}

static void test_what_supports_no_fit_is_refused(void **state)
{
    const struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f = NULL;

    (void)state;
    points.count = 3;
    assert_int_equal(mu_fit_run(&points, &options, &f), MU_FAILED);
    assert_null(f);
    points.count = 0;
    assert_int_equal(mu_fit_run(&points, &options, &f), MU_FAILED);
    free(points.point);
}

/* All runs in one trunk: drawing it again and again shows nothing, least of all a disagreement. */
static void test_one_cluster_gives_no_interval(void **state)
{
    const struct mu_fit_options options = options_with(100);
    struct design d = noisy(0.01);
    struct mu_fit_points points;
    struct mu_fit *f;

    (void)state;
    points = isoflop_runs(&d);
    for (size_t i = 0; i < points.count; i++)
        points.point[i].cluster = 0;
    points.clusters = 1;
    f = fit(&points, &options);
    assert_true(isnan(f->law.theta[0].low95));
    assert_true(isnan(f->scaling[MU_METHOD_PARAMETRIC].a.low95));
    assert_true(f->disagreements > 0);
    for (size_t k = 0; k < f->disagreements; k++)
        assert_false(f->disagreement[k].flagged);
    mu_fit_free(f);
    free(points.point);
}

/* Losses that rise with N and D: both terms vanish, and no exponent is known. */
static void test_an_exponent_without_a_term_is_weak(void **state)
{
    const struct mu_fit_options options = options_with(50);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    for (size_t i = 0; i < points.count; i++)
        points.point[i].loss = 2 + 1e-9 * (double)(i % 7 + i / 7);
    f = fit(&points, &options);
    for (size_t k = 1; k < 5; k++)
        assert_true(f->law.weak[k]);
    assert_true(f->law.profile_low[3] <= 1e-3 && f->law.profile_high[3] == INFINITY);
    mu_fit_free(f);
    free(points.point);
}

/* Runs of one (N, D) with other seeds: their scatter is the noise that bands of predictions
 * hold. */
static void test_repeats_give_the_noise(void **state)
{
    const struct mu_fit_options options = options_with(1000);
    struct design d = quiet;
    struct mu_fit_points points;
    struct mu_fit *f;

    (void)state;
    points = isoflop_runs(&d);
    points.point = realloc(points.point, (points.count + 2) * sizeof *points.point);
    for (uint32_t k = 0; k < 2;
         k++) { /* ln loss: 0, +.01, -.01 about the middle size of a budget */
        points.point[points.count] = points.point[3];
        points.point[points.count].loss *= exp(k == 0 ? 0.01 : -0.01);
        points.point[points.count].cluster = points.clusters++;
        points.point[points.count++].seed = 1 + k;
    }
    points.point[3].seed = 0;
    f = fit(&points, &options);
    assert_true(f->noise.repeated);
    assert_int_equal(f->noise.degrees, 2);
    check_close(f->noise.sd, 0.01, 1e-9); /* sqrt((.01^2 + .01^2) / 2) */
    for (size_t k = 0; k < f->options.targets; k++) {
        const struct mu_estimate *loss = &f->scaling[MU_METHOD_PARAMETRIC].target[k].loss;
        const double half = (loss->high95 - loss->low95) / 2 / loss->value;

        assert_true(half > 0.03 && half < 0.06); /* t of 2 degrees: 4.303 x .01 */
    }
    mu_fit_free(f);
    free(points.point);
}

static void add(struct mu_fit_points *points, struct mu_fit_point p)
{
    points->point = realloc(points->point, (points->count + 1) * sizeof *points->point);
    p.cluster = points->clusters++;
    points->point[points->count++] = p;
}

/* Rows of weight 0 are as if they were not there, but for a warning; and weights are ratios. */
static void test_points_without_weight_have_no_part(void **state)
{
    struct mu_fit_options options = options_with(60);
    const struct design d = noisy(0.004);
    struct mu_fit_points points = isoflop_runs(&d);
    struct mu_fit *with, *without;

    (void)state;
    options.objective.kind = MU_OBJECTIVE_SQUARES;
    without = fit(&points, &options);
    for (int k = 0; k < 20; k++)
        add(&points, (struct mu_fit_point){.n = 1e10,
                                           .d = 1e14,
                                           .c = 6e24,
                                           .unique = 1e14,
                                           .loss = 9,
                                           .group = MU_FIT_NONE,
                                           .curve = MU_FIT_NONE,
                                           .seed = MU_FIT_NONE,
                                           .end = true});
    for (size_t i = 0; i < points.count; i++)
        points.point[i].weight *= 1e300;
    with = fit(&points, &options);
    assert_int_equal(with->used, without->used);
    assert_memory_equal(with->law.theta, without->law.theta, sizeof with->law.theta);
    assert_memory_equal(with->scaling, without->scaling, sizeof with->scaling);
    assert_memory_equal(&with->noise, &without->noise, sizeof with->noise);
    assert_int_equal(with->budgets.count, without->budgets.count);
    assert_int_equal(with->warnings, without->warnings + 1);
    mu_fit_free(with);
    mu_fit_free(without);
    free(points.point);
}

/* Most clusters are curves that have not ended: replicates that draw too few final losses give no
 * result, and no error. */
static void test_replicates_without_points_are_no_results(void **state)
{
    const struct mu_fit_options options = options_with(400);
    const struct design d = noisy(0.004);
    struct mu_fit_points points = isoflop_runs(&d);
    struct mu_fit *f;

    (void)state;
    for (size_t i = 8; i < points.count; i++)
        points.point[i].end = false;
    f = fit(&points, &options);
    assert_int_equal(f->used, 8);
    assert_true(f->scaling[MU_METHOD_PARAMETRIC].replicates < 400);
    mu_fit_free(f);
    free(points.point);
}

/* Groups that lie within one another in C: whoever is predicted was not fitted to. */
static void test_what_is_held_out_is_not_fitted(void **state)
{
    const struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    for (size_t i = 0; i < points.count; i++)
        points.point[i].group = i % 2;
    f = fit(&points, &options);
    assert_int_equal(f->futures, 1);
    assert_int_equal(f->future[0].fitted + f->future[0].predicted, points.count);
    mu_fit_free(f);
    free(points.point);
}

static void test_the_order_of_rows_moves_no_interval(void **state)
{
    const struct mu_fit_options options = options_with(200);
    const struct design d = noisy(0.004);
    struct mu_fit_points points = isoflop_runs(&d), turned = isoflop_runs(&d);
    struct mu_fit *f, *g;

    (void)state;
    for (size_t i = 0; i < points.count; i++) {
        turned.point[i] = points.point[points.count - 1 - i];
        turned.point[i].cluster = (uint32_t)i;
    }
    f = fit(&points, &options);
    g = fit(&turned, &options);
    for (size_t k = 0; k < 5; k++) { /* sums in another order round otherwise */
        check_close(f->law.theta[k].low95, g->law.theta[k].low95, 1e-6);
        check_close(f->law.theta[k].high80, g->law.theta[k].high80, 1e-6);
    }
    mu_fit_free(f);
    mu_fit_free(g);
    free(points.point);
    free(turned.point);
}

/* What is recommended can be built, or nothing is said to be. */
static void test_a_model_of_another_size_is_none(void **state)
{
    struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    options.rule = (struct mu_shape_rule){.known = true,
                                          .aspect = 1e6,
                                          .head_width = 65536,
                                          .width_step = 65536,
                                          .context = 64,
                                          .vocab = 256};
    f = fit(&points, &options);
    assert_int_equal(f->scaling[MU_METHOD_PARAMETRIC].target[0].built.shape.layers, 0);
    assert_non_null(strstr(f->warning[0], "--shape"));
    mu_fit_free(f);
    free(points.point);
}

static void test_data_seen_twice_is_told(void **state)
{
    struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    points.point[5].unique = points.point[5].d / 4;
    options.unique = 1e9;
    f = fit(&points, &options);
    assert_int_equal(f->warnings, 2);
    assert_non_null(strstr(f->warning[0], "1 of 28 runs saw their tokens more than once (up to 4"));
    assert_non_null(strstr(f->warning[1], "--unique-tokens"));
    mu_fit_free(f);
    free(points.point);
}

static void test_shapes_that_make_no_rule_are_told(void **state)
{
    struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    for (size_t i = 0; i < points.count; i++)
        points.point[i].shape =
            (struct mu_gpt_shape){.layers = 2, .width = 64, .context = i ? 64 : 128, .vocab = 256};
    f = fit(&points, &options);
    assert_int_equal(f->rule_source, MU_RULE_DEFAULT);
    assert_non_null(strstr(f->warning[0], "28 of 28 runs tell their shapes"));
    mu_fit_free(f);
    free(points.point);
}

/* One pair of seeds that happen to agree: t with one degree of freedom makes up for it. */
static void test_few_repeats_promise_little(void **state)
{
    const struct mu_fit_options options = options_with(400);
    const struct design d = noisy(0.004);
    struct mu_fit_points points = isoflop_runs(&d);
    struct mu_fit *f;
    double pair, many;

    (void)state;
    points.point[3].seed = 0;
    add(&points, points.point[3]);
    points.point[points.count - 1].seed = 1;
    points.point[points.count - 1].loss *= exp(0.01); /* sd .01 / sqrt(2) */
    f = fit(&points, &options);
    assert_int_equal(f->noise.degrees, 1);
    pair = log(f->scaling[MU_METHOD_PARAMETRIC].target[0].loss.high95 /
               f->scaling[MU_METHOD_PARAMETRIC].target[0].loss.low95);
    many = 2 * 1.96 * 0.01 / sqrt(2);
    assert_true(pair > 3 * many); /* t of one degree: 12.7 instead of 1.96 */
    mu_fit_free(f);
    free(points.point);
}

/* A law of N from a file that has nothing else. */
static void test_one_variable_is_enough_for_its_law(void **state)
{
    struct mu_fit_options options = options_with(0);
    struct mu_fit_points points = isoflop_runs(&quiet);
    struct mu_fit *f;

    (void)state;
    points.single = true;
    for (size_t i = 0; i < points.count; i++) {
        points.point[i].d = points.point[i].c = points.point[i].unique = 1;
        points.point[i].loss = 1.5 + 300 * pow(points.point[i].n, -0.3);
    }
    options.law = MU_LAW_POWER_N;
    f = fit(&points, &options);
    check_close(f->law.theta[0].value, 1.5, 1e-6);
    check_close(f->law.theta[1].value, 300, 1e-6);
    check_close(f->law.theta[2].value, 0.3, 1e-6);
    for (int m = 0; m < MU_METHOD_COUNT; m++)
        assert_true(f->scaling[m].refusal.refused);
    assert_int_equal(f->options.targets, 0); /* compute is not known */
    assert_int_equal(f->warnings, 0);
    assert_true(f->futures > 0 && f->future[f->futures - 1].rms < 1e-6); /* by N */
    mu_fit_free(f);
    free(points.point);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_noise_everything_is_recovered),
        cmocka_unit_test(test_bias_of_the_parabola_is_told),
        cmocka_unit_test(test_threads_change_no_bit),
        cmocka_unit_test(test_dropped_points_are_named_and_what_they_did),
        cmocka_unit_test(test_methods_that_disagree_are_flagged),
        cmocka_unit_test(test_far_targets_are_flagged),
        cmocka_unit_test(test_what_supports_no_fit_is_refused),
        cmocka_unit_test(test_one_cluster_gives_no_interval),
        cmocka_unit_test(test_an_exponent_without_a_term_is_weak),
        cmocka_unit_test(test_repeats_give_the_noise),
        cmocka_unit_test(test_points_without_weight_have_no_part),
        cmocka_unit_test(test_replicates_without_points_are_no_results),
        cmocka_unit_test(test_what_is_held_out_is_not_fitted),
        cmocka_unit_test(test_the_order_of_rows_moves_no_interval),
        cmocka_unit_test(test_a_model_of_another_size_is_none),
        cmocka_unit_test(test_data_seen_twice_is_told),
        cmocka_unit_test(test_shapes_that_make_no_rule_are_told),
        cmocka_unit_test(test_few_repeats_promise_little),
        cmocka_unit_test(test_one_variable_is_enough_for_its_law),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

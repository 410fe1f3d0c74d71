/* Parabolas against their own bias, which is known: on points of a law without noise the vertex is
 * where the least-squares parabola of A' e^(-alpha x) + B' e^(beta x) has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/isoflop.h"

struct law {
    double e, a, alpha, b, beta;
};

static const struct law CHINCHILLA = {1.69, 406.4, .34, 410.7, .28},
                        SYMMETRIC = {1.69, 406.4, .31, 410.7, .31},
                        ASYMMETRIC = {1.69, 406.4, .465, 410.7, .155};

enum { POINTS = 15, BUDGETS = 5, ALL = 2 * POINTS * BUDGETS };
static struct mu_fit_point point[ALL];
static size_t points;
static struct mu_isoflop iso;
static struct mu_isoflop_residual residual[ALL];
static const struct mu_flops FLOPS = {.kind = MU_FLOPS_6N};

static double loss(const struct law *l, double n, double d)
{
    return l->e + l->a * pow(n, -l->alpha) + l->b * pow(d, -l->beta);
}

static double best_n(const struct law *l, double c)
{
    return pow(l->alpha * l->a / (l->beta * l->b), 1 / (l->alpha + l->beta)) *
           pow(c / 6, l->beta / (l->alpha + l->beta));
}

static void add(double n, double c, double value)
{
    point[points++] = (struct mu_fit_point){.n = n,
                                            .c = c,
                                            .d = c / (6 * n),
                                            .loss = value,
                                            .weight = 1,
                                            .group = MU_FIT_NONE,
                                            .curve = MU_FIT_NONE,
                                            .end = true};
}

/* Sizes from 1/reach to reach times the optimum, even in ln N. */
static void add_budget(const struct law *l, double c, double reach, size_t sizes)
{
    for (size_t k = 0; k < sizes; k++) {
        const double n = best_n(l, c) * pow(reach, 2. * (double)k / (double)(sizes - 1) - 1);

        add(n, c, loss(l, n, c / (6 * n)));
    }
}

static void add_sweep(const struct law *l, double reach)
{
    points = 0;
    for (size_t b = 0; b < BUDGETS; b++)
        add_budget(l, 1e17 * pow(10, (double)b), reach, POINTS);
}

/* weight: of each point from now on; NULL: as they are. */
static void fit(const double *weight, bool strict)
{
    struct mu_budgets budgets;

    for (size_t k = 0; weight && k < points; k++)
        point[k].weight = weight[k];
    assert_int_equal(mu_budgets_find(point, points, &budgets), MU_OK);
    mu_isoflop_fit(point, points, &budgets, &FLOPS, NULL, strict, residual, &iso);
    mu_budgets_free(&budgets);
}

static void check_near(const char *what, double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("%s: %.12g, expected %.12g within %g", what, found, expected, tolerance);
}

/* ln of the parabola's vertex over the optimum, from moments about the optimum and Cramer's rule.
 * On a symmetric grid odd moments vanish: p1 = S(x y) / S(x^2), p2 from the even ones. */
static double expected_shift(const struct law *l, double c, double reach)
{
    const double n = best_n(l, c);
    long double s2 = 0, s4 = 0, y0 = 0, y1 = 0, y2 = 0;

    for (int k = 0; k < POINTS; k++) {
        const long double x = logl(reach) * (2.L * k / (POINTS - 1) - 1);
        const long double y = l->a * powl(n, -l->alpha) * expl(-l->alpha * x) +
                              l->b * powl(c / 6 / n, -l->beta) * expl(l->beta * x);

        s2 += x * x;
        s4 += x * x * x * x;
        y0 += y;
        y1 += x * y;
        y2 += x * x * y;
    }
    return (double)(-(y1 / s2) / (2 * (POINTS * y2 - s2 * y0) / (POINTS * s4 - s2 * s2)));
}

static void test_vertices_have_the_bias_of_the_parabola(void **state)
{
    static const double REACH[] = {1.5, 4, 16};

    (void)state;
    for (size_t k = 0; k < 3; k++) {
        add_sweep(&CHINCHILLA, REACH[k]);
        fit(NULL, true);
        assert_int_equal(iso.vertices, BUDGETS);
        for (size_t b = 0; b < BUDGETS; b++) {
            const double c = 1e17 * pow(10, (double)b), n = best_n(&CHINCHILLA, c);
            const double shift = expected_shift(&CHINCHILLA, c, REACH[k]);

            check_near("ln N", log(iso.budget[b].n / n), shift, 1e-9);
            check_near("ln D", log(iso.budget[b].d / (c / (6 * n))), -shift, 1e-9);
        }
        /* The same shift at each budget: the exponent has no bias. */
        check_near("a", iso.n_line.exponent, .28 / .62, 1e-9);
        check_near("b", iso.d_line.exponent, .34 / .62, 1e-9);
    }
}

/* Expanded about the optimum the loss is c2 x^2 + c3 x^3 with c3 / (2 c2) = (beta - alpha) / 6; the
 * projection of x^3 on x is S(x^4) / S(x^2) x, 3/5 h^2 where points are dense. */
static void test_a_narrow_grid_follows_the_series(void **state)
{
    const double m = (POINTS - 1) / 2., h = log(1.2);
    const double ratio = h * h * (3 * m * m + 3 * m - 1) / (5 * m * m);

    (void)state;
    add_sweep(&CHINCHILLA, 1.2);
    fit(NULL, true);
    /* The next term of the series is h^2 smaller. */
    check_near("shift", log(iso.budget[2].n / best_n(&CHINCHILLA, 1e19)), ratio * (.34 - .28) / 6,
               ratio * .01 * h * h);
}

/* arXiv 2603.22339, table of noise-free fits of budgets 1e17 to 1e21 with 15 points each,
 * extrapolated to 1e24: errors of D* in per cent (numbers in full from the authors' repository). */
static void test_errors_published_for_noise_free_grids(void **state)
{
    static const struct {
        const struct law *law;
        double reach, percent;
    } CASE[] = {{&SYMMETRIC, 16, 0},
                {&CHINCHILLA, 4, -1.301125043704300},
                {&CHINCHILLA, 16, -5.100244551712022},
                {&ASYMMETRIC, 16, -23.116308048545221}};

    (void)state;
    for (size_t k = 0; k < sizeof CASE / sizeof *CASE; k++) {
        const double c = 1e24;

        add_sweep(CASE[k].law, CASE[k].reach);
        fit(NULL, true);
        check_near("D* in per cent",
                   100 * (mu_power_at(iso.d_line, c) * 6 * best_n(CASE[k].law, c) / c - 1),
                   CASE[k].percent, 1e-6);
    }
}

static void test_an_exact_parabola_is_found(void **state)
{
    (void)state;
    points = 0;
    for (int k = 0; k < 4; k++) /* 3 + .05 (ln N - ln 3e8)^2 */
        add(1e8 * pow(2, k), 1e20, 3 + .05 * pow(log(1e8 * pow(2, k) / 3e8), 2));
    fit(NULL, true);
    assert_false(iso.budget[0].refusal.refused);
    check_near("ln N", log(iso.budget[0].n), log(3e8), 1e-9);
    check_near("loss", iso.budget[0].loss, 3, 1e-12);
    check_near("D", iso.budget[0].d, 1e20 / 18e8, 1e3);
    check_near("q2", iso.budget[0].q[2], .05, 1e-12);
    check_near("q0 at the vertex",
               iso.budget[0].q[0] - pow(iso.budget[0].q[1], 2) / (4 * iso.budget[0].q[2]), 3,
               1e-12);
    check_near("scatter", iso.budget[0].residual_sd, 0, 1e-12);
    /* One vertex makes no line. */
    assert_true(iso.refusal.refused);
    assert_non_null(strstr(iso.refusal.why, "a line needs 2"));
}

static void test_weights_are_copies(void **state)
{
    double weight[ALL] = {0};
    struct mu_isoflop weighted;
    size_t rows;

    (void)state;
    add_sweep(&ASYMMETRIC, 8);
    rows = points;
    for (size_t k = 0; k < rows; k++) {
        point[k].loss += .01 * sin(9. * (double)k);
        weight[k] = (double)(k % 3);
    }
    fit(weight, false);
    weighted = iso;
    for (size_t k = 0; k < rows; k++)
        weight[k] /= 7;
    fit(weight, false);
    check_near("a of a seventh", iso.n_line.exponent, weighted.n_line.exponent, 1e-9);
    for (size_t k = 0; k < rows; k++)
        point[k].weight = 1;
    for (size_t k = 0; k < rows; k++)
        if (k % 3 == 2)
            point[points++] = point[k];
    for (size_t k = 0; k < rows; k += 3)
        point[k].weight = 0;
    fit(NULL, false);
    assert_int_equal(iso.vertices, BUDGETS);
    for (size_t b = 0; b < BUDGETS; b++)
        check_near("ln N", log(iso.budget[b].n), log(weighted.budget[b].n), 1e-9);
    check_near("a", iso.n_line.exponent, weighted.n_line.exponent, 1e-9);
}

/* Least squares of a plain parabola, blind to C: what the correction is worth. */
static double plain_vertex(void)
{
    long double s[5] = {0}, y[3] = {0}, p1, p2, det;

    for (size_t k = 0; k < points; k++) {
        const long double x = logl(point[k].n / 1e9L);

        for (int i = 0; i < 5; i++)
            s[i] += powl(x, i);
        for (int i = 0; i < 3; i++)
            y[i] += powl(x, i) * point[k].loss;
    }
    det = s[0] * (s[2] * s[4] - s[3] * s[3]) - s[1] * (s[1] * s[4] - s[2] * s[3]) +
          s[2] * (s[1] * s[3] - s[2] * s[2]);
    p1 = (s[0] * (y[1] * s[4] - s[3] * y[2]) - y[0] * (s[1] * s[4] - s[2] * s[3]) +
          s[2] * (s[1] * y[2] - s[2] * y[1])) /
         det;
    p2 = (s[0] * (s[2] * y[2] - s[3] * y[1]) - s[1] * (s[1] * y[2] - s[2] * y[1]) +
          y[0] * (s[1] * s[3] - s[2] * s[2])) /
         det;
    return (double)(logl(1e9L) - p1 / (2 * p2));
}

/* C read off a figure: the points' own C, which their losses follow, scatter by tens of per
 * cent. */
static void test_scatter_of_c_is_corrected(void **state)
{
    const size_t budgets = 40;
    double plain = 0, corrected = 0;

    (void)state;
    for (uint32_t seed = 0; seed < budgets; seed++) {
        double ln_c = 0, shift;

        points = 0;
        for (size_t k = 0; k < POINTS; k++) {
            const struct mu_rng_words w = mu_rng_draw(3, MU_RNG_SYNTHETIC, seed, k);
            const double c = 1e20 * exp(.15 * mu_rng_normal(w.w[0]));
            const double n = best_n(&CHINCHILLA, 1e20) * pow(4, (double)k / 7 - 1);

            add(n, c, loss(&CHINCHILLA, n, c / (6 * n)));
            point[k].group = 0;
            ln_c += log(c) / POINTS;
        }
        fit(NULL, true);
        assert_false(iso.budget[0].refusal.refused);
        shift = log(best_n(&CHINCHILLA, exp(ln_c))) + expected_shift(&CHINCHILLA, exp(ln_c), 4);
        plain += pow(plain_vertex() - shift, 2);
        corrected += pow(log(iso.budget[0].n) - shift, 2);
    }
    /* What is left is of second order in the scatter (.15 beta / 2 of the first). */
    if (!(corrected < .05 * .05 * plain))
        fail_msg("rms %.4g of ln N, plain %.4g", sqrt(corrected / (double)budgets),
                 sqrt(plain / (double)budgets));
}

/* Runs of one 6N + 12LdT whose C is taken for 6 N D: within a budget C is a smooth function of N,
 * by which no loss can be corrected. The vertex stays as near as that of a plain parabola. */
static void test_attention_that_c_leaves_out(void **state)
{
    static const double widths[] = {8, 16, 24, 32, 48, 64, 96};
    const struct law l = {1.1, 25, .33, 180, .36};
    const double budgets[] = {1e11, 3e11, 1e12, 3e12};

    (void)state;
    for (size_t b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        double ln_c = 0;

        points = 0;
        for (size_t k = 0; k < sizeof widths / sizeof *widths; k++) {
            const double w = widths[k], n = 24 * w * w + 284 * w, attention = 12 * 2 * 64 * w;
            const double d = budgets[b] / (6 * n + attention);

            add(n, 6 * n * d, loss(&l, n, d));
            point[k].group = 0;
            ln_c += log(6 * n * d) / 7;
        }
        fit(NULL, true);
        assert_false(iso.budget[0].refusal.refused);
        check_near("ln of the vertex over the optimum",
                   log(iso.budget[0].n / best_n(&l, exp(ln_c))), 0, .15);
    }
}

/* Whole steps leave large models short of their C, the larger the more. To correct for that
 * costs no precision where noise hides it: vertices scatter as those of plain parabolas. */
static void test_whole_steps_cost_no_precision(void **state)
{
    const size_t draws = 300, sizes = 9;
    double plain = 0, corrected = 0;

    (void)state;
    for (uint32_t draw = 0; draw < draws; draw++) {
        double best;

        points = 0;
        for (size_t k = 0; k < sizes; k++) {
            const struct mu_rng_words w = mu_rng_draw(4, MU_RNG_SYNTHETIC, draw, k);
            const double n = best_n(&CHINCHILLA, 1e20) * pow(8, (double)k / 4 - 1);
            const double batch = 1e20 / (6 * best_n(&CHINCHILLA, 1e20)) / 250;
            const double d = floor(1e20 / (6 * n) / batch) * batch;

            add(n, 6 * n * d, loss(&CHINCHILLA, n, d) + .005 * mu_rng_normal(w.w[0]));
            point[k].group = 0;
        }
        fit(NULL, true);
        if (iso.budget[0].refusal.refused)
            fail_msg("%s", iso.budget[0].refusal.why);
        best = log(best_n(&CHINCHILLA, 1e20)) + expected_shift(&CHINCHILLA, 1e20, 8);
        plain += pow(plain_vertex() - best, 2);
        corrected += pow(log(iso.budget[0].n) - best, 2);
    }
    if (!(corrected < 1.1 * 1.1 * plain))
        fail_msg("rms %.4g of ln N, plain %.4g", sqrt(corrected / (double)draws),
                 sqrt(plain / (double)draws));
}

static void check_budget_refused(const char *why)
{
    assert_true(iso.budget[0].refusal.refused);
    if (!strstr(iso.budget[0].refusal.why, why))
        fail_msg("'%s' does not say '%s'", iso.budget[0].refusal.why, why);
}

static void add_parabola(size_t sizes, double curvature, double vertex)
{
    points = 0;
    for (size_t k = 0; k < sizes; k++) {
        const double x = (double)k;

        add(1e8 * exp(x), 1e20, 3 + curvature * (x - vertex) * (x - vertex));
    }
}

static void test_refusals_say_what_would_help(void **state)
{
    (void)state;
    add_parabola(3, .1, 1);
    fit(NULL, true);
    check_budget_refused("3 sizes at this budget: a parabola needs at least 4");
    fit(NULL, false);
    assert_false(iso.budget[0].refusal.refused);
    check_near("ln N", log(iso.budget[0].n), log(1e8) + 1, 1e-9);

    add_parabola(6, -.1, 2);
    fit(NULL, true);
    check_budget_refused("bends downwards");
    fit(NULL, false);
    check_budget_refused("bends downwards");

    add_parabola(6, .1, 5.5);
    fit(NULL, true);
    check_budget_refused("add larger models");
    fit(NULL, false); /* within a range's width */
    check_near("ln N", log(iso.budget[0].n), log(1e8) + 5.5, 1e-9);
    add_parabola(6, .1, 10.5);
    fit(NULL, false);
    check_budget_refused("above the sizes tried");
    add_parabola(6, .1, -.5);
    fit(NULL, true);
    check_budget_refused("add smaller models");

    add_parabola(8, .0005, 3.5); /* .006 nats at the ends, under a scatter of .01 */
    for (size_t k = 0; k < points; k++)
        point[k].loss += k % 2 ? .01 : -.01;
    fit(NULL, true);
    check_budget_refused("no curvature beyond the noise");
}

/* Of least squares: residual / (1 - leverage) is the error at a point of the fit without it. */
static void test_residuals_are_scaled_by_their_leverage(void **state)
{
    struct mu_isoflop_residual all[POINTS];
    double loss[POINTS], weight[POINTS], copied[POINTS];

    (void)state;
    points = 0;
    add_budget(&ASYMMETRIC, 1e17, 8, POINTS);
    add_budget(&ASYMMETRIC, 1e19, 8, POINTS);
    for (size_t k = 0; k < points; k++)
        point[k].loss += .01 * sin(9. * (double)k);
    fit(NULL, true);
    memcpy(all, residual, sizeof all);
    for (size_t k = 0; k < POINTS; k++) {
        const struct mu_isoflop_budget *b = &iso.budget[0];
        double x, error;

        for (size_t i = 0; i < points; i++)
            point[i].weight = i == k ? 0 : 1;
        fit(NULL, false);
        x = log(point[k].n) - b->ln_n_centre;
        error = point[k].loss - (b->q[0] + x * (b->q[1] + x * b->q[2]));
        check_near("scaled residual", all[k].scaled, error, 1e-9);
        loss[k] = point[k].loss;
        weight[k] = 1;
        point[k].weight = 1;
    }
    mu_isoflop_resample(point, POINTS, all, weight,
                        copied); /* multiplicity 1: the parabola itself */
    for (size_t k = 0; k < POINTS; k++)
        assert_true(copied[k] == all[k].fitted && copied[k] != loss[k]);
}

static void test_a_line_needs_two_budgets(void **state)
{
    double weight[ALL] = {0};

    (void)state;
    add_sweep(&CHINCHILLA, 8);
    for (size_t k = 0; k < points; k++)
        weight[k] = k < POINTS || k % POINTS < 2 ? 1 : 0;
    fit(weight, false);
    assert_int_equal(iso.vertices, 1);
    assert_non_null(strstr(iso.refusal.why, "1 of 5 budgets has a vertex"));
    for (size_t k = 0; k < points; k++)
        weight[k] = 0;
    fit(weight, false);
    assert_int_equal(iso.vertices, 0);
    assert_non_null(strstr(iso.refusal.why, "0 sizes at this budget"));
    for (size_t k = 0; k < points; k++)
        point[k].end = false;
    fit(NULL, true);
    assert_non_null(strstr(iso.refusal.why, "no final losses"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vertices_have_the_bias_of_the_parabola),
        cmocka_unit_test(test_a_narrow_grid_follows_the_series),
        cmocka_unit_test(test_errors_published_for_noise_free_grids),
        cmocka_unit_test(test_an_exact_parabola_is_found),
        cmocka_unit_test(test_weights_are_copies),
        cmocka_unit_test(test_scatter_of_c_is_corrected),
        cmocka_unit_test(test_attention_that_c_leaves_out),
        cmocka_unit_test(test_whole_steps_cost_no_precision),
        cmocka_unit_test(test_refusals_say_what_would_help),
        cmocka_unit_test(test_residuals_are_scaled_by_their_leverage),
        cmocka_unit_test(test_a_line_needs_two_budgets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

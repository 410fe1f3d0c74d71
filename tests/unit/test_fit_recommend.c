/* The best model of a budget: against the closed form where there is one, against a plain search
 * where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/fit/recommend.h"

/* Besiroglu et al. 2024, and one with exponents far apart: E, A, B, alpha, beta. */
static const double laws[][MU_LAW_PARAMETERS] = {
    {1.8172, 482.01, 2085.43, .3478, .3658},
    {0.5, 30, 4000, .25, .5},
    {2.1, 1e5, 40, .7, .2},
};
enum { LAWS = sizeof laws / sizeof *laws };

static const struct mu_flops six_n = {.kind = MU_FLOPS_6N};
/* 6 N as a line through one knot, so that nothing knows it for 6 N. */
static const struct mu_flops line = {
    .kind = MU_FLOPS_MEASURED,
    .knots = {.count = 1, .ln_n = {0}, .ln_flops = {0x1.cab0bfa2a2002p+0}}};
static const struct mu_flops toy = {
    .kind = MU_FLOPS_6N_ATTENTION,
    .count = MU_COUNT_NON_EMBEDDING_HEAD,
    .rule = {
        .known = true, .layers = 2, .head_width = 8, .width_step = 8, .context = 64, .vocab = 256}};

static void check_near(double value, double expected, double tolerance)
{
    if (!(fabs(value / expected - 1) <= tolerance))
        fail_msg("%.17g, expected %.17g", value, expected);
}

/* Hoffmann et al. 2022, eq. 4. */
static double closed_form(const double *t, double c)
{
    const double g = pow(t[3] * t[1] / (t[4] * t[2]), 1 / (t[3] + t[4]));

    return g * pow(c / 6, t[4] / (t[3] + t[4]));
}

static void test_closed_form(void **state)
{
    const struct mu_flops *flops[] = {&six_n, &line};

    (void)state;
    check_near(mu_flops_per_token(&line, 1e9), 6e9, 1e-14);
    for (size_t i = 0; i < 2; i++)
        for (size_t l = 0; l < LAWS; l++)
            for (double c = 1e12; c < 1e28; c *= 40) {
                const double n = closed_form(laws[l], c);
                const struct mu_best best = mu_best_of_budget(MU_LAW_CHINCHILLA, laws[l], flops[i],
                                                              c, INFINITY, n / 500, n * 3000);

                assert_true(best.inside);
                check_near(best.n, n, 1e-10);
                check_near(best.d, c / 6 / n, 1e-10);
                check_near(best.loss,
                           laws[l][0] + laws[l][1] * pow(n, -laws[l][3]) +
                               laws[l][2] * pow(c / 6 / n, -laws[l][4]),
                           1e-12);
            }
}

/* Parameters of laws in the order of law.h; the constrained one with both of its scales at 10. */
static const double *theta_of(enum mu_law_kind law)
{
    static const double constrained[] = {1.8172, 482.01, 2085.43, .3478, .3658, 10, 10},
                        over_training[] = {1.8, 450, 1800, .35}, power[] = {1.7, 50, .2};

    return law == MU_LAW_CHINCHILLA         ? laws[0]
           : law == MU_LAW_OVER_TRAINING    ? over_training
           : law == MU_LAW_DATA_CONSTRAINED ? constrained
                                            : power;
}

static double loss_at(enum mu_law_kind law, const double *theta, const struct mu_flops *flops,
                      double c, double unique, double n)
{
    const double d = mu_flops_tokens(flops, c, n);

    return mu_law_loss(law, theta, n, d, c, fmin(unique, d));
}

/* A bent FLOP function: at its knots the loss along a budget has corners. */
static struct mu_flops bent(void)
{
    struct mu_flops f = {.kind = MU_FLOPS_MEASURED, .knots.count = 12};

    for (size_t k = 0; k < 12; k++) {
        f.knots.ln_n[k] = 8 + 1.5 * (double)k;
        f.knots.ln_flops[k] = 10 + 1.5 * (double)k + (k % 2 ? 0.8 : 0);
    }
    return f;
}

static void test_nothing_on_a_grid_is_better(void **state)
{
    const struct mu_flops corners = bent(), *flops[] = {&six_n, &line, &toy, &corners};
    const double uniques[] = {INFINITY, 1e8};

    (void)state;
    for (int law = 0; law < MU_LAW_COUNT; law++)
        for (size_t f = 0; f < 4; f++)
            for (size_t u = 0; u < 2; u++)
                for (double c = 1e14; c < 1e22; c *= 1000) {
                    const enum mu_law_kind kind = (enum mu_law_kind)law;
                    const double *theta = theta_of(kind);
                    const struct mu_best best =
                        mu_best_of_budget(kind, theta, flops[f], c, uniques[u], 1e4, 1e11);

                    check_near(best.d, mu_flops_tokens(flops[f], c, best.n), 1e-14);
                    check_near(best.loss, loss_at(kind, theta, flops[f], c, uniques[u], best.n),
                               1e-14);
                    for (int i = 0; i <= 1000; i++) {
                        const double n = 1e4 * pow(1e7, i / 1000.);

                        assert_true(best.loss <=
                                    loss_at(kind, theta, flops[f], c, uniques[u], n) * (1 + 1e-10));
                    }
                }
}

/* With as many tokens as wanted, the constrained law is the unconstrained one at the optimum. */
static void test_enough_data_is_no_constraint(void **state)
{
    const double *theta = theta_of(MU_LAW_DATA_CONSTRAINED);

    (void)state;
    for (double c = 1e15; c < 1e25; c *= 100)
        check_near(
            mu_best_of_budget(MU_LAW_DATA_CONSTRAINED, theta, &six_n, c, INFINITY, 1e4, 1e13).n,
            closed_form(theta, c), 1e-8);
}

/* tests/oracle/constrained_optimum.py; theta: E, A, B, alpha, beta, R_D, R_N. */
static void test_repeated_data_in_fifty_digits(void **state)
{
    static const double rows[][5] = {
        /* c, unique, n, d, loss */
        {1e19, 1e8, 236295858.5078, 7053304603.779, 3.974052985504},
        {1e20, 1e9, 801084317.4556, 20805134120.72, 2.789971133666},
        {1e21, 2e9, 2566528456.869, 64938561744.99, 2.54794340832},
        {1e18, 1e9, 80146821.23268, 2079516867.959, 3.50759765085},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct mu_best best =
            mu_best_of_budget(MU_LAW_DATA_CONSTRAINED, theta_of(MU_LAW_DATA_CONSTRAINED), &six_n,
                              rows[i][0], rows[i][1], 1e5, 1e11);

        assert_true(best.inside);
        check_near(best.n, rows[i][2], 1e-7);
        check_near(best.d, rows[i][3], 1e-7);
        check_near(best.loss, rows[i][4], 1e-12);
    }
}

/* 1e8 distinct tokens are worth at most 11e8 and models no more than 11 U_N, R_D and R_N being 10:
 * with 1e24 FLOPs and more to spend nothing that a double holds is missing over a whole range of
 * sizes. N' is 1 - e^-s of the way there at (1 + 10 s) U_N; the loss is 1e-12 off at s near 24. */
static void test_of_a_plateau_the_smallest_size(void **state)
{
    const double *theta = theta_of(MU_LAW_DATA_CONSTRAINED);
    const double most[] = {1e24, 1e26, 1e30};
    const double u_n =
        pow(theta[3] * theta[1] / (theta[4] * theta[2]) * pow(1e8, theta[4]), 1 / theta[3]);

    (void)state;
    for (size_t i = 0; i < sizeof most / sizeof *most; i++) {
        const struct mu_best best =
            mu_best_of_budget(MU_LAW_DATA_CONSTRAINED, theta, &six_n, most[i], 1e8, 1e4, 1e18);

        assert_true(best.inside);
        check_near(best.n, (1 + 10 * 24) * u_n, .15);
    }
}

static void test_attention_moves_the_optimum(void **state)
{
    const double *theta = laws[0];

    (void)state;
    for (double c = 1e8; c < 1e14; c *= 10) {
        const double closed = closed_form(theta, c);
        const struct mu_best best =
            mu_best_of_budget(MU_LAW_CHINCHILLA, theta, &toy, c, INFINITY, 1, 1e9);

        assert_true(best.inside);
        assert_true(fabs(log(best.n / closed)) > 0.001);
        assert_true(best.loss < loss_at(MU_LAW_CHINCHILLA, theta, &toy, c, INFINITY, closed));
    }
    /* where attention is next to nothing it is the closed form again */
    check_near(mu_best_of_budget(MU_LAW_CHINCHILLA, theta, &toy, 1e30, INFINITY, 1e8, 1e18).n,
               closed_form(theta, 1e30), 1e-4);
}

/* Where exponents are small and contexts long, attention can bend the FLOPs into two turns. */
static void test_small_exponents_and_long_contexts(void **state)
{
    const double theta[] = {1, 3, 3, .02, .05};
    struct mu_flops f = {.kind = MU_FLOPS_6N_ATTENTION,
                         .count = MU_COUNT_ALL,
                         .rule = {true, 0, 2, 8, 8, 1 << 26, 256}};

    (void)state;
    for (int kind = 0; kind < MU_COUNT_KINDS; kind++)
        for (double c = 1e15; c < 1e40; c *= 10) {
            struct mu_best best;

            f.count = (enum mu_count_kind)kind;
            best = mu_best_of_budget(MU_LAW_CHINCHILLA, theta, &f, c, INFINITY, 1e5, 1e16);
            for (int i = 0; i <= 200; i++)
                assert_true(best.loss <= loss_at(MU_LAW_CHINCHILLA, theta, &f, c, INFINITY,
                                                 1e5 * pow(1e11, i / 200.)) *
                                             (1 + 1e-7));
        }
}

static void check_edge(enum mu_law_kind law, const double *theta, const struct mu_flops *flops,
                       double c, double expected)
{
    const struct mu_best best = mu_best_of_budget(law, theta, flops, c, INFINITY, 1e6, 1e9);

    assert_false(best.inside);
    check_near(best.n, expected, 1e-14);
    check_near(best.d, mu_flops_tokens(flops, c, expected), 1e-13);
}

static void test_edges(void **state)
{
    const double no_a[] = {2, 0, 400, .3, .3}, no_b[] = {2, 400, 0, .3, .3},
                 flat_a[] = {2, 400, 400, 0, .3};
    const struct mu_flops *flops[] = {&six_n, &line};

    (void)state;
    for (size_t f = 0; f < 2; f++) {
        check_edge(MU_LAW_CHINCHILLA, laws[0], flops[f], 1e30, 1e9); /* far larger is best */
        check_edge(MU_LAW_CHINCHILLA, laws[0], flops[f], 1e10, 1e6);
        check_edge(MU_LAW_CHINCHILLA, no_a, flops[f], 1e18, 1e6);
        check_edge(MU_LAW_CHINCHILLA, flat_a, flops[f], 1e18, 1e6);
        check_edge(MU_LAW_CHINCHILLA, no_b, flops[f], 1e18, 1e9);
        check_edge(MU_LAW_POWER_N, theta_of(MU_LAW_POWER_N), flops[f], 1e18, 1e9);
        check_edge(MU_LAW_POWER_D, theta_of(MU_LAW_POWER_D), flops[f], 1e18, 1e6);
        check_edge(MU_LAW_POWER_C, theta_of(MU_LAW_POWER_C), flops[f], 1e18, 1e6);
    }
}

static void test_degenerate_input_ends(void **state)
{
    const double nothing[] = {2, 0, 0, .3, .3}, unknown[] = {NAN, NAN, NAN, NAN, NAN},
                 huge[] = {2, 1e300, 1e-300, 2, 2};
    const struct mu_flops *flops[] = {&six_n, &line, &toy};

    (void)state;
    for (size_t f = 0; f < 3; f++) {
        assert_false(
            mu_best_of_budget(MU_LAW_CHINCHILLA, nothing, flops[f], 1e18, INFINITY, 1e6, 1e9)
                .inside);
        assert_false(
            mu_best_of_budget(MU_LAW_CHINCHILLA, unknown, flops[f], 1e18, INFINITY, 1e6, 1e9)
                .inside);
        assert_false(
            mu_best_of_budget(MU_LAW_CHINCHILLA, huge, flops[f], 1e18, INFINITY, 1e6, 1e9).inside);
        assert_true(
            mu_best_of_budget(MU_LAW_CHINCHILLA, laws[0], flops[f], 1e18, INFINITY, 1e8, 1e8).n ==
            1e8);
    }
}

static void test_range_ends_where_the_tolerance_does(void **state)
{
    const struct mu_flops *flops[] = {&six_n, &line, &toy};

    (void)state;
    for (size_t f = 0; f < 3; f++)
        for (size_t l = 0; l < LAWS; l++)
            for (double tolerance = 1e-5; tolerance < 0.1; tolerance *= 10) {
                const double c = 1e20;
                const struct mu_best best =
                    mu_best_of_budget(MU_LAW_CHINCHILLA, laws[l], flops[f], c, INFINITY, 1e3, 1e16);
                double low, high;

                assert_true(best.inside);
                mu_best_range(MU_LAW_CHINCHILLA, laws[l], flops[f], c, INFINITY, &best, tolerance,
                              &low, &high);
                assert_true(low < best.n && best.n < high);
                check_near(loss_at(MU_LAW_CHINCHILLA, laws[l], flops[f], c, INFINITY, low),
                           best.loss * (1 + tolerance), 1e-12);
                check_near(loss_at(MU_LAW_CHINCHILLA, laws[l], flops[f], c, INFINITY, high),
                           best.loss * (1 + tolerance), 1e-12);
            }
}

/* Near its minimum the loss is a parabola in ln N of curvature alpha^2 A/N^alpha + beta^2 B/D^beta:
 * its half width at a tolerance is sqrt(2 tolerance L / curvature). */
static void test_range_of_a_small_tolerance_is_that_of_a_parabola(void **state)
{
    const double *t = laws[0], tolerance = 1e-7;
    const struct mu_best best =
        mu_best_of_budget(MU_LAW_CHINCHILLA, t, &six_n, 5.76e23, INFINITY, 1e6, 1e14);
    const double curvature =
        t[3] * t[3] * t[1] * pow(best.n, -t[3]) + t[4] * t[4] * t[2] * pow(best.d, -t[4]);
    double low, high;

    (void)state;
    mu_best_range(MU_LAW_CHINCHILLA, t, &six_n, 5.76e23, INFINITY, &best, tolerance, &low, &high);
    check_near(log(high / low), 2 * sqrt(2 * tolerance * best.loss / curvature), 1e-4);
}

static void test_range_without_an_end(void **state)
{
    const double no_b[] = {2, 400, 0, .3, .3};
    const struct mu_best best =
        mu_best_of_budget(MU_LAW_CHINCHILLA, no_b, &six_n, 1e18, INFINITY, 1e6, 1e9);
    double low, high;

    (void)state;
    mu_best_range(MU_LAW_CHINCHILLA, no_b, &six_n, 1e18, INFINITY, &best, 0.01, &low, &high);
    assert_true(low > 0 && low < 1e9);
    assert_true(high == INFINITY);
    mu_best_range(MU_LAW_POWER_C, theta_of(MU_LAW_POWER_C), &six_n, 1e18, INFINITY, &best, 0.01,
                  &low, &high);
    assert_true(low == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_closed_form),
        cmocka_unit_test(test_nothing_on_a_grid_is_better),
        cmocka_unit_test(test_enough_data_is_no_constraint),
        cmocka_unit_test(test_repeated_data_in_fifty_digits),
        cmocka_unit_test(test_of_a_plateau_the_smallest_size),
        cmocka_unit_test(test_attention_moves_the_optimum),
        cmocka_unit_test(test_small_exponents_and_long_contexts),
        cmocka_unit_test(test_edges),
        cmocka_unit_test(test_degenerate_input_ends),
        cmocka_unit_test(test_range_ends_where_the_tolerance_does),
        cmocka_unit_test(test_range_of_a_small_tolerance_is_that_of_a_parabola),
        cmocka_unit_test(test_range_without_an_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

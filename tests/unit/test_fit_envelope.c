/* Approach 1 against laws whose envelope is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/envelope.h"

enum { SIZES = 9, MOMENTS = 500 };
static const double E = 1.7, A = 400, ALPHA = .34, B = 410, BETA = .28;
/* Sizes a factor of 2 apart; curves over all of C, so that every stair is whole. */
static const double SMALLEST = 1e7, FACTOR = 2, LN_C_LOW = 37, LN_C_HIGH = 49;

static struct mu_fit_point point[SIZES * MOMENTS];
static struct mu_envelope envelope;

/* The law as if each moment were a final one. */
static double loss(double n, double d)
{
    return E + A * pow(n, -ALPHA) + B * pow(d, -BETA);
}

static void make_curves(void)
{
    for (size_t s = 0; s < SIZES; s++)
        for (size_t m = 0; m < MOMENTS; m++) {
            const double n = SMALLEST * pow(FACTOR, (double)s);
            const double c =
                exp(LN_C_LOW + (LN_C_HIGH - LN_C_LOW) * (double)m / (double)(MOMENTS - 1));

            point[s * MOMENTS + m] = (struct mu_fit_point){.n = n,
                                                           .c = c,
                                                           .d = c / (6 * n),
                                                           .loss = loss(n, c / (6 * n)),
                                                           .weight = 1,
                                                           .curve = (uint32_t)s,
                                                           .end = m == MOMENTS - 1};
        }
}

static void fit(size_t count, const double *multiplicity)
{
    struct mu_curves *curves = NULL;

    assert_int_equal(mu_curves_new(point, count, &curves), MU_OK);
    mu_envelope_fit(curves, multiplicity, &envelope);
    mu_curves_free(curves);
}

static void check_near(const char *what, double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("%s: %.8g, expected %.8g within %g", what, found, expected, tolerance);
}

/* N* = G (C / 6)^a; the stairs between neighbouring sizes lie evenly round it, since the law at
 * (k N, k^(1/a) C) is the law at (N, C) with both terms shrunk alike. Each stair's middle is known
 * to a sample, of which there are 1500 in 12 of ln C; a stair is ln 2 / a = 1.5 long. */
static void test_stairs_of_a_law_lie_round_its_line(void **state)
{
    const double a = BETA / (ALPHA + BETA);
    const double ln_g = log(ALPHA * A / (BETA * B)) / (ALPHA + BETA);
    const double sample = (LN_C_HIGH - LN_C_LOW) / (MU_ENVELOPE_SAMPLES - 1);
    const double stair = log(FACTOR) / a;
    /* Sizes n and 2 n are equally good where p n^-alpha = q (6 n / C)^beta: */
    const double p = A * (1 - pow(FACTOR, -ALPHA)), q = B * (pow(FACTOR, BETA) - 1);
    const double crossing = log(6 * SMALLEST) + log(q / p * pow(SMALLEST, ALPHA)) / BETA;
    double first, last;

    (void)state;
    make_curves();
    fit(SIZES * MOMENTS, NULL);
    assert_false(envelope.refusal.refused);
    assert_int_equal(envelope.curves, SIZES);
    assert_int_equal(envelope.sizes, SIZES - 2);
    check_near("a", envelope.n_line.exponent, a, a * sample / stair);
    check_near("a + b", envelope.n_line.exponent + envelope.d_line.exponent, 1, 1e-9);
    check_near("N D", envelope.n_line.ln_at_one + envelope.d_line.ln_at_one, -log(6), 1e-9);
    /* From the smallest size's last C to the largest one's first: 7 stairs. */
    first = log(envelope.c_low);
    last = log(envelope.c_high);
    check_near("stairs", last - first, (SIZES - 2) * stair, 2 * sample);
    check_near("first stair", first, crossing, sample);
    check_near("N* at its middle", log(mu_power_at(envelope.n_line, exp(crossing + stair / 2))),
               log(SMALLEST * FACTOR), 2 * a * sample);
    /* The stairs' own line and the optimum differ by how uneven the loss is about it: less than a
     * tenth of a factor of 2. */
    check_near("N* of the law", log(mu_power_at(envelope.n_line, 1e19)), ln_g + a * log(1e19 / 6),
               .1 * log(FACTOR));
}

/* Neighbours differ by less than the noise over much of a stair: curves cross back and forth. */
static void test_noise_moves_the_exponent_little(void **state)
{
    const double a = BETA / (ALPHA + BETA);

    (void)state;
    make_curves();
    for (size_t k = 0; k < SIZES * MOMENTS; k++) {
        const struct mu_rng_words words = mu_rng_draw(5, MU_RNG_SYNTHETIC, (uint32_t)k, 0);

        point[k].loss += .003 * mu_rng_normal(words.w[0]);
    }
    fit(SIZES * MOMENTS, NULL);
    assert_false(envelope.refusal.refused);
    check_near("a", envelope.n_line.exponent, a, .1 * a);
}

/* A spike of the loss in the middle of every curve is smoothed away: the envelope does not jump. */
static void test_spikes_do_not_matter(void **state)
{
    double clean;

    (void)state;
    make_curves();
    fit(SIZES * MOMENTS, NULL);
    clean = envelope.n_line.exponent;
    for (size_t s = 0; s < SIZES; s++)
        point[s * MOMENTS + 100 + 31 * s].loss += .05;
    fit(SIZES * MOMENTS, NULL);
    check_near("a", envelope.n_line.exponent, clean, .02 * clean);
    for (size_t k = 1; k < envelope.samples; k++)
        assert_true(envelope.loss[k] <= envelope.loss[k - 1]);
}

static void test_a_curve_of_multiplicity_0_is_not_there(void **state)
{
    static double multiplicity[SIZES * MOMENTS];
    struct mu_envelope weighted;

    (void)state;
    make_curves();
    for (size_t k = 0; k < SIZES * MOMENTS; k++)
        multiplicity[k] = k / MOMENTS == SIZES - 1 ? 0 : 1.5;
    fit(SIZES * MOMENTS, multiplicity);
    weighted = envelope;
    fit((SIZES - 1) * MOMENTS, NULL);
    assert_int_equal(weighted.curves, SIZES - 1);
    assert_int_equal(weighted.samples, envelope.samples);
    assert_true(weighted.n_line.exponent == envelope.n_line.exponent);
    assert_true(weighted.d_line.ln_at_one == envelope.d_line.ln_at_one);
}

static void check_refused(const char *why)
{
    assert_true(envelope.refusal.refused);
    if (!strstr(envelope.refusal.why, why))
        fail_msg("'%s' does not say '%s'", envelope.refusal.why, why);
}

static void test_refusals(void **state)
{
    size_t count = 0;

    (void)state;
    make_curves();
    for (size_t k = 0; k < SIZES * MOMENTS; k++)
        point[k].curve = MU_FIT_NONE;
    fit(SIZES * MOMENTS, NULL);
    check_refused("needs loss curves");
    make_curves();
    for (size_t k = 0; k < SIZES * MOMENTS; k++)
        if (point[k].end)
            point[count++] = point[k]; /* one moment of each */
    fit(count, NULL);
    check_refused("needs loss curves");
    make_curves();
    fit(3 * MOMENTS, NULL);
    check_refused("3 sizes: an envelope needs at least 4");
    fit(0, NULL);
    check_refused("needs loss curves");
    for (size_t k = 0; k < SIZES * MOMENTS; k++)
        point[k].c *= exp(13 * (double)(k / MOMENTS)); /* each begins after the last one's end */
    fit(SIZES * MOMENTS, NULL);
    check_refused("nowhere overlap");
    make_curves();
    for (size_t k = 0; k < SIZES * MOMENTS; k++)
        point[k].loss = 3 + (double)(k / MOMENTS) - 1e-3 * (double)(k % MOMENTS);
    fit(SIZES * MOMENTS, NULL);
    check_refused("may lie outside");
}

static void test_a_curve_has_one_size(void **state)
{
    struct mu_curves *curves = NULL;

    (void)state;
    make_curves();
    point[MOMENTS - 1].curve = 1;
    assert_int_equal(mu_curves_new(point, SIZES * MOMENTS, &curves), MU_FAILED);
    assert_null(curves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stairs_of_a_law_lie_round_its_line),
        cmocka_unit_test(test_noise_moves_the_exponent_little),
        cmocka_unit_test(test_spikes_do_not_matter),
        cmocka_unit_test(test_a_curve_of_multiplicity_0_is_not_there),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_curve_has_one_size),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

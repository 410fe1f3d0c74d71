/* The laws' table, and values worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "orchestrator/fit/law.h"

static void check_loss(enum mu_law_kind kind, const double theta[], double n, double d, double c,
                       double unique, double expected)
{
    const double loss = mu_law_loss(kind, theta, n, d, c, unique);

    if (!(fabs(loss - expected) <= 1e-12 * expected))
        fail_msg("%s: %.17g, expected %.17g", mu_law_of(kind)->name, loss, expected);
}

static void test_every_law_is_found_by_its_name(void **state)
{
    (void)state;
    for (enum mu_law_kind kind = 0; kind < MU_LAW_COUNT; kind++) {
        const struct mu_law *law = mu_law_of(kind);

        assert_int_equal(mu_law_named(law->name), kind);
        assert_true(law->parameters <= MU_LAW_PARAMETERS);
        assert_string_equal(law->parameter[0], "E");
        for (size_t k = 0; k < MU_LAW_PARAMETERS; k++)
            assert_true((law->parameter[k] != NULL) == (k < law->parameters));
        assert_non_null(strstr(law->source, "arXiv"));
    }
    assert_int_equal(mu_law_named("chinchila"), MU_LAW_COUNT);
}

static void test_values(void **state)
{
    const double chinchilla[] = {1.5, 8, 27, 0.5, 1. / 3}, over[] = {1.5, 8, 12, 0.5},
                 power[] = {2, 8, 0.5};

    (void)state;
    check_loss(MU_LAW_CHINCHILLA, chinchilla, 16, 27, 1, 27, 1.5 + 2 + 9);
    check_loss(MU_LAW_OVER_TRAINING, over, 16, 36, 1, 36, 1.5 + 2 + 2);
    check_loss(MU_LAW_POWER_N, power, 16, 1, 1, 1, 4);
    check_loss(MU_LAW_POWER_D, power, 1, 64, 1, 64, 3);
    check_loss(MU_LAW_POWER_C, power, 1, 1, 256, 1, 2.5);
}

/* alpha = beta = 1/2, A = B: N_opt(U) = U. With R = 2 and 3 U of something, its worth is
 * U (1 + 2 (1 - e^-1)). */
static void test_repeated_data_are_worth_less(void **state)
{
    const double theta[] = {1, 10, 10, 0.5, 0.5, 2, 2}, worth = 1 + 2 * (1 - exp(-1));

    (void)state;
    check_loss(MU_LAW_DATA_CONSTRAINED, theta, 100, 100, 1, 100, 1 + 1 + 1);
    check_loss(MU_LAW_DATA_CONSTRAINED, theta, 100, 300, 1, 100, 1 + 1 + 1 / sqrt(worth));
    check_loss(MU_LAW_DATA_CONSTRAINED, theta, 300, 100, 1, 100, 1 + 1 / sqrt(worth) + 1);
    check_loss(MU_LAW_DATA_CONSTRAINED, theta, 25, 100, 1, 100,
               1 + 2 + 1); /* N < N_opt: as it is */
}

/* ln N_opt(U) = (ln(.01 1e-20) - ln(.5 1e3) + .5 ln 1e10) / .01 = -4536. N is worth (1 + R_N)
 * N_opt, and A / N_opt^alpha is beta B / (alpha U^beta) = .5. */
static void test_a_best_size_beyond_any_double(void **state)
{
    const double theta[] = {1, 1e-20, 1e3, .01, .5, 10, 10};

    (void)state;
    check_loss(MU_LAW_DATA_CONSTRAINED, theta, 1e8, 1e10, 1, 1e10,
               1 + .5 * pow(11, -.01) + 1e3 / 1e5);
}

static void test_a_term_of_amplitude_0_is_not_there(void **state)
{
    const double theta[] = {1, 0, 10, 0.5, 0.5, 2, 2};

    (void)state;
    check_loss(MU_LAW_DATA_CONSTRAINED, theta, 300, 100, 1, 100, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_law_is_found_by_its_name),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_repeated_data_are_worth_less),
        cmocka_unit_test(test_a_best_size_beyond_any_double),
        cmocka_unit_test(test_a_term_of_amplitude_0_is_not_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

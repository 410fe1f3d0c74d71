/* Designs that do not determine a law, each refused in words, and the ones beside them that do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/fit/parametric.h"
#include "tests/support/fit_points.h"

static const double truth[] = {1.87, 521, 1488, .353, .34, 15.4, 5.3};
static struct mu_fit_point points[FIT_POINTS];

static size_t good(bool repeats)
{
    return fit_points_synthetic(points, MU_LAW_DATA_CONSTRAINED, truth, 7, 6, .01, repeats, 1);
}

static void check_refused(size_t count, enum mu_law_kind law, const char *word)
{
    struct mu_refusal refusal;

    mu_parametric_check(points, count, law, &refusal);
    if (!refusal.refused)
        fail_msg("%s: not refused", mu_law_of(law)->name);
    if (strstr(refusal.why, word) == NULL)
        fail_msg("%s: '%s' is without '%s'", mu_law_of(law)->name, refusal.why, word);
}

static void check_taken(size_t count, enum mu_law_kind law)
{
    struct mu_refusal refusal;

    mu_parametric_check(points, count, law, &refusal);
    if (refusal.refused)
        fail_msg("%s: refused: %s", mu_law_of(law)->name, refusal.why);
}

static void test_a_good_design_is_taken(void **state)
{
    size_t count = good(false);

    (void)state;
    for (enum mu_law_kind law = 0; law < MU_LAW_COUNT; law++)
        if (law != MU_LAW_DATA_CONSTRAINED)
            check_taken(count, law);
    count = good(true);
    check_taken(count, MU_LAW_DATA_CONSTRAINED);
}

static void test_too_few_points(void **state)
{
    (void)state;
    good(false);
    points[2].end = false;
    points[3].weight = 0;
    points[5].n *= 2;
    check_refused(7, MU_LAW_CHINCHILLA, "5 points");
    points[3].weight = 1;
    check_taken(7, MU_LAW_CHINCHILLA);
    check_refused(0, MU_LAW_POWER_N, "0 points");
}

static void test_too_few_values(void **state)
{
    const size_t count = good(false);

    (void)state;
    for (size_t i = 0; i < count; i++)
        points[i].n = i % 2 == 0 ? 1e7 : 4e7 * (1 + 1e-4 * (double)i / (double)count);
    check_refused(count, MU_LAW_CHINCHILLA, "2 values of N");
    check_refused(count, MU_LAW_POWER_N, "2 values of N");
    check_taken(count, MU_LAW_POWER_D);
    points[0].n = 2e7;
    check_taken(count, MU_LAW_CHINCHILLA);
}

static void test_sizes_and_tokens_that_move_together(void **state)
{
    size_t count = good(false);

    (void)state;
    for (size_t i = 0; i < count; i++)
        points[i].d = 20 * points[i].n;
    check_refused(count, MU_LAW_CHINCHILLA, "move together");
    check_refused(count, MU_LAW_OVER_TRAINING, "move together");
    check_taken(count, MU_LAW_POWER_N);
    check_refused(7, MU_LAW_CHINCHILLA, "move together");
    good(false); /* its first 7 points are of one budget */
    check_refused(7, MU_LAW_CHINCHILLA, "move together");
}

static void test_no_repeats(void **state)
{
    const size_t count = good(false);

    (void)state;
    check_refused(count, MU_LAW_DATA_CONSTRAINED, "0 points saw tokens more than once");
    for (size_t i = 0; i < count; i++)
        points[i].unique = points[i].d / 1.5;
    check_refused(count, MU_LAW_DATA_CONSTRAINED, "1.5 times");
    points[0].unique = points[0].d / 2.5;
    check_taken(count, MU_LAW_DATA_CONSTRAINED);
}

static void test_equal_losses(void **state)
{
    const size_t count = good(false);

    (void)state;
    for (size_t i = 0; i < count; i++)
        points[i].loss = 3.25;
    check_refused(count, MU_LAW_CHINCHILLA, "3.25");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_design_is_taken),
        cmocka_unit_test(test_too_few_points),
        cmocka_unit_test(test_too_few_values),
        cmocka_unit_test(test_sizes_and_tokens_that_move_together),
        cmocka_unit_test(test_no_repeats),
        cmocka_unit_test(test_equal_losses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

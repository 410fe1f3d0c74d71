/* orchestrator/sweep/formula.h: values, which variables are used, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "orchestrator/sweep/formula.h"

static char why[256];

static void values_are_as_written(void **unused)
{
    struct mu_formula f;

    (void)unused;
    assert_int_equal(mu_formula_init(&f, "2048 * (N / 3.3e4)^0.5 + size", why, sizeof why), MU_OK);
    f.value[MU_FORMULA_N] = 4 * 3.3e4;
    f.value[MU_FORMULA_SIZE] = 0.25;
    assert_true(mu_formula_value(&f) == 4096.25);
    assert_true(f.uses[MU_FORMULA_N] && f.uses[MU_FORMULA_SIZE]);
    assert_false(f.uses[MU_FORMULA_D] || f.uses[MU_FORMULA_C]);
    mu_formula_deinit(&f);
    assert_int_equal(mu_formula_init(&f, "1.79 * N^-0.713 * D^0.307", why, sizeof why), MU_OK);
    assert_true(f.uses[MU_FORMULA_D]);
    mu_formula_deinit(&f);
}

static void last_bits_do_not_show(void **unused)
{
    struct mu_formula f;

    (void)unused;
    assert_int_equal(mu_formula_init(&f, "0.1 + 0.2", why, sizeof why), MU_OK);
    assert_true(mu_formula_value(&f) == 0.3);
    mu_formula_deinit(&f);
}

static void what_is_no_formula_is_refused(void **unused)
{
    static const char *const texts[] = {"",     "2 *",  "N +* 2", "M",           "2 N",
                                        "sin(", "N; 3", "N = 3",  "size * (D=N)"};
    struct mu_formula f;

    (void)unused;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        why[0] = '\0';
        assert_int_equal(mu_formula_init(&f, texts[i], why, sizeof why), MU_CONFIG);
        assert_true(strlen(why) > 0);
        mu_formula_deinit(&f);
    }
}

static void where_it_has_no_value_it_is_nan(void **unused)
{
    struct mu_formula f;

    (void)unused;
    assert_int_equal(mu_formula_init(&f, "sqrt(1 - N)", why, sizeof why), MU_OK);
    f.value[MU_FORMULA_N] = 2;
    assert_true(isnan(mu_formula_value(&f)));
    mu_formula_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_as_written),
        cmocka_unit_test(last_bits_do_not_show),
        cmocka_unit_test(what_is_no_formula_is_refused),
        cmocka_unit_test(where_it_has_no_value_it_is_nan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

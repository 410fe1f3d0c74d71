#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "orchestrator/fit/refusal.h"

static void check(const char *written, const char *expected)
{
    char text[200];

    snprintf(text, sizeof text, "%s", written);
    mu_shorten_exponents(text);
    assert_string_equal(text, expected);
}

static void test_exponents_are_as_in_reports(void **state)
{
    (void)state;
    check("1.2e+18 to 1.23e+21", "1.2e18 to 1.23e21");
    check("1e+05, 1e-07 and 3e-100", "1e5, 1e-7 and 3e-100");
    check("1e+00", "1e0");
    check("e+05, the+05, 1e+x, 2e", "e+05, the+05, 1e+x, 2e");
    check("", "");
}

static void test_a_refusal_says_why(void **state)
{
    struct mu_refusal refusal = {0};

    (void)state;
    mu_refuse(&refusal, "%d of %.3g", 2, 1e22);
    assert_true(refusal.refused);
    assert_string_equal(refusal.why, "2 of 1e22");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exponents_are_as_in_reports),
        cmocka_unit_test(test_a_refusal_says_why),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

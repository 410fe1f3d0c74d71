/* Numbers in configurations: every way of writing them, and nothing wrapped or rounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/config/number.h"

static const struct {
    const char *text;
    int64_t value;
} integers[] = {
    {"0", 0},
    {"-0", 0},
    {"400", 400},
    {"+400", 400},
    {"400L", 400},
    {"400LL", 400},
    {"0x190", 400},
    {"0X19aL", 410},
    {"4e2", 400},
    {"4E+2", 400},
    {".4e3", 400},
    {"400.", 400},
    {"400.000", 400},
    {"0.00400e5", 400},
    {"40000e-2", 400},
    {"100200e-2", 1002},
    {"1002000.0e-3", 1002},
    {"-4e2", -400},
    {"0e999999999999", 0},
    {"0.000e-5", 0},
    {"00012", 12},
    {"39000000000", 39000000000},
    {"9007199254740993", 9007199254740993}, /* 2^53 + 1: no double */
    {"9223372036854775807", INT64_MAX},
    {"922337203685477580.7e1", INT64_MAX},
    {"-9223372036854775808", INT64_MIN},
    {"0x7fffffffffffffff", INT64_MAX},
};

static void integers_in_every_form(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
        int64_t value = -1;

        if (mu_number_integer(integers[i].text, &value) != MU_NUMBER_OK ||
            value != integers[i].value)
            fail_msg("%s became %lld", integers[i].text, (long long)value);
    }
}

static const struct {
    const char *text;
    enum mu_number integer, real;
} others[] = {
    {"", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {".", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"-", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"--1", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"1_000", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"1,000", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"1.2.3", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"1.5L", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"4e", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"4e+", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"4e1.5", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"e4", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"0x", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"0x1p3", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"10k", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"400LLL", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {" 1", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"nan", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"inf", MU_NUMBER_NONE, MU_NUMBER_NONE},
    {"0.5", MU_NUMBER_FRACTION, MU_NUMBER_OK},
    {"401e-2", MU_NUMBER_FRACTION, MU_NUMBER_OK},
    {"4.0000000000000000000001", MU_NUMBER_FRACTION, MU_NUMBER_OK},
    {"1e-400", MU_NUMBER_FRACTION, MU_NUMBER_TOO_SMALL},
    {"9223372036854775808", MU_NUMBER_TOO_LARGE, MU_NUMBER_OK},
    {"-9223372036854775809", MU_NUMBER_TOO_LARGE, MU_NUMBER_OK},
    {"0x8000000000000000", MU_NUMBER_TOO_LARGE, MU_NUMBER_OK},
    {"1e19", MU_NUMBER_TOO_LARGE, MU_NUMBER_OK},
    {"1e999999999999", MU_NUMBER_TOO_LARGE, MU_NUMBER_TOO_LARGE},
    {"0e5", MU_NUMBER_OK, MU_NUMBER_OK},
};

static void what_is_no_integer_or_no_number(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int64_t integer;
        double real;

        if (mu_number_integer(others[i].text, &integer) != others[i].integer ||
            mu_number_real(others[i].text, &real) != others[i].real)
            fail_msg("'%s' was taken for something else", others[i].text);
    }
}

static void reals(void **state)
{
    double value;

    (void)state;
    assert_int_equal(mu_number_real("0.1", &value), MU_NUMBER_OK);
    assert_true(value == 0.1);
    assert_int_equal(mu_number_real("-.5e1", &value), MU_NUMBER_OK);
    assert_true(value == -5.0);
    assert_int_equal(mu_number_real("39000000000", &value), MU_NUMBER_OK);
    assert_true(value == 39e9);
    assert_int_equal(mu_number_real("16L", &value), MU_NUMBER_OK);
    assert_true(value == 16.0);
    assert_int_equal(mu_number_real("0x10", &value), MU_NUMBER_OK);
    assert_true(value == 16.0);
    assert_int_equal(mu_number_real("4.9e-324", &value), MU_NUMBER_OK);
    assert_true(value > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_in_every_form),
        cmocka_unit_test(what_is_no_integer_or_no_number),
        cmocka_unit_test(reals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

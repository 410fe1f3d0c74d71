/* base/amount: quantities as people read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/amount.h"

static void bytes_have_three_digits(void **state)
{
    (void)state;
    assert_string_equal(mu_amount_bytes(0).text, "0 bytes");
    assert_string_equal(mu_amount_bytes(999).text, "999 bytes");
    assert_string_equal(mu_amount_bytes(1536).text, "1.5 kiB");
    assert_string_equal(mu_amount_bytes(0x1p20).text, "1 MiB");
    assert_string_equal(mu_amount_bytes(64 * 0x1p20).text, "64 MiB");
    assert_string_equal(mu_amount_bytes(1020 * 0x1p20).text, "1.0 GiB");
    assert_string_equal(mu_amount_bytes(0x1.8p31).text, "3.0 GiB");
    assert_string_equal(mu_amount_bytes(0x1p64).text, "16384.0 PiB");
}

static void durations_have_a_unit_that_suits(void **state)
{
    (void)state;
    assert_string_equal(mu_amount_duration(0.0123).text, "0.012 s");
    assert_string_equal(mu_amount_duration(4.06).text, "4.1 s");
    assert_string_equal(mu_amount_duration(119).text, "119 s");
    assert_string_equal(mu_amount_duration(7000).text, "117 min");
    assert_string_equal(mu_amount_duration(86400).text, "24.0 h");
    assert_string_equal(mu_amount_duration(30 * 86400.0).text, "30 days");
    assert_string_equal(mu_amount_duration(NAN).text, "-");
}

static void one_has_no_plural(void **state)
{
    (void)state;
    assert_string_equal(mu_plural(1), "");
    assert_string_equal(mu_plural(0), "s");
    assert_string_equal(mu_plural(2), "s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_have_three_digits),
        cmocka_unit_test(durations_have_a_unit_that_suits),
        cmocka_unit_test(one_has_no_plural),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

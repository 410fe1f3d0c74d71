/* base/utf8: characters, not bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "orchestrator/base/utf8.h"

static const char word[] = "Größe…"; /* 6 characters in 10 bytes */

static void characters_are_counted(void **state)
{
    (void)state;
    assert_int_equal(strlen(word), 10);
    assert_int_equal(mu_utf8_columns(word, 10), 6);
    assert_int_equal(mu_utf8_columns(word, 2), 2);
    assert_int_equal(mu_utf8_columns("", 0), 0);
}

static void what_fits_is_whole(void **state)
{
    (void)state;
    assert_int_equal(mu_utf8_fit(word, 0), 0);
    assert_int_equal(mu_utf8_fit(word, 2), 2);
    assert_int_equal(mu_utf8_fit(word, 3), 4);
    assert_int_equal(mu_utf8_fit(word, 5), 7);
    assert_int_equal(mu_utf8_fit(word, 6), 10);
    assert_int_equal(mu_utf8_fit(word, 100), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_counted),
        cmocka_unit_test(what_fits_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* worker/parts.h: who holds which part. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/parts.h"

static void every_part_has_two_holders(void **state)
{
    (void)state;
    assert_int_equal(mu_parts_partner(0, 1), 0);
    for (uint32_t size = 2; size < 100; size++)
        for (uint32_t place = 0; place < size; place++) {
            uint32_t partner = mu_parts_partner(place, size);

            assert_true(partner < size && partner != place);
            assert_int_equal(mu_parts_partner_of(partner, size), place);
        }
}

/* Ranks of a host are neighbours: the death of a whole host leaves every part one holder. */
static void holders_are_on_two_hosts(void **state)
{
    (void)state;
    for (uint32_t hosts = 2; hosts < 9; hosts++)
        for (uint32_t each = 1; each < 9; each++)
            for (uint32_t place = 0; place < hosts * each; place++)
                assert_true(place / each != mu_parts_partner(place, hosts * each) / each);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_has_two_holders),
        cmocka_unit_test(holders_are_on_two_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

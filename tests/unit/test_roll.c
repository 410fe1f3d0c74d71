/* core/roll: every way in which up to six ranks can live on hosts: hosts are numbered by their
 * lowest place, every place is on its host once, and chunks are dealt over all of a host's
 * ranks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/core/roll.h"

enum { MOST = 6 };

static void check(const uint64_t *key, uint32_t size)
{
    struct mu_roll r;
    uint32_t places = 0, seen = 0;

    assert_int_equal(mu_roll_init(&r, 4, key, size), MU_OK);
    assert_int_equal(r.epoch, 4);
    assert_int_equal(r.size, size);
    assert_int_equal(mu_roll_master(&r), 0);
    for (uint32_t i = 0; i < size; i++) {
        for (uint32_t j = 0; j < size; j++)
            assert_int_equal(r.host_of[i] == r.host_of[j], key[i] == key[j]);
        assert_true(r.host_of[i] <= seen); /* a new host has the next number */
        seen += r.host_of[i] == seen;
    }
    assert_int_equal(r.hosts, seen);
    for (uint32_t h = 0; h < r.hosts; h++) {
        assert_true(r.host[h].count > 0);
        assert_int_equal(r.host[h].first, places);
        places += r.host[h].count;
        for (uint32_t i = 0; i < r.host[h].count; i++) {
            uint32_t place = mu_roll_local(&r, h, i);

            assert_int_equal(r.host_of[place], h);
            assert_int_equal(mu_roll_local_index(&r, place), i);
            assert_true(i == 0 || place > mu_roll_local(&r, h, i - 1));
        }
    }
    assert_int_equal(places, size);
    mu_roll_deinit(&r);
}

static void every_pattern_of_hosts(void **state)
{
    (void)state;
    for (uint32_t size = 1; size <= MOST; size++) {
        uint32_t patterns = 1;

        for (uint32_t i = 0; i < size; i++)
            patterns *= size;
        for (uint32_t p = 0; p < patterns; p++) {
            uint64_t key[MOST];

            for (uint32_t i = 0, rest = p; i < size; i++, rest /= size)
                key[i] = UINT64_MAX - rest % size; /* large, and in no order of their own */
            check(key, size);
        }
    }
}

/* Each chunk has one owner on each host; every rank's share of any run of chunks is even to one. */
static void chunks_are_dealt_in_turn(void **state)
{
    static const uint64_t key[] = {7, 9, 7, 7, 9, 8};
    struct mu_roll r;

    (void)state;
    assert_int_equal(mu_roll_init(&r, 0, key, 6), MU_OK);
    assert_int_equal(r.hosts, 3);
    for (uint32_t h = 0; h < r.hosts; h++)
        for (uint32_t chunks = 0; chunks < 20; chunks++) {
            uint32_t owned[6] = {0};

            for (uint32_t c = 0; c < chunks; c++)
                owned[mu_roll_owner(&r, h, c)]++;
            for (uint32_t i = 0; i < 6; i++) {
                if (r.host_of[i] != h)
                    assert_int_equal(owned[i], 0);
                else
                    assert_in_range(owned[i], chunks / r.host[h].count,
                                    (chunks + r.host[h].count - 1) / r.host[h].count);
            }
        }
    mu_roll_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pattern_of_hosts),
        cmocka_unit_test(chunks_are_dealt_in_turn),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

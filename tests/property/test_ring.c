/* worker/comm/ring: any members, units and unit sizes, in any order of delivery: every member
 * ends with what a merge of all in one place gives, and nobody sends more than 2 (n-1)/n of the
 * buffer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fake_comm.h"
#include "tests/support/seed.h"
#include "worker/comm/ring.h"

enum { MOST_MEMBERS = 7, MOST_BYTES = 4096, GUARD = 32 };

static uint64_t draws;

static uint32_t below(uint32_t n)
{
    return mu_rng_draw(seed, MU_RNG_SYNTHETIC, 1, draws++).w[0] % n;
}

/* Wrapping sums of int32; bytes that make no whole int32 are OR-ed. */
static void merge_sum(void *context, void *into, const void *from, size_t bytes)
{
    const size_t unit = *(const size_t *)context;

    assert_true(bytes > 0 && bytes % unit == 0);
    for (size_t i = 0; i < bytes / 4; i++) {
        uint32_t a, b;

        memcpy(&a, (uint8_t *)into + 4 * i, 4);
        memcpy(&b, (const uint8_t *)from + 4 * i, 4);
        a += b;
        memcpy((uint8_t *)into + 4 * i, &a, 4);
    }
}

static void merge_or(void *context, void *into, const void *from, size_t bytes)
{
    const size_t unit = *(const size_t *)context;

    assert_true(bytes > 0 && bytes % unit == 0);
    for (size_t i = 0; i < bytes; i++)
        ((uint8_t *)into)[i] |= ((const uint8_t *)from)[i];
}

struct member {
    struct mu_ring ring;
    uint8_t data[MOST_BYTES + GUARD];
    uint8_t *scratch; /* exactly as much as the ring asks for */
    bool done;
};

static struct member of[MOST_MEMBERS];
static uint32_t rank_of[MOST_MEMBERS];

/* Distinct ranks of a larger communicator, in any order. */
static void choose_ranks(uint32_t members)
{
    bool taken[FAKE_RANKS] = {false};

    for (uint32_t i = 0; i < members; i++) {
        do
            rank_of[i] = below(FAKE_RANKS);
        while (taken[rank_of[i]]);
        taken[rank_of[i]] = true;
    }
}

static void start(uint32_t members, size_t units, size_t unit, mu_ring_merge *merge,
                  const size_t *context, uint8_t *expected)
{
    const size_t bytes = units * unit;

    for (uint32_t i = 0; i < members; i++) {
        for (size_t b = 0; b < sizeof of[i].data; b++)
            of[i].data[b] = b < bytes ? (uint8_t)below(256) : 0xee;
        of[i].scratch = malloc(mu_ring_scratch_bytes(units, unit, members));
        assert_non_null(of[i].scratch);
        of[i].done = false;
        if (i == 0)
            memcpy(expected, of[i].data, bytes);
        else if (bytes > 0)
            merge((void *)(uintptr_t)context, expected, of[i].data, bytes);
        mu_ring_start(&of[i].ring, fake_comm((int)rank_of[i]), rank_of, members, i, 9, of[i].data,
                      units, unit, of[i].scratch, merge, (void *)(uintptr_t)context);
    }
}

static void run_in_any_order(uint32_t members)
{
    uint32_t left = members;

    while (left > 0) {
        struct member *m = &of[below(members)];

        if (m->done)
            continue;
        assert_int_equal(mu_ring_poll(&m->ring, &m->done), MU_OK);
        left -= m->done;
    }
}

static void check_one(uint32_t members, size_t units, size_t unit, mu_ring_merge *merge)
{
    uint8_t expected[MOST_BYTES];

    fake_open(FAKE_RANKS, seed + draws, below(6));
    choose_ranks(members);
    start(members, units, unit, merge, &unit, expected);
    run_in_any_order(members);
    for (uint32_t i = 0; i < members; i++) {
        assert_memory_equal(of[i].data, expected, units * unit);
        for (size_t b = units * unit; b < sizeof of[i].data; b++)
            assert_int_equal(of[i].data[b], 0xee);
        free(of[i].scratch);
    }
    assert_true(fake.transfers == (uint64_t)2 * members * (members - 1));
    assert_null(fake.first); /* nothing is on its way any more */
    fake_close();
}

static void sums_of_any_shape(void **state)
{
    (void)state;
    for (int k = 0; k < 400; k++) {
        size_t unit = 4 * (1 + below(16)), units = below((uint32_t)(MOST_BYTES / unit) + 1);

        check_one(1 + below(MOST_MEMBERS), units, unit, merge_sum);
    }
}

static void ors_of_any_shape(void **state)
{
    (void)state;
    for (int k = 0; k < 400; k++) {
        size_t unit = 1 + below(70), units = below((uint32_t)(MOST_BYTES / unit) + 1);

        check_one(1 + below(MOST_MEMBERS), units, unit, merge_or);
    }
}

/* Pieces of no bytes go round too, and harm nobody. */
static void fewer_units_than_members(void **state)
{
    (void)state;
    for (uint32_t members = 1; members <= MOST_MEMBERS; members++)
        for (size_t units = 0; units <= members; units++) {
            check_one(members, units, 4, merge_sum);
            check_one(members, units, 1000 / MOST_MEMBERS, merge_or);
        }
}

/* Two rings over the same ranks with one tag, one after the other on each rank but at the same time
 * in the fleet, as chunks follow each other. */
static void rings_follow_each_other(void **state)
{
    static const size_t unit = 4;
    static int32_t first[3][10], second[3][10], scratch[3][10];
    uint32_t at[3] = {0};
    bool done;

    (void)state;
    for (int k = 0; k < 50; k++) {
        fake_open(FAKE_RANKS, seed + draws, below(9));
        choose_ranks(3);
        for (uint32_t i = 0; i < 3; i++) {
            at[i] = 0;
            for (int j = 0; j < 10; j++) {
                first[i][j] = (int)i + j;
                second[i][j] = 1000 * (int)i;
            }
            mu_ring_start(&of[i].ring, fake_comm((int)rank_of[i]), rank_of, 3, i, 9, first[i], 10,
                          unit, scratch[i], merge_sum, (void *)(uintptr_t)&unit);
        }
        while (at[0] + at[1] + at[2] < 6) {
            uint32_t i = below(3);

            if (at[i] == 2)
                continue;
            assert_int_equal(mu_ring_poll(&of[i].ring, &done), MU_OK);
            if (done && ++at[i] == 1)
                mu_ring_start(&of[i].ring, fake_comm((int)rank_of[i]), rank_of, 3, i, 9, second[i],
                              10, unit, scratch[i], merge_sum, (void *)(uintptr_t)&unit);
        }
        for (uint32_t i = 0; i < 3; i++)
            for (int j = 0; j < 10; j++) {
                assert_int_equal(first[i][j], 3 + 3 * j);
                assert_int_equal(second[i][j], 3000);
            }
        fake_close();
    }
}

static void a_death_ends_the_ring(void **state)
{
    size_t unit = 4;
    uint8_t expected[MOST_BYTES];
    enum mu_status st = MU_OK;

    (void)state;
    fake_open(FAKE_RANKS, seed, 3);
    choose_ranks(3);
    start(3, 30, unit, merge_sum, &unit, expected);
    fake_kill((int)rank_of[2]);
    for (int looks = 0; st == MU_OK && looks < 1000; looks++)
        st = mu_ring_poll(&of[0].ring, &of[0].done);
    assert_int_equal(st, MU_PEER_LOST);
    assert_false(of[0].done);
    mu_comm_revoke(fake_comm((int)rank_of[0]));
    st = MU_OK;
    for (int looks = 0; st == MU_OK && looks < 1000; looks++)
        st = mu_ring_poll(&of[1].ring, &of[1].done);
    assert_int_equal(st, MU_REVOKED);
    for (int i = 0; i < 3; i++)
        free(of[i].scratch);
    fake_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_of_any_shape),        cmocka_unit_test(ors_of_any_shape),
        cmocka_unit_test(fewer_units_than_members), cmocka_unit_test(rings_follow_each_other),
        cmocka_unit_test(a_death_ends_the_ring),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

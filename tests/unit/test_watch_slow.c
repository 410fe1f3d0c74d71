/* core/watch: slow ranks are told of, and left alone. And its limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "tests/support/watched_host.h"

/* ---- slow ranks ---- */
/* Everybody's shards, at so many ms each, for so long. */
static void train(const uint64_t *shard_ms, uint64_t whole_ms)
{
    uint64_t left[MOST] = {0};

    for (uint64_t t = 0; t < whole_ms; t += MU_WATCH_LOOK_MS) {
        for (int r = 0; r < ranks; r++) {
            for (left[r] += MU_WATCH_LOOK_MS; shard_ms[r] && left[r] >= shard_ms[r];
                 left[r] -= shard_ms[r]) {
                rank[r].shards_done++;
                rank[r].compute_ns += shard_ms[r] * ms;
            }
            rank[r].point = t / MU_WATCH_LOOK_MS % 3 == 0 ? MU_FAULT_FORWARD : MU_FAULT_BACKWARD;
        }
        pass(MU_WATCH_LOOK_MS);
    }
}

static void who_is_slow_is_told_of_and_left_alone(void **state)
{
    static const uint64_t shard_ms[MOST] = {200, 210, 220, 820, 230};

    (void)state;
    open_host(5);
    train(shard_ms, 9000);
    assert_int_equal(slows, 0);
    train(shard_ms, 5000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow_by[0], 0);
    assert_int_equal(slow[0].rank, 3);
    assert_int_equal((int)slow[0].shard_ms, 820);
    assert_int_equal((int)slow[0].others_ms, 210); /* 200 210 220 230: the lower of the two */
    assert_int_equal(slow[0].point, MU_FAULT_BACKWARD);
    train(shard_ms, 50000); /* once in a minute */
    assert_int_equal(slows, 1);
    train(shard_ms, 20000);
    assert_int_equal(slows, 2);
    assert_nobody_ended();
}

static void twice_the_median_is_slow_and_less_is_not(void **state)
{
    static const uint64_t just[MOST] = {400, 200}, less[MOST] = {390, 200},
                          among[MOST] = {100, 199, 100, 150},
                          both[MOST] = {100, 100, 100, 1000, 300};

    (void)state;
    open_host(2);
    train(just, 11000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow[0].rank, 0);
    open_host(2);
    train(less, 60000);
    assert_int_equal(slows, 0);
    open_host(4);
    train(among, 60000);
    assert_int_equal(slows, 0);
    open_host(5);
    train(both, 11000);
    assert_int_equal(slows, 2);
    assert_int_equal(slow[0].rank, 3);
    assert_int_equal(slow[1].rank, 4);
}

static void ranks_without_shards_are_not_slow(void **state)
{
    static const uint64_t spares[MOST] = {100, 0, 0, 110}, alone[MOST] = {100};

    (void)state;
    open_host(4);
    train(spares, 60000);
    open_host(2);
    train(alone, 60000);
    open_host(1);
    train(alone, 60000);
    assert_int_equal(slows, 0);
}

/* A shard of its takes longer than the interval: it is compared when it has one. */
static void a_very_slow_rank_is_told_of_when_it_has_a_shard(void **state)
{
    static const uint64_t shard_ms[MOST] = {1000, 1000, 35000};

    (void)state;
    open_host(3);
    train(shard_ms, 34000);
    assert_int_equal(slows, 0);
    train(shard_ms, 50000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow[0].rank, 2);
    assert_nobody_ended();
}

static void the_next_fencer_tells_of_slow_ranks(void **state)
{
    static const uint64_t shard_ms[MOST] = {100, 100, 100, 500};

    (void)state;
    open_host(4);
    rank[0].process = MU_PROCESS_GONE;
    train(shard_ms, 12000);
    assert_int_equal(slows, 1);
    assert_int_equal(slow_by[0], 1);
}

/* ---- limits ---- */
static void entries_that_make_no_sense_are_passed_over(void **state)
{
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    const struct mu_watch_view v[] = {
        {.rank = -1},
        {.rank = 1, .phase = (enum mu_phase)77},
        {.rank = 2, .phase = MU_PHASE_RUNNING, .point = (enum mu_fault_point)1000},
        {.rank = MU_WATCH_RANKS}};

    (void)state;
    mu_watch_init(&w, 0, true);
    for (uint64_t t = 1; t < 100000; t += MU_WATCH_LOOK_MS) {
        mu_watch_look(&w, v, 4, TIMEOUT_MS, t * ms, &actions);
        assert_int_equal(actions.fences + actions.slows, 0);
    }
    assert_false(mu_watch_asks(&w, -1));
    assert_false(mu_watch_asks(&w, MU_WATCH_RANKS));
}

static void a_host_of_4096_ranks_is_cheap(void **state)
{
    enum { LOOKS = 500 };
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    static struct mu_watch_view v[MU_WATCH_RANKS];
    uint64_t began_ns = mu_clock_ns(), took_ns;

    (void)state;
    mu_watch_init(&w, 0, true);
    for (int i = 0; i < LOOKS; i++) {
        for (int r = 0; r < MU_WATCH_RANKS; r++) {
            v[r].rank = r;
            v[r].phase = MU_PHASE_RUNNING;
            v[r].pid = 1;
            v[r].polls++;
            v[r].beats++;
            v[r].shards_done++;
            v[r].compute_ns += 1000 + (uint64_t)(r * 7 % 900);
        }
        mu_watch_look(&w, v, MU_WATCH_RANKS, TIMEOUT_MS, (1 + (uint64_t)i * 100) * ms, &actions);
        assert_int_equal(actions.fences, 0);
    }
    took_ns = mu_clock_ns() - began_ns;
    print_message("a look at 4096 ranks: %.0f us\n", 1e-3 * (double)took_ns / LOOKS);
    assert_true(took_ns / LOOKS < 5 * ms); /* 0.1 ms; sanitizers and a loaded machine have time */
}

static void ranks_of_other_trials_are_not_compared(void **state)
{
    static struct mu_watch_actions actions;
    static struct mu_watch w;
    struct mu_watch_view v[4];
    int told = 0;

    (void)state;
    memset(v, 0, sizeof v);
    mu_watch_init(&w, 0, true);
    for (int i = 1; i < 1000; i++) {
        for (int r = 0; r < 4; r++) {
            v[r].rank = r;
            v[r].phase = MU_PHASE_RUNNING;
            v[r].pid = 1;
            v[r].polls++;
            v[r].beats++;
            v[r].shards_done++;
            v[r].group = r < 2 ? 5 : 6;
            /* Rank 1 is ten times as slow as rank 0; of the other trial both are. */
            v[r].compute_ns += r == 0 ? 1 * ms : 10 * ms;
        }
        mu_watch_look(&w, v, 4, TIMEOUT_MS, (uint64_t)i * 100 * ms, &actions);
        for (int s = 0; s < actions.slows; s++) {
            assert_int_equal(actions.slow[s].rank, 1);
            told++;
        }
    }
    assert_true(told > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_slow_is_told_of_and_left_alone),
        cmocka_unit_test(twice_the_median_is_slow_and_less_is_not),
        cmocka_unit_test(ranks_without_shards_are_not_slow),
        cmocka_unit_test(a_very_slow_rank_is_told_of_when_it_has_a_shard),
        cmocka_unit_test(the_next_fencer_tells_of_slow_ranks),
        cmocka_unit_test(entries_that_make_no_sense_are_passed_over),
        cmocka_unit_test(ranks_of_other_trials_are_not_compared),
        cmocka_unit_test(a_host_of_4096_ranks_is_cheap),
    };

    return cmocka_run_group_tests(tests, NULL, close_host);
}

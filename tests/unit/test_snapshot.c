/* worker/snapshot: when a copy is due. How copies are made is looked at in property-step_deaths and
 * mpi-gpu_memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "worker/snapshot.h"

static struct mu_segment_header header;
static struct mu_settings settings;
static const struct mu_worker worker = {.settings = &settings};

static void copies_take_one_percent_at_most(void **state)
{
    const uint64_t costs[] = {0, 1, 1000000, 10101010, 10101011, 300000000, 60000000000};

    (void)state;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        const uint64_t pause = mu_snapshots_pause_ns(costs[i]);

        assert_true(costs[i] * 100 <= costs[i] + pause);
        assert_true(pause >= 1000000000);
        /* and no seldomer than that */
        assert_true(pause == 1000000000 || costs[i] * 101 > costs[i] + pause);
    }
}

static void by_a_number_of_steps(void **state)
{
    struct mu_snapshots s = {.segment.header = &header, .due_ns = UINT64_MAX};

    (void)state;
    settings.device_snapshot_every = 3;
    assert_false(mu_snapshots_is_due(&s, &worker, 0)); /* of step 1 */
    assert_true(mu_snapshots_is_due(&s, &worker, 2));
    assert_false(mu_snapshots_is_due(&s, &worker, 3));
    assert_true(mu_snapshots_is_due(&s, &worker, 5));
}

static void by_the_clock(void **state)
{
    struct mu_snapshots s = {.segment.header = &header, .due_ns = mu_clock_ns()};

    (void)state;
    settings.device_snapshot_every = MU_AUTO;
    assert_true(mu_snapshots_is_due(&s, &worker, 0));
    s.due_ns = mu_clock_ns() + UINT64_C(3600000000000);
    assert_false(mu_snapshots_is_due(&s, &worker, 0));
}

static void never_without_room(void **state)
{
    struct mu_snapshots s = {.due_ns = 0};

    (void)state;
    settings.device_snapshot_every = 1;
    assert_false(mu_snapshots_is_due(&s, &worker, 0));
    settings.device_snapshot_every = MU_AUTO;
    assert_false(mu_snapshots_is_due(&s, &worker, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_take_one_percent_at_most),
        cmocka_unit_test(by_a_number_of_steps),
        cmocka_unit_test(by_the_clock),
        cmocka_unit_test(never_without_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

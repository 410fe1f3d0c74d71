/* What two ranks have found, added up: times that are easily divided. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/profile/found.h"

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-9 * (1 + fabs(b));
}

/* Two timed steps. Rank 0: linear 4 ms a step, add 2 ms, nothing else but 2 ms of waiting; rank 3:
 * linear 6 ms, add 1 ms, 1 ms that nothing accounts for. */
static void set_up(struct mu_profile_found *f, struct mu_profile_rank rank[2])
{
    memset(rank, 0, 2 * sizeof *rank);
    *f = (struct mu_profile_found){.steps = 2, .rank = rank, .ranks = 2};
    rank[0].cell[MU_TIMED_LINEAR] = (struct mu_timed_cell){4, 8000000, {6e9, 1e6}};
    rank[0].cell[MU_TIMED_ADD] = (struct mu_timed_cell){2, 4000000, {0, 3e9}};
    rank[0].cell[MU_TIMED_PART_WAIT] = (struct mu_timed_cell){2, 4000000, {0, 0}};
    rank[1].cell[MU_TIMED_LINEAR] = (struct mu_timed_cell){8, 12000000, {6e9, 1e6}};
    rank[1].cell[MU_TIMED_ADD] = (struct mu_timed_cell){2, 2000000, {0, 3e9}};
    rank[1].cell[MU_TIMED_PART_REST] = (struct mu_timed_cell){2, 2000000, {0, 0}};
    for (int i = 0; i < 2; i++) {
        rank[i].timed_ms = 8 + i;
        rank[i].plain_ms = 7;
        rank[i].peak_flops = 1e12;
        rank[i].bandwidth = 1e12;
        rank[i].gap_ms = 5 + i;
    }
    rank[1].name = 3;
}

static void rows_are_means_over_ranks_and_steps(void **state)
{
    struct mu_profile_rank rank[2];
    struct mu_profile_found f;
    struct mu_profile_sums s;
    double share = 0;

    (void)state;
    set_up(&f, rank);
    s = mu_profile_add_up(&f);
    assert_true(near(s.step_ms, 8)); /* of either rank */
    assert_true(near(s.timed_ms, 8.5) && near(s.plain_ms, 7));
    assert_int_equal(s.rows, 4);
    assert_int_equal(s.row[0].row, MU_TIMED_LINEAR);
    assert_true(near(s.row[0].ms, 5) && near(s.row[0].share, 5.0 / 8) && near(s.row[0].calls, 3));
    /* 12 GFLOP in 20 ms of ranks: 0.6 TFLOP/s each, 1.2 both, of 2 */
    assert_true(near(s.row[0].flops_per_s, 1.2e12) && near(s.row[0].peak_share, 0.6));
    assert_string_equal(s.row[0].near, "compute");
    /* 6 GB in 6 ms: 1 TB/s each */
    assert_int_equal(s.row[1].row, MU_TIMED_ADD);
    assert_true(isnan(s.row[1].peak_share) && near(s.row[1].memory_share, 1));
    assert_string_equal(s.row[1].near, "memory");
    assert_int_equal(s.row[2].row, MU_TIMED_PART_WAIT);
    assert_string_equal(s.row[2].near, "");
    assert_int_equal(s.row[3].row, MU_TIMED_PART_REST); /* the last, however long */
    for (int i = 0; i < s.rows; i++)
        share += s.row[i].share;
    assert_true(near(share, 1));
}

static void ranks_differ(void **state)
{
    struct mu_profile_rank rank[2];
    struct mu_profile_found f;
    struct mu_profile_sums s;

    (void)state;
    set_up(&f, rank);
    s = mu_profile_add_up(&f);
    assert_true(near(mu_profile_busy_ms(&f, 0), 6) && near(mu_profile_away_ms(&f, 0), 2));
    assert_true(near(mu_profile_busy_ms(&f, 1), 8) && near(mu_profile_away_ms(&f, 1), 0));
    assert_int_equal(s.slowest, 1);
    assert_int_equal(s.longest_gap, 1);
    assert_true(near(s.phase_ms[MU_TIMED_PHASE_FORWARD], 5));
    assert_true(near(s.phase_ms[MU_TIMED_PHASE_WAIT], 1));
}

static void slow_ones_are_overhead(void **state)
{
    struct mu_profile_rank rank[2];
    struct mu_profile_found f;
    struct mu_profile_sums s;

    (void)state;
    set_up(&f, rank);
    for (int i = 0; i < 2; i++) {
        rank[i].cell[MU_TIMED_LINEAR].work.flops /= 2; /* 30 % of the peak */
        rank[i].bandwidth = 0;                         /* not measured */
    }
    s = mu_profile_add_up(&f);
    assert_string_equal(s.row[0].near, "overhead");
    assert_true(isnan(s.row[1].memory_share));
    assert_string_equal(s.row[1].near, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_means_over_ranks_and_steps),
        cmocka_unit_test(ranks_differ),
        cmocka_unit_test(slow_ones_are_overhead),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

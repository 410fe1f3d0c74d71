/* Quantiles against sorting, and the rules for when there is no interval. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/interval.h"
#include "orchestrator/fit/resample.h"

enum { MOST = 400 };

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Few distinct values: many ties. */
static void draw_values(double *values, size_t count, uint64_t seed, uint64_t distinct)
{
    for (size_t i = 0; i < count; i++) {
        const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, i);

        values[i] = (double)mu_rng_below(distinct, x.w[0], x.w[1]);
    }
}

static void test_quantiles_are_those_of_the_sorted_values(void **state)
{
    static const double p[] = {0, 0.025, 0.1, 0.5, 0.9, 0.975, 1};
    double values[MOST], sorted[MOST];

    (void)state;
    for (size_t count = 1; count <= MOST; count += count < 20 ? 1 : 37)
        for (uint64_t distinct = 1; distinct < 5000; distinct = 4 * distinct + 1) {
            draw_values(values, count, count + distinct, distinct);
            draw_values(sorted, count, count + distinct, distinct);
            qsort(sorted, count, sizeof *sorted, ascending);
            for (size_t k = 0; k < sizeof p / sizeof *p; k++) {
                const double at = p[k] * (double)(count - 1), whole = floor(at);
                const size_t i = (size_t)whole, next = i + 1 < count ? i + 1 : i;

                assert_true(mu_quantile(values, count, p[k]) ==
                            sorted[i] + (at - whole) * (sorted[next] - sorted[i]));
            }
        }
}

static void test_limits_leave_out_replicates_without_a_result(void **state)
{
    double values[101];
    struct mu_estimate x = mu_estimate_of(7);

    (void)state;
    for (int i = 0; i <= 80; i++)
        values[100 - i] = i;
    for (int i = 0; i < 20; i++)
        values[i] = NAN;
    assert_int_equal(mu_interval_of(values, 101, &x), 81);
    assert_true(x.value == 7);
    assert_true(x.low95 == 2 && x.low80 == 8 && x.high80 == 72 && x.high95 == 78);
}

static void test_no_limits_from_a_selection(void **state)
{
    double values[200];
    struct mu_estimate x = mu_estimate_of(7);

    (void)state;
    for (int i = 0; i < 200; i++)
        values[i] = i < 99 ? (double)i : (double)NAN;
    assert_int_equal(mu_interval_of(values, 200, &x), 99);
    assert_true(isnan(x.low95) && isnan(x.high80));
    for (int i = 0; i < MU_INTERVAL_LEAST - 1; i++)
        values[i] = i;
    mu_interval_of(values, MU_INTERVAL_LEAST - 1, &x);
    assert_true(isnan(x.low95));
}

static void test_clusters_are_drawn_whole_and_evenly(void **state)
{
    enum { CLUSTERS = 7, POINTS = 3 * CLUSTERS, REPLICATES = 4000 };
    struct mu_fit_point point[POINTS] = {0};
    double multiplicity[POINTS], again[POINTS], sum[CLUSTERS] = {0}, squares[CLUSTERS] = {0};
    uint32_t drawn[CLUSTERS];
    struct mu_resample r;

    (void)state;
    for (int i = 0; i < POINTS; i++)
        point[i].cluster = 100 * (uint32_t)(i % CLUSTERS); /* numbers with gaps, rows apart */
    assert_int_equal(mu_resample_init(point, POINTS, &r), MU_OK);
    assert_int_equal(r.clusters, CLUSTERS);
    for (uint32_t k = 0; k < REPLICATES; k++) {
        double total = 0;

        mu_resample_draw(&r, 5, k, drawn, multiplicity);
        for (int i = 0; i < POINTS; i++)
            assert_true(multiplicity[i] == multiplicity[i % CLUSTERS]);
        for (int i = 0; i < CLUSTERS; i++) {
            total += multiplicity[i];
            sum[i] += multiplicity[i];
            squares[i] += multiplicity[i] * multiplicity[i];
        }
        assert_true(total == CLUSTERS);
    }
    for (int i = 0; i < CLUSTERS; i++) { /* binomial(7, 1/7): mean 1, variance 6/7; 5 sigma */
        const double mean = sum[i] / REPLICATES, variance = squares[i] / REPLICATES - mean * mean;

        assert_true(fabs(mean - 1) < 5 * sqrt(6.0 / 7 / REPLICATES));
        assert_true(fabs(variance - 6.0 / 7) < 0.15);
    }
    mu_resample_draw(&r, 5, 17, drawn, multiplicity);
    mu_resample_draw(&r, 5, 17, drawn, again);
    assert_memory_equal(multiplicity, again, sizeof again);
    mu_resample_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantiles_are_those_of_the_sorted_values),
        cmocka_unit_test(test_limits_leave_out_replicates_without_a_result),
        cmocka_unit_test(test_no_limits_from_a_selection),
        cmocka_unit_test(test_clusters_are_drawn_whole_and_evenly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

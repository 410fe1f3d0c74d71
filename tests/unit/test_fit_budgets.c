/* Budgets are seen where there are some, whatever the order of the rows; and only there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/isoflop.h"

enum { ALL = 512 };
static struct mu_fit_point point[ALL];
static size_t points;
static struct mu_budgets budgets;

static void add(double n, double c)
{
    point[points++] = (struct mu_fit_point){.n = n,
                                            .c = c,
                                            .d = c / (6 * n),
                                            .loss = 3,
                                            .weight = 1,
                                            .group = MU_FIT_NONE,
                                            .curve = MU_FIT_NONE,
                                            .end = true};
}

/* Uniform in (-1, 1). */
static double noise(uint32_t a, uint64_t b)
{
    return 2 * mu_rng_uniform(mu_rng_draw(11, MU_RNG_SYNTHETIC, a, b).w[0]) - 1;
}

/* Sizes a factor of 1.5 apart; C off its budget by up to `scatter` in ln C. */
static void add_sweep(const double c[], size_t count, size_t sizes, double scatter)
{
    points = 0;
    for (size_t b = 0; b < count; b++)
        for (size_t k = 0; k < sizes; k++)
            add(1e7 * pow(1.5, (double)(k + b)), c[b] * exp(scatter * noise((uint32_t)b, k)));
}

static void find(void)
{
    assert_int_equal(mu_budgets_find(point, points, &budgets), MU_OK);
    assert_int_equal(budgets.points, points);
}

/* As add_sweep left them: budget b of `sizes` points each. */
static void check_sweep(const double c[], size_t count, size_t sizes, double scatter)
{
    find();
    if (budgets.refusal.refused)
        fail_msg("refused: %s", budgets.refusal.why);
    assert_int_equal(budgets.count, count);
    for (size_t k = 0; k < points; k++)
        assert_int_equal(budgets.of[k], k / sizes);
    for (size_t b = 0; b < count; b++) {
        assert_true(fabs(log(budgets.c[b] / c[b])) <= scatter + 1e-12);
        assert_true(budgets.spread[b] <= exp(2 * scatter) + 1e-12);
    }
    mu_budgets_free(&budgets);
}

static const double LLAMA[] = {6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21, 1e22},
                    CLOSE[] = {1e18, 1.25e18, 1.5e18, 2e18}, ONE[] = {1e20},
                    FAR[] = {1e10, 1e13, 1e25};

static void test_budgets_that_were_set(void **state)
{
    static const struct {
        const double *c;
        size_t count;
    } CASE[] = {{LLAMA, 10}, {CLOSE, 4}, {ONE, 1}, {FAR, 3}};

    (void)state;
    for (size_t k = 0; k < sizeof CASE / sizeof *CASE; k++)
        for (size_t sizes = 3; sizes < 12; sizes += 4) {
            add_sweep(CASE[k].c, CASE[k].count, sizes, 0);
            check_sweep(CASE[k].c, CASE[k].count, sizes, 0);
            add_sweep(CASE[k].c, CASE[k].count, sizes, .01); /* whole steps */
            check_sweep(CASE[k].c, CASE[k].count, sizes, .01);
        }
}

static void test_budgets_read_off_a_figure(void **state)
{
    (void)state;
    add_sweep(LLAMA, 10, 20, .15);
    check_sweep(LLAMA, 10, 20, .15);
}

static void test_the_order_of_rows_does_not_matter(void **state)
{
    struct mu_fit_point straight[ALL];
    struct mu_budgets first;

    (void)state;
    add_sweep(LLAMA, 10, 20, .2);
    memcpy(straight, point, sizeof point);
    find();
    first = budgets;
    for (size_t k = 0; k < points; k++)
        point[k] = straight[k * 77 % points]; /* 77 and 200 have no common factor */
    find();
    assert_int_equal(budgets.count, first.count);
    for (size_t k = 0; k < points; k++)
        assert_int_equal(budgets.of[k], first.of[k * 77 % points]);
    for (size_t b = 0; b < first.count; b++)
        assert_true(budgets.spread[b] == first.spread[b] &&
                    fabs(budgets.c[b] / first.c[b] - 1) < 1e-12);
    mu_budgets_free(&first);
    mu_budgets_free(&budgets);
}

static void check_refused(const char *why)
{
    find();
    assert_true(budgets.refusal.refused);
    if (!strstr(budgets.refusal.why, why))
        fail_msg("'%s' does not say '%s'", budgets.refusal.why, why);
    assert_int_equal(budgets.count, 0);
    for (size_t k = 0; k < points; k++)
        assert_true(budgets.of[k] == MU_FIT_NONE);
    mu_budgets_free(&budgets);
}

static void add_ladder(size_t sizes, double n_step, size_t horizons, double d_step)
{
    points = 0;
    for (size_t i = 0; i < sizes; i++)
        for (size_t j = 0; j < horizons; j++) {
            const double n = 1e7 * pow(n_step, (double)i), d = 1e9 * pow(d_step, (double)j);

            add(n, 6 * n * d);
        }
}

static void test_a_ladder_has_none(void **state)
{
    (void)state;
    add_ladder(7, 1.6, 4, 2);
    check_refused("grid of sizes and tokens");
    add_ladder(6, 2, 4, 3);
    check_refused("grid of sizes and tokens");
    points = 0;
    for (int k = 0; k < 12; k++) /* 20 tokens a parameter */
        add(1e7 * pow(1.5, k), 120 * 1e14 * pow(1.5, 2 * k));
    check_refused("no budgets to be seen");
    points = 1;
    check_refused("no budgets to be seen");
    points = 0;
    check_refused("no final losses");
}

/* Where sizes and tokens double alike, the diagonals of the grid do share a C. */
static void test_a_ladder_of_doublings_has_its_diagonals(void **state)
{
    (void)state;
    add_ladder(5, 2, 5, 2);
    find();
    assert_false(budgets.refusal.refused);
    assert_int_equal(budgets.count, 7); /* the two corners are alone */
    for (size_t k = 0; k < points; k++) {
        const size_t diagonal = k / 5 + k % 5;

        if (diagonal == 0 || diagonal == 8)
            assert_true(budgets.of[k] == MU_FIT_NONE);
        else
            assert_int_equal(budgets.of[k], diagonal - 1);
    }
    mu_budgets_free(&budgets);
}

/* Neither a cloud of points nor more budgets than are told apart are one budget of six decades. */
static void test_a_continuum_is_no_budget(void **state)
{
    (void)state;
    points = 0;
    for (uint32_t k = 0; k < 300; k++)
        add(1e8 * exp(3 * noise(1, k)), 1e20 * exp(7 * noise(2, k)));
    find();
    assert_true(budgets.refusal.refused);
    mu_budgets_free(&budgets);
    points = 0;
    for (uint32_t b = 0; b < 80; b++)
        for (uint32_t k = 0; k < 6; k++)
            add(1e7 * pow(1.5, k) * pow(10, 3. * b / 79), 1e17 * pow(10, 6. * b / 79));
    find();
    assert_true(budgets.refusal.refused);
    assert_non_null(strstr(budgets.refusal.why, "up to 64 values"));
    mu_budgets_free(&budgets);
}

static void test_only_final_losses_belong(void **state)
{
    (void)state;
    add_sweep(LLAMA, 3, 5, 0);
    for (size_t k = 0; k < 15; k += 5)
        for (int m = 1; m < 40; m++) {
            add(point[k].n, point[k].c * m / 40);
            point[points - 1].end = false;
        }
    find();
    assert_int_equal(budgets.count, 3);
    for (size_t k = 0; k < points; k++)
        assert_true(budgets.of[k] == (k < 15 ? k / 5 : MU_FIT_NONE));
    mu_budgets_free(&budgets);
}

static void test_groups_that_are_given_are_taken(void **state)
{
    (void)state;
    points = 0;
    for (uint32_t k = 0; k < 9; k++) {
        add(1e7 * (k + 1), 1e18 * pow(1.1, k));
        point[k].group = 7 - k / 4; /* 7 7 7 7 6 6 6 6 5 */
    }
    point[2].group = MU_FIT_NONE;
    find();
    assert_int_equal(budgets.count, 3);
    for (size_t k = 0; k < 9; k++)
        assert_true(budgets.of[k] == (k == 2 ? MU_FIT_NONE : k / 4)); /* ascending in C */
    assert_true(fabs(budgets.c[0] / (1e18 * pow(1.1, 4. / 3)) - 1) < 1e-12);
    assert_true(fabs(budgets.spread[1] / pow(1.1, 3) - 1) < 1e-12);
    mu_budgets_free(&budgets);
    for (uint32_t k = 0; k < 9; k++)
        point[k].end = false;
    check_refused("no final losses");
    points = 0;
    for (uint32_t k = 0; k <= MU_BUDGETS; k++) {
        add(1e7, 1e18);
        point[k].group = k;
    }
    check_refused("over 64 groups");
}

static bool read_epoch(void)
{
    const char *shared = getenv("MUSTER_SHARED"), *source = getenv("MUSTER_SOURCE");
    char path[4096], row[512];
    FILE *file;

    if (shared)
        snprintf(path, sizeof path, "%s/data/epoch_chinchilla.csv", shared);
    else
        snprintf(path, sizeof path, "%s/../shared/data/epoch_chinchilla.csv",
                 source ? source : ".");
    file = fopen(path, "r");
    points = 0;
    if (!file)
        return false;
    while (points < ALL && fgets(row, sizeof row, file)) {
        double n, c, loss;

        if (sscanf(row, "%*f,%*f,%*[^,],%lf,%lf,%*[^,],%lf", &n, &c, &loss) == 3) {
            add(n, c);
            point[points - 1].loss = loss;
        }
    }
    fclose(file);
    return true;
}

/* Hoffmann et al. 2022, figure 3: nine budgets, 6e18 to 3e21; approach 2 gave a = .49 (.462 to
 * .534). The points are Epoch's, read off figure 4, C from their colours. */
static void test_the_budgets_of_chinchilla(void **state)
{
    const struct mu_flops flops = {.kind = MU_FLOPS_6N};
    static struct mu_isoflop iso;
    size_t seen = 0;

    (void)state;
    if (!read_epoch()) {
        print_message("no ../shared/data/epoch_chinchilla.csv: skipped\n");
        skip();
    }
    assert_int_equal(points, 245);
    find();
    mu_isoflop_fit(point, points, &budgets, &flops, NULL, true, NULL, &iso);
    for (size_t k = 0; k < 9; k++)
        for (size_t b = 0; b < budgets.count; b++)
            seen += fabs(log(budgets.c[b] / LLAMA[k])) < log(1.3) && iso.budget[b].points >= 14;
    assert_int_equal(seen, 9); /* the same nine as the first of Llama's */
    assert_true(iso.vertices >= 9);
    assert_true(iso.n_line.exponent > .462 && iso.n_line.exponent < .534);
    mu_budgets_free(&budgets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_budgets_that_were_set),
        cmocka_unit_test(test_budgets_read_off_a_figure),
        cmocka_unit_test(test_the_order_of_rows_does_not_matter),
        cmocka_unit_test(test_a_ladder_has_none),
        cmocka_unit_test(test_a_ladder_of_doublings_has_its_diagonals),
        cmocka_unit_test(test_a_continuum_is_no_budget),
        cmocka_unit_test(test_only_final_losses_belong),
        cmocka_unit_test(test_groups_that_are_given_are_taken),
        cmocka_unit_test(test_the_budgets_of_chinchilla),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* For any seed, epoch and n, the order of samples is a permutation, and looks like a random one.
 * The seed is of the day; MUSTER_TEST_SEED=N repeats a failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "tests/support/seed.h"
#include "worker/data/sampler.h"

/* Everything random below comes from here. */
static uint64_t next(void)
{
    static uint64_t state, started;
    uint64_t x;

    if (!started++)
        state = seed;
    x = state += 0x9E3779B97F4A7C15u;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    return x ^ x >> 31;
}

#define CHECK(condition, ...)                                                              \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            print_error("MUSTER_TEST_SEED=%llu repeats this: ", (unsigned long long)seed); \
            fail_msg(__VA_ARGS__);                                                         \
        }                                                                                  \
    } while (0)

static void check_bijection(uint64_t key, uint64_t epoch, uint64_t n)
{
    uint8_t *seen = calloc(n, 1);

    assert_non_null(seen);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t p = mu_sampler_permute(key, epoch, n, i);

        CHECK(p < n, "n %llu: %llu lies outside", (unsigned long long)n, (unsigned long long)p);
        CHECK(!seen[p], "n %llu: %llu comes twice", (unsigned long long)n, (unsigned long long)p);
        seen[p] = 1;
    }
    free(seen);
}

static void test_bijection(void **state)
{
    (void)state;
    for (uint64_t n = 1; n <= 300; n++)
        check_bijection(next(), next(), n);
    for (unsigned bits = 9; bits <= 17; bits++) /* on and beside powers of two, and of squares */
        for (uint64_t d = 0; d < 3; d++)
            check_bijection(next(), next() % 100, (1ull << bits) - 1 + d);
    for (int i = 0; i < 40; i++)
        check_bijection(next(), next() % 100, 1 + next() % 20000);
}

/* Beyond 2^32 a table of all is out of reach: as many as fit must be inside and differ. */
static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void test_large(void **state)
{
    enum { SAMPLES = 50000 };
    const uint64_t sizes[] = {(1ull << 32) - 1, 1ull << 32,       (1ull << 32) + 1,
                              6000000000u,      (1ull << 62) + 3, UINT64_MAX};
    uint64_t *p = malloc(SAMPLES * sizeof *p);
    (void)state;

    assert_non_null(p);
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        uint64_t n = sizes[s], key = next(), first = next() % (n - SAMPLES);
        double mean = 0;

        for (uint64_t i = 0; i < SAMPLES; i++) {
            p[i] = mu_sampler_permute(key, 1, n, first + i);
            CHECK(p[i] < n, "n %llu: outside", (unsigned long long)n);
            mean += (double)p[i] / (double)n / SAMPLES;
        }
        qsort(p, SAMPLES, sizeof *p, compare);
        for (uint64_t i = 1; i < SAMPLES; i++)
            CHECK(p[i] != p[i - 1], "n %llu: twice", (unsigned long long)n);
        /* the mean of uniform numbers: sigma is sqrt(1/12/SAMPLES) = 0.0013; 7 of them */
        CHECK(fabs(mean - 0.5) < 0.0091, "n %llu: mean %g", (unsigned long long)n, mean);
    }
    free(p);
}

/* An unrelated permutation agrees with another in about one place (Poisson of mean 1): more than 20
 * places have a probability below 1e-19. */
static void test_epochs_and_seeds_differ(void **state)
{
    const uint64_t n = 5000;
    (void)state;

    for (int round = 0; round < 20; round++) {
        uint64_t key = next(), epoch = next() % 1000, same_epoch = 0, same_seed = 0, still = 0;

        for (uint64_t i = 0; i < n; i++) {
            uint64_t p = mu_sampler_permute(key, epoch, n, i);

            same_epoch += p == mu_sampler_permute(key, epoch + 1, n, i);
            same_seed += p == mu_sampler_permute(key + 1, epoch, n, i);
            still += p == i;
        }
        CHECK(same_epoch <= 20 && same_seed <= 20 && still <= 20, "%llu, %llu, %llu places agree",
              (unsigned long long)same_epoch, (unsigned long long)same_seed,
              (unsigned long long)still);
    }
}

static void check_chi_square(const uint32_t *counts, size_t cells, double draws, const char *what)
{
    double expected = draws / (double)cells, chi2 = 0, freedom = (double)cells - 1;

    for (size_t i = 0; i < cells; i++)
        chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    CHECK(chi2 < freedom + 9 * sqrt(2 * freedom), "%s: chi-square %g of %g", what, chi2, freedom);
}

/* Where a place goes is uniform over epochs, and so is the distance between neighbours (a weak
 * network keeps them together). */
static void test_uniform_places(void **state)
{
    enum { N = 200, EPOCHS = 20000 };
    static uint32_t place[N], distance[N];
    uint64_t key = next(), index = next() % (N - 1);
    (void)state;

    for (uint64_t e = 0; e < EPOCHS; e++) {
        uint64_t p = mu_sampler_permute(key, e, N, index);
        uint64_t q = mu_sampler_permute(key, e, N, index + 1);

        place[p]++;
        distance[(p + N - q) % N]++;
    }
    check_chi_square(place, N, EPOCHS, "places");
    assert_int_equal(distance[0], 0);
    check_chi_square(distance + 1, N - 1, EPOCHS, "distances");
}

/* All 24 orders of four come equally often. */
static void test_uniform_orders(void **state)
{
    enum { EPOCHS = 24000 };
    uint32_t orders[256] = {0}, counts[24];
    uint64_t key = next();
    size_t found = 0;
    (void)state;

    for (uint64_t e = 0; e < EPOCHS; e++) {
        uint64_t code = 0;

        for (uint64_t i = 0; i < 4; i++)
            code = code * 4 + mu_sampler_permute(key, e, 4, i);
        orders[code]++;
    }
    for (size_t i = 0; i < 256; i++)
        if (orders[i]) {
            CHECK(found < 24, "more than 24 orders");
            counts[found++] = orders[i];
        }
    CHECK(found == 24, "only %zu orders of 24", found);
    check_chi_square(counts, 24, EPOCHS, "orders");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bijection),
        cmocka_unit_test(test_large),
        cmocka_unit_test(test_epochs_and_seeds_differ),
        cmocka_unit_test(test_uniform_places),
        cmocka_unit_test(test_uniform_orders),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

/* The seed of a test's random numbers: another one each time, and printed; MUSTER_TEST_SEED repeats
 * it. Include after cmocka.h. */
#ifndef MUSTER_TESTS_SEED_H
#define MUSTER_TESTS_SEED_H

#include <stdint.h>
#include <stdlib.h>

#include "orchestrator/base/clock.h"

static uint64_t seed;

/* For cmocka_run_group_tests. */
static inline int print_seed(void **state)
{
    const char *given = getenv("MUSTER_TEST_SEED");

    (void)state;
    seed = given ? strtoull(given, NULL, 10) : mu_clock_ns();
    print_message("MUSTER_TEST_SEED=%llu\n", (unsigned long long)seed);
    return 0;
}

#endif

/* For tests of the emulation itself (C++): the same launch under several orders, and launches that
 * must be found at fault. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_LAUNCH_H
#define MUSTER_TESTS_SUPPORT_CUDA_LAUNCH_H

#include <csetjmp>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>

extern "C" {
#include <cmocka.h>
}

#include "kernels/cuda/parts.cuh"
#include "kernels/emulate/control.h"

/* Runs `test` under each order. */
template <class F> void in_every_order(F test)
{
    const struct {
        enum mu_emulate_order kind;
        std::uint64_t seed;
    } orders[] = {{MU_EMULATE_FORWARD, 0},
                  {MU_EMULATE_REVERSE, 0},
                  {MU_EMULATE_SHUFFLED, 1},
                  {MU_EMULATE_SHUFFLED, 2}};

    for (auto o : orders) {
        mu_emulate_clear();
        mu_emulate_set_order(o.kind, o.seed);
        test();
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
}

/* The launch failed, and says each of the words. */
inline void faulty(cudaError_t error, std::initializer_list<const char *> words)
{
    assert_int_equal(error, cudaErrorLaunchFailure);
    assert_non_null(mu_emulate_fault());
    for (const char *word : words)
        if (!std::strstr(mu_emulate_fault(), word))
            fail_msg("'%s' does not say '%s'", mu_emulate_fault(), word);
    mu_emulate_clear();
}

#endif

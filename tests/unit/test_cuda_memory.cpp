/* The emulation's memory and numbers: shared memory, what is out of bounds, atomics, bf16. */
#include <cstdio>
#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

#include "kernels/bf16.h"
#include "kernels/emulate/asan.h"
#include "tests/support/cuda_launch.h"

namespace
{
__global__ void look_before_writing(int *poisoned)
{
    MU_SHARED(float, fixed, 4);
    MU_SHARED_DYNAMIC(float, dynamic);

    if (threadIdx.x == 0)
        for (int i = 0; i < 4; i++) {
            *poisoned += std::isnan(fixed[i]) && std::isnan(dynamic[i]);
            fixed[i] = dynamic[i] = 0;
        }
}

__global__ void too_much_shared(char *out)
{
    MU_SHARED(char, a, 40000);
    MU_SHARED(char, b, 9153);

    *out = a[0] = b[0] = 0;
}

void shared_memory(void **)
{
    int poisoned = 0;
    char out;

    assert_int_equal(MU_LAUNCH(look_before_writing, 5, 2, 4 * sizeof(float), nullptr, &poisoned),
                     cudaSuccess);
    assert_int_equal(poisoned, 5 * 4);
    faulty(MU_LAUNCH(too_much_shared, 1, 1, 0, nullptr, &out), {"beyond 48 KiB"});
}

__global__ void write_beyond(int *data, unsigned shared_at, unsigned at)
{
    MU_SHARED(int, kept, 10);
    MU_SHARED_DYNAMIC(int, dynamic);

    kept[shared_at] = dynamic[shared_at] = 1;
    data[at] = kept[shared_at];
}

/* Whether a child that does this ends well. */
bool survives(unsigned shared_at, unsigned at)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        int *data = static_cast<int *>(std::malloc(10 * sizeof *data));

        if (!std::freopen("/dev/null", "w", stderr) ||
            MU_LAUNCH(write_beyond, 1, 1, 40, nullptr, data, shared_at, at) != cudaSuccess)
            _exit(3);
        std::free(data);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void out_of_bounds_ends_under_asan(void **)
{
#ifdef MU_EMULATE_ASAN
    assert_true(survives(9, 9));
    assert_false(survives(10, 9));
    assert_false(survives(9, 10));
#else
    print_message("skipped: not built with AddressSanitizer\n");
    (void)survives;
    skip();
#endif
}

__global__ void count_all(unsigned *count, int *largest)
{
    atomicAdd(count, 0xffffffffu);
    atomicMax(largest, int(threadIdx.x) - 50);
}

void integer_atomics(void **)
{
    unsigned count = 7;
    int largest = -100;

    assert_int_equal(MU_LAUNCH(count_all, 3, 33, 0, nullptr, &count, &largest), cudaSuccess);
    assert_int_equal(count, 7u - 99u);
    assert_int_equal(largest, 32 - 50);
}

/* The lower 16 bits decide the rounding: all of them, under every upper half of interest. */
void bf16_rounds_to_even(void **)
{
    const unsigned uppers[] = {0, 0x8000, 0x0001, 0x007f, 0x3f80, 0x3f81, 0xbfff, 0x7f7f, 0x7f80};

    for (unsigned upper : uppers)
        for (unsigned lower = 0; lower < 65536; lower++) {
            float x = __uint_as_float(upper << 16 | lower);
            float back = __bfloat162float(__float2bfloat16_rn(x));

            if (std::isnan(x))
                assert_true(std::isnan(back));
            else
                assert_int_equal(__float2bfloat16_rn(x).bits, mu_bf16_from_f32(x));
        }
}
} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_memory),
        cmocka_unit_test(out_of_bounds_ends_under_asan),
        cmocka_unit_test(integer_atomics),
        cmocka_unit_test(bf16_rounds_to_even),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

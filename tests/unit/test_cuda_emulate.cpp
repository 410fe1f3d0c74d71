/* The emulation itself: where threads are, barriers and warp operations do what CUDA says; what is
 * undefined there is reported, not hung on or let pass. */
#include "tests/support/cuda_launch.h"

namespace
{
constexpr unsigned ALL = MU_ALL_LANES;

/* ---- where threads are ---- */
__global__ void write_place(int *count, int *wrong)
{
    unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);

    count[block * blockDim.x * blockDim.y * blockDim.z + thread]++;
    *wrong += threadIdx.x >= blockDim.x || blockIdx.z >= gridDim.z;
}

void every_thread_runs_once(void **)
{
    in_every_order([] {
        int count[2 * 3 * 4 * 5 * 6 * 7] = {}, wrong = 0;

        assert_int_equal(
            MU_LAUNCH(write_place, dim3(2, 3, 4), dim3(5, 6, 7), 0, nullptr, count, &wrong),
            cudaSuccess);
        for (int n : count)
            assert_int_equal(n, 1);
        assert_int_equal(wrong, 0);
    });
}

void impossible_shapes_are_refused(void **)
{
    int count[1] = {}, wrong = 0;
    const dim3 grids[] = {0, dim3(1, 65536), 1, 1, 1}, blocks[] = {1, 1, 1025, dim3(32, 33), 0};

    for (int i = 0; i < 5; i++)
        assert_int_equal(MU_LAUNCH(write_place, grids[i], blocks[i], 0, nullptr, count, &wrong),
                         cudaErrorInvalidConfiguration);
    assert_int_equal(MU_LAUNCH(write_place, 1, 1, 48 * 1024 + 1, nullptr, count, &wrong),
                     cudaErrorInvalidConfiguration);
    assert_int_equal(count[0], 0);
    assert_non_null(std::strstr(mu_emulate_fault(), "write_place"));
    mu_emulate_clear();
}

/* ---- barriers and races ---- */
template <bool BARRIER> __global__ void reverse(int *data)
{
    MU_SHARED(int, kept, 100);

    kept[threadIdx.x] = data[blockIdx.x * 100 + threadIdx.x];
    if (BARRIER)
        __syncthreads();
    data[blockIdx.x * 100 + threadIdx.x] = kept[99 - threadIdx.x];
}

void fill(int (&data)[300])
{
    for (int i = 0; i < 300; i++)
        data[i] = i;
}

void barrier_orders_threads(void **)
{
    in_every_order([] {
        int data[300];

        fill(data);
        assert_int_equal(MU_LAUNCH(reverse<true>, 3, 100, 0, nullptr, data), cudaSuccess);
        for (int i = 0; i < 300; i++)
            assert_int_equal(data[i], i / 100 * 100 + 99 - i % 100);
    });
}

/* Without the barrier, half of the threads read what nobody has written: which half is a matter of
 * order. */
void missing_barrier_shows_as_different_bits(void **)
{
    int data[2][300];

    for (int o = 0; o < 2; o++) {
        mu_emulate_set_order(o ? MU_EMULATE_REVERSE : MU_EMULATE_FORWARD, 0);
        fill(data[o]);
        assert_int_equal(MU_LAUNCH(reverse<false>, 3, 100, 0, nullptr, data[o]), cudaSuccess);
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    assert_true(std::memcmp(data[0], data[1], sizeof data[0]) != 0);
    assert_int_equal(data[0][0], -1); /* what shared memory is filled with */
}

/* The second barrier keeps a warp from overwriting what another one has yet to read. */
template <bool BARRIER> __global__ void hand_round(int *out)
{
    MU_SHARED(int, kept, 2);
    unsigned warp = threadIdx.x / 32;
    int seen = 0;

    for (int round = 1; round <= 3; round++) {
        if (threadIdx.x % 32 == 0)
            kept[warp] = round;
        __syncthreads();
        seen = 10 * seen + kept[1 - warp];
        if (BARRIER)
            __syncthreads();
        __syncwarp();
    }
    out[threadIdx.x] = seen;
}

void overwriting_too_early_shows(void **)
{
    bool right[4], all_right[4];
    int n = 0;

    in_every_order([&] {
        int out[64];

        right[n] = all_right[n] = true;
        assert_int_equal(MU_LAUNCH(hand_round<true>, 1, 64, 0, nullptr, out), cudaSuccess);
        for (int seen : out)
            all_right[n] = all_right[n] && seen == 123;
        assert_int_equal(MU_LAUNCH(hand_round<false>, 1, 64, 0, nullptr, out), cudaSuccess);
        for (int seen : out)
            right[n] = right[n] && seen == 123;
        n++;
    });
    for (int i = 0; i < 4; i++)
        assert_true(all_right[i] && !right[i]);
}

__global__ void last_block_wins(unsigned *to)
{
    *to = blockIdx.x;
}

void race_between_blocks_shows_as_different_bits(void **)
{
    unsigned a = 0, b = 0;

    MU_LAUNCH(last_block_wins, 10, 1, 0, nullptr, &a);
    mu_emulate_set_order(MU_EMULATE_REVERSE, 0);
    MU_LAUNCH(last_block_wins, 10, 1, 0, nullptr, &b);
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    assert_int_equal(a, 9);
    assert_int_equal(b, 0);
}

__global__ void some_return_early(unsigned who)
{
    if (threadIdx.x == who)
        return;
    __syncthreads();
}

__global__ void two_barriers(unsigned who)
{
    if (threadIdx.x == who)
        __syncthreads();
    else
        __syncthreads();
}

__global__ void one_more_round(unsigned who)
{
    for (unsigned i = 0; i < (threadIdx.x == who ? 3 : 2); i++)
        __syncthreads();
}

void missed_barrier_is_reported(void **)
{
    in_every_order([] {
        faulty(MU_LAUNCH(some_return_early, 2, 64, 0, nullptr, 63u),
               {"some_return_early", "__syncthreads", "thread 63, which has returned"});
        faulty(MU_LAUNCH(two_barriers, 1, 64, 0, nullptr, 5u), {"thread 5, which is in", ".cpp:"});
        faulty(MU_LAUNCH(one_more_round, 1, 64, 0, nullptr, 5u),
               {"thread 5 waits in __syncthreads", "thread 0, which has returned"});
        assert_int_equal(MU_LAUNCH(some_return_early, 2, 64, 0, nullptr, 64u), cudaSuccess);
    });
}

__global__ void any_thread(int *any, unsigned who)
{
    for (unsigned round = 0; round < 4; round++) {
        int found = __syncthreads_or(threadIdx.x == who + round);

        if (threadIdx.x == 0)
            any[round] = found;
    }
}

void barrier_with_or(void **)
{
    in_every_order([] {
        int any[4] = {7, 7, 7, 7};

        assert_int_equal(MU_LAUNCH(any_thread, 1, 70, 0, nullptr, any, 68u), cudaSuccess);
        assert_true(any[0] == 1 && any[1] == 1 && any[2] == 0 && any[3] == 0);
    });
}

/* ---- warps ---- */
struct moved {
    int from, up, down, exchanged, narrow, narrow_up;
    double wide;
    unsigned odd;
    int all, any, none;
};

__global__ void move(moved *out)
{
    int lane = int(threadIdx.x % 32), mine = int(threadIdx.x) + 1000;
    moved &m = out[threadIdx.x];

    m.from = __shfl_sync(ALL, mine, lane * 3); /* modulo the width */
    m.up = __shfl_up_sync(ALL, mine, 3);
    m.down = __shfl_down_sync(ALL, mine, 3);
    m.exchanged = __shfl_xor_sync(ALL, mine, 5);
    m.narrow = __shfl_sync(ALL, mine, 9, 8); /* lane 1 of each eight */
    m.narrow_up = __shfl_up_sync(ALL, mine, 1, 8);
    m.wide = __shfl_xor_sync(ALL, mine + 0.25, 1);
    m.odd = __ballot_sync(ALL, lane & 1);
    m.all = __all_sync(ALL, lane < 31);
    m.any = __any_sync(ALL, lane == 31);
    m.none = __any_sync(ALL, lane == 32);
}

void shuffles_and_votes(void **)
{
    in_every_order([] {
        moved out[96];

        assert_int_equal(MU_LAUNCH(move, 1, 96, 0, nullptr, out), cudaSuccess);
        for (int i = 0; i < 96; i++) {
            int first = 1000 + i / 32 * 32, lane = i % 32;

            assert_int_equal(out[i].from, first + lane * 3 % 32);
            assert_int_equal(out[i].up, first + (lane < 3 ? lane : lane - 3));
            assert_int_equal(out[i].down, first + (lane > 28 ? lane : lane + 3));
            assert_int_equal(out[i].exchanged, first + (lane ^ 5));
            assert_int_equal(out[i].narrow, first + lane / 8 * 8 + 1);
            assert_int_equal(out[i].narrow_up, first + (lane % 8 ? lane - 1 : lane));
            assert_true(out[i].wide == first + (lane ^ 1) + 0.25);
            assert_int_equal(out[i].odd, 0xaaaaaaaau);
            assert_true(out[i].all == 0 && out[i].any == 1 && out[i].none == 0);
        }
    });
}

/* The lower half goes on among itself while the upper half has not read yet. */
__global__ void halves(int *out)
{
    int lane = int(threadIdx.x), sum = __shfl_sync(ALL, lane, 0);

    if (lane < 16)
        for (int i = 0; i < 4; i++)
            sum += __shfl_xor_sync(0xffffu, lane + 100, 1);
    __syncwarp();
    out[lane] = sum;
}

void part_of_a_warp(void **)
{
    in_every_order([] {
        int out[32];

        assert_int_equal(MU_LAUNCH(halves, 1, 32, 0, nullptr, out), cudaSuccess);
        for (int i = 0; i < 32; i++)
            assert_int_equal(out[i], i < 16 ? 4 * ((i ^ 1) + 100) : 0);
    });
}

__global__ void half_shuffles(int *out)
{
    if (threadIdx.x < 16)
        out[threadIdx.x] = __shfl_xor_sync(ALL, int(threadIdx.x), 1);
}

__global__ void half_waits(int *out)
{
    if (threadIdx.x < 16)
        out[threadIdx.x] = __shfl_xor_sync(ALL, int(threadIdx.x), 1);
    __syncthreads();
}

__global__ void reads_beyond_the_mask(int *out)
{
    if (threadIdx.x < 16)
        out[threadIdx.x] = __shfl_xor_sync(0xffffu, int(threadIdx.x), 16);
}

__global__ void is_not_in_its_mask(int *out)
{
    out[threadIdx.x] = __shfl_xor_sync(0xffffu, int(threadIdx.x), 1);
}

void divergent_shuffle_is_reported(void **)
{
    in_every_order([] {
        int out[32];

        faulty(MU_LAUNCH(half_shuffles, 1, 32, 0, nullptr, out),
               {"__shfl_xor_sync", "thread 16, which has returned"});
        faulty(MU_LAUNCH(half_waits, 1, 32, 0, nullptr, out),
               {"thread 0 waits in __shfl_xor_sync", "thread 16, which is in __syncthreads"});
        faulty(MU_LAUNCH(reads_beyond_the_mask, 1, 32, 0, nullptr, out), {"does not name"});
        faulty(MU_LAUNCH(is_not_in_its_mask, 1, 32, 0, nullptr, out),
               {"not named by its own mask"});
        faulty(MU_LAUNCH(half_shuffles, 1, 16, 0, nullptr, out), {"lane that does not exist"});
    });
}

__global__ void block_sums(float *out)
{
    MU_SHARED(float, scratch, 8);

    for (int round = 0; round < 3; round++) {
        float sum = mu_block_sum(float(threadIdx.x + unsigned(round)), scratch);

        if (threadIdx.x == blockDim.x - 1)
            out[round] = sum;
    }
}

void sum_of_a_block(void **)
{
    in_every_order([] {
        float out[3];

        assert_int_equal(MU_LAUNCH(block_sums, 1, 256, 0, nullptr, out), cudaSuccess);
        for (int round = 0; round < 3; round++) /* integers: exact in any order */
            assert_true(out[round] == float(255 * 256 / 2 + 256 * round));
    });
}
} // namespace

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_runs_once),
        cmocka_unit_test(impossible_shapes_are_refused),
        cmocka_unit_test(barrier_orders_threads),
        cmocka_unit_test(missing_barrier_shows_as_different_bits),
        cmocka_unit_test(overwriting_too_early_shows),
        cmocka_unit_test(race_between_blocks_shows_as_different_bits),
        cmocka_unit_test(missed_barrier_is_reported),
        cmocka_unit_test(barrier_with_or),
        cmocka_unit_test(shuffles_and_votes),
        cmocka_unit_test(part_of_a_warp),
        cmocka_unit_test(divergent_shuffle_is_reported),
        cmocka_unit_test(sum_of_a_block),
    };

    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

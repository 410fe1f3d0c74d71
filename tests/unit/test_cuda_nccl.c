/* NCCL's stand-in between processes: sums, copies, messages; when calls are over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/support/cuda_ranks.h"

/* ---- sums and copies ---- */
static void sum_of_all(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 100001);
    int count = 0, me = -1;

    NCCL(ncclCommCount(r.comm, &count));
    NCCL(ncclCommUserRank(r.comm, &me));
    CHECK(count == ranks && me == rank);
    for (int round = 0; round < 3; round++) {
        upload_ints(&r, rank + round, 1 << rank);
        begin_sum(&r);
        CHECK(drained(r.stream, 10) == cudaSuccess);
        CHECK(ints_are(&r, ranks * round + ranks * (ranks - 1) / 2, (1 << ranks) - 1));
    }
    CHECK(ncclCommFinalize(r.comm) == ncclInProgress);
    CHECK(settled(r.comm, 10) == ncclSuccess);
    NCCL(ncclCommDestroy(r.comm));
}

static void sums_among_processes(void **state)
{
    (void)state;
    for (int ranks = 1; ranks <= RANKS_MAX; ranks++)
        run_ranks(sum_of_all, ranks, -1);
}

/* Sums, largest and smallest of one element a rank: rank r brings value(r). */
struct number {
    char bytes[8];
};

static struct number number_of(ncclDataType_t type, int64_t value)
{
    struct number n = {{0}};
    float f = (float)value;

    if (type == ncclFloat32)
        memcpy(n.bytes, &f, 4);
    else /* little-endian */
        memcpy(n.bytes, &value, 8);
    return n;
}

static size_t bytes_of(ncclDataType_t type)
{
    return type <= ncclUint8 ? 1 : type == ncclInt64 || type == ncclUint64 ? 8 : 4;
}

static void every_type(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 64);
    const ncclDataType_t types[] = {ncclInt8,  ncclUint8,  ncclInt32,  ncclUint32,
                                    ncclInt64, ncclUint64, ncclFloat32};
    const int64_t value[] = {100, 7, 90}; /* sum 197: beyond int8 */
    const int64_t expected[] = {197, 0, 100, 7};

    for (int t = 0; t < 7; t++)
        for (int op = ncclSum; op <= ncclMin; op++) {
            struct number mine = number_of(types[t], value[rank]), got;

            if (op == ncclProd)
                continue;
            CUDA(cudaMemcpy(r.ints, mine.bytes, 8, cudaMemcpyHostToDevice));
            CHECK(ncclAllReduce(r.ints, r.ints + 8, 1, types[t], (ncclRedOp_t)op, r.comm,
                                r.stream) == ncclInProgress);
            CHECK(settled(r.comm, 10) == ncclSuccess);
            CHECK(drained(r.stream, 10) == cudaSuccess);
            CUDA(cudaMemcpy(got.bytes, r.ints + 8, 8, cudaMemcpyDeviceToHost));
            mine = number_of(types[t], expected[op]);
            CHECK(memcmp(got.bytes, mine.bytes, bytes_of(types[t])) == 0);
        }
    CHECK(ncclAllReduce(r.ints, r.ints, 1, ncclFloat64, ncclSum, r.comm, r.stream) ==
          ncclInvalidArgument);
    CHECK(ncclAllReduce(r.ints, r.ints, 1, ncclInt32, ncclProd, r.comm, r.stream) ==
          ncclInvalidArgument);
    CHECK(ncclAllReduce(&ranks, r.ints, 1, ncclInt32, ncclSum, r.comm, r.stream) ==
          ncclInvalidArgument); /* the host's */
}

static void types_and_operations(void **state)
{
    (void)state;
    run_ranks(every_type, 3, -1);
}

static void finish(struct rank *r, ncclResult_t begun)
{
    CHECK(begun == ncclInProgress);
    CHECK(settled(r->comm, 10) == ncclSuccess);
    CHECK(drained(r->stream, 10) == cudaSuccess);
}

/* Scatter the sums and gather them again, in place: the all-reduce. Then a broadcast. */
static void parts(int rank, int ranks, const ncclUniqueId *id)
{
    size_t part = 1000;
    struct rank r = make_rank(rank, ranks, id, part * (size_t)ranks);
    int *mine = r.ints + (size_t)rank * part;

    upload_ints(&r, rank, 3);
    finish(&r, ncclReduceScatter(r.ints, mine, part, ncclInt32, ncclSum, r.comm, r.stream));
    finish(&r, ncclAllGather(mine, r.ints, part, ncclInt32, r.comm, r.stream));
    CHECK(ints_are(&r, ranks * (ranks - 1) / 2, 3 * ranks));
    upload_ints(&r, rank, 100 + rank);
    finish(&r, ncclBroadcast(r.ints, r.ints, r.n, ncclInt32, ranks - 1, r.comm, r.stream));
    CHECK(ints_are(&r, ranks - 1, 100 + ranks - 1));
}

/* A part to each rank, of another size each: two to the last one, of which all others give no
 * place to receive it. */
static void reduced_to_one(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 1000);
    int *got, host[700];

    CUDA(cudaMalloc((void **)&got, sizeof host));
    CUDA(cudaMemset(got, 0x7f, sizeof host));
    upload_ints(&r, rank, 1);
    NCCL(ncclGroupStart());
    for (int root = 0; root < ranks; root++)
        NCCL(ncclReduce(r.ints + root, rank == root ? got : NULL, 100 + (size_t)root, ncclInt32,
                        ncclSum, root, r.comm, r.stream));
    NCCL(ncclReduce(r.ints + 500, rank == ranks - 1 ? got + 200 : NULL, 500, ncclInt32, ncclMax,
                    ranks - 1, r.comm, r.stream));
    finish(&r, ncclGroupEnd());
    CUDA(cudaMemcpy(host, got, sizeof host, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 700; i++) {
        int expected = 0x7f7f7f7f;

        if (i < 100 + rank)
            expected = ranks * (ranks - 1) / 2 + ranks * (rank + i);
        else if (rank == ranks - 1 && i >= 200)
            expected = ranks - 1 + 500 + i - 200;
        CHECK(host[i] == expected);
    }
    CHECK(ncclReduce(r.ints, NULL, 1, ncclInt32, ncclSum, rank, r.comm, r.stream) ==
          ncclInvalidArgument);
}

/* Each sends to the next and receives from the one before, three times over, and to himself. */
static void messages(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 3000);
    int next = (rank + 1) % ranks, before = (rank + ranks - 1) % ranks, *got, host[4];

    CUDA(cudaMalloc((void **)&got, 16));
    upload_ints(&r, 10 * rank, 1);
    NCCL(ncclGroupStart());
    for (int i = 0; i < 3; i++) {
        NCCL(ncclSend(r.ints + i, 1, ncclInt32, next, r.comm, r.stream));
        NCCL(ncclRecv(got + i, 1, ncclInt32, before, r.comm, r.stream));
    }
    NCCL(ncclSend(r.ints + 7, 1, ncclInt32, rank, r.comm, r.stream));
    NCCL(ncclRecv(got + 3, 1, ncclInt32, rank, r.comm, r.stream));
    finish(&r, ncclGroupEnd());
    CUDA(cudaMemcpy(host, got, 16, cudaMemcpyDeviceToHost));
    for (int i = 0; i < 3; i++)
        CHECK(host[i] == 10 * before + i);
    CHECK(host[3] == 10 * rank + 7);
}

static void parts_and_messages(void **state)
{
    (void)state;
    run_ranks(parts, 4, -1);
    run_ranks(reduced_to_one, 4, -1);
    run_ranks(messages, 3, -1);
}

/* 1 and 2^24 twice: floats in the order of ranks lose the 1, in another order they may not. */
static void float_order(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 1);
    const float value[] = {1, 0x1p24f, -0x1p24f};
    float sum;

    CUDA(cudaMemcpy(r.ints, &value[rank], 4, cudaMemcpyHostToDevice));
    finish(&r, ncclAllReduce(r.ints, r.ints, 1, ncclFloat32, ncclSum, r.comm, r.stream));
    CUDA(cudaMemcpy(&sum, r.ints, 4, cudaMemcpyDeviceToHost));
    CHECK(sum == (getenv("MUSTER_EMULATE_NCCL_ORDER") ? 1.0F : 0.0F));
}

static void floats_follow_the_order(void **state)
{
    (void)state;
    run_ranks(float_order, 3, -1);
    setenv("MUSTER_EMULATE_NCCL_ORDER", "2", 1); /* (2^24 - 2^24) + 1 */
    run_ranks(float_order, 3, -1);
    unsetenv("MUSTER_EMULATE_NCCL_ORDER");
}

/* ---- blocking ---- */
static void blocking(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = {rank, ranks, NULL, NULL, NULL, 100};

    CUDA(cudaSetDevice(rank));
    NCCL(ncclCommInitRank(&r.comm, ranks, *id, rank));
    CUDA(cudaMalloc((void **)&r.ints, r.n * sizeof *r.ints));
    upload_ints(&r, rank, 1);
    NCCL(ncclAllReduce(r.ints, r.ints, r.n, ncclInt32, ncclMax, r.comm, NULL));
    CUDA(cudaStreamSynchronize(NULL));
    CHECK(ints_are(&r, ranks - 1, 1));
    NCCL(ncclCommFinalize(r.comm));
    NCCL(ncclCommDestroy(r.comm));
}

static void blocking_communicators(void **state)
{
    ncclComm_t comms[2];
    ncclUniqueId id;

    (void)state;
    run_ranks(blocking, 3, -1);
    assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
    assert_int_equal(ncclGroupStart(), ncclSuccess);
    for (int r = 0; r < 2; r++) {
        assert_int_equal(cudaSetDevice(r), cudaSuccess);
        assert_int_equal(ncclCommInitRank(&comms[r], 2, id, r), ncclSuccess);
    }
    assert_int_equal(ncclGroupEnd(), ncclSuccess); /* waits for both */
    for (int r = 0; r < 2; r++)
        assert_int_equal(ncclCommDestroy(comms[r]), ncclSuccess);
    mu_emulate_restart();
}

/* ---- non-blocking ---- */
static volatile int *looked; /* shared by all ranks */

/* What was called is on the stream only when a poll has said so. */
static void calls_are_seen_late(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 10);
    cudaEvent_t early, late;

    CUDA(cudaEventCreateWithFlags(&early, cudaEventDisableTiming));
    CUDA(cudaEventCreateWithFlags(&late, cudaEventDisableTiming));
    upload_ints(&r, 1, 1);
    CHECK(ncclAllReduce(r.ints, r.ints, r.n, ncclInt32, ncclSum, r.comm, r.stream) ==
          ncclInProgress);
    CUDA(cudaEventRecord(early, r.stream));
    CUDA(cudaEventQuery(early));
    CHECK(ncclBroadcast(r.ints, r.ints, 1, ncclInt32, 0, r.comm, r.stream) == ncclInvalidArgument);
    CHECK(state_of(r.comm) == ncclInProgress);
    for (double until = seconds() + 10; rank == 0 && !*looked; usleep(1000))
        CHECK(seconds() < until);
    CHECK(settled(r.comm, 10) == ncclSuccess);
    CUDA(cudaEventRecord(late, r.stream));
    CHECK(rank == 0 || cudaEventQuery(late) == cudaErrorNotReady);
    *looked = 1;
    CUDA(cudaEventSynchronize(late));
    CHECK(ints_are(&r, ranks, ranks));
}

static void issuing_takes_a_poll(void **state)
{
    (void)state;
    looked = mmap(NULL, sizeof *looked, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(looked, MAP_FAILED);
    run_ranks(calls_are_seen_late, 2, -1);
    munmap((void *)(uintptr_t)looked, sizeof *looked);
}

/* One thread, three communicators: all progress whatever is called. */
static void several_ranks_of_one_thread(void **state)
{
    struct rank r[3] = {0};
    ncclUniqueId id;

    (void)state;
    assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
    for (int i = 0; i < 3; i++)
        r[i] = (struct rank){i, 3, begin_join(i, 3, &id), NULL, NULL, 50};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cudaSetDevice(i), cudaSuccess);
        assert_int_equal(cudaStreamCreateWithFlags(&r[i].stream, cudaStreamNonBlocking),
                         cudaSuccess);
        assert_int_equal(cudaMalloc((void **)&r[i].ints, 200), cudaSuccess);
        assert_int_equal(settled(r[i].comm, 10), ncclSuccess);
        upload_ints(&r[i], i, 1);
    }
    for (int i = 0; i < 3; i++) {
        begin_sum(&r[i]);
        assert_int_equal(cudaStreamQuery(r[0].stream), i < 2 ? cudaErrorNotReady : cudaSuccess);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(ints_are(&r[i], 3, 3));
        assert_int_equal(cudaSetDevice(i), cudaSuccess);
        assert_int_equal(ncclCommAbort(r[i].comm), ncclSuccess);
    }
    mu_emulate_restart();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_among_processes),        cmocka_unit_test(types_and_operations),
        cmocka_unit_test(parts_and_messages),          cmocka_unit_test(floats_follow_the_order),
        cmocka_unit_test(blocking_communicators),      cmocka_unit_test(issuing_takes_a_poll),
        cmocka_unit_test(several_ranks_of_one_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* NCCL's stand-in between processes: sums, messages, what a killed rank leaves, errors on demand. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

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

/* Everybody sends to the next and receives from the one before, three times over, and to himself. */
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

/* ---- non-blocking ---- */
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
    if (rank == 0)
        usleep(300000);
    CHECK(settled(r.comm, 10) == ncclSuccess);
    CUDA(cudaEventRecord(late, r.stream));
    CHECK(rank == 0 || cudaEventQuery(late) == cudaErrorNotReady);
    CUDA(cudaEventSynchronize(late));
    CHECK(ints_are(&r, ranks, ranks));
}

static void issuing_takes_a_poll(void **state)
{
    (void)state;
    run_ranks(calls_are_seen_late, 2, -1);
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
        assert_int_equal(ncclCommAbort(r[i].comm), ncclSuccess);
    }
    mu_emulate_restart();
}

/* ---- death ---- */
enum { SURVIVORS = 3, DEAD_SECONDS_MILLI = 300 };

static ncclUniqueId second_id; /* made by the parent before the ranks are */

/* Rank 1 dies in the second sum: the others hang, abort, and go on without it. */
static void one_dies(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 1000);
    int survivor = rank > 1 ? rank - 1 : rank, host;

    upload_ints(&r, 1, 1);
    begin_sum(&r);
    CHECK(drained(r.stream, 10) == cudaSuccess);
    if (rank == 1)
        raise(SIGKILL);
    upload_ints(&r, 1, 1);
    begin_sum(&r);
    CUDA(cudaMemsetAsync(r.ints + 999, 0, 4, r.stream)); /* behind it */
    CHECK(drained(r.stream, 1e-3 * DEAD_SECONDS_MILLI) == cudaErrorNotReady);
    CHECK(state_of(r.comm) == ncclSuccess); /* nobody says a word */
    NCCL(ncclCommAbort(r.comm));
    CHECK(drained(r.stream, 10) == cudaSuccess);
    CUDA(cudaMemcpy(&host, r.ints + 999, 4, cudaMemcpyDeviceToHost));
    CHECK(host == 0);
    CUDA(cudaMemcpy(&host, r.ints, 4, cudaMemcpyDeviceToHost));
    CHECK(host == -1); /* garbage */
    r.comm = begin_join(survivor, SURVIVORS, &second_id);
    CHECK(settled(r.comm, 20) == ncclSuccess);
    upload_ints(&r, survivor, 1);
    begin_sum(&r);
    CHECK(drained(r.stream, 10) == cudaSuccess);
    CHECK(ints_are(&r, 3, SURVIVORS));
    NCCL(ncclCommDestroy(r.comm));
}

static void survivors_go_on(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(ncclGetUniqueId(&second_id), ncclSuccess);
        run_ranks(one_dies, SURVIVORS + 1, 1);
    }
}

static void death_is_told(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 10);

    begin_sum(&r); /* all have joined when it is over */
    if (rank == 0) {
        CHECK(drained(r.stream, 10) == cudaSuccess);
        raise(SIGKILL);
    }
    double until = seconds() + 10;
    while (state_of(r.comm) != ncclRemoteError && seconds() < until)
        usleep(1000);
    CHECK(state_of(r.comm) == ncclRemoteError);
    CHECK(ncclAllReduce(r.ints, r.ints, 1, ncclInt32, ncclSum, r.comm, r.stream) ==
          ncclRemoteError);
    NCCL(ncclCommAbort(r.comm));
}

static void remote_error_on_demand(void **state)
{
    (void)state;
    setenv("MUSTER_EMULATE_NCCL_REMOTE", "1", 1);
    run_ranks(death_is_told, 3, 0);
    unsetenv("MUSTER_EMULATE_NCCL_REMOTE");
}

/* Rank 1 dies while only ranks 0 and 2 have its part. */
static void dies_torn(int rank, int ranks, const ncclUniqueId *id)
{
    if (rank == 1)
        setenv("MUSTER_EMULATE_NCCL_TORN", "2", 1);
    struct rank r = make_rank(rank, ranks, id, 10);

    for (int sum = 1; sum <= 2; sum++) {
        bool over;

        upload_ints(&r, 1, 1);
        begin_sum(&r);
        over = drained(r.stream, sum == 2 && rank == 3 ? 1 : 10) == cudaSuccess;
        CHECK(over == (sum == 1 || rank != 3));
        CHECK(!over || ints_are(&r, ranks, ranks));
    }
    NCCL(ncclCommAbort(r.comm));
}

static void some_have_the_sum(void **state)
{
    (void)state;
    run_ranks(dies_torn, 4, 1);
}

/* ---- errors on demand ---- */
static void third_fails(int rank, int ranks, const ncclUniqueId *id)
{
    if (rank == 1)
        setenv("MUSTER_EMULATE_NCCL_ERROR", "3:2", 1);
    struct rank r = make_rank(rank, ranks, id, 10);

    for (int sum = 1; sum <= 3; sum++) {
        CHECK(ncclAllReduce(r.ints, r.ints, 1, ncclInt32, ncclSum, r.comm, r.stream) ==
              ncclInProgress);
        CHECK(settled(r.comm, 10) == (rank == 1 && sum == 3 ? ncclSystemError : ncclSuccess));
        CHECK(drained(r.stream, sum == 3 ? 0.3 : 10) ==
              (sum == 3 ? cudaErrorNotReady : cudaSuccess));
    }
    CHECK(state_of(r.comm) == (rank == 1 ? ncclSystemError : ncclSuccess));
    NCCL(ncclCommAbort(r.comm));
    CHECK(drained(r.stream, 1) == cudaSuccess);
}

static void asynchronous_error_on_demand(void **state)
{
    (void)state;
    run_ranks(third_fails, 3, -1);
}

static void abort_hangs(int rank, int ranks, const ncclUniqueId *id)
{
    setenv("MUSTER_EMULATE_NCCL_ABORT_HANGS", "1", 1);
    struct rank r = make_rank(rank, ranks, id, 10);

    alarm(1);
    ncclCommAbort(r.comm);
}

static int status_of_one(void (*body)(int, int, const ncclUniqueId *), int ranks)
{
    ncclUniqueId id;

    assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
    return wait_for_rank(start_rank(body, 0, ranks, &id));
}

static void an_abort_may_hang(void **state)
{
    (void)state;
    assert_int_equal(status_of_one(abort_hangs, 1), SIGALRM);
}

/* The second of two ranks never comes. */
static void one_is_missing(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = {rank, ranks, begin_join(rank, ranks, id), NULL, NULL, 0};

    CHECK(settled(r.comm, 0.3) == ncclInProgress);
    CHECK(ncclAllReduce(r.ints, r.ints, 1, ncclInt32, ncclSum, r.comm, NULL) ==
          ncclInvalidArgument);
    NCCL(ncclCommAbort(r.comm));
    CHECK(ncclCommAbort(r.comm) == ncclInvalidArgument);
}

static void joining_hangs_without_all(void **state)
{
    (void)state;
    assert_int_equal(status_of_one(one_is_missing, 2), 0);
}

static void shares_a_gpu(int rank, int ranks, const ncclUniqueId *id)
{
    setenv("CUDA_VISIBLE_DEVICES", rank ? "5,5" : "5", 1);
    ncclComm_t comm = begin_join(rank, ranks, id);

    CHECK(settled(comm, 10) == ncclInvalidUsage);
    CHECK(strstr(ncclGetLastError(comm), "GPU"));
    NCCL(ncclCommAbort(comm));
}

static void two_ranks_on_one_gpu_are_refused(void **state)
{
    (void)state;
    run_ranks(shares_a_gpu, 2, -1);
}

/* ---- bugs that hardware answers with garbage or a hang ---- */
static void silently(void)
{
    CHECK(freopen("/dev/null", "w", stderr));
    signal(SIGABRT, SIG_DFL); /* cmocka's */
}

static void other_count(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 10);

    silently();
    ncclAllReduce(r.ints, r.ints, rank ? 9 : 10, ncclInt32, ncclSum, r.comm, r.stream);
    settled(r.comm, 10);
    drained(r.stream, 10);
}

static void other_order(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 10);

    silently();
    if (rank)
        ncclAllReduce(r.ints, r.ints, 10, ncclInt32, ncclSum, r.comm, r.stream);
    else
        ncclBroadcast(r.ints, r.ints, 10, ncclInt32, 0, r.comm, r.stream);
    settled(r.comm, 10);
    drained(r.stream, 10);
}

static void waits_for_nobody(int rank, int ranks, const ncclUniqueId *id)
{
    setenv("MUSTER_EMULATE_WAIT_S", "0.3", 1);
    struct rank r = make_rank(rank, ranks, id, 10);

    if (rank) { /* never sums; lives on while the other waits */
        usleep(1500000);
        return;
    }
    silently();
    ncclAllReduce(r.ints, r.ints, 10, ncclInt32, ncclSum, r.comm, r.stream);
    settled(r.comm, 10);
    cudaStreamSynchronize(r.stream);
}

static void bugs_end_the_process(void **state)
{
    void (*const bugs[])(int, int, const ncclUniqueId *) = {other_count, other_order,
                                                            waits_for_nobody};
    (void)state;
    for (int b = 0; b < 3; b++) {
        pid_t pids[2];
        ncclUniqueId id;
        int died = 0;

        assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
        for (int r = 0; r < 2; r++)
            pids[r] = start_rank(bugs[b], r, 2, &id);
        for (int r = 0; r < 2; r++)
            died += WTERMSIG(wait_for_rank(pids[r])) == SIGABRT;
        assert_in_range(died, 1, b == 2 ? 1 : 2); /* who comes second sees it; then the first */
    }
}

/* ---- what is left ---- */
static int named_in_shm(void)
{
    DIR *folder = opendir("/dev/shm");
    const struct dirent *entry;
    int count = 0;

    assert_non_null(folder);
    while ((entry = readdir(folder)))
        count += strstr(entry->d_name, "nccl") != NULL;
    closedir(folder);
    return count;
}

static void looks_and_dies(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 10);

    CHECK(named_in_shm() == 0);
    begin_sum(&r);
    raise(SIGKILL);
}

static int open_files(void)
{
    int count = 0;

    for (int fd = 0; fd < 1000; fd++)
        count += dup2(fd, fd) >= 0;
    return count;
}

static void nothing_is_left(void **state)
{
    ncclUniqueId id;
    pid_t pids[3];
    int files;

    (void)state;
    mu_emulate_restart();
    files = open_files();
    assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
    for (int r = 0; r < 3; r++)
        pids[r] = start_rank(looks_and_dies, r, 3, &id);
    for (int r = 0; r < 3; r++)
        assert_int_equal(wait_for_rank(pids[r]), SIGKILL);
    assert_int_equal(named_in_shm(), 0);
    (void)cudaStreamQuery(NULL); /* all have joined: its maker closes the file */
    assert_int_equal(open_files(), files);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_among_processes),
        cmocka_unit_test(types_and_operations),
        cmocka_unit_test(parts_and_messages),
        cmocka_unit_test(floats_follow_the_order),
        cmocka_unit_test(issuing_takes_a_poll),
        cmocka_unit_test(several_ranks_of_one_thread),
        cmocka_unit_test(survivors_go_on),
        cmocka_unit_test(remote_error_on_demand),
        cmocka_unit_test(some_have_the_sum),
        cmocka_unit_test(asynchronous_error_on_demand),
        cmocka_unit_test(an_abort_may_hang),
        cmocka_unit_test(joining_hangs_without_all),
        cmocka_unit_test(two_ranks_on_one_gpu_are_refused),
        cmocka_unit_test(bugs_end_the_process),
        cmocka_unit_test(nothing_is_left),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

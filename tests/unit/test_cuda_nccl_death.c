/* NCCL's stand-in when things go wrong: killed ranks, errors on demand, bugs of callers; what is
 * left. */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "kernels/cuda/kernels.h"
#include "tests/support/cuda_ranks.h"

/* ---- death ---- */
enum { SURVIVORS = 3, DEAD_SECONDS_MILLI = 300 };

static ncclUniqueId second_id; /* made by the parent before the ranks are */

/* Rank 1 dies in the second sum: the others hang, abort, and go on without it. */
static void one_dies(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 1000);
    int survivor = rank > 1 ? rank - 1 : rank, host;
    float *floats, added[8] = {1, 2, 3, 4, 10, 20, 30, 40};

    upload_ints(&r, 1, 1);
    begin_sum(&r);
    CHECK(drained(r.stream, 10) == cudaSuccess);
    if (rank == 1)
        raise(SIGKILL);
    upload_ints(&r, 1, 1);
    begin_sum(&r);
    CUDA(cudaMalloc((void **)&floats, sizeof added));
    CUDA(cudaMemcpy(floats, added, sizeof added, cudaMemcpyHostToDevice));
    CUDA(cudaMemsetAsync(r.ints + 999, 0, 4, r.stream)); /* behind it */
    CHECK(mu_cuda_add(r.stream, floats, floats + 4, 4, false) == cudaSuccess);
    CHECK(drained(r.stream, 1e-3 * DEAD_SECONDS_MILLI) == cudaErrorNotReady);
    CHECK(state_of(r.comm) == ncclSuccess); /* nobody says a word */
    NCCL(ncclCommAbort(r.comm));
    CHECK(drained(r.stream, 10) == cudaSuccess);
    CUDA(cudaMemcpy(&host, r.ints + 999, 4, cudaMemcpyDeviceToHost));
    CHECK(host == 0);
    CUDA(cudaMemcpy(&host, r.ints, 4, cudaMemcpyDeviceToHost));
    CHECK(host == -1); /* garbage */
    CUDA(cudaMemcpy(added, floats, sizeof added, cudaMemcpyDeviceToHost));
    CHECK(added[0] == 11 && added[3] == 44); /* the kernel ran then */
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

static void *abort_it(void *comm)
{
    ncclCommAbort(comm);
    return NULL;
}

static void abort_hangs(int rank, int ranks, const ncclUniqueId *id)
{
    pthread_t thread;
    void *memory;

    setenv("MUSTER_EMULATE_NCCL_ABORT_HANGS", "1", 1);
    struct rank r = make_rank(rank, ranks, id, 10);

    CHECK(pthread_create(&thread, NULL, abort_it, r.comm) == 0);
    usleep(100000);
    CUDA(cudaMalloc(&memory, 100)); /* other threads go on */
    CUDA(cudaStreamSynchronize(r.stream));
    alarm(1);
    pthread_join(thread, NULL);
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

/* Who made the id is gone, or another rank never comes. */
static void one_is_missing(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = {rank, ranks, begin_join(rank, ranks, id), NULL, NULL, 0};

    CHECK(settled(r.comm, 0.3) == ncclInProgress);
    CHECK(ncclAllReduce(r.ints, r.ints, 1, ncclInt32, ncclSum, r.comm, NULL) ==
          ncclInvalidArgument);
    NCCL(ncclCommAbort(r.comm));
    CHECK(ncclCommAbort(r.comm) == ncclInvalidArgument);
}

static void makes_an_id(int rank, int ranks, const ncclUniqueId *id)
{
    (void)rank, (void)ranks;
    NCCL(ncclGetUniqueId((ncclUniqueId *)(uintptr_t)id));
}

static void joining_hangs_without_all(void **state)
{
    ncclUniqueId *of_the_dead =
        mmap(NULL, sizeof *of_the_dead, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_int_equal(status_of_one(one_is_missing, 2), 0);
    assert_ptr_not_equal(of_the_dead, MAP_FAILED);
    assert_int_equal(wait_for_rank(start_rank(makes_an_id, 0, 1, of_the_dead)), 0);
    assert_int_equal(wait_for_rank(start_rank(one_is_missing, 0, 1, of_the_dead)), 0);
    munmap(of_the_dead, sizeof *of_the_dead);
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
static FILE *said; /* what children say instead of stderr */

static void silently(void)
{
    CHECK(dup2(fileno(said), STDERR_FILENO) >= 0);
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

static void aborts_from_afar(int rank, int ranks, const ncclUniqueId *id)
{
    struct rank r = make_rank(rank, ranks, id, 10);

    silently();
    CUDA(cudaSetDevice(rank ? 0 : 3)); /* as a new thread of rank 1 has it */
    ncclCommAbort(r.comm);
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
    const struct {
        void (*body)(int, int, const ncclUniqueId *);
        const char *words;
        int most; /* that die of it; else the other may come to see it too */
    } bugs[] = {{other_count, "ncclAllReduce of 9 int32 (sum", 2},
                {other_order, "ncclBroadcast of 10 int32", 2},
                {aborts_from_afar, "ncclCommAbort on a thread whose device is ", 2},
                {waits_for_nobody,
                 "cudaStreamSynchronize has waited for 0.3 s; at the heads of "
                 "streams: ncclAllReduce of rank 0 of 2",
                 1}};

    (void)state;
    for (size_t b = 0; b < sizeof bugs / sizeof *bugs; b++) {
        char text[2000] = {0};
        pid_t pids[2];
        ncclUniqueId id;
        int died = 0;

        said = tmpfile();
        assert_non_null(said);
        assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
        for (int r = 0; r < 2; r++)
            pids[r] = start_rank(bugs[b].body, r, 2, &id);
        for (int r = 0; r < 2; r++)
            died += WTERMSIG(wait_for_rank(pids[r])) == SIGABRT;
        assert_in_range(died, 1, bugs[b].most);
        rewind(said);
        assert_true(fread(text, 1, sizeof text - 1, said) > 0);
        if (!strstr(text, bugs[b].words))
            fail_msg("'%s' does not say '%s'", text, bugs[b].words);
        fclose(said);
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

/* For tests of NCCL's stand-in: ranks as forked processes, and waits with deadlines. A rank does
 * its checks with CHECK, which ends it with a line; the parent then fails the test. Include after
 * cmocka.h. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_RANKS_H
#define MUSTER_TESTS_SUPPORT_CUDA_RANKS_H

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <nccl.h>

#include "kernels/emulate/control.h"

enum { RANKS_MAX = 5, RANK_SECONDS = 40 };

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "process %d, line %d: %s\n", getpid(), __LINE__, #condition); \
            _exit(3);                                                                     \
        }                                                                                 \
    } while (0)
#define CUDA(call) CHECK((call) == cudaSuccess)
#define NCCL(call) CHECK((call) == ncclSuccess)

static inline double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Polls `now` until it says `not` no more, or so many seconds are over; what it said last. */
#define POLL(type, name, argument, call, not )                 \
    static inline type name(argument, double within_s)         \
    {                                                          \
        double until = seconds() + within_s;                   \
        type said;                                             \
                                                               \
        while ((said = (call)) == (not ) && seconds() < until) \
            usleep(100);                                       \
        return said;                                           \
    }

static inline ncclResult_t state_of(ncclComm_t comm)
{
    ncclResult_t state;

    return ncclCommGetAsyncError(comm, &state) == ncclSuccess ? state : ncclNumResults;
}

/* "Not ready" is kept as if it were an error. */
static inline cudaError_t state_of_stream(cudaStream_t stream)
{
    cudaError_t state = cudaStreamQuery(stream);

    if (state == cudaErrorNotReady)
        (void)cudaGetLastError();
    return state;
}

/* ncclInProgress, cudaErrorNotReady: still not. */
POLL(ncclResult_t, settled, ncclComm_t comm, state_of(comm), ncclInProgress)
POLL(cudaError_t, drained, cudaStream_t stream, state_of_stream(stream), cudaErrorNotReady)

/* One process of a roll, with its own stream and n ints on the device. */
struct rank {
    int rank, ranks;
    ncclComm_t comm;
    cudaStream_t stream;
    int *ints; /* device */
    size_t n;
};

static inline ncclComm_t begin_join(int rank, int ranks, const ncclUniqueId *id)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    ncclComm_t comm = NULL;

    config.blocking = 0;
    CUDA(cudaSetDevice(rank));
    CHECK(ncclCommInitRankConfig(&comm, ranks, *id, rank, &config) == ncclInProgress);
    return comm;
}

static inline void upload_ints(struct rank *r, int first, int step)
{
    int *host = malloc(r->n * sizeof *host);

    CHECK(host);
    for (size_t i = 0; i < r->n; i++)
        host[i] = first + step * (int)i;
    CUDA(cudaMemcpy(r->ints, host, r->n * sizeof *host, cudaMemcpyHostToDevice));
    free(host);
}

/* Whether ints[i] == first + step * i. */
static inline bool ints_are(struct rank *r, int first, int step)
{
    int *host = malloc(r->n * sizeof *host);
    bool same = true;

    CHECK(host);
    CUDA(cudaMemcpy(host, r->ints, r->n * sizeof *host, cudaMemcpyDeviceToHost));
    for (size_t i = 0; i < r->n; i++)
        same = same && host[i] == first + step * (int)i;
    free(host);
    return same;
}

/* Begins ints = the sum over ranks of them, and sees it put on the stream. */
static inline void begin_sum(struct rank *r)
{
    CHECK(ncclAllReduce(r->ints, r->ints, r->n, ncclInt32, ncclSum, r->comm, r->stream) ==
          ncclInProgress);
    CHECK(settled(r->comm, 10) == ncclSuccess);
}

static inline struct rank make_rank(int rank, int ranks, const ncclUniqueId *id, size_t n)
{
    struct rank r = {rank, ranks, begin_join(rank, ranks, id), NULL, NULL, n};

    CHECK(settled(r.comm, 20) == ncclSuccess);
    CUDA(cudaStreamCreateWithFlags(&r.stream, cudaStreamNonBlocking));
    CUDA(cudaMalloc((void **)&r.ints, n * sizeof *r.ints));
    return r;
}

static inline pid_t start_rank(void (*body)(int rank, int ranks, const ncclUniqueId *id), int rank,
                               int ranks, const ncclUniqueId *id)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(RANK_SECONDS);
        mu_emulate_restart(); /* it may set its own environment */
        body(rank, ranks, id);
        _exit(0);
    }
    return pid;
}

/* Its status as waitpid gives it. */
static inline int wait_for_rank(pid_t pid)
{
    int status = -1;

    assert_int_equal(waitpid(pid, &status, 0), pid); /* a rank's alarm ends it */
    return status;
}

/* Runs all ranks; the one named `killed` (-1: none) ends by SIGKILL, the others well. */
static inline void run_ranks(void (*body)(int rank, int ranks, const ncclUniqueId *id), int ranks,
                             int killed)
{
    pid_t pids[RANKS_MAX];
    ncclUniqueId id;

    assert_int_equal(ncclGetUniqueId(&id), ncclSuccess);
    for (int r = 0; r < ranks; r++)
        pids[r] = start_rank(body, r, ranks, &id);
    for (int r = 0; r < ranks; r++)
        assert_int_equal(wait_for_rank(pids[r]), r == killed ? SIGKILL : 0);
}

#endif

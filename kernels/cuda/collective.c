/* kernels/collective.h by NCCL, with non-blocking communicators.
 *
 *   FORMING --the library says success--> IDLE
 *   IDLE, RUNNING --a group waits--> (behind the device's operations of then) ISSUING
 *   ISSUING --the library says success--> (the event is recorded) RUNNING
 *   RUNNING --the event has come--> IDLE
 *   FORMING --the library says anything else--> FORMING: words tell why, and only the end is left
 *
 * NCCL may issue an operation from a thread of its own: only when its state is success is it on the
 * stream, and an event behind it means anything (NCCL user guide, "Group calls, non-blocking"), and
 * only then may the communicator be used again. So groups wait in a queue for the one before to be
 * issued, not for it to be done.
 *
 * The stream is the communicator's own, so that the device goes on computing meanwhile. It has a
 * high priority: few thread blocks, and other GPUs wait for them. */
#include "kernels/cuda/collective.h"

#ifdef MU_HAVE_NCCL
#include <nccl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/name.h"
#include "orchestrator/base/clock.h"

enum phase { FORMING, ISSUING, RUNNING, IDLE };

struct group {
    struct mu_all_reduce list[MU_COLLECTIVE_GROUP];
    int count;
    cudaEvent_t after; /* what the device was asked for before the group was begun */
};

struct mu_collective {
    struct mu_device *device;
    cudaStream_t stream;
    ncclComm_t comm;
    cudaEvent_t done;
    enum phase phase;
    /* Begun and not issued: `waiting` of them, from `first` on, in a ring. */
    struct group group[MU_COLLECTIVE_UNDER_WAY];
    int first, waiting;
    ncclResult_t refused; /* FORMING: what the library answered at once */
    char words[320];
    pthread_t ender;
    bool gently;
    _Atomic bool ended;
};

/* Of the part of a good end for which the other ranks are needed; after it, it is an abort. */
static const uint64_t finalise_ms = 2000;

static enum mu_status status_of(ncclResult_t result)
{
    if (result == ncclInvalidUsage || result == ncclInvalidArgument)
        return MU_CONFIG;
    return result == ncclRemoteError ? MU_PEER_LOST : MU_FAILED;
}

static void describe(const struct mu_collective *c, const char *what, ncclResult_t result,
                     char *out, size_t size)
{
    const char *more = ncclGetLastError(c ? c->comm : NULL);

    snprintf(out, size, "NCCL on %s: %s: %s%s%s", mu_cuda_gpu_name(), what,
             ncclGetErrorString(result), more && *more ? ": " : "", more ? more : "");
}

static enum mu_status failed(const struct mu_collective *c, const char *what, ncclResult_t result)
{
    char words[sizeof c->words];

    describe(c, what, result, words, sizeof words);
    return MU_FAIL(status_of(result), "%s", words);
}

/* Many ranks may find the same: who asked for the communicator says it once. */
static enum mu_status not_formed(struct mu_collective *c, ncclResult_t result)
{
    describe(c, "no communicator", result, c->words, sizeof c->words);
    return status_of(result);
}

static const char *words_of(const struct mu_collective *c)
{
    return c->words;
}

/* It is the GPU, and nothing that another communicator would mend. */
static enum mu_status failed_cuda(struct mu_device *d, const char *what, cudaError_t error)
{
    (void)mu_cuda_break(mu_cuda_of(d), what, (int)error);
    return MU_FAILED;
}

static bool is_under_way(ncclResult_t result)
{
    return result == ncclSuccess || result == ncclInProgress;
}

/* NCCL keeps a thread and a socket for each id, on which the ranks of a communicator meet. They end
 * once all have met; where they never do, since a rank died before, they stay until the process
 * ends: nothing in NCCL takes an id back. That is one each time that somebody dies right there. */
static enum mu_status make_id(struct mu_device *d, struct mu_collective_id *out)
{
    ncclUniqueId id;
    ncclResult_t result = ncclGetUniqueId(&id);

    (void)d;
    _Static_assert(sizeof id == sizeof *out, "an id has NCCL's size");
    if (result != ncclSuccess)
        return failed(NULL, "no id for a communicator", result);
    memcpy(out, &id, sizeof id);
    return MU_OK;
}

static void release(struct mu_collective *c)
{
    for (int i = 0; i < MU_COLLECTIVE_UNDER_WAY; i++)
        if (c->group[i].after)
            (void)cudaEventDestroy(c->group[i].after);
    if (c->done)
        (void)cudaEventDestroy(c->done);
    if (c->stream)
        (void)cudaStreamDestroy(c->stream);
    free(c);
}

static cudaError_t make_stream(struct mu_collective *c)
{
    int least = 0, greatest = 0;
    cudaError_t error = cudaDeviceGetStreamPriorityRange(&least, &greatest);

    if (!error)
        error = cudaStreamCreateWithPriority(&c->stream, cudaStreamNonBlocking, greatest);
    if (!error)
        error = cudaEventCreateWithFlags(&c->done, cudaEventDisableTiming);
    for (int i = 0; !error && i < MU_COLLECTIVE_UNDER_WAY; i++)
        error = cudaEventCreateWithFlags(&c->group[i].after, cudaEventDisableTiming);
    return error;
}

static enum mu_status open_collective(struct mu_device *d, const struct mu_collective_id *id,
                                      int rank, int size, struct mu_collective **out)
{
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    struct mu_collective *c = calloc(1, sizeof *c);
    ncclUniqueId name;
    ncclResult_t result;
    cudaError_t error;

    *out = NULL;
    if (!c)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a communicator");
    c->device = d;
    error = make_stream(c);
    if (error != cudaSuccess) {
        release(c);
        return failed_cuda(d, "a stream for NCCL", error);
    }
    memcpy(&name, id, sizeof name);
    config.blocking = 0;
    result = ncclCommInitRankConfig(&c->comm, size, name, rank, &config);
    c->refused = is_under_way(result) ? ncclSuccess : result;
    *out = c;
    return MU_OK;
}

static ncclResult_t issue(struct mu_collective *c, const struct mu_all_reduce *a)
{
    static const struct {
        ncclDataType_t type;
        ncclRedOp_t op;
    } kinds[] = {
        [MU_SUM_INT32] = {ncclInt32, ncclSum},
        [MU_SUM_INT64] = {ncclInt64, ncclSum},
        [MU_MAX_UINT8] = {ncclUint8, ncclMax},
    };

    return ncclAllReduce(a->from, a->to, a->count, kinds[a->kind].type, kinds[a->kind].op, c->comm,
                         c->stream);
}

/* The library's state is success: issues the group that has waited longest. */
static enum mu_status issue_next(struct mu_collective *c)
{
    const struct group *g = &c->group[c->first];
    cudaError_t error = cudaStreamWaitEvent(c->stream, g->after, 0);
    ncclResult_t result, ended;

    if (error != cudaSuccess)
        return failed_cuda(c->device, "waiting for what is to be reduced", error);
    result = ncclGroupStart();
    for (int i = 0; i < g->count && is_under_way(result); i++)
        if (g->list[i].count > 0)
            result = issue(c, &g->list[i]);
    ended = ncclGroupEnd();
    if (!is_under_way(result) || !is_under_way(ended))
        return failed(c, "all-reduce", is_under_way(result) ? ended : result);
    c->first = (c->first + 1) % MU_COLLECTIVE_UNDER_WAY;
    c->waiting--;
    c->phase = ISSUING;
    return MU_OK;
}

static enum mu_status all_reduce(struct mu_collective *c, const struct mu_all_reduce *list,
                                 int count)
{
    struct group *g = &c->group[(c->first + c->waiting) % MU_COLLECTIVE_UNDER_WAY];
    cudaError_t error;

    MU_ASSERT(c->phase != FORMING && count <= MU_COLLECTIVE_GROUP &&
              c->waiting < MU_COLLECTIVE_UNDER_WAY);
    memcpy(g->list, list, (size_t)count * sizeof *list);
    g->count = count;
    error = cudaEventRecord(g->after, mu_cuda_of(c->device)->stream);
    if (error != cudaSuccess)
        return failed_cuda(c->device, "an event before NCCL's operations", error);
    c->waiting++;
    return c->phase == ISSUING || c->waiting > 1 ? MU_OK : issue_next(c);
}

/* What was issued is on the stream; has it come to its end? */
static enum mu_status look_at_stream(struct mu_collective *c)
{
    cudaError_t error = cudaSuccess;

    if (c->phase == ISSUING)
        error = cudaEventRecord(c->done, c->stream);
    if (error != cudaSuccess)
        return failed_cuda(c->device, "an event behind NCCL's operations", error);
    c->phase = RUNNING;
    error = cudaEventQuery(c->done);
    if (error != cudaSuccess && error != cudaErrorNotReady)
        return failed_cuda(c->device, "an all-reduce", error);
    (void)cudaGetLastError(); /* "not ready" is kept as if it were an error */
    if (error == cudaSuccess)
        c->phase = IDLE;
    return MU_OK;
}

static enum mu_status poll_collective(struct mu_collective *c, bool *done)
{
    ncclResult_t state = c->refused, result = c->refused;
    enum mu_status st = MU_OK;

    *done = false;
    if (result == ncclSuccess)
        result = ncclCommGetAsyncError(c->comm, &state);
    if (c->phase == FORMING && (result != ncclSuccess || !is_under_way(state)))
        return not_formed(c, result != ncclSuccess ? result : state);
    if (result != ncclSuccess || !is_under_way(state))
        return failed(c, "communication failed", result != ncclSuccess ? result : state);
    if (state == ncclInProgress)
        return MU_OK;
    if (c->phase == FORMING)
        c->phase = IDLE;
    else if (c->phase != IDLE)
        st = look_at_stream(c);
    if (st == MU_OK && c->waiting > 0)
        return issue_next(c);
    *done = c->phase == IDLE;
    return st;
}

/* Once it says success no rank's operations are under way. */
static bool finalise(struct mu_collective *c)
{
    struct mu_deadline deadline = mu_deadline_in_ms(finalise_ms);
    struct mu_backoff pause = {0};
    ncclResult_t state = ncclCommFinalize(c->comm);

    while (state == ncclInProgress && !mu_deadline_passed(deadline)) {
        if (ncclCommGetAsyncError(c->comm, &state) != ncclSuccess)
            return false;
        mu_backoff_pause(&pause);
    }
    return state == ncclSuccess;
}

/* NCCL ends by setting the thread's device as it was, which for a new thread is the first one: CUDA
 * would take some hundred MiB of that GPU, for each rank of the host. */
static void *run_end(void *argument)
{
    struct mu_collective *c = argument;

    (void)cudaSetDevice(c->device->options.gpu);
    /* What they say changes nothing: it is over. */
    if (c->gently && finalise(c))
        (void)ncclCommDestroy(c->comm);
    else if (c->comm)
        (void)ncclCommAbort(c->comm);
    atomic_store(&c->ended, true);
    return NULL;
}

/* The device's operations from now on find nothing of the library's still writing. */
static void let_device_follow(struct mu_collective *c)
{
    struct mu_cuda *device = mu_cuda_of(c->device);
    cudaError_t error;

    if (device->base.broken)
        return;
    error = cudaEventRecord(c->done, c->stream);
    if (error == cudaSuccess)
        error = cudaStreamWaitEvent(device->stream, c->done, 0);
    if (error != cudaSuccess)
        (void)failed_cuda(c->device, "an event behind what was given up", error);
}

static enum mu_status end(struct mu_collective *c, uint64_t deadline_ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(deadline_ms);
    struct mu_backoff pause = {0};

    if (pthread_create(&c->ender, NULL, run_end, c) != 0)
        return MU_FAIL(MU_FAILED, "no thread to end a communicator");
    while (!atomic_load(&c->ended)) {
        if (mu_deadline_passed(deadline))
            return MU_TIMEOUT;
        mu_device_poll(c->device);
        mu_backoff_pause(&pause);
    }
    (void)pthread_join(c->ender, NULL);
    let_device_follow(c);
    release(c);
    return MU_OK;
}

static enum mu_status abort_collective(struct mu_collective *c, uint64_t deadline_ms)
{
    enum mu_status st = end(c, deadline_ms);

    if (st == MU_TIMEOUT)
        return MU_FAIL(MU_TIMEOUT, "NCCL did not give up a communicator within %llu ms on %s",
                       (unsigned long long)deadline_ms, mu_cuda_gpu_name());
    return st;
}

/* NCCL asks for a finalisation and a destruction by all ranks of a node, where an abort is for what
 * has failed: its sockets would be gone under the threads of the others. A rank that dies meanwhile
 * may hold up the first, and is left behind by an abort. */
static enum mu_status close_collective(struct mu_collective *c, uint64_t deadline_ms)
{
    struct mu_cuda *device = mu_cuda_of(c->device);
    enum mu_status st;

    c->gently = c->phase == IDLE && c->waiting == 0 && !device->base.broken;
    st = end(c, deadline_ms);
    if (st != MU_OK) /* its kernels may still be there: whatever waits for the GPU hangs too */
        device->base.broken = device->hangs = true;
    return st;
}

static ncclResult_t issue_move(struct mu_collective *c, const struct mu_move *m)
{
    switch (m->kind) {
    case MU_REDUCE_INT32:
        return ncclReduce(m->from, m->to, m->count, ncclInt32, ncclSum, m->peer, c->comm,
                          c->stream);
    case MU_BROADCAST:
        return ncclBroadcast(m->from, m->to, m->count, ncclInt32, m->peer, c->comm, c->stream);
    case MU_SEND:
        return ncclSend(m->from, m->count, ncclInt32, m->peer, c->comm, c->stream);
    case MU_RECEIVE:
        return ncclRecv(m->to, m->count, ncclInt32, m->peer, c->comm, c->stream);
    }
    return ncclInvalidArgument;
}

static enum mu_status move(struct mu_collective *c, const struct mu_move *list, int count)
{
    cudaEvent_t after = c->group[c->first].after;
    cudaError_t error = cudaEventRecord(after, mu_cuda_of(c->device)->stream);
    ncclResult_t result, ended;

    MU_ASSERT(c->phase == IDLE && c->waiting == 0);
    if (error == cudaSuccess)
        error = cudaStreamWaitEvent(c->stream, after, 0);
    if (error != cudaSuccess)
        return failed_cuda(c->device, "waiting for what is to be moved", error);
    result = ncclGroupStart();
    for (int i = 0; i < count && is_under_way(result); i++)
        if (list[i].count > 0)
            result = issue_move(c, &list[i]);
    ended = ncclGroupEnd();
    if (!is_under_way(result) || !is_under_way(ended))
        return failed(c, "a move between GPUs", is_under_way(result) ? ended : result);
    c->phase = ISSUING;
    return MU_OK;
}

static const struct mu_collective_ops nccl = {
    .make_id = make_id,
    .open = open_collective,
    .all_reduce = all_reduce,
    .poll = poll_collective,
    .words = words_of,
    .close = close_collective,
    .abort = abort_collective,
    .move = move,
};

const struct mu_collective_ops *mu_cuda_collective(void)
{
    return &nccl;
}

const char *mu_cuda_collective_version(void)
{
    static char text[32];
    int version = 0;

    if (ncclGetVersion(&version) != ncclSuccess)
        return "NCCL of unknown version";
    snprintf(text, sizeof text, "NCCL %d.%d.%d", version / 10000, version / 100 % 100,
             version % 100);
    return text;
}
#else
const struct mu_collective_ops *mu_cuda_collective(void)
{
    return NULL;
}

const char *mu_cuda_collective_version(void)
{
    return NULL;
}
#endif

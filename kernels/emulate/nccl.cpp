/* Communicators of the pretended NCCL.
 *
 *   JOINING --all ranks are there--> READY --operations, non-blocking--> ISSUING --polled--> READY
 *   READY --ncclCommFinalize--> FINALISING --nothing pends, on all ranks--> FINALISED
 *   any --an error--> FAILED: only ncclCommAbort is left
 *
 * What one call (or group) puts on a stream for a communicator is a batch: one operation of the
 * stream. Batches of a communicator run in the order in which they were called, whatever their
 * streams; within one, messages proceed side by side. */
#include "kernels/emulate/include/nccl.h"

#include <algorithm>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

#include "kernels/emulate/machine.h"
#include "kernels/emulate/nccl_transfer.h"

using namespace mu_emulate;

namespace
{
struct batch {
    ncclComm *comm; /* NULL: cancelled, the communicator may be gone */
    cudaStream_t stream;
    std::vector<transfer> parts;
};

enum class comm_state { JOINING, READY, ISSUING, FINALISING, FINALISED, FAILED };
} // namespace

struct ncclComm {
    transfer_end end;
    ncclUniqueId id;
    int device;
    bool blocking, joined;
    comm_state state;
    ncclResult_t error;                          /* FAILED */
    int polls;                                   /* since it is ISSUING */
    std::vector<std::shared_ptr<batch>> batches; /* not over, in order */
    std::size_t issued;                          /* of them, on streams */
    std::uint64_t collectives, sent[MAX_RANKS], received[MAX_RANKS];
    std::uint64_t looked_ns; /* when peers were last looked for */
};

namespace
{
/* Never destroyed, since operations may outlive main. */
auto &comms = *new std::vector<std::unique_ptr<ncclComm>>;
std::string last_words;
std::uint64_t begun, aborts; /* by this process */

/* The calls between ncclGroupStart and ncclGroupEnd, of this thread. */
thread_local struct {
    int depth;
    std::vector<ncclComm *> comms; /* that have batches, or join */
} group;

ncclResult_t refuse(ncclResult_t result, const char *why)
{
    last_words = why;
    return result;
}

template <class F> ncclResult_t nccl_call(F body)
{
    hold held(lock);

    progress_unless_lazy();
    if (broken() != cudaSuccess)
        return refuse(ncclUnhandledCudaError, cudaGetErrorString(broken()));
    return body(held);
}

ncclResult_t wait(hold &held, const char *who, const std::function<bool()> &over)
{
    return wait_until(held, who, over) == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

bool is_live(ncclComm_t comm)
{
    return std::any_of(comms.begin(), comms.end(), [&](auto &c) { return c.get() == comm; });
}

void set_failed(ncclComm *c, ncclResult_t error, const char *why)
{
    c->state = comm_state::FAILED;
    c->error = refuse(error, why);
}

/* ---- joining ---- */
void check_ranks(ncclComm *c)
{
    slot *ranks = c->end.file.shared->ranks;

    for (int a = 0; a < c->end.ranks; a++) {
        if (ranks[a].ranks != c->end.ranks)
            die("rank %d makes a communicator of %d, rank %d one of %d", a, ranks[a].ranks,
                c->end.rank, c->end.ranks);
        for (int b = 0; b < a; b++)
            if (ranks[a].host == ranks[b].host && ranks[a].device == ranks[b].device)
                set_failed(c, ncclInvalidUsage, "two ranks are on one GPU");
    }
}

void go_on_joining(ncclComm *c)
{
    transfer_end *end = &c->end;

    if (!end->file.shared && !nccl_file_open(&end->file, c->id))
        return;
    if (!c->joined)
        nccl_file_join(&end->file, end->rank, end->ranks,
                       asked().devices[static_cast<std::size_t>(c->device)]);
    c->joined = true;
    if (end->file.shared->joined < static_cast<std::uint32_t>(end->ranks) ||
        end->file.shared->given_up)
        return;
    c->state = comm_state::READY;
    check_ranks(c);
}

void leave(ncclComm *c)
{
    shared_state *s = c->end.file.shared;

    if (s) {
        if (s->joined < static_cast<std::uint32_t>(c->end.ranks))
            s->given_up++;
        s->ranks[c->end.rank].presence = LEFT;
    }
    nccl_file_close(&c->end.file);
    group.comms.erase(std::remove(group.comms.begin(), group.comms.end(), c), group.comms.end());
    comms.erase(std::find_if(comms.begin(), comms.end(), [&](auto &l) { return l.get() == c; }));
}

/* ---- batches ---- */
void try_part(ncclComm *c, transfer *t)
{
    if (t->ordinal == 0)
        t->ordinal = ++begun;
    if (t->ordinal == asked().nccl_error.number)
        set_failed(c, static_cast<ncclResult_t>(asked().nccl_error.error), "as asked for");
    else
        transfer_try(t, c->end, t->ordinal == asked().nccl_torn);
}

cudaError_t run_batch(batch *b)
{
    ncclComm *c = b->comm;
    bool over = true, collective_waits = false;

    if (!c)
        return cudaSuccess;
    if (c->batches.front().get() != b)
        return cudaErrorNotReady;
    for (transfer &t : b->parts) {
        if (t.state != transfer::OVER && (is_message(t.is.what) || !collective_waits) &&
            c->state != comm_state::FAILED)
            try_part(c, &t);
        over = over && t.state == transfer::OVER;
        collective_waits =
            collective_waits || (!is_message(t.is.what) && t.state != transfer::OVER);
    }
    if (!over)
        return cudaErrorNotReady;
    c->batches.erase(c->batches.begin());
    c->issued--;
    return cudaSuccess;
}

std::string batch_name(const batch &b)
{
    const transfer &t = b.parts.front();

    return std::string(kind_name(t.is.what)) + " of rank " + std::to_string(b.comm->end.rank) +
           " of " + std::to_string(b.comm->end.ranks);
}

/* Puts what was called on its streams. */
ncclResult_t issue(ncclComm *c)
{
    c->state = comm_state::READY;
    while (c->issued < c->batches.size()) {
        std::shared_ptr<batch> b = c->batches[c->issued++];
        cudaError_t error = enqueue(
            b->stream, batch_name(*b), [b] { return run_batch(b.get()); }, nullptr);

        if (error != cudaSuccess) {
            set_failed(c, ncclUnhandledCudaError, cudaGetErrorString(error));
            return c->error;
        }
        if (c->state == comm_state::FAILED)
            return c->error;
    }
    return ncclSuccess;
}

void enter_in_group(ncclComm *c)
{
    if (std::find(group.comms.begin(), group.comms.end(), c) == group.comms.end())
        group.comms.push_back(c);
}

/* What a call returns, or the end of a group: of the last communicator that has not succeeded. */
ncclResult_t end_group(hold &held)
{
    std::vector<ncclComm *> of = std::move(group.comms);
    ncclResult_t result = ncclSuccess, one;

    group.comms.clear();
    for (ncclComm *c : of) {
        one = ncclInProgress;
        if (c->blocking && c->state == comm_state::READY)
            one = issue(c);
        else if (c->blocking)
            one = wait(held, "ncclCommInitRank", [c] { return c->state != comm_state::JOINING; });
        else if (c->state == comm_state::READY)
            c->state = comm_state::ISSUING;
        c->polls = 0;
        if (c->blocking && c->state == comm_state::FAILED)
            one = c->error;
        result = one != ncclSuccess ? one : result;
    }
    return result;
}

/* ---- the state that polls find ---- */
bool all_finalised(const ncclComm &c)
{
    for (int r = 0; r < c.end.ranks; r++)
        if (!c.end.file.shared->ranks[r].finalised)
            return false;
    return true;
}

void look_for_the_dead(ncclComm *c)
{
    std::uint64_t now = now_ns();

    if (!asked().nccl_remote || c->state == comm_state::FINALISED || now - c->looked_ns < 1000000)
        return;
    c->looked_ns = now;
    for (int r = 0; c->end.file.shared && r < c->end.ranks; r++)
        if (nccl_file_is_dead(c->end.file.shared->ranks[r]))
            set_failed(c, ncclRemoteError, "a rank's process is gone");
}

ncclResult_t poll(ncclComm *c)
{
    look_for_the_dead(c);
    if (c->state == comm_state::ISSUING && c->polls++ > 0)
        issue(c);
    if (c->state == comm_state::FAILED)
        return c->error;
    return c->state == comm_state::READY || c->state == comm_state::FINALISED ? ncclSuccess
                                                                              : ncclInProgress;
}

/* ---- operations ---- */
ncclResult_t refusal(ncclComm_t comm, const transfer &t, cudaStream_t stream)
{
    signature s = t.is;

    if (!is_live(comm))
        return refuse(ncclInvalidArgument, "no communicator");
    if (comm->state == comm_state::FAILED)
        return comm->error;
    if (comm->state != comm_state::READY)
        return refuse(ncclInvalidArgument,
                      "the communicator was used before its last call was seen to be over");
    if (!type_bytes(s.type) || s.root < 0 || s.root >= comm->end.ranks || t.peer < 0 ||
        t.peer >= comm->end.ranks ||
        ((s.what == kind::ALL_REDUCE || s.what == kind::REDUCE_SCATTER) &&
         !can_reduce(s.type, s.op)))
        return refuse(ncclInvalidArgument, "a type, operation, root or peer that is not emulated");
    for (auto [memory, bytes] :
         {std::pair{t.send, send_bytes(t, comm->end)},
          std::pair{static_cast<const void *>(t.receive), receive_bytes(t, comm->end)}})
        if (bytes > 0 && place_of(memory, bytes) != place::DEVICE &&
            place_of(memory, bytes) != place::LOCKED)
            return refuse(ncclInvalidArgument, "a buffer is not device memory, or too short");
    if (!find_stream(stream))
        return refuse(ncclInvalidArgument, "no such stream");
    return ncclSuccess;
}

/* Into the batch that the group has for the communicator. */
void add_to_batch(ncclComm *c, transfer t, cudaStream_t stream)
{
    t.number = t.is.what == kind::SEND      ? c->sent[t.peer]++
               : t.is.what == kind::RECEIVE ? c->received[t.peer]++
                                            : c->collectives++;
    if (c->batches.size() == c->issued)
        c->batches.push_back(std::make_shared<batch>(batch{c, stream, {}}));
    if (c->batches.back()->stream != stream)
        die("a group puts operations of one communicator on two streams: not emulated");
    c->batches.back()->parts.push_back(t);
    enter_in_group(c);
}

ncclResult_t operate(ncclComm_t comm, cudaStream_t stream, kind what, const void *send,
                     void *receive, std::size_t count, int type, int op, int root, int peer)
{
    return nccl_call([&](hold &held) {
        transfer t = {{what, type, op, root, count}, send, receive, peer, transfer::BEGUN, 0, 0};
        ncclResult_t result = refusal(comm, t, stream);

        if (result != ncclSuccess)
            return result;
        if (count > 0)
            add_to_batch(comm, t, stream);
        return group.depth > 0 ? ncclSuccess : end_group(held);
    });
}

/* Whether the state changed. */
bool go_on(ncclComm *c)
{
    comm_state before = c->state;

    if (c->state == comm_state::JOINING)
        go_on_joining(c);
    if (c->state == comm_state::FINALISING && c->batches.empty()) {
        c->end.file.shared->ranks[c->end.rank].finalised = 1;
        if (all_finalised(*c))
            c->state = comm_state::FINALISED;
    }
    return c->state != before;
}

bool config_is_valid(const ncclConfig_t *config)
{
    const ncclConfig_t fresh = NCCL_CONFIG_INITIALIZER;

    return !config || (config->size == fresh.size && config->magic == fresh.magic &&
                       config->version == fresh.version);
}
} // namespace

namespace mu_emulate
{
bool nccl_progress()
{
    bool moved = false;

    for (const auto &c : comms)
        moved = go_on(c.get()) || moved;
    nccl_file_forget_joined();
    return moved;
}

void nccl_forget()
{
    while (!comms.empty())
        leave(comms.back().get());
    nccl_file_forget_all();
    group = {};
    begun = aborts = 0;
}
} // namespace mu_emulate

/* ---- what the library says of itself ---- */
ncclResult_t ncclGetVersion(int *version)
{
    *version = NCCL_VERSION_CODE;
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t result)
{
    switch (result) {
    case ncclSuccess:
        return "no error";
    case ncclUnhandledCudaError:
        return "unhandled cuda error (run with NCCL_DEBUG=INFO for details)";
    case ncclSystemError:
        return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclInternalError:
        return "internal error - please report this issue to the NCCL developers";
    case ncclInvalidArgument:
        return "invalid argument (run with NCCL_DEBUG=WARN for details)";
    case ncclInvalidUsage:
        return "invalid usage (run with NCCL_DEBUG=WARN for details)";
    case ncclRemoteError:
        return "remote process exited or there was a network error";
    case ncclInProgress:
        return "NCCL operation in progress";
    default:
        return "unknown result code";
    }
}

const char *ncclGetLastError(ncclComm_t)
{
    static thread_local std::string copy;
    hold held(lock);

    copy = last_words;
    return copy.c_str();
}

/* ---- communicators ---- */
ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    hold held(lock);

    if (!id)
        return refuse(ncclInvalidArgument, "no place for the unique id");
    return nccl_file_make(id) ? refuse(ncclSystemError, "memfd_create failed") : ncclSuccess;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    return nccl_call([&](hold &held) {
        if (!comm || ranks < 1 || ranks > MAX_RANKS || rank < 0 || rank >= ranks ||
            !config_is_valid(config))
            return refuse(ncclInvalidArgument, "ranks, rank or the configuration are wrong");
        if (obstacle() != cudaSuccess)
            return refuse(ncclUnhandledCudaError, cudaGetErrorString(obstacle()));
        auto c = std::make_unique<ncclComm>();
        c->end = {{-1, nullptr}, rank, ranks};
        c->id = id;
        c->device = current_device;
        c->blocking = !config || config->blocking != 0;
        c->state = comm_state::JOINING;
        *comm = c.get();
        comms.push_back(std::move(c));
        progress_unless_lazy();
        enter_in_group(*comm);
        return group.depth > 0 ? ncclSuccess : end_group(held);
    });
}

ncclResult_t ncclCommInitRank(ncclComm_t *comm, int ranks, ncclUniqueId id, int rank)
{
    return ncclCommInitRankConfig(comm, ranks, id, rank, nullptr);
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t *error)
{
    hold held(lock);

    if (!error || !is_live(comm))
        return refuse(ncclInvalidArgument, "no communicator");
    progress();
    *error = broken() != cudaSuccess ? ncclUnhandledCudaError : poll(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return nccl_call([&](hold &held) {
        if (!is_live(comm) || comm->state != comm_state::READY)
            return refuse(ncclInvalidArgument, "the communicator is not ready");
        comm->state = comm_state::FINALISING;
        if (!comm->blocking)
            return ncclInProgress;
        return wait(held, "ncclCommFinalize",
                    [comm] { return comm->state != comm_state::FINALISING; });
    });
}

ncclResult_t ncclCommDestroy(ncclComm_t comm)
{
    return nccl_call([&](hold &held) {
        if (!is_live(comm) ||
            (comm->state != comm_state::READY && comm->state != comm_state::FINALISED))
            return refuse(ncclInvalidArgument, "the communicator is neither ready nor finalised");
        ncclResult_t result =
            wait(held, "ncclCommDestroy", [comm] { return comm->batches.empty(); });
        comm->end.file.shared->ranks[comm->end.rank].finalised = 1;
        leave(comm);
        return result;
    });
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    hold held(lock);

    if (!is_live(comm))
        return refuse(ncclInvalidArgument, "no communicator");
    if (++aborts == asked().nccl_abort_hangs)
        wait_until(held, "ncclCommAbort, which hangs as asked for,", [] { return false; });
    for (const auto &b : comm->batches) {
        for (const transfer &t : b->parts)
            transfer_spoil(t, comm->end);
        b->comm = nullptr;
    }
    leave(comm);
    progress_unless_lazy();
    return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count)
{
    return nccl_call([&](hold &) {
        *count = is_live(comm) ? comm->end.ranks : 0;
        return *count ? ncclSuccess : refuse(ncclInvalidArgument, "no communicator");
    });
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
    return nccl_call([&](hold &) {
        *rank = is_live(comm) ? comm->end.rank : -1;
        return *rank >= 0 ? ncclSuccess : refuse(ncclInvalidArgument, "no communicator");
    });
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    return nccl_call([&](hold &) {
        *device = is_live(comm) ? comm->device : -1;
        return *device >= 0 ? ncclSuccess : refuse(ncclInvalidArgument, "no communicator");
    });
}

/* ---- operations ---- */
ncclResult_t ncclAllReduce(const void *send, void *receive, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream)
{
    return operate(comm, stream, kind::ALL_REDUCE, send, receive, count, type, op, 0, 0);
}

ncclResult_t ncclReduceScatter(const void *send, void *receive, size_t receive_count,
                               ncclDataType_t type, ncclRedOp_t op, ncclComm_t comm,
                               cudaStream_t stream)
{
    return operate(comm, stream, kind::REDUCE_SCATTER, send, receive, receive_count, type, op, 0,
                   0);
}

ncclResult_t ncclAllGather(const void *send, void *receive, size_t send_count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream)
{
    return operate(comm, stream, kind::ALL_GATHER, send, receive, send_count, type, 0, 0, 0);
}

ncclResult_t ncclBroadcast(const void *send, void *receive, size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream)
{
    return operate(comm, stream, kind::BROADCAST, send, receive, count, type, 0, root, 0);
}

ncclResult_t ncclSend(const void *send, size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream)
{
    return operate(comm, stream, kind::SEND, send, nullptr, count, type, 0, 0, peer);
}

ncclResult_t ncclRecv(void *receive, size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream)
{
    return operate(comm, stream, kind::RECEIVE, nullptr, receive, count, type, 0, 0, peer);
}

ncclResult_t ncclGroupStart(void)
{
    hold held(lock);

    group.depth++;
    return ncclSuccess;
}

ncclResult_t ncclGroupEnd(void)
{
    return nccl_call([](hold &held) {
        if (group.depth == 0)
            return refuse(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
        return --group.depth > 0 ? ncclSuccess : end_group(held);
    });
}

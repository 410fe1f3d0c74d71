/* NCCL's functions: groups, and what each call checks (nccl_comm.h). */
#include "kernels/emulate/include/nccl.h"

#include <unistd.h>

#include <algorithm>

#include "kernels/emulate/machine.h"
#include "kernels/emulate/nccl_comm.h"

using namespace mu_emulate;

namespace
{
/* The calls between ncclGroupStart and ncclGroupEnd, of this thread. */
thread_local struct {
    int depth;
    std::vector<ncclComm *> comms; /* that have batches, or join */
} group;

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
            one = comm_issue(c);
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

/* Of an end, as asked for. */
void take_time(hold &held)
{
    held.unlock();
    usleep(static_cast<useconds_t>(1000 * asked().nccl_abort_ms));
    held.lock();
}

void end_comm(ncclComm *c)
{
    group.comms.erase(std::remove(group.comms.begin(), group.comms.end(), c), group.comms.end());
    comm_leave(c);
}

/* ---- operations ---- */
ncclResult_t refusal(ncclComm_t comm, const transfer &t, cudaStream_t stream)
{
    signature s = t.is;

    if (!comm_is_live(comm))
        return refuse(ncclInvalidArgument, "no communicator");
    if (comm->state == comm_state::FAILED)
        return comm->error;
    if (comm->state != comm_state::READY)
        return refuse(ncclInvalidArgument,
                      "the communicator was used before its last call was seen to be over");
    if (!type_bytes(s.type) || s.root < 0 || s.root >= comm->end.ranks || t.peer < 0 ||
        t.peer >= comm->end.ranks ||
        ((s.what == kind::ALL_REDUCE || s.what == kind::REDUCE_SCATTER || s.what == kind::REDUCE) &&
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

ncclResult_t operate(ncclComm_t comm, cudaStream_t stream, kind what, const void *send,
                     void *receive, std::size_t count, int type, int op, int root, int peer)
{
    return nccl_call([&](hold &held) {
        transfer t = {{what, type, op, root, count}, send, receive, peer, transfer::BEGUN, 0, 0};
        ncclResult_t result = refusal(comm, t, stream);

        if (result != ncclSuccess)
            return result;
        if (count > 0) {
            comm_add(comm, t, stream);
            enter_in_group(comm);
        }
        return group.depth > 0 ? ncclSuccess : end_group(held);
    });
}

bool config_is_valid(const ncclConfig_t *config)
{
    const ncclConfig_t fresh = NCCL_CONFIG_INITIALIZER;

    return !config || (config->size == fresh.size && config->magic == fresh.magic &&
                       config->version == fresh.version);
}
} // namespace

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

    copy = last_refusal();
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
        *comm = comm_make(id, ranks, rank, !config || config->blocking != 0);
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

    if (!error || !comm_is_live(comm))
        return refuse(ncclInvalidArgument, "no communicator");
    progress();
    *error = broken() != cudaSuccess ? ncclUnhandledCudaError : comm_poll(comm);
    return ncclSuccess;
}

ncclResult_t ncclCommFinalize(ncclComm_t comm)
{
    return nccl_call([&](hold &held) {
        if (!comm_is_live(comm) || comm->state != comm_state::READY)
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
        if (!comm_is_live(comm) ||
            (comm->state != comm_state::READY && comm->state != comm_state::FINALISED))
            return refuse(ncclInvalidArgument, "the communicator is neither ready nor finalised");
        if (asked().nccl_end_hangs)
            wait_until(held, "ncclCommDestroy, which hangs as asked for,", [] { return false; });
        ncclResult_t result =
            wait(held, "ncclCommDestroy", [comm] { return comm->batches.empty(); });
        take_time(held);
        comm->end.file.shared->ranks[comm->end.rank].finalised = 1;
        end_comm(comm);
        return result;
    });
}

ncclResult_t ncclCommAbort(ncclComm_t comm)
{
    hold held(lock);

    if (!comm_is_live(comm))
        return refuse(ncclInvalidArgument, "no communicator");
    /* It sets the caller's device again in the end. */
    if (current_device != comm->device && broken() == cudaSuccess)
        die("ncclCommAbort on a thread whose device is %d, of a communicator on device %d: CUDA "
            "takes memory of the first",
            current_device, comm->device);
    if (comm_abort_hangs())
        wait_until(held, "ncclCommAbort, which hangs as asked for,", [] { return false; });
    comm_cancel(comm);
    take_time(held);
    end_comm(comm);
    progress_unless_lazy();
    return ncclSuccess;
}

ncclResult_t ncclCommCount(const ncclComm_t comm, int *count)
{
    return nccl_call([&](hold &) {
        *count = comm_is_live(comm) ? comm->end.ranks : 0;
        return *count ? ncclSuccess : refuse(ncclInvalidArgument, "no communicator");
    });
}

ncclResult_t ncclCommUserRank(const ncclComm_t comm, int *rank)
{
    return nccl_call([&](hold &) {
        *rank = comm_is_live(comm) ? comm->end.rank : -1;
        return *rank >= 0 ? ncclSuccess : refuse(ncclInvalidArgument, "no communicator");
    });
}

ncclResult_t ncclCommCuDevice(const ncclComm_t comm, int *device)
{
    return nccl_call([&](hold &) {
        *device = comm_is_live(comm) ? comm->device : -1;
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

ncclResult_t ncclReduce(const void *send, void *receive, size_t count, ncclDataType_t type,
                        ncclRedOp_t op, int root, ncclComm_t comm, cudaStream_t stream)
{
    return operate(comm, stream, kind::REDUCE, send, receive, count, type, op, root, 0);
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

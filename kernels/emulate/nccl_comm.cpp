#include "kernels/emulate/nccl_comm.h"

#include <unistd.h>

#include <algorithm>

#include "kernels/emulate/machine.h"

namespace mu_emulate
{
namespace
{
/* Never destroyed, since operations may outlive main. */
auto &comms = *new std::vector<std::unique_ptr<ncclComm>>;
auto &last_words = *new std::string;
std::uint64_t begun, aborts, made; /* transfers, aborts and communicators of this process */

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
    const nth &fails = asked().nccl_form;

    if (c->number == fails.number && fails.error != ncclInProgress)
        set_failed(c, static_cast<ncclResult_t>(fails.error), "as asked for");
    if (c->number == fails.number)
        return;
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

} // namespace

ncclComm *comm_make(ncclUniqueId id, int ranks, int rank, bool blocking)
{
    auto c = std::make_unique<ncclComm>();

    c->end = {{-1, nullptr}, rank, ranks};
    c->id = id;
    c->number = ++made;
    c->device = current_device;
    c->blocking = blocking;
    c->state = comm_state::JOINING;
    comms.push_back(std::move(c));
    return comms.back().get();
}

bool comm_is_live(const ncclComm *comm)
{
    return std::any_of(comms.begin(), comms.end(), [&](auto &c) { return c.get() == comm; });
}

void comm_add(ncclComm *c, transfer t, cudaStream_t stream)
{
    t.number = t.is.what == kind::SEND      ? c->sent[t.peer]++
               : t.is.what == kind::RECEIVE ? c->received[t.peer]++
                                            : c->collectives++;
    if (c->batches.size() == c->issued)
        c->batches.push_back(std::make_shared<batch>(batch{c, stream, {}}));
    if (c->batches.back()->stream != stream)
        die("a group puts operations of one communicator on two streams: not emulated");
    c->batches.back()->parts.push_back(t);
}

ncclResult_t comm_issue(ncclComm *c)
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

ncclResult_t comm_poll(ncclComm *c)
{
    look_for_the_dead(c);
    if (c->state == comm_state::ISSUING && c->polls++ > 0)
        comm_issue(c);
    if (c->state == comm_state::FAILED)
        return c->error;
    return c->state == comm_state::READY || c->state == comm_state::FINALISED ? ncclSuccess
                                                                              : ncclInProgress;
}

bool comm_abort_hangs()
{
    return ++aborts == asked().nccl_abort_hangs;
}

void comm_cancel(ncclComm *c)
{
    for (const auto &b : c->batches) {
        for (const transfer &t : b->parts)
            transfer_spoil(t, c->end);
        b->comm = nullptr;
    }
    c->batches.clear();
}

void comm_leave(ncclComm *c)
{
    shared_state *s = c->end.file.shared;

    if (c->joined && s->ranks[c->end.rank].pid == getpid()) { /* not a fork's copy */
        if (s->joined < static_cast<std::uint32_t>(c->end.ranks))
            s->given_up++;
        s->ranks[c->end.rank].presence = LEFT;
    }
    nccl_file_close(&c->end.file);
    comms.erase(std::find_if(comms.begin(), comms.end(), [&](auto &l) { return l.get() == c; }));
}

ncclResult_t refuse(ncclResult_t result, const char *why)
{
    last_words = why;
    return result;
}

const std::string &last_refusal()
{
    return last_words;
}

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
    while (!comms.empty()) {
        comm_cancel(comms.back().get());
        comm_leave(comms.back().get());
    }
    nccl_file_forget_all();
    begun = aborts = made = 0;
}
} // namespace mu_emulate

#include "kernels/emulate/nccl_transfer.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <type_traits>
#include <unistd.h>

#include <algorithm>

#include "kernels/emulate/machine.h"

namespace mu_emulate
{
namespace
{
constexpr std::size_t CHUNK = 1 << 16; /* elements that are reduced at a time */

const struct {
    const char *name;
    std::size_t bytes;
} types[] = {{"int8", 1},  {"uint8", 1},  {"int32", 4}, {"uint32", 4},
             {"int64", 8}, {"uint64", 8}, {nullptr, 0}, {"float32", 4}};

std::string words(const signature &s)
{
    static const char *const ops[] = {"sum", "product", "max", "min", "average"};
    char text[160];

    std::snprintf(text, sizeof text, "%s of %llu %s (%s, root %d)", kind_name(s.what),
                  static_cast<unsigned long long>(s.count), types[s.type].name, ops[s.op], s.root);
    return text;
}

void check_same(const signature &mine, int me, const signature &theirs, int other)
{
    if (mine.what != theirs.what || mine.type != theirs.type || mine.op != theirs.op ||
        mine.root != theirs.root || mine.count != theirs.count)
        die("rank %d is in %s while rank %d is in %s", me, words(mine).c_str(), other,
            words(theirs).c_str());
}

template <class T> void combine(T *to, const T *from, std::size_t n, int op)
{
    for (std::size_t i = 0; i < n; i++)
        if (op == ncclMax)
            to[i] = std::max(to[i], from[i]);
        else if (op == ncclMin)
            to[i] = std::min(to[i], from[i]);
        else if constexpr (std::is_integral_v<T>) /* wraps round */
            to[i] = static_cast<T>(static_cast<std::make_unsigned_t<T>>(to[i]) +
                                   static_cast<std::make_unsigned_t<T>>(from[i]));
        else
            to[i] += from[i];
}

void combine(int type, void *to, const void *from, std::size_t n, int op)
{
    auto as = [&](auto *typed) {
        combine(typed, static_cast<decltype(typed)>(const_cast<void *>(from)), n, op);
    };

    switch (type) {
    case ncclInt8:
        return as(static_cast<std::int8_t *>(to));
    case ncclUint8:
        return as(static_cast<std::uint8_t *>(to));
    case ncclInt32:
        return as(static_cast<std::int32_t *>(to));
    case ncclUint32:
        return as(static_cast<std::uint32_t *>(to));
    case ncclInt64:
        return as(static_cast<std::int64_t *>(to));
    case ncclUint64:
        return as(static_cast<std::uint64_t *>(to));
    default:
        return as(static_cast<float *>(to));
    }
}

/* receive = the ranks' elements [first, first + count), combined in the order of ranks; or, where
 * another order was asked for, beginning elsewhere in each chunk. */
void reduce(const transfer &t, const transfer_end &end, std::size_t first)
{
    std::size_t bytes = type_bytes(t.is.type), n;
    std::vector<char> theirs(std::min<std::size_t>(CHUNK, t.is.count) * bytes);

    for (std::size_t at = 0; at < t.is.count; at += n) {
        char *to = static_cast<char *>(t.receive) + at * bytes;
        unsigned start = asked().nccl_order;

        n = std::min<std::size_t>(CHUNK, t.is.count - at);
        if (start > 0 && end.ranks > 1)
            start = 1 + (start + static_cast<unsigned>(at / CHUNK)) %
                            static_cast<unsigned>(end.ranks - 1);
        for (int i = 0; i < end.ranks; i++) {
            int from = (static_cast<int>(start) + i) % end.ranks;

            nccl_file_read(end.file, from, MAX_RANKS, (first + at) * bytes, i ? theirs.data() : to,
                           n * bytes);
            if (i)
                combine(t.is.type, to, theirs.data(), n, t.is.op);
        }
    }
}

void finish_collective(const transfer &t, const transfer_end &end)
{
    std::size_t bytes = t.is.count * type_bytes(t.is.type);
    memory_open open;

    switch (t.is.what) {
    case kind::ALL_REDUCE:
        return reduce(t, end, 0);
    case kind::REDUCE_SCATTER:
        return reduce(t, end, static_cast<std::size_t>(end.rank) * t.is.count);
    case kind::REDUCE:
        if (end.rank == t.is.root)
            reduce(t, end, 0);
        return;
    case kind::ALL_GATHER:
        for (int r = 0; r < end.ranks; r++)
            nccl_file_read(end.file, r, MAX_RANKS, 0,
                           static_cast<char *>(t.receive) + static_cast<std::size_t>(r) * bytes,
                           bytes);
        return;
    default:
        nccl_file_read(end.file, t.is.root, MAX_RANKS, 0, t.receive, bytes);
    }
}

/* Until those who can see a torn collective have finished it, or are dead. */
void wait_for_even_ranks(const transfer &t, const transfer_end &end)
{
    constexpr int most_tries = 50000; /* five seconds at least */

    for (int r = 0, tries = 0; r < end.ranks; r += 2)
        while (r != end.rank && end.file.shared->ranks[r].finished <= t.number &&
               !nccl_file_is_dead(end.file.shared->ranks[r]) && tries++ < most_tries)
            usleep(100);
}

void publish_collective(transfer *t, const transfer_end &end, bool torn)
{
    slot &mine = end.file.shared->ranks[end.rank];

    for (int r = 0; r < end.ranks; r++)
        if (end.file.shared->ranks[r].finished < t->number)
            return;
    {
        memory_open open;

        nccl_file_write(end.file, end.rank, MAX_RANKS, t->send, send_bytes(*t, end));
    }
    mine.collective = t->is;
    if (torn)
        mine.torn = t->number + 1;
    mine.published = t->number + 1;
    t->state = transfer::PUBLISHED;
    if (torn) {
        wait_for_even_ranks(*t, end);
        kill(getpid(), SIGKILL);
    }
}

void try_collective(transfer *t, const transfer_end &end, bool torn)
{
    shared_state &s = *end.file.shared;

    if (t->state == transfer::BEGUN)
        publish_collective(t, end, torn);
    if (t->state != transfer::PUBLISHED)
        return;
    for (int r = 0; r < end.ranks; r++) {
        if (s.ranks[r].published <= t->number || (s.ranks[r].torn == t->number + 1 && end.rank % 2))
            return;
        check_same(t->is, end.rank, s.ranks[r].collective, r);
    }
    finish_collective(*t, end);
    s.ranks[end.rank].finished = t->number + 1;
    t->state = transfer::OVER;
}

void try_send(transfer *t, const transfer_end &end)
{
    auto &sent = end.file.shared->sent[end.rank][t->peer];
    auto &taken = end.file.shared->taken[end.rank][t->peer];

    if (t->state == transfer::BEGUN && sent == t->number && taken == t->number) {
        memory_open open;

        nccl_file_write(end.file, end.rank, t->peer, t->send, send_bytes(*t, end));
        end.file.shared->message[end.rank][t->peer] = t->is;
        sent = t->number + 1;
        t->state = transfer::PUBLISHED;
    }
    if (taken > t->number)
        t->state = transfer::OVER;
}

void try_receive(transfer *t, const transfer_end &end)
{
    auto &sent = end.file.shared->sent[t->peer][end.rank];
    auto &taken = end.file.shared->taken[t->peer][end.rank];
    signature as_sent = t->is;

    if (sent <= t->number || taken != t->number)
        return;
    as_sent.what = kind::SEND;
    check_same(as_sent, end.rank, end.file.shared->message[t->peer][end.rank], t->peer);
    memory_open open;
    nccl_file_read(end.file, t->peer, end.rank, 0, t->receive, receive_bytes(*t, end));
    taken = t->number + 1;
    t->state = transfer::OVER;
}
} // namespace

std::size_t type_bytes(int type)
{
    return type >= 0 && static_cast<std::size_t>(type) < std::size(types)
               ? types[static_cast<std::size_t>(type)].bytes
               : 0;
}

bool can_reduce(int type, int op)
{
    return type_bytes(type) > 0 && (op == ncclSum || op == ncclMax || op == ncclMin);
}

const char *kind_name(kind what)
{
    static const char *const names[] = {"ncclAllReduce", "ncclReduceScatter", "ncclAllGather",
                                        "ncclBroadcast", "ncclReduce",        "ncclSend",
                                        "ncclRecv"};

    return names[static_cast<int>(what)];
}

bool is_message(kind what)
{
    return what == kind::SEND || what == kind::RECEIVE;
}

std::size_t send_bytes(const transfer &t, const transfer_end &end)
{
    std::size_t bytes = t.is.count * type_bytes(t.is.type);

    switch (t.is.what) {
    case kind::REDUCE_SCATTER:
        return bytes * static_cast<std::size_t>(end.ranks);
    case kind::BROADCAST:
        return end.rank == t.is.root ? bytes : 0;
    case kind::RECEIVE:
        return 0;
    default:
        return bytes;
    }
}

std::size_t receive_bytes(const transfer &t, const transfer_end &end)
{
    std::size_t bytes = t.is.count * type_bytes(t.is.type);

    if (t.is.what == kind::ALL_GATHER)
        return bytes * static_cast<std::size_t>(end.ranks);
    if (t.is.what == kind::REDUCE)
        return end.rank == t.is.root ? bytes : 0;
    return t.is.what == kind::SEND ? 0 : bytes;
}

void transfer_try(transfer *t, const transfer_end &end, bool torn)
{
    if (t->is.what == kind::SEND)
        try_send(t, end);
    else if (t->is.what == kind::RECEIVE)
        try_receive(t, end);
    else
        try_collective(t, end, torn);
}

void transfer_spoil(const transfer &t, const transfer_end &end)
{
    memory_open open;

    if (t.state != transfer::OVER && receive_bytes(t, end) > 0 &&
        place_of(t.receive, receive_bytes(t, end)) != place::NOWHERE)
        std::memset(t.receive, 0xff, receive_bytes(t, end));
}
} // namespace mu_emulate

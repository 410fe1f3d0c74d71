/* What the ranks of one communicator share: a file without a name. Whoever makes a unique id makes
 * the file (memfd); the id tells the others where /proc shows it. So nothing is left anywhere,
 * whoever is killed when; and a communicator whose maker is dead is joined by nobody, as with NCCL.
 *
 * A collective is published by each rank (its data, what it is, then the count) once all have
 * finished the one before, and finished by each when all have published. A message between two
 * ranks waits in its pair's place until it is taken. */
#ifndef MUSTER_KERNELS_EMULATE_NCCL_FILE_H
#define MUSTER_KERNELS_EMULATE_NCCL_FILE_H

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "kernels/emulate/include/nccl.h"

namespace mu_emulate
{
constexpr int MAX_RANKS = 64;

enum class kind : std::int32_t {
    ALL_REDUCE,
    REDUCE_SCATTER,
    ALL_GATHER,
    BROADCAST,
    REDUCE,
    SEND,
    RECEIVE
};

/* What ranks must agree on. */
struct signature {
    kind what;
    std::int32_t type, op, root; /* op, root: 0 where there is none */
    std::uint64_t count;
};

enum presence : std::uint32_t { ABSENT, CLAIMED, JOINED, LEFT };

struct slot {
    std::atomic<std::uint32_t> presence;
    std::int32_t pid, ranks, device;
    std::uint64_t started, host;                    /* of the process, in clock ticks; a hash */
    std::atomic<std::uint64_t> published, finished; /* collectives */
    std::atomic<std::uint64_t> torn; /* the one, from 1, that ranks of odd number cannot see */
    std::atomic<std::uint32_t> finalised;
    signature collective; /* the last published */
};

struct shared_state {
    std::uint64_t nonce;
    std::atomic<std::uint32_t> joined, given_up; /* given_up: somebody left before all were there */
    slot ranks[MAX_RANKS];
    /* Messages, by sender and receiver. */
    std::atomic<std::uint64_t> sent[MAX_RANKS][MAX_RANKS], taken[MAX_RANKS][MAX_RANKS];
    signature message[MAX_RANKS][MAX_RANKS];
};

struct nccl_file {
    int fd;
    shared_state *shared; /* NULL: not open */
};

/* errno when it fails. */
int nccl_file_make(ncclUniqueId *id);
/* Whether it could be opened: not when its maker is gone. */
bool nccl_file_open(nccl_file *file, const ncclUniqueId &id);
void nccl_file_close(nccl_file *file);
/* Files made here that all ranks have joined need their maker no longer. */
void nccl_file_forget_joined();
void nccl_file_forget_all();
/* Takes a rank's slot; dies when somebody has it. */
void nccl_file_join(nccl_file *file, int rank, int ranks, int device);
/* Whether the process of a rank that has joined is dead. */
bool nccl_file_is_dead(const slot &s);

/* Places for data, by who writes it; to == MAX_RANKS: for all. */
void nccl_file_write(const nccl_file &file, int from, int to, const void *data, std::size_t bytes);
void nccl_file_read(const nccl_file &file, int from, int to, std::size_t offset, void *data,
                    std::size_t bytes);
} // namespace mu_emulate

#endif

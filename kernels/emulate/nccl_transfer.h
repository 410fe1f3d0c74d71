/* Collectives and messages of a communicator, as operations on streams: each is tried until it is
 * over, none ever waits.
 *
 *   collective: begun --all finished the one before--> PUBLISHED --all published--> OVER
 *   send:       begun --its place is free--> PUBLISHED --taken--> OVER
 *   receive:    begun --its message is there--> OVER */
#ifndef MUSTER_KERNELS_EMULATE_NCCL_TRANSFER_H
#define MUSTER_KERNELS_EMULATE_NCCL_TRANSFER_H

#include <vector>

#include "kernels/emulate/nccl_file.h"

namespace mu_emulate
{
struct transfer {
    signature is;
    const void *send;
    void *receive;
    int peer; /* of messages */
    enum { BEGUN, PUBLISHED, OVER } state;
    std::uint64_t number;  /* of collectives on the communicator, of messages between the two */
    std::uint64_t ordinal; /* of all that this process began; 0: not yet */
};

/* One end of a communicator. */
struct transfer_end {
    nccl_file file;
    int rank, ranks;
};

std::size_t type_bytes(int type); /* 0: not emulated */
bool can_reduce(int type, int op);
const char *kind_name(kind what);
bool is_message(kind what);
/* Bytes that it reads at .send and writes at .receive; 0 where it does neither. */
std::size_t send_bytes(const transfer &t, const transfer_end &end);
std::size_t receive_bytes(const transfer &t, const transfer_end &end);

/* Goes on as far as it can. torn: this process is killed when only some ranks have its part. */
void transfer_try(transfer *t, const transfer_end &end, bool torn);
/* What an abort leaves. */
void transfer_spoil(const transfer &t, const transfer_end &end);
} // namespace mu_emulate

#endif

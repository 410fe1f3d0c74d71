/* Communicators of the pretended NCCL.
 *
 *   JOINING --all ranks are there--> READY --operations, non-blocking--> ISSUING --polled--> READY
 *   READY --ncclCommFinalize--> FINALISING --nothing pends, on all ranks--> FINALISED
 *   any --an error--> FAILED: only ncclCommAbort is left
 *
 * What one call (or group) puts on a stream for a communicator is a batch: one operation of the
 * stream. Batches of a communicator run in the order in which they were called, whatever their
 * streams; within one, messages proceed side by side. All of this is called with the machine's lock
 * held. */
#ifndef MUSTER_KERNELS_EMULATE_NCCL_COMM_H
#define MUSTER_KERNELS_EMULATE_NCCL_COMM_H

#include <memory>
#include <string>
#include <vector>

#include "kernels/emulate/nccl_transfer.h"

namespace mu_emulate
{
struct batch {
    ncclComm *comm; /* NULL: cancelled, the communicator may be gone */
    cudaStream_t stream;
    std::vector<transfer> parts;
};

enum class comm_state { JOINING, READY, ISSUING, FINALISING, FINALISED, FAILED };
} // namespace mu_emulate

struct ncclComm {
    mu_emulate::transfer_end end;
    ncclUniqueId id;
    std::uint64_t number; /* of this process's, from 1 */
    int device;
    bool blocking, joined;
    mu_emulate::comm_state state;
    ncclResult_t error;                                      /* FAILED */
    int polls;                                               /* since it is ISSUING */
    std::vector<std::shared_ptr<mu_emulate::batch>> batches; /* not over, in order */
    std::size_t issued;                                      /* of them, on streams */
    std::uint64_t collectives, sent[mu_emulate::MAX_RANKS], received[mu_emulate::MAX_RANKS];
    std::uint64_t looked_ns; /* when peers were last looked for */
};

namespace mu_emulate
{
/* JOINING. */
ncclComm *comm_make(ncclUniqueId id, int ranks, int rank, bool blocking);
bool comm_is_live(const ncclComm *comm);
/* Into a new batch, or the one that is not yet issued. */
void comm_add(ncclComm *c, transfer t, cudaStream_t stream);
/* Puts what was called on its streams. */
ncclResult_t comm_issue(ncclComm *c);
/* What ncclCommGetAsyncError says; may issue. */
ncclResult_t comm_poll(ncclComm *c);
/* Counts: whether this abort is the one that was asked to hang. */
bool comm_abort_hangs();
/* Batches are over, as if they had run; their buffers hold garbage. */
void comm_cancel(ncclComm *c);
/* The end of it: nobody may use c. */
void comm_leave(ncclComm *c);
/* Returns the result, for which it sets the words of ncclGetLastError. */
ncclResult_t refuse(ncclResult_t result, const char *why);
const std::string &last_refusal();
} // namespace mu_emulate

#endif

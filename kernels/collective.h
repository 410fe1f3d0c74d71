/* Sums over the memory of several devices, one a rank: NCCL, behind the module that carries CUDA
 * (kernels/cuda/collective.c). Integers only, so that the bits do not depend on who adds in which
 * order.
 *
 * Nothing here waits: what is begun is looked after with mu_collective_poll, between polls of the
 * rank's own. A collective whose peer has died may never end, nor fail: who learns of the death by
 * other ways aborts it, and makes a new communicator of those that live, with a new id. After an
 * abort, or a failure, what the outputs hold is undefined; inputs are as they were.
 *
 * Buffers are device memory. Operations follow the device's earlier ones, and one another in the
 * order in which they were begun: the same order on every rank. They run beside the device's later
 * ones, which must leave their buffers alone until poll says that all is done. Several groups may
 * be under way at a time. */
#ifndef MUSTER_KERNELS_COLLECTIVE_H
#define MUSTER_KERNELS_COLLECTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_device;
struct mu_collective;

enum {
    MU_COLLECTIVE_ID_BYTES = 128,
    MU_COLLECTIVE_GROUP = 4,      /* operations that are begun together, at most */
    MU_COLLECTIVE_UNDER_WAY = 48, /* groups that are begun and not done, at most */
};
/* Made by one rank, told to all; good for one communicator. */
struct mu_collective_id {
    char bytes[MU_COLLECTIVE_ID_BYTES];
};

enum mu_reduction_kind {
    MU_SUM_INT32, /* wrapping */
    MU_SUM_INT64,
    MU_MAX_UINT8,
};

/* to = the reduction of everybody's `from`, on every rank; to may be from. */
struct mu_all_reduce {
    enum mu_reduction_kind kind;
    void *to;
    const void *from;
    size_t count; /* elements */
};

/* Words of 4 bytes from rank to rank, where not everybody is to have everything. */
enum mu_move_kind {
    MU_REDUCE_INT32, /* `to` of rank `peer` = the sum of everybody's `from`, wrapping */
    MU_BROADCAST,    /* everybody's `to` = `from` of rank `peer`, whose `to` it may be */
    MU_SEND,         /* `from` to rank `peer`, which receives it */
    MU_RECEIVE,
};
/* Pointers that a kind does not name, or that this rank has no part in, are not looked at. */
struct mu_move {
    enum mu_move_kind kind;
    int peer; /* another rank, where it is sent or received */
    void *to;
    const void *from;
    size_t count; /* words */
};

struct mu_collective_ops {
    enum mu_status (*make_id)(struct mu_device *, struct mu_collective_id *out);
    /* Begins to form a communicator of `size` ranks: done once poll says so. The library's own
     * failures while it forms are told by poll alone, and logged by nobody: see words. */
    enum mu_status (*open)(struct mu_device *, const struct mu_collective_id *id, int rank,
                           int size, struct mu_collective **out);
    /* Begins all of them, as one group; the communicator is formed. The structs are read at once.
     * Groups are what all ranks have alike: operations may not be grouped otherwise on one. */
    enum mu_status (*all_reduce)(struct mu_collective *, const struct mu_all_reduce *list,
                                 int count);
    /* Whether all that was begun is done; moves it on. MU_PEER_LOST: the library has noticed that a
     * peer is gone; MU_CONFIG: it cannot be, however often (two ranks on one GPU); MU_FAILED:
     * anything else. Only an abort is left to be done. */
    enum mu_status (*poll)(struct mu_collective *, bool *done);
    /* Why it was not formed, in the library's words; "": it was, or none has come yet. */
    const char *(*words)(const struct mu_collective *);
    /* Ends it when all ranks do so at about the same time: nothing is lost by that, and nobody is
     * disturbed. MU_TIMEOUT, of which nothing is said: the library does not come back; what it
     * holds is left to the end of the process, and of the device nothing can be used. */
    enum mu_status (*close)(struct mu_collective *, uint64_t deadline_ms);
    /* Ends it, whatever is under way; the device can be used again. Calls the device's poll hook
     * while it lasts. MU_TIMEOUT: the library does not come back, and this process can only end. */
    enum mu_status (*abort)(struct mu_collective *, uint64_t deadline_ms);
    /* As all_reduce, of these. Reductions and broadcasts stand in the same order on all ranks; the
     * n-th that a rank sends to another is the n-th that this one receives from it. No move reads
     * what another one of the group writes. */
    enum mu_status (*move)(struct mu_collective *, const struct mu_move *list, int count);
};

#endif

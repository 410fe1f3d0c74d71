/* Faults on demand, by name, so that every failure path is tested by making it fail. Off unless the
 * environment says
 *
 *   MUSTER_FAULT=rank:2,at:backward,step:30,do:kill[,count:N][;more]
 *
 * at: a point of the table; do: kill (SIGKILL), stop (SIGSTOP), segv, exit (_exit(3)), fail (the
 * point reports failure), sleep-MS, gpu-E (the next call of CUDA's runtime fails with the error of
 * number E; only where CUDA is emulated): these two are needed. rank, step: number or * (the
 * default). count: how many passages are let through first. */
#ifndef MUSTER_BASE_FAULT_H
#define MUSTER_BASE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

/* X(identifier, name in MUSTER_FAULT, where it is) */
#define MU_FAULT_TABLE(X)                                                                    \
    X(START, "start", "before MPI_Init")                                                     \
    X(STARTED, "started", "after MPI_Init, before the ranks have met")                       \
    X(FORWARD, "forward", "in a shard's forward pass")                                       \
    X(BACKWARD, "backward", "in a shard's backward pass")                                    \
    X(ADDING, "adding", "while a shard's gradient is added to the rank's sum")               \
    X(ADDED, "added", "a shard is whole in the sum")                                         \
    X(REDUCE, "reduce", "in the exchange of a chunk (do:fail flips a bit of its sum)")       \
    X(REDUCED, "reduced", "a chunk's total is written")                                      \
    X(UPDATE, "update", "while half k+1 is written")                                         \
    X(FLIP, "flip", "before the step is committed")                                          \
    X(SHRINK, "shrink", "in a recovery, before the dead are left out")                       \
    X(EXCHANGE, "exchange", "in a recovery, before the survivors tell where they are")       \
    X(AGREE, "agree", "in a recovery, before the survivors agree")                           \
    X(EVALUATE, "evaluate", "in an evaluation")                                              \
    X(HASH, "hash", "a rank of GPUs looks through its state (do:fail: it is another one)")   \
    X(SNAPSHOT, "snapshot", "before a chunk of the GPUs' state is copied to the host")       \
    X(SAVE, "save", "while a part of a checkpoint is written")                               \
    X(SAVE_DISK, "save-disk", "a write of a checkpoint fails as on a full disk (do:fail)")   \
    X(PUBLISH, "publish", "before a checkpoint is published")                                \
    X(PUBLISHED, "published", "a checkpoint is published, but not recorded")                 \
    X(LOAD, "load", "while a checkpoint, or a copy, is loaded")                              \
    X(LEAVE, "leave", "after the last step")                                                 \
    X(CORRUPT, "corrupt", "a gradient of an audited step is computed (do:fail flips a bit)") \
    X(LOCK, "lock", "file locks are of no use on the run directory (do:fail)")               \
    X(DEAL, "deal", "moments are dealt anew after a death (do:fail: there is no room)")      \
    X(GATHER, "gather", "weights or moments are gathered from all ranks (optim.shard)")      \
    X(ORDER, "order", "a rank takes up a trial of a sweep that it was ordered to begin")     \
    X(BRANCH, "branch", "before a trunk leaves its state to a branch")                       \
    X(LEAD, "lead", "a rank has come to know where the sweep stands that it leads now")      \
    /* In the middle of something else, which stays the last point that was passed: */       \
    X(TELL, "tell", "before the first rank of a group tells another one something")          \
    X(NOTE, "note", "a sweep's master has written down what it does next (do:fail: not)")    \
    X(ANSWER, "answer", "a request is obeyed, but not answered (do:fail: it cannot be)")     \
    X(ANSWERED, "answered", "a request is answered, but its file is there still")

enum mu_fault_point {
#define MU_FAULT_ENUM(id, name, where) MU_FAULT_##id,
    MU_FAULT_TABLE(MU_FAULT_ENUM)
#undef MU_FAULT_ENUM
        MU_FAULT_COUNT
};

/* Reads MUSTER_FAULT; a mistake in it is a MU_USAGE error with what was expected. */
enum mu_status mu_fault_init(void) MU_CHECKED;
void mu_fault_set_rank(int rank);
/* Where the last passed point and its step are noted (a slot of the board); NULL: nowhere. */
struct mu_fault_mark {
    _Atomic uint32_t point; /* enum mu_fault_point */
    _Atomic int64_t step;
};
void mu_fault_set_mark(struct mu_fault_mark *mark);
const char *mu_fault_point_name(enum mu_fault_point point);
/* Passes a named point. Does what was asked for; true when the point is to fail. Free when no fault
 * is set. */
bool mu_fault(enum mu_fault_point point, int64_t step);

#endif

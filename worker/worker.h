/* A worker: one rank's hold on one trial. What it shares with its host lies in the segment; here is
 * what is its own.
 *
 *   worker.c          made, and waiting
 *   worker_state.c    initial values, a checkpoint, checks, the hash
 *   worker_measure.c  the probe, evaluation
 *   step.c            the step protocol; update.c what it does to a chunk's weights
 *   reduce.c          the exchange of a chunk */
#ifndef MUSTER_WORKER_WORKER_H
#define MUSTER_WORKER_WORKER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/device.h"
#include "kernels/timed.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/core/recovery.h"
#include "orchestrator/core/roll.h"
#include "worker/audit.h"
#include "worker/board.h"
#include "worker/comm/comm.h"
#include "worker/device_weights.h"
#include "worker/exact_sum.h"
#include "worker/fetch.h"
#include "worker/poller.h"
#include "worker/reduce.h"
#include "worker/resident.h"
#include "worker/segment.h"
#include "worker/workload.h"

/* What a rank may be asked for from outside; rides on the step's reduction, so that all agree on it
 * at the same step. */
enum mu_request_flag {
    MU_REQUEST_CHECKPOINT = 1,
    MU_REQUEST_STOP = 2,     /* with a checkpoint: exit code 75 */
    MU_REQUEST_MAKE_WAY = 4, /* without one where the next generation can take the state up */
    MU_REQUEST_SNAPSHOT = 8, /* worker/snapshot.h */
};

/* For what another rank or host sends in a step: as long as a wait within the host, since it may
 * still be computing its shards, for minutes. Deaths end such a wait by MPI, long before. */
enum { MU_EXCHANGE_DEADLINE_MS = 3600000 };

struct mu_worker {
    const struct mu_settings *settings;
    struct mu_comm *comm;
    struct mu_board *board;
    struct mu_poller *poller;
    const struct mu_roll *roll;
    const struct mu_recovery_plan
        *plan; /* what the last repair left to do; NULL: nobody died yet */
    struct mu_device *device;
    struct mu_workload *workload;
    struct mu_segment *segment;
    /* For as long as the segment is there. */
    struct mu_fleet fleet;
    uint32_t home, slot;
    /* Of the roll; they change with it: mu_worker_adopt. */
    uint32_t place, host, local_index, local_count;
    struct mu_crew crew; /* who takes shards */
    uint32_t *summed;    /* slots of this host whose sums count in the turn under way */
    uint32_t summed_count;

    uint32_t requests; /* enum mu_request_flag: what this rank was asked for since the last step */
    void *lent;        /* the segment's memory; NULL: not lent to the device */
    struct mu_device_weights weights;
    struct mu_exact_sum exact;
    struct mu_reduction reduction;
    struct mu_worker_resident resident;
    struct mu_fetch fetch;
    struct mu_audit audit;
    bool is_idle;         /* it had no shards in this step: it waits for no straggler */
    int64_t reached;      /* steps below it were taken before, and are taken again */
    uint64_t raised_turn; /* that `raised` is for */
    int16_t *raised;      /* predictions of a redone step, blocks; lent memory */
    int16_t *tensor_max;  /* a tensor each */
};

/* Who times this rank's steps; NULL: nobody. */
static inline struct mu_timed *mu_worker_timed(const struct mu_worker *w)
{
    return w->device ? w->device->timed : NULL;
}

/* comm, board, poller, roll, device, workload, segment and settings are set by the caller, and
 * outlive it. The fleet is the roll as it is now. The segment is lent to the device. */
enum mu_status mu_worker_init(struct mu_worker *w) MU_CHECKED;
void mu_worker_deinit(struct mu_worker *w);
/* The device gives the segment's memory back: before the segment is closed, where that comes before
 * mu_worker_deinit. */
void mu_worker_take_back(struct mu_worker *w);
/* Takes the place that the communicator and the roll say now; with a plan, after a repair. */
void mu_worker_adopt(struct mu_worker *w, const struct mu_recovery_plan *plan);
/* The master: it computes no shards. */
static inline bool mu_worker_is_dedicated(const struct mu_worker *w)
{
    return w->settings->run_master == MU_MASTER_DEDICATED;
}
/* The slot of the rank at a place of this worker's host. */
static inline uint32_t mu_worker_slot(const struct mu_worker *w, uint32_t place)
{
    return w->fleet.slot[mu_comm_name(w->comm, (int)place)];
}

/* Brings the committed state from `step` to step + 1, however much of it is done already: by this
 * rank, before a repair, or by others. MU_FAILED: a disputed audit, or non-finite gradients and
 * on_nonfinite is "stop" (the committed state is untouched). MU_RECOVERED: call again, or do first
 * what the new roll has to do. MU_PEER_LOST, MU_REVOKED, MU_TIMEOUT: the roll is broken; the
 * committed state is whole. */
enum mu_status mu_worker_step(struct mu_worker *w, int64_t step,
                              struct mu_step_result *out) MU_CHECKED;

/* How weights go from `step` to step + 1, given the gradient's norm: the rates; pointers, count and
 * decay are not filled in. */
struct mu_adamw mu_worker_adamw(const struct mu_worker *w, int64_t step, double norm, double *lr);

/* This rank's pieces of an evaluation of the committed state: loss in exact form, to be merged over
 * ranks. */
struct mu_eval_sum {
    struct mu_wide loss, bytes;
    uint64_t tokens;
};
enum mu_status mu_worker_evaluate(struct mu_worker *w, struct mu_eval_sum *out) MU_CHECKED;

/* Hash of the committed state: computed by the host's ranks together; every one gets it. */
enum mu_status mu_worker_hash(struct mu_worker *w, struct mu_hash *out) MU_CHECKED;

/* Fills this rank's share of half `half` with initial values (weights; moments zero; predictions
 * unknown). The half is whole once every rank of the host has done so: the caller agrees. */
enum mu_status mu_worker_fill_initial(struct mu_worker *w, uint32_t half) MU_CHECKED;
/* The same for half 0 from a checkpoint; weights_only: moments and predictions are those of initial
 * weights. */
enum mu_status mu_worker_load(struct mu_worker *w, const char *folder,
                              bool weights_only) MU_CHECKED;
/* Of a share of the rows of a state in this process's memory: moments and predictions as they are
 * with initial weights. */
void mu_worker_forget_training(const struct mu_state_view *state, uint64_t share, uint64_t shares);
/* Half 0 is the committed state of step `step` from now on: by the host's first rank, once
 * everybody has agreed that it is whole. */
void mu_worker_commit(struct mu_worker *w, int64_t step);
/* The checks of this rank's chunks of the committed state, read from it. Every rank does so before
 * the state is settled: the caller agrees. */
enum mu_status mu_worker_seal(struct mu_worker *w) MU_CHECKED;
/* This rank's chunks of a committed state that was taken up against their checks: MU_CORRUPT when a
 * bit has flipped, with a line that says where. */
enum mu_status mu_worker_verify(struct mu_worker *w) MU_CHECKED;
/* The committed state is whole on every host: from now on a later generation may take it up. */
void mu_worker_settle(struct mu_worker *w, const struct mu_segment_origin *origin);

/* Hashes at the initial weights standing in `half`, which between them come to every product shape
 * in use: of the gradient of shard 0 of step 0, and of the loss of a full and of the last piece of
 * an evaluation. Two, since what is evaluated may change while a run stays what it is. */
struct mu_probe {
    struct mu_hash gradient, evaluation;
};
enum mu_status mu_worker_probe(struct mu_worker *w, uint32_t half, struct mu_probe *out) MU_CHECKED;

/* Waits until `ready(w, mark)`, polling; MU_TIMEOUT when no rank of this host has moved for a
 * minute: `what` tells for what. */
enum mu_status mu_worker_wait(struct mu_worker *w,
                              bool (*ready)(struct mu_worker *w, uint64_t mark), uint64_t mark,
                              const char *what) MU_CHECKED;

#endif

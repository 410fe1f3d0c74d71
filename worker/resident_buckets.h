/* The reduction of a gradient begins before the gradient is whole: while a rank computes its last
 * shard of a turn, tensors become final from the last one downwards, are added to the rank's sum,
 * and are reduced, a bucket of them at a time, beside the rest of the backward pass.
 *
 * Why it is allowed: what a block adds to the integers is settled by the block alone; one that does
 * not fit goes to a slot, and slots are reduced after all ranks have agreed which there are. The
 * total of a bucket is written beside the sum, so that it can be thrown away: when the step is
 * redone, or when a rank dies, after which the turn is reduced from the sums as a whole.
 *
 * Why nobody waits for ever: collectives have to come in the same order on every rank. So every
 * rank begins every bucket once for each communicator and turn, in the order of the list, which is
 * a function of the layout, and before anything else of the turn. The ranks differ in the time
 * alone: in the last shard, where there is a communicator of this epoch; else at the reduction,
 * which makes one. */
#ifndef MUSTER_WORKER_RESIDENT_BUCKETS_H
#define MUSTER_WORKER_RESIDENT_BUCKETS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/core/layout.h"

struct mu_worker;

enum { MU_BUCKETS_MAX = 32 };

struct mu_buckets {
    uint32_t count;
    uint32_t first[MU_BUCKETS_MAX]; /* bucket i has tensors [first[i], first[i - 1]) */
    uint64_t from[MU_BUCKETS_MAX];  /* and elements likewise */
    /* Of the turn under way. */
    uint32_t begun;        /* on the communicator that there is */
    enum mu_status failed; /* why no more are begun in a shard: the reduction deals with it */
    /* Of the shard under way. */
    uint32_t added; /* buckets of its gradient that are in the sum */
    bool is_last;   /* the rank's last one of the turn: set by whoever deals */
    uint64_t turn;
    bool first_shard;
    const int16_t *prediction;
};

/* At least 8 MiB of integers or a 32nd of the model each (a quarter, where that is less), from the
 * last tensor downwards; what is left over is no bucket's. Nor are tensors that rows are added to,
 * at the end of a shard, and those before them. */
void mu_buckets_plan(struct mu_buckets *b, const struct mu_layout *layout);

/* Round the gradient of a shard; first: the sum holds nothing of the turn yet. */
void mu_buckets_watch(struct mu_worker *w, uint64_t turn, const int16_t *prediction, bool first);
void mu_buckets_unwatch(struct mu_worker *w);
/* Tensors that the shard under way has not added yet: [0, here). */
uint32_t mu_buckets_tensors_left(const struct mu_worker *w);

/* At the reduction: begins those that are not begun. */
enum mu_status mu_buckets_begin_rest(struct mu_worker *w) MU_CHECKED;
/* Elements that are left to be reduced: [0, here). */
uint64_t mu_buckets_elements_left(const struct mu_worker *w);

#endif

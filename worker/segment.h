/* The segment of a host: one trial's whole state in shared memory, once. It belongs to no process;
 * ranks attach to it.
 *
 *   header    identity, token of the generation, `state` = committed step << 1 | half that holds it
 *   chunks    a row of words each: how far the reduction and the update of the chunk have come
 *   halves    weights, m, v, predictions (and the bf16 copy of the weights), twice: steps k, k + 1
 *   total     the reduced gradient of step k, and the agreed block maxima
 *   ranks     a row of words each: how far the rank's own sum has come
 *   sums      each rank's integer sum (worker/exact_sum.h)
 *
 * Invariants:
 *   1. Half `state & 1` is whole and is not written while it is current.
 *   2. A word is stored (release) after everything that it vouches for, and read (acquire) before.
 *   3. Words hold a *turn*, 2 * step + attempt + 1, which only grows; whoever waits for turn t
 *      cannot mistake what is left of an earlier one.
 *   4. A rank's sum is written by that rank only, and only between the turns in which owners read
 *      it: it enters turn t + 1 after all chunks are reduced in turn t, and no owner reduces in
 *      turn t + 1 before *every* living rank of the host (also one without shards) has entered it
 *      and has all its shards in its sum.
 *   5. Ranks have slots, for as long as the segment is there. What a dead rank left in its slot
 *      stays as it is, and counts if it is whole (orchestrator/core/recovery.h).
 *
 * /dev/shm/muster-UID-RUN-hHOST, see worker/shm_file.h, made by the host's lowest rank. Whoever is
 * attached holds it: a segment that nobody holds was left by ranks that were all killed. The next
 * start of the same run takes it up, with any number of ranks, and goes on from its committed
 * state; any other start of the same user's removes it, but for that of another trial of the same
 * sweep. */
#ifndef MUSTER_WORKER_SEGMENT_H
#define MUSTER_WORKER_SEGMENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/core/audit.h"
#include "orchestrator/core/layout.h"
#include "orchestrator/core/shards.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/exact_sum.h"

/* What a step gathers besides gradients. */
struct mu_step_scalars {
    struct mu_wide loss; /* nats, summed over tokens */
    uint64_t tokens;
    uint32_t requests; /* OR of what signals and files asked ranks for: enum mu_request_flag */
};

/* What became of a piece of an evaluation: whoever needs it again need not compute it. */
struct mu_eval_words {
    _Atomic uint64_t step; /* + 1: steps that the weights had behind them; 0: nothing yet */
    double loss_nats, bytes;
    uint64_t tokens;
};

/* What a step came to: the same on every rank. */
struct mu_step_result {
    int64_t step;         /* committed steps after this one */
    double loss;          /* nats per token of the batch, before the update */
    double gradient_norm; /* before clipping */
    double lr;
    uint64_t tokens, escapes;
    bool redone, skipped;
    /* With MU_FAILED, and all know: the gradient is not finite and on_nonfinite is "stop", or (with
     * disputed) an audit cannot tell who computes wrong. */
    bool stopped, disputed;
    uint32_t requests; /* everybody's, OR-ed */
};

/* What is known of those who computed the state, so that whoever takes it up need not find out. */
struct mu_segment_origin {
    uint64_t setting; /* hash of all that decides bits, but for the probe */
    struct mu_hash probe;
    double peak_flops; /* of a rank */
};

struct mu_segment_header {
    char magic[8];
    uint64_t bytes, layout_identity;
    uint32_t ranks, bf16;
    uint64_t eval_pieces, run_id;
    uint32_t state_only;
    uint32_t taken_up; /* by this generation: the committed state is an earlier one's */
    struct mu_segment_origin origin;
    _Atomic uint32_t settled; /* the committed state is whole, and may be taken up */
    /* Of the step that made the committed state: at step & 1, of a copy where its half is. */
    struct mu_step_result result[2];
    _Atomic uint64_t generation; /* token; stored last: now the segment may be attached to */
    _Atomic uint64_t state;
    struct mu_step_scalars scalars; /* of everybody; valid with the words of chunk 0 */
};

struct mu_chunk_words {
    _Alignas(64) _Atomic uint64_t reduced; /* turn */
    _Atomic uint64_t written;              /* step whose chunk stands whole in the spare half */
    uint32_t flags;                        /* enum of mu_sum flags, agreed; with `reduced` */
    uint32_t escapes;
    uint32_t check[2];   /* of each half, see worker/state_check.h; with `written` */
    struct mu_wide norm; /* squares of the gradient */
};

struct mu_rank_words {
    _Alignas(64) _Atomic uint64_t entered;   /* turn: this rank reads nothing of an earlier one */
    _Atomic uint64_t adding;                 /* turn << 1, with bit 0 set while a shard is added */
    _Atomic uint64_t accused;                /* turn: its sum is wrong; written by the accuser */
    _Atomic uint64_t claim;                  /* mu_recovery_claim: the shard that is computed */
    _Atomic uint64_t shards[MU_SHARD_WORDS]; /* bitmap: which are whole in the sum, that turn */
    _Atomic uint64_t hashed;                 /* mark: its pieces of the state hash are there */
    _Atomic uint64_t audited;                /* turn << 2 | how many hashes are in `audit` */
    struct mu_hash audit[MU_AUDIT_TRIES];    /* of the turn's audited shard: worker/audit.h */
    _Atomic uint32_t pid;                    /* who has the slot; 0: nobody yet */
    uint64_t start_time;                     /* of that process, see worker/board.h */
    struct mu_step_scalars scalars;          /* of what is in the sum; and the rank's requests */
};

struct mu_segment {
    struct mu_segment_header *header;
    struct mu_chunk_words *chunk;
    struct mu_rank_words *rank;
    struct mu_state_view half[2];
    uint16_t *weight_bf16[2]; /* NULL in fp32 */
    float *total;             /* layout->elements */
    uint8_t *largest;         /* layout->blocks: agreed maxima */
    struct mu_hash *piece;    /* hashes of the pieces of the state */
    struct mu_eval_words *evaluated;
    struct mu_sum *sum;   /* a rank each; of this process */
    uint32_t ranks, slot; /* on the host; this rank's */
    bool is_private;
    int fd;        /* holds the lock; -1 when private */
    char name[96]; /* for shm_open; "" when private */
};

struct mu_segment_options {
    const struct mu_layout *layout;
    uint64_t run_key;     /* names the run directory; of a sweep's trial: mu_segment_trial_key */
    uint64_t run_id;      /* and the run in it: another one's state is not taken up */
    uint64_t generation;  /* token of this mpirun, not 0 */
    uint32_t host;        /* names the host, the same in every generation */
    uint32_t ranks, slot; /* on the host; this rank's among them */
    uint64_t eval_pieces;
    bool leader, bf16;
    /* Words, predictions and maxima alone: the large arrays, and what is in them, are the device's
     * (worker/resident.h), which are NULL or empty here. Never taken up. */
    bool words_only;
    bool state_only; /* words and halves alone: copies of such a state (worker/snapshot.h) */
    /* One of a sweep's trials: the states of the others stay, whose ranks may have made way or
     * died, and ranks of this very program, which have made way here, are given time to detach. */
    bool keep_sweep;
    uint64_t deadline_ms;
    /* Called while waiting; an error ends the wait. */
    enum mu_status (*poll)(void *context);
    void *poll_context;
};

/* The leader takes up what the last generation left, if it is settled and fits, and sees to it that
 * nobody of then can write any more; else it makes a new one (zeroed: committed step 0 in half 0).
 * The others wait for it; MU_FAILED when this generation's is made for other ranks, precision or
 * layout than theirs. Too little room in /dev/shm: with one rank on the host private memory is
 * taken, with a line that says so; else MU_NO_MEMORY with how much is needed. With state_only
 * MU_NO_MEMORY, not reported, also where a new one takes most of the memory that is left: whoever
 * copies can do without. */
enum mu_status mu_segment_open(struct mu_segment *s,
                               const struct mu_segment_options *options) MU_CHECKED;
/* Detaches. unlink, by every rank: nobody is to take the state up. The name goes, unless a later
 * generation's segment has it by now, and so does what pretended hosts of the run have left
 * here. */
void mu_segment_close(struct mu_segment *s, bool unlink);
/* Names a trial's run: the high half is the sweep's, which all its trials share. */
static inline uint64_t mu_segment_trial_key(uint64_t sweep_key, uint64_t trial_key)
{
    return (sweep_key & 0xffffffff) << 32 | (trial_key & 0xffffffff);
}
/* Once a sweep is complete, by a rank of each host: what trials have left here that nobody holds
 * and nobody goes on with. */
void mu_segment_remove_sweep(uint64_t sweep_key);
/* By the leader: what was taken up is not used; as if new. */
void mu_segment_reset(struct mu_segment *s);
uint64_t mu_segment_bytes(const struct mu_segment_options *options);

/* A rank's `adding` as others have to read it: once the rank is accused in that turn it looks torn,
 * whatever is added still. */
static inline uint64_t mu_segment_adding(const struct mu_rank_words *words)
{
    uint64_t adding = atomic_load_explicit(&words->adding, memory_order_acquire);

    return adding | (adding != 0 &&
                     atomic_load_explicit(&words->accused, memory_order_acquire) == adding >> 1);
}

static inline int64_t mu_segment_step(const struct mu_segment *s)
{
    return (int64_t)(s->header->state >> 1);
}
/* What the committed state came from. */
static inline const struct mu_step_result *mu_segment_result(const struct mu_segment *s)
{
    return &s->header->result[s->header->result[0].step == mu_segment_step(s) ? 0 : 1];
}
static inline uint32_t mu_segment_half(const struct mu_segment *s)
{
    return (uint32_t)(s->header->state & 1);
}

#endif

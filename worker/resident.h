/* A worker whose state lies in its device's memory (kernels/resident.h), as a host of its own: one
 * rank, with its own copy of the state and a segment of words alone, which is never taken up: what
 * outlives it are copies (snapshot.h). So the step protocol (worker/step.c) and the plan after a
 * death (orchestrator/core/recovery.h) hold as they are: a rank that died takes its sum with it; a
 * total that one rank has and another lacks is fetched; one that nobody has is reduced again, from
 * the sums that everybody still has.
 *
 * In place of the exchange of chunks (worker/reduce.h) a turn is reduced as a whole, by collectives
 * of the devices. Their communicator belongs to an epoch of the roll: after a death it is aborted,
 * and the next reduction forms another one of those who live. The first one is formed before
 * training, since what prevents it (a network, a memory) mostly prevents all. A part of it begins
 * earlier: worker/resident_buckets.h. */
#ifndef MUSTER_WORKER_RESIDENT_H
#define MUSTER_WORKER_RESIDENT_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/resident.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/status.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/resident_buckets.h"
#include "worker/wide_sum.h"
#include "worker/workload.h"

struct mu_settings;
struct mu_worker;
struct mu_parts;

/* What ranks say of the first communicator, as it lies in memory. */
struct mu_formed {
    uint32_t status; /* enum mu_status */
    uint32_t rank;   /* its name */
    char words[480]; /* why not */
};

struct mu_worker_resident {
    struct mu_resident *state; /* NULL: the state lies in the segment */
    struct mu_parts *parts;    /* NULL: it is whole (worker/parts.h) */
    struct mu_collective *peers;
    uint32_t epoch;   /* of the roll that peers are of */
    uint64_t begun;   /* turn that the sum is of */
    uint32_t retries; /* of the reduction that is under way */
    struct mu_buckets buckets;
    float *staged; /* address space for weights, m and v in the host's memory; NULL: none */
    struct mu_forming *forming; /* resident_form.c: what MPI may still read or write */
    bool
        left_behind; /* after mu_resident_deinit: the library still holds threads of this process */
    uint64_t sums;   /* of the state that was hashed last: a check of all of it, on this device */
};

/* How the state of a run of `ranks` ranks is opened. The layout is the workload's, borrowed. */
struct mu_resident_options mu_resident_options_of(const struct mu_settings *settings,
                                                  const struct mu_workload *workload,
                                                  uint32_t ranks);

/* Takes the device's memory, and points the halves of the segment there. MU_CONFIG when this device
 * keeps no state, or has no collectives and there are other ranks. */
enum mu_status mu_resident_init(struct mu_worker *w) MU_CHECKED;
void mu_resident_deinit(struct mu_worker *w);

/* The turn's sum holds nothing yet. */
void mu_resident_begin(struct mu_worker *w, uint64_t turn, const int16_t *prediction);
/* Gives up the communicator, and whatever is under way. */
void mu_resident_drop_peers(struct mu_worker *w);

/* In place of mu_exact_sum_add: what of the shard is not in the sum yet. first: nothing of the turn
 * was before this shard. */
void mu_resident_add(struct mu_worker *w, uint64_t turn, const int16_t *prediction,
                     const struct mu_shard_result *gradient, bool first);
/* In place of mu_reduce_chunk, for all chunks: on return every word says `turn`. */
enum mu_status mu_resident_reduce(struct mu_worker *w, uint64_t turn,
                                  const int16_t *prediction) MU_CHECKED;
/* From half `from` to the other one, all chunks; skip: the state goes over as it is. Predictions
 * are the caller's. */
void mu_resident_update(struct mu_worker *w, uint32_t from, const struct mu_adamw *how, bool skip);

/* Where what a turn came to lies, elements of the layout, which others may fetch: the total; in
 * parts the weights of the step that the turn makes. */
float *mu_resident_result(struct mu_worker *w, uint64_t turn);

/* ---- resident_form.c: the first communicator; by every rank, each agreed on before the next ---- */

/* Whether there is one to form; the same on all ranks. */
bool mu_resident_needs_peers(const struct mu_worker *w);
/* The lowest place makes its id. */
enum mu_status mu_resident_name_peers(struct mu_worker *w) MU_CHECKED;
/* Forms it, within four times run.hang_timeout. A failure is all ranks' failure, told once, by the
 * lowest place, with what to look at. */
enum mu_status mu_resident_form_peers(struct mu_worker *w) MU_CHECKED;
void mu_resident_forget_forming(struct mu_worker *w);

/* ---- resident_peers.c ---- */

/* Polls until it hears of a death or a revocation; MU_OK: nobody has told of one. */
enum mu_status mu_resident_listen(struct mu_worker *w, uint64_t deadline_ms) MU_CHECKED;
/* A collective has failed by itself: MU_RECOVERED when that was a death, or is mended. */
enum mu_status mu_resident_wait_for_news(struct mu_worker *w, enum mu_status failed) MU_CHECKED;
/* The lowest place's id reaches all. */
enum mu_status mu_resident_share_id(struct mu_worker *w, struct mu_collective_id *id) MU_CHECKED;

/* For worker/parts.c and parts_deal.c. The communicator of the roll as it is, by all its ranks;
 * nothing is done where there is one. */
enum mu_status mu_resident_meet_peers(struct mu_worker *w) MU_CHECKED;
/* Wait until all of the list is done; with one rank alone they are copies. at: a fault's point,
 * passed once they have begun. A failure leaves the peers to be dropped. */
enum mu_status mu_resident_all_reduce(struct mu_worker *w, const struct mu_all_reduce *list,
                                      int count) MU_CHECKED;
enum mu_status mu_resident_move(struct mu_worker *w, const struct mu_move *list, int count,
                                enum mu_fault_point at) MU_CHECKED;
/* A wide sum whose limbs were added up over ranks, each by itself: carries are made good. */
void mu_resident_take_wide(const int64_t limbs[MU_RESIDENT_WIDE], struct mu_wide *out);
/* The integers are not those that went in: this process ends. Does not return. */
_Noreturn void mu_resident_end_wrong_sum(void);

/* ---- resident_state.c: the state where the host can read it ---- */

/* The committed state, in the host's memory: of every tensor at least rows [rows * share / shares,
 * rows * (share + 1) / shares), and all predictions. Valid until the next step, or until it is
 * released: of what lies in a device's memory that is a copy, in as many pages as the share takes.
 * Of a state in parts: by all ranks together, whatever their shares.
 * MU_NO_MEMORY. */
enum mu_status mu_worker_state(struct mu_worker *w, uint64_t share, uint64_t shares,
                               struct mu_state_view *state) MU_CHECKED;
void mu_worker_release_state(struct mu_worker *w);
/* In place of mu_worker_hash: every rank hashes its pieces, the lowest place puts them together and
 * tells all. Also sets resident.sums, of this rank's own copy. */
enum mu_status mu_resident_hash(struct mu_worker *w, struct mu_hash *out) MU_CHECKED;
/* Half 0 from a checkpoint, share by share; and from a state in the host's memory. */
enum mu_status mu_resident_load(struct mu_worker *w, const char *folder, bool weights_only,
                                const struct mu_checkpoint_poll *poll) MU_CHECKED;
enum mu_status mu_resident_upload(struct mu_worker *w,
                                  const struct mu_state_view *state) MU_CHECKED;

#endif

/* A resident state (worker/resident.h) in parts: optim.shard = "on", ZeRO stage 1. The layout's
 * chunks are cut into as many parts as there are ranks. Every rank has all weights, in both halves;
 * moments and the total it has of two parts alone: its own, part `place`, and that of the rank
 * whose partner it is. So each part has two holders, as far apart as places go, since neighbours
 * often share a machine.
 *
 * A turn, all of it inside the reduction, so that its word (chunk.reduced) stands for the whole:
 *
 *   maxima, flags    as ever
 *   sums             each part's integers to its owner, who sends the total to the partner
 *   norm             squares of each owner's part, in wide sums, added over ranks: exact
 *   update           by both holders, each for itself: half k to half k + 1
 *   gather           the owners' weights of half k + 1 to everybody; copies for products are local
 *
 * Why it is right, whoever dies when. A rank whose gather is complete proves that every rank has
 * updated its parts: what anybody lacks then is weights, which it fetches from there instead of a
 * total (mu_resident_result). If nobody who lives has completed it, half k is whole everywhere, and
 * the turn is reduced again from the sums, which still stand.
 *
 * After a death the parts of the new roll are dealt when all meet next, and then all have committed
 * the same step. What each rank really holds is told, not remembered: a dealing that was broken off
 * is begun again from whatever was held before it and, where it was complete, after it. What was
 * held before is freed when the next collective proves that everybody is through. A chunk that
 * nobody holds any more ends the generation: its moments are in the newest copy (snapshot.h), or
 * checkpoint.
 *
 * For the hash, a checkpoint and a copy the owners' moments go to all ranks through a piece of the
 * device's memory, and each takes to its host what it wants of them, which is its share. */
#ifndef MUSTER_WORKER_PARTS_H
#define MUSTER_WORKER_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/resident_parts.h"
#include "orchestrator/base/status.h"
#include "orchestrator/core/shards.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/wide_sum.h"

struct mu_worker;

enum { MU_PARTS_PIECE = 1 << 20 }; /* elements that go to the host at once, between two polls */

/* What one rank holds by one roll: its own part, then that of the rank it is the partner of. */
struct mu_deal {
    struct mu_deal *older; /* still held, too */
    uint32_t epoch, place, size;
    struct mu_resident_part part[2];
    void *memory[2];
    int count; /* of parts: 1 when alone */
};

struct mu_parts {
    struct mu_deal *newest;
    uint64_t *bound; /* newest->size + 1: part i is elements [bound[i], bound[i + 1]) */
    uint8_t *map;    /* device memory: who holds which chunk, while parts are dealt */
    float *bounce;   /* device memory, MU_PARTS_PIECE: moments on their way to the host */
    struct mu_move *moves;
    uint32_t gathered_epoch; /* of the roll whose ranks all had the state copied; + 1 */
    bool is_lost;            /* in part, as all ranks have been told: there is no going on */
};

/* The other holder of part `part`, and the part of which `place` is the other holder. */
static inline uint32_t mu_parts_partner(uint32_t part, uint32_t size)
{
    return (part + size / 2) % size;
}
static inline uint32_t mu_parts_partner_of(uint32_t place, uint32_t size)
{
    return (place + size - size / 2) % size;
}

/* Bytes of device memory that mu_parts_init takes on the rank that takes most, of `size`. After
 * deaths it is more: parts grow, and while they are dealt the old ones are there, too. */
uint64_t mu_parts_bytes(const struct mu_layout *layout, uint32_t size);
/* w->resident.parts, by the roll as it is; moments are zero. MU_NO_MEMORY. */
enum mu_status mu_parts_init(struct mu_worker *w) MU_CHECKED;
void mu_parts_deinit(struct mu_worker *w);

/* By all ranks together, once they have met, at the same committed step: parts by the roll as it
 * is, if they are not yet. MU_FAILED: moments are lost, or somebody has no room; all are told. */
enum mu_status mu_parts_deal(struct mu_worker *w) MU_CHECKED;
/* Why the dealing has failed: all ranks know that this generation cannot go on, a next one can. */
static inline bool mu_parts_are_lost(const struct mu_parts *parts /* NULL: not in parts */)
{
    return parts && parts->is_lost;
}
/* A collective that was begun after the dealing is complete: nobody needs what was before. */
void mu_parts_settle(struct mu_worker *w);

/* From sums whose maxima are agreed on to half k + 1 of the weights, and of the parts held here;
 * where the norm is not finite only the norm. */
enum mu_status mu_parts_reduce(struct mu_worker *w, uint64_t escapes,
                               struct mu_wide *norm) MU_CHECKED;
/* The spare half's weights were fetched, all of them. */
void mu_parts_fetched(struct mu_worker *w);
/* A gathering that was broken off may have left anything in the spare half, and in its pads, which
 * nobody else writes, and which are zero for ever. */
void mu_parts_clear_pads(struct mu_worker *w);
/* The turn is over everywhere, and half `from` about to be the one before; skip: its moments go
 * over as they are. */
void mu_parts_advance(struct mu_worker *w, uint32_t from, bool skip);

/* The state's moments from and to the host's memory. Zero in `half`. */
void mu_parts_clear(struct mu_worker *w, uint32_t half);
/* Half 0 of the parts held here, from a view that has elements [from, to) of the layout. */
enum mu_status mu_parts_upload(struct mu_worker *w, const struct mu_state_view *state,
                               uint64_t from, uint64_t to) MU_CHECKED;

/* Which elements of a moment this rank wants in its host's memory: ranges that ascend. */
struct mu_parts_wish {
    struct mu_range *range;
    uint64_t count;
};

/* With room for so many ranges. MU_NO_MEMORY, which mu_parts_gather tells the others of. */
enum mu_status mu_parts_wish_init(struct mu_parts_wish *wish, uint64_t most) MU_CHECKED;
/* Elements [from, from + count), none of which is below those that were added before. */
void mu_parts_wish_add(struct mu_parts_wish *wish, uint64_t from, uint64_t count);
void mu_parts_wish_deinit(struct mu_parts_wish *wish);

/* Of the committed half, by all ranks together, also by one that wants nothing: what is wished of m
 * and of v is downloaded, and no other address of the view is touched. own: what this rank's
 * preparations came to; one rank's failure is everyone's. */
enum mu_status mu_parts_gather(struct mu_worker *w, const struct mu_state_view *state,
                               const struct mu_parts_wish *m, const struct mu_parts_wish *v,
                               enum mu_status own) MU_CHECKED;

#endif

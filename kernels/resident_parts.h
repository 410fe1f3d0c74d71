/* A resident state (kernels/resident.h) that is divided among ranks: each has all weights, and
 * moments and totals of some parts of the layout only (ZeRO stage 1: Rajbhandari et al. 2020). Who
 * has which part, and the memory for it, is the caller's; arithmetic, and so bits, are those of the
 * whole state.
 *
 * A turn: begin, add_shard, maxima and agree are as ever. Then
 *
 *   integers    -> all-reduce; each part of `sum`, added up over ranks, goes to who has the part
 *   finish      a part's total as floats; the one that counts for this rank last
 *   norm        -> all-reduce ->  take_norm
 *   update      a part, from half k to half k + 1: weights too, which all others then need
 *
 * The contract is that of resident.h: what an all-reduce or a move reads stays as it is until the
 * next `begin`, but for the norm, which the next `finish` makes again. */
#ifndef MUSTER_KERNELS_RESIDENT_PARTS_H
#define MUSTER_KERNELS_RESIDENT_PARTS_H

#include "kernels/resident.h"

enum { MU_RESIDENT_PART_ALIGN = 64 /* elements */ };

/* Consecutive whole chunks. Each array holds the part's elements alone, in device memory, and lies
 * so that element e of the layout is as far from an aligned address as e is from a multiple of
 * MU_RESIDENT_PART_ALIGN. */
struct mu_resident_part {
    uint32_t number; /* among the parts of the layout */
    uint32_t first_chunk, chunk_count;
    uint64_t offset, count; /* elements */
    float *m[2], *v[2], *total;
    int32_t *integers; /* of the total */
};

/* An array of a part as if it were whole: to be used at the part's elements only. */
static inline void *mu_resident_part_whole(const struct mu_resident_part *p, void *array)
{
    return (void *)((uintptr_t)array - p->offset * sizeof(float));
}

struct mu_resident_parts_ops {
    /* This rank's sum, elements of the layout; valid until the state is closed. */
    const int32_t *(*sum)(struct mu_resident *);
    /* In place of mu_resident_ops.integers, but that the sum itself is not in the list. Part i is
     * elements [bound[i], bound[i + 1]). */
    int (*integers)(struct mu_resident *, uint64_t escapes, const uint64_t *bound, uint32_t parts,
                    struct mu_all_reduce list[MU_RESIDENT_LIST]);
    /* False: the integers of the part are not those that went into it. */
    bool (*finish)(struct mu_resident *, const struct mu_resident_part *);
    /* Of the part that was finished last: over ranks, so that each part counts once. */
    int (*norm)(struct mu_resident *, struct mu_all_reduce list[MU_RESIDENT_LIST]);
    void (*take_norm)(struct mu_resident *, int64_t norm[MU_RESIDENT_WIDE]);
    /* As mu_resident_ops.update; copies of the weights for products are the caller's. */
    void (*update)(struct mu_resident *, uint32_t from, const struct mu_resident_part *,
                   const struct mu_adamw *how, float decay);
};

#endif

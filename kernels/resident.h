/* Training state that lives whole in the memory of a device: weights and moments of steps k and
 * k + 1, this rank's exact sum, the reduced total. For devices with memory of their own whose ranks
 * add up by collectives (kernels/collective.h); where ranks share a host's memory the state lies in
 * the segment instead. Arithmetic, and so bits, are those of worker/exact_sum.h,
 * worker/prediction.h and mu_adamw.
 *
 * A turn, in this order; operations are as in kernels/device.h, and what they hand out is of no use
 * when the device's status is not MU_OK:
 *
 *   begin       the sum holds nothing; the predictions that the turn's integers are made with
 *   add_dense   a shard's, all at once or in parts; add_rows after them
 *   bucket      -> all-reduce    early: elements to which nobody adds any more
 *   maxima      -> all-reduce ->  agree      which blocks have escaped anywhere, flags
 *   integers    -> all-reduce ->  finish     the total as floats, its norm
 *   update      from half k to half k + 1
 *
 * A bucket may be reduced before its escapes are known: a block that escapes adds nothing to the
 * integers, and its slot has the same quantum. When the turn is redone it was in vain.
 *
 * Every array that an all-reduce reads stays as it is until the next `begin`: a turn whose
 * reduction was broken off is reduced again from `maxima` on, by whoever is left. The total of a
 * turn stays until the next `finish`. */
#ifndef MUSTER_KERNELS_RESIDENT_H
#define MUSTER_KERNELS_RESIDENT_H

#include "kernels/collective.h"
#include "kernels/device.h"
#include "orchestrator/core/layout.h"

enum {
    MU_RESIDENT_WIDE = 69,    /* int64: limbs of a wide sum and its count of non-finite addends */
    MU_RESIDENT_SCALARS = 80, /* int64 that may ride along with the maxima */
    MU_RESIDENT_LIST = 3,     /* at most MU_COLLECTIVE_GROUP */
};

struct mu_resident_options {
    const struct mu_layout *layout; /* borrowed */
    uint32_t shards;                /* S */
    uint64_t slots;                 /* for blocks that escape, over all ranks: MU_SUM_FULL beyond */
    uint32_t parts; /* 0: the state is whole; else at most so many (kernels/resident_parts.h) */
};

struct mu_resident {
    struct mu_device *device;
    struct mu_resident_options options;
    /* Device memory, elements of the layout. */
    float *weight[2], *m[2], *v[2]; /* m, v: NULL in parts */
    uint16_t *weight_bf16[2];       /* NULL in fp32 */
    float *total;                   /* NULL in parts */
};

/* Rows of a tensor's gradient beside its dense part: struct mu_row_gradient. */
struct mu_resident_rows {
    uint32_t tensor, count;
    const uint32_t *row; /* the host's */
    const float *value;  /* device memory, count x cols */
};

/* What everybody has agreed on. */
struct mu_resident_words {
    uint32_t flags;    /* MU_SUM_* of worker/exact_sum.h, OR-ed */
    uint32_t requests; /* OR-ed; 8 bits */
    uint64_t escapes;  /* blocks */
};

struct mu_resident_ops {
    /* MU_NO_MEMORY, with how much was wanted. Everything is zero. */
    enum mu_status (*open)(struct mu_device *, const struct mu_resident_options *,
                           struct mu_resident **out);
    void (*close)(struct mu_resident *);

    void (*begin)(struct mu_resident *, const int16_t *prediction /* the host's, blocks */);
    /* A shard's dense parts of tensors [first, end), NULL: of no shard. The parts of a shard come
     * from the last tensor downwards, and are all there once first is 0. */
    void (*add_dense)(struct mu_resident *, const float *dense, uint32_t first, uint32_t end);
    void (*add_rows)(struct mu_resident *, const struct mu_resident_rows *rows, uint32_t count);
    /* What has to be reduced of elements [from, to), which are whole tensors with their pads. */
    struct mu_all_reduce (*bucket)(struct mu_resident *, uint64_t from, uint64_t to);
    /* These two fill a list of what has to be reduced, and return its length.
     * scalars, requests: the host's; summed, and OR-ed, over ranks. */
    int (*maxima)(struct mu_resident *, uint32_t requests, const int64_t *scalars, int count,
                  struct mu_all_reduce list[MU_RESIDENT_LIST]);
    /* escapes: as agreed on; no more than there are slots. end: elements from there on were reduced
     * as buckets. */
    int (*integers)(struct mu_resident *, uint64_t escapes, uint64_t end,
                    struct mu_all_reduce list[MU_RESIDENT_LIST]);
    /* After each. largest: the host's, blocks: biased exponents as in worker/exact_sum.h. */
    void (*agree)(struct mu_resident *, uint8_t *largest, int64_t *scalars, int count,
                  struct mu_resident_words *out);
    /* norm: squares of the total, in the limbs of struct mu_wide, not carried on. False: the
     * integers of the total are not those that went into it (their sums mod 2^32 differ). */
    bool (*finish)(struct mu_resident *, int64_t norm[MU_RESIDENT_WIDE]);
    /* Sums of the bits of a half, mod 2^32: weights, m, v. */
    void (*check)(struct mu_resident *, uint32_t half, uint32_t sums[3]);
    /* Half `from` to the other one, all tensors. how: count, pointers, decay and check are not
     * looked at; decay is that of tensors that have it. */
    void (*update)(struct mu_resident *, uint32_t from, const struct mu_adamw *how, float decay);
};

#endif

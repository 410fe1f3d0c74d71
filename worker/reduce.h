/* The exchange of one chunk, by its owner on each host: sums of the host's ranks, then a ring over
 * the owners on all hosts, then the total as floats. Two rounds between hosts: (A) maxima, escapes,
 * flags and scalars, small and associative; (B) the integers, whose shape is known once A has told
 * which blocks escaped. With one host there are no messages. */
#ifndef MUSTER_WORKER_REDUCE_H
#define MUSTER_WORKER_REDUCE_H

#include <stdint.h>

#include "orchestrator/base/status.h"
#include "worker/exact_sum.h"

struct mu_worker;

/* Scratch of a rank; sizes of the largest chunk. */
struct mu_reduction {
    uint8_t *round_a; /* message of round A: flags, scalars, escaped words, maxima */
    int32_t *dense;   /* and, behind the last, what all of them have to add up to mod 2^32 */
    int64_t *wide;    /* slots of the chunk's escaped blocks */
    void *ring_scratch;
    uint32_t *member; /* the owners on all hosts */
};

enum mu_status mu_reduction_init(struct mu_worker *w) MU_CHECKED;
void mu_reduction_deinit(struct mu_worker *w);

/* Every rank of the host has all its shards in its sum in this turn, and w->summed lists the sums.
 * On return the chunk's total, maxima, flags and norm are in the segment and its word says `turn`:
 * reduced with the other hosts, or fetched from one that has them. */
enum mu_status mu_reduce_chunk(struct mu_worker *w, uint32_t chunk, uint64_t turn,
                               const int16_t *prediction) MU_CHECKED;

#endif

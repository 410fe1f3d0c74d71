/* All-reduce over a ring of ranks, non-blocking, of an operation that is associative and
 * commutative, so that the result does not depend on the order (integer sums, maxima, ORs).
 * Reduce-scatter, then all-gather: every rank sends and receives 2 (n-1)/n of the buffer (Patarasuk
 * & Yuan, 2009). The buffer is cut at multiples of a unit; with one unit it is handed round whole.
 *
 * start, then poll until it says done; a failed one is abandoned with the communicator. */
#ifndef MUSTER_WORKER_COMM_RING_H
#define MUSTER_WORKER_COMM_RING_H

#include "worker/comm/comm.h"

/* into = into (op) from, `bytes` of them; both whole units. */
typedef void mu_ring_merge(void *context, void *into, const void *from, size_t bytes);

struct mu_ring {
    struct mu_comm *comm;
    mu_ring_merge *merge;
    void *context;
    uint8_t *data;
    uint8_t *scratch; /* of the caller: the largest piece, mu_ring_scratch_bytes() */
    size_t units, unit_bytes;
    uint32_t members, position;
    int next, previous; /* ranks of the communicator */
    int tag;
    uint32_t hop; /* 0 .. 2 (members - 1) */
    struct mu_request send, receive;
    bool posted;
};

size_t mu_ring_scratch_bytes(size_t units, size_t unit_bytes, uint32_t members);

/* member[i]: rank of the i-th member, in the same order on all; position: one's own. */
void mu_ring_start(struct mu_ring *ring, struct mu_comm *comm, const uint32_t *member,
                   uint32_t members, uint32_t position, int tag, void *data, size_t units,
                   size_t unit_bytes, void *scratch, mu_ring_merge *merge, void *context);
enum mu_status mu_ring_poll(struct mu_ring *ring, bool *done) MU_CHECKED;

#endif

/* The hash of a half of the state: xxh3-128 of fixed pieces of logical elements, keyed by (tensor,
 * array, piece), combined in order. Any rank can compute any piece; pads are not part of it, so
 * that the layout may change and the hash stay. */
#ifndef MUSTER_WORKER_STATE_HASH_H
#define MUSTER_WORKER_STATE_HASH_H

#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "worker/checkpoint/format.h"

enum { MU_STATE_PIECE = 1 << 18 }; /* elements: 1 MiB of floats; forever */

/* Where a piece lies, for whoever has its bytes elsewhere than in a view of the host's memory. */
struct mu_state_piece {
    uint32_t tensor;
    enum mu_array array;
    uint64_t number; /* among those of the array */
    size_t bytes;
};

uint64_t mu_state_hash_pieces(const struct mu_layout *layout);
struct mu_state_piece mu_state_piece_find(const struct mu_layout *layout, uint64_t piece);
const void *mu_state_piece_at(const struct mu_state_piece *piece,
                              const struct mu_state_view *state);
struct mu_hash mu_state_piece_hash(const struct mu_state_piece *piece, const void *bytes);
struct mu_hash mu_state_hash_piece(const struct mu_state_view *state, uint64_t piece);
/* From all pieces' hashes, in order, and the step. */
struct mu_hash mu_state_hash_combine(const struct mu_hash *pieces, uint64_t count, int64_t step);

/* The same of a state that comes by in order, tensor by tensor, in each the four arrays, in pieces
 * of any size. */
struct mu_state_hasher {
    const struct mu_layout *layout;
    struct mu_hash *pieces;
    uint64_t count, done;
    struct mu_state_piece piece; /* the one that fills up */
    uint8_t *buffer;
    size_t filled;
};
enum mu_status mu_state_hasher_open(struct mu_state_hasher *h,
                                    const struct mu_layout *layout) MU_CHECKED;
void mu_state_hasher_take(struct mu_state_hasher *h, const void *bytes, size_t size);
/* After the last byte. */
struct mu_hash mu_state_hasher_finish(const struct mu_state_hasher *h, int64_t step);
void mu_state_hasher_close(struct mu_state_hasher *h);

#endif

/* The hash of a half of the state: xxh3-128 of fixed pieces of logical elements, keyed by (tensor,
 * array, piece), combined in order. Any rank can compute any piece; pads are not part of it, so
 * that the layout may change and the hash stay. */
#ifndef MUSTER_WORKER_STATE_HASH_H
#define MUSTER_WORKER_STATE_HASH_H

#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "worker/checkpoint/checkpoint.h"

uint64_t mu_state_hash_pieces(const struct mu_layout *layout);
struct mu_hash mu_state_hash_piece(const struct mu_state_view *state, uint64_t piece);
/* From all pieces' hashes, in order, and the step. */
struct mu_hash mu_state_hash_combine(const struct mu_hash *pieces, uint64_t count, int64_t step);

#endif

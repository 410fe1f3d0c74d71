/* The check of a chunk of a half: the bits of its weights, moments and predictions as integers,
 * added mod 2^32 to a number that stands for the step. Any single bit that flips changes it. Adding
 * is associative: the optimizer's pass makes it of what it stores (kernels/device.h struct
 * mu_adamw), on any number of threads, and it need not be read again until somebody takes the
 * state up from memory. */
#ifndef MUSTER_WORKER_STATE_CHECK_H
#define MUSTER_WORKER_STATE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "worker/checkpoint/checkpoint.h"

/* What the check of a chunk of the state of `step` begins with: the same bits are another step's
 * with another check. */
uint32_t mu_state_check_begin(int64_t step);
uint32_t mu_state_check_predictions(const struct mu_state_view *view, const struct mu_chunk *chunk);
/* The whole check, read from the state. */
uint32_t mu_state_check_chunk(const struct mu_state_view *view, const struct mu_chunk *chunk,
                              int64_t step);
/* Whether the copy for matrix products is what rounding the chunk's weights gives. */
bool mu_state_check_bf16(const struct mu_state_view *view, const uint16_t *bf16,
                         const struct mu_chunk *chunk);

#endif

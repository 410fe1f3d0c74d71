/* What a step makes of a chunk: half k + 1 from half k, by the chunk's owner. */
#ifndef MUSTER_WORKER_UPDATE_H
#define MUSTER_WORKER_UPDATE_H

#include "worker/worker.h"

/* From half `half`, which is of step `step`, and the total to the other half: weights, moments,
 * predictions. adamw: mu_worker_adamw of the step. Gives back the new half's check of the chunk. */
uint32_t mu_update_chunk(struct mu_worker *w, uint32_t chunk, int64_t step, uint32_t half,
                         struct mu_adamw adamw);
/* Of a skipped step: the state goes over as it is, and nothing is learned from the maxima. The check
 * goes over too: a bit that has flipped since is not made right by it. */
uint32_t mu_update_copy_chunk(struct mu_worker *w, uint32_t chunk, int64_t step, uint32_t half);

#endif

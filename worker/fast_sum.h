/* batch.reduce = "fast": a rank's sum in plain fp32 addition. The yardstick of what exactness
 * costs; its bits depend on how shards are dealt. Uses the memory of the exact sum's integers. */
#ifndef MUSTER_WORKER_FAST_SUM_H
#define MUSTER_WORKER_FAST_SUM_H

#include "worker/exact_sum.h"

void mu_fast_sum_add(struct mu_exact_sum *x, struct mu_sum *sum,
                     const struct mu_shard_result *gradient, bool first);

#endif

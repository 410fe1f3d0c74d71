/* How far a sweep has come, as its launcher sees it: of each trial the furthest step that anybody
 * has committed, by sweep.json or in memory. The sum of them never shrinks, and grows exactly when
 * some trial gets beyond where any generation had brought it: what is computed again is no gain. */
#ifndef MUSTER_LAUNCH_TRIALS_H
#define MUSTER_LAUNCH_TRIALS_H

#include <stdint.h>

#include "orchestrator/launch/remains.h"

struct mu_trials_item {
    uint32_t key; /* of its segments */
    int64_t step;
};
struct mu_trials {
    struct mu_trials_item *item; /* ascending by key */
    uint32_t count, capacity;
    int64_t steps; /* of all of them */
    int64_t ended; /* most trials that have ended with a result, as of sweep.json */
};

/* What can be seen now; gives back steps + ended, which stands for the committed step of a run; -1:
 * nothing was ever seen. path: the sweep's plain one. */
int64_t mu_trials_look(struct mu_trials *t, const char *path, const struct mu_segments *segments);
void mu_trials_deinit(struct mu_trials *t);

#endif

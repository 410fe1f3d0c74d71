/* A sweep that several jobs do side by side, each its part: which trials are whose. Nobody asks
 * anybody: it follows from the file and the number of parts alone, so that each part knows it of
 * all trials, in whatever order their results come.
 *
 * A unit is what must stay together: a trunk with its branches; any other trial by itself. The
 * units of what is tuned, and those of the cells with their controls, go one after the other,
 * those with most FLOPs first, to the part that has least so far. What extends a budget comes in
 * an order that hangs on results, and so goes by its budget, size and seed. */
#ifndef MUSTER_SWEEP_PART_H
#define MUSTER_SWEEP_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/sweep/trials.h"

enum { MU_SWEEP_PARTS_MAX = 1000 };

struct mu_sweep_part {
    uint32_t number, of; /* 0 .. of-1; of 0: the whole sweep, not split */
};

/* "2/4"; false: it is none. */
bool mu_sweep_part_parse(const char *text, struct mu_sweep_part *out);
/* "2/4" */
struct mu_sweep_part_text {
    char text[24];
} mu_sweep_part_print(struct mu_sweep_part part);
static inline bool mu_sweep_part_equal(struct mu_sweep_part a, struct mu_sweep_part b)
{
    return a.number == b.number && a.of == b.of;
}

/* owner[i]: the part of trial i. MU_NO_MEMORY: reported. */
enum mu_status mu_sweep_part_owners(const struct mu_sweep_spec *spec,
                                    const struct mu_sweep_trials *t, uint32_t of,
                                    uint32_t *owner) MU_CHECKED;

/* Of all trials that the file names, what is tuned not yet put in: parts that run at the same time
 * must have the same. */
enum mu_status mu_sweep_part_plan(const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                  const char *file, struct mu_hash_text *out) MU_CHECKED;

#endif

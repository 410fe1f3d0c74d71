/* What the parts of a split sweep have written, put together when it is read: each writes files of
 * its own alone, and none needs a lock. Of several numbers of parts, and of the sweep done as a
 * whole, the one counts that was written last. Each part's tables have all that it knows of the
 * others; so that a part which is begun later, or not at all, takes nothing from what is known. */
#ifndef MUSTER_SWEEP_RUN_MERGE_H
#define MUSTER_SWEEP_RUN_MERGE_H

#include <jansson.h>
#include <stdbool.h>

#include "orchestrator/sweep_run/part_folder.h"

/* Those that count, with their sweep.json, each a member of `status` by number: NULL, it has none.
 * of 0: the sweep is not split, or was done as a whole since. */
struct mu_sweep_merge {
    uint32_t of;
    json_t **status; /* malloc'ed */
};
enum mu_status mu_sweep_merge_open(const char *whole, struct mu_sweep_merge *out) MU_CHECKED;
void mu_sweep_merge_close(struct mu_sweep_merge *m);

/* sweep.json as one that nobody has split would have it, as far as that can be; with "parts". NULL:
 * no memory, or there are none. */
json_t *mu_sweep_merge_status(const struct mu_sweep_merge *m);

/* Writes results.csv, timing.csv, timeline.csv and sweep.json of the whole; nothing where it is not
 * split. results.csv has the bytes of the sweep done as a whole, once all has ended. */
enum mu_status mu_sweep_merge_files(const char *whole) MU_CHECKED;

/* merge_tables.c */
enum mu_status mu_sweep_merge_tables(const char *whole, const struct mu_sweep_merge *m) MU_CHECKED;

#endif

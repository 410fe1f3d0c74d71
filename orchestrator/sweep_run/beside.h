/* What others have come to who do the same sweep, or did: the other parts, those of an earlier
 * number of parts, and the sweep as a whole. Read out of their journals, without any lock: at a
 * start all of them, then those that change of the parts that this one is one of. */
#ifndef MUSTER_SWEEP_RUN_BESIDE_H
#define MUSTER_SWEEP_RUN_BESIDE_H

#include "orchestrator/sweep_run/part_folder.h"
#include "orchestrator/sweep_run/past.h"

enum { MU_SWEEP_BESIDE_ALIVE_S = 10 }; /* without a sign of life it is taken for gone */

struct mu_sweep_beside_folder; /* another one's */

struct mu_sweep_beside {
    char whole[MU_PATH_MAX];
    struct mu_sweep_part own;
    struct mu_sweep_beside_folder *folder;
    uint32_t count, capacity;
    double next; /* look, by mu_clock_s() */
    bool has_begun;
};

/* path: SWEEPDIR, or a part's folder. Reads what is there. */
enum mu_status mu_sweep_beside_open(struct mu_sweep_beside *b, const char *path) MU_CHECKED;
void mu_sweep_beside_close(struct mu_sweep_beside *b);
/* Of a part: a look, when it is time for one, or at once. *news: some journal has grown. */
enum mu_status mu_sweep_beside_look(struct mu_sweep_beside *b, bool at_once, bool *news) MU_CHECKED;

/* What is known of a trial beside *cell, put into it: an end, where it has none; what else was
 * counted. */
void mu_sweep_beside_add(const struct mu_sweep_beside *b, const char *name, struct mu_cell *cell);
/* Only how it ended: READY, where it has not. */
struct mu_cell mu_sweep_beside_find(const struct mu_sweep_beside *b, const char *name);
/* Whether that part works: its files, or its launcher's, have changed in the last seconds. */
bool mu_sweep_beside_lives(const struct mu_sweep_beside *b, uint32_t number);
/* By its own word; or it was never begun. */
bool mu_sweep_beside_has_ended(const struct mu_sweep_beside *b, uint32_t number);
/* Data that others were begun with; by index, NULL at the end. */
const struct mu_sweep_data *mu_sweep_beside_data(const struct mu_sweep_beside *b, uint32_t i);

#endif

/* What `muster inspect` and `muster status` tell of a run directory: how the run went, from
 * status.json, metrics.jsonl, the journal and the lock. */
#ifndef MUSTER_INSPECT_RUN_H
#define MUSTER_INSPECT_RUN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "orchestrator/base/file.h"
#include "orchestrator/run/metrics.h"

struct mu_inspected_run {
    char path[MU_PATH_MAX];
    json_t *status;              /* status.json; NULL: none that can be read */
    json_t *journal;             /* its newest records, oldest first, each an object */
    uint64_t journal_left;       /* older records, left out */
    struct mu_run_losses losses; /* NaN: none recorded */
    struct mu_metrics newest;    /* the last record; its step is 0 when there is none */
    bool killed;                 /* the status says that it goes on, and no process trains it */
};

enum mu_status mu_inspect_run(const char *path, struct mu_inspected_run *out) MU_CHECKED;
void mu_inspected_run_deinit(struct mu_inspected_run *r);

/* `from_step`: of the newest checkpoint that is whole; 0: none. */
void mu_inspected_run_print_state(const struct mu_inspected_run *r, int64_t from_step, FILE *out);
/* The same, and its journal. */
void mu_inspected_run_print(const struct mu_inspected_run *r, int64_t from_step, FILE *out);
json_t *mu_inspected_run_json(const struct mu_inspected_run *r); /* NULL: no memory */

/* A folder of run directories. MU_NOT_FOUND (not reported) when none of its folders is one. */
enum mu_status mu_inspect_runs(const char *folder, bool json, FILE *out) MU_CHECKED;

#endif

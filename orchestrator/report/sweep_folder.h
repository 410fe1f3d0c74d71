/* A sweep's folder as its report reads it (sweep_run/records.h has the files' contents): what is
 * missing is empty, since a report may be asked for at any time. */
#ifndef MUSTER_REPORT_SWEEP_FOLDER_H
#define MUSTER_REPORT_SWEEP_FOLDER_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"
#include "orchestrator/fit/fit.h"
#include "orchestrator/points/names.h"
#include "orchestrator/points/points_csv.h"

struct mu_sweep_table {
    char **cell; /* [rows + 1][columns]: the head first */
    size_t columns, rows;
};

struct mu_sweep_folder {
    char path[MU_PATH_MAX], results_path[MU_PATH_MAX];
    json_t *status; /* sweep.json */
    struct mu_sweep_table results, timing, timeline;
    size_t *result_of;      /* [timing.rows]: row of results; SIZE_MAX: it has not ended */
    struct mu_names trials; /* by row of timing */
    size_t points;          /* rows of results that a fit takes */
};

/* MU_USAGE: it is no sweep's folder; MU_FAILED, MU_CORRUPT: what is there cannot be read. Free in
 * any case. */
enum mu_status mu_sweep_folder_read(const char *path, struct mu_sweep_folder *out) MU_CHECKED;
void mu_sweep_folder_free(struct mu_sweep_folder *f);

/* What the sweep's own group `fit` asks for, and how it counts parameters: into what was not given.
 * MU_FAILED: sweep.json is damaged. */
enum mu_status mu_sweep_folder_ask(const struct mu_sweep_folder *f,
                                   struct mu_points_request *request,
                                   struct mu_fit_options *options) MU_CHECKED;

/* Of a row, from 0; "" and NAN: not there. */
const char *mu_sweep_text(const struct mu_sweep_table *t, size_t row, const char *column);
double mu_sweep_number(const struct mu_sweep_table *t, size_t row, const char *column);
/* The row whose column says this; SIZE_MAX: none does. */
size_t mu_sweep_find(const struct mu_sweep_table *t, const char *column, const char *text);

/* The same of timing's column `trial`, at once. */
size_t mu_sweep_find_trial(const struct mu_sweep_folder *f, const char *name);

#endif

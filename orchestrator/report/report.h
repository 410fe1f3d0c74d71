/* A fit for people and programs: a table on the terminal, fit.json, report.html. */
#ifndef MUSTER_REPORT_REPORT_H
#define MUSTER_REPORT_REPORT_H

#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/fit.h"
#include "orchestrator/points/points_csv.h"
#include "orchestrator/report/sweep_folder.h"

/* All numbers with at least 6 significant digits: at Chinchilla's budget D/N is 59 from the exact
 * exponents and 93 from rounded ones. Prose is as wide as the terminal (COLUMNS, or as it says
 * itself), 60 to 100 columns; 100 where `out` is none. Tables take up to 100. */
void mu_report_table(FILE *out, const struct mu_fit *fit, const struct mu_points_found *found);

/* Everything; orchestrator/report/fit.schema.json describes it. */
enum mu_status mu_report_json(const char *path, const struct mu_fit *fit,
                              const struct mu_points_found *found) MU_CHECKED;

/* One self-contained file; the pictures are SVG drawn by gnuplot (no scripts, no network). Without
 * gnuplot the page has its tables only, and says so. On failure no older page is left at `path`. */
enum mu_status mu_report_html(const char *path, const struct mu_fit *fit,
                              const struct mu_points_found *found) MU_CHECKED;
/* A sweep's: the same with its tuning, fleet and trials. fit NULL: there is none yet, because
 * `why`; found is then not looked at. */
enum mu_status mu_report_sweep_html(const char *path, const struct mu_sweep_folder *f,
                                    const struct mu_fit *fit, const struct mu_points_found *found,
                                    const char *why) MU_CHECKED;

#endif

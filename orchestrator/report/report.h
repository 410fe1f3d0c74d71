/* A fit for people and programs: a table on the terminal, fit.json, report.html. */
#ifndef MUSTER_REPORT_REPORT_H
#define MUSTER_REPORT_REPORT_H

#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/fit.h"
#include "orchestrator/points/points_csv.h"

/* All numbers with at least 6 significant digits: at Chinchilla's budget D/N is 59 from the exact
 * exponents and 93 from rounded ones. */
void mu_report_table(FILE *out, const struct mu_fit *fit, const struct mu_points_found *found);

/* Everything; orchestrator/report/fit.schema.json describes it. */
enum mu_status mu_report_json(const char *path, const struct mu_fit *fit,
                              const struct mu_points_found *found) MU_CHECKED;

/* One self-contained file; the pictures are SVG drawn by gnuplot (no scripts, no network). Without
 * gnuplot the page has its tables only, and says so. */
enum mu_status mu_report_html(const char *path, const struct mu_fit *fit,
                              const struct mu_points_found *found) MU_CHECKED;

#endif

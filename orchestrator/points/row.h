/* A row of points: its numbers, checked, as a point. */
#ifndef MUSTER_POINTS_ROW_H
#define MUSTER_POINTS_ROW_H

#include <stdbool.h>

#include "orchestrator/points/columns.h"
#include "orchestrator/points/complaints.h"
#include "orchestrator/points/points_csv.h"
#include "orchestrator/points/table_csv.h"

/* Being read. All but `bad` are the file's. */
struct mu_points_row {
    const struct mu_points_request *request;
    const struct mu_points_found *found;
    const struct mu_columns *columns;
    const bool *decimal_comma; /* by column */
    struct mu_complaints *complaints;
    const struct mu_csv_row *csv;
    bool bad;
};

/* Of a row only the first mistake is told: it is one row to mend or to leave out. column and why
 * are as in mu_complaints_add. */
void mu_points_row_spoil(struct mu_points_row *row, enum mu_column column, const char *why,
                         const char *format, ...) __attribute__((format(printf, 4, 5)));
/* NULL: there is no such column, or nothing in it. */
const char *mu_points_row_cell(const struct mu_points_row *row, int at);
/* N, D, C, loss, weight, shape and distinct tokens; what of them is missing is derived. */
void mu_points_row_amounts(struct mu_points_row *row, struct mu_fit_point *point);

/* Something is derived, and by a function of the shape. */
bool mu_points_need_shape(const struct mu_points_request *request,
                          const struct mu_points_found *found);

#endif

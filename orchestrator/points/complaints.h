/* Rows that cannot be used, told at the end: one by one, or once where all have the same mistake. */
#ifndef MUSTER_POINTS_COMPLAINTS_H
#define MUSTER_POINTS_COMPLAINTS_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/base/status.h"
#include "orchestrator/points/points_csv.h"

enum { MU_COMPLAINTS_SHOWN = 20 };

/* {0} is an empty one. */
struct mu_complaints {
    struct {
        int line;
        char text[512];
    } shown[MU_COMPLAINTS_SHOWN];
    size_t count;
    enum mu_column column; /* of the first */
    const char *why;
    bool differ;
};

/* A row's only mistake. column: MU_COLUMNS when it is of no single one; `why`, a constant, tells
 * kinds of mistakes apart. */
void mu_complaints_add(struct mu_complaints *complaints, int line, enum mu_column column,
                       const char *why, const char *text);
/* Shows them. MU_FAILED when there are any and skip_bad is not set, or when no row is left. Reads
 * found->rows, bad and not_done. */
enum mu_status mu_complaints_tell(const struct mu_complaints *complaints,
                                  const struct mu_points_found *found, bool skip_bad) MU_CHECKED;

#endif

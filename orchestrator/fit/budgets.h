/* Which points were given the same compute: what an IsoFLOP curve is drawn through. */
#ifndef MUSTER_FIT_BUDGETS_H
#define MUSTER_FIT_BUDGETS_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/fit/refusal.h"

enum { MU_BUDGETS = 64 }; /* at most */

/* Which budget each point belongs to. */
struct mu_budgets {
    size_t count;              /* budgets, ascending in c */
    double c[MU_BUDGETS];      /* geometric mean of the points' FLOPs */
    double spread[MU_BUDGETS]; /* largest over smallest C in it */
    uint32_t
        *of; /* [points]: 0 .. count - 1; MU_FIT_NONE: in none (no final loss, alone, or without a
                 * group where others have one) */
    size_t points;
    double *ln_n, *ln_c;       /* [points]: of each point with a final loss */
    struct mu_refusal refusal; /* there are no budgets to be seen in these points */
};

/* By the points' `group` where given, else by gaps and clusters in ln C. Free with
 * mu_budgets_free. */
enum mu_status mu_budgets_find(const struct mu_fit_point *points, size_t count,
                               struct mu_budgets *out) MU_CHECKED;
void mu_budgets_free(struct mu_budgets *budgets);

#endif

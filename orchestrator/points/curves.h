/* Which rows are moments of one loss curve, and which moment is a curve's last. Several columns may
 * name the runs; the rows decide which does. */
#ifndef MUSTER_POINTS_CURVES_H
#define MUSTER_POINTS_CURVES_H

#include "orchestrator/points/columns.h"
#include "orchestrator/points/complaints.h"
#include "orchestrator/points/names.h"

/* Curves of which rows were left out. */
struct mu_curve_cuts {
    struct mu_names names;
    double *latest; /* [names.room]: the most tokens of such a row; INFINITY: not known */
    uint32_t room;
};

/* {0} is an empty one. */
struct mu_curves {
    const struct mu_columns *columns;
    struct mu_names name[MU_CURVE_GUESSES];
    struct mu_curve_cuts cut[MU_CURVE_GUESSES];
    uint32_t *tag;     /* [points][columns->curves]: number of the name */
    size_t chosen;     /* which guess; columns->curves: none */
    bool lone;         /* a guess names every row apart */
    size_t unreadable; /* rows left out of who knows which curve */
};

void mu_curves_deinit(struct mu_curves *curves);
/* Chosen, and names of it: 0 where rows are points of their own. */
uint32_t mu_curves_count(const struct mu_curves *curves);

/* A row was left out that this guess puts into a curve; d: its tokens, or INFINITY. */
enum mu_status mu_curves_leave_out(struct mu_curves *curves, size_t guess, const char *name,
                                   double d) MU_CHECKED;

/* Points come in the order of lines, and leave as mu_points_parse says; those that contradict their
 * curve are taken out and complained of. */
enum mu_status mu_curves_finish(struct mu_curves *curves, const char *const *head,
                                struct mu_fit_points *points, struct mu_points_found *found,
                                struct mu_complaints *complaints) MU_CHECKED;

#endif

/* The data-constrained law (Muennighoff et al. 2023, arXiv 2305.16264, eq. 5 and 6) for a
 * parametric fit; variables as in orchestrator/fit/parametric_work.h. */
#ifndef MUSTER_FIT_CONSTRAINED_H
#define MUSTER_FIT_CONSTRAINED_H

#include "orchestrator/fit/parametric_work.h"

/* N'^-alpha at variables x, D'^-beta: at the centre of the points, as columns of the grid. */
void mu_constrained_column(const struct mu_work *work, const double x[], mu_lanes *out);
void mu_constrained_data_column(const struct mu_work *work, double beta, double worth,
                                mu_lanes *out);

#endif

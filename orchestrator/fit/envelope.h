/* Approach 1 of Hoffmann et al. 2022: of all loss curves, at each amount of compute, the model with
 * the lowest loss; a line through the logarithms of (C, N) and (C, D). Needs curves: losses at
 * several moments of each run, of at least 4 sizes whose curves overlap in C. */
#ifndef MUSTER_FIT_ENVELOPE_H
#define MUSTER_FIT_ENVELOPE_H

#include <stddef.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/estimate.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/fit/refusal.h"

enum { MU_ENVELOPE_SAMPLES = 1500 }; /* values of C, evenly in ln C, as in the paper */

struct mu_envelope {
    struct mu_refusal refusal;
    size_t curves, sizes; /* that were read; that are lowest somewhere */
    double c_low, c_high; /* where at least two sizes have a loss and the lowest is inside */
    struct mu_power n_line, d_line;
    size_t samples; /* of the envelope, for drawing */
    double c[MU_ENVELOPE_SAMPLES], n[MU_ENVELOPE_SAMPLES], loss[MU_ENVELOPE_SAMPLES];
};

/* Curves as prepared once from points with a `curve`. */
struct mu_curves;
enum mu_status mu_curves_new(const struct mu_fit_point *points, size_t count,
                             struct mu_curves **out) MU_CHECKED;
void mu_curves_free(struct mu_curves *curves);

/* multiplicity: as for mu_parametric_fit; a curve whose points have 0 is not there. Thread-safe. */
void mu_envelope_fit(const struct mu_curves *curves, const double *multiplicity,
                     struct mu_envelope *out);

#endif

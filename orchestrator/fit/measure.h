/* Everything that a fit estimates, from one weighting of the points: the points as they are, or
 * a replicate of the bootstrap. All in doubles, so that a replicate is a row and a quantity a
 * column. */
#ifndef MUSTER_FIT_MEASURE_H
#define MUSTER_FIT_MEASURE_H

#include "orchestrator/fit/fit.h"

enum { MU_FIT_OPTIMA = MU_FIT_TARGETS + MU_FIT_PATH };

/* What is the same in all replicates. Read by all threads. */
struct mu_measure_plan {
    const struct mu_fit_point *point; /* all that were kept */
    size_t count;
    enum mu_law_kind law;
    struct mu_objective objective;
    const struct mu_parametric *problem;        /* NULL: the law was refused */
    const struct mu_budgets *budgets;           /* those with a vertex */
    const struct mu_isoflop_residual *residual; /* NULL: IsoFLOP was refused */
    const struct mu_curves *curves;             /* NULL: the envelope was refused */
    struct mu_flops flops;
    double unique;        /* distinct tokens for optima */
    double n_low, n_high; /* where optima are looked for */
    double c_largest;
    double c[MU_FIT_OPTIMA]; /* budgets: targets, then the path */
    size_t targets, optima;
};

/* NAN: not determined in this replicate. */
struct mu_measured_method {
    double a, b; /* d ln N* / d ln C and d ln D* / d ln C, at c_largest */
    double ln_n; /* ln N* at c_largest */
    double n[MU_FIT_OPTIMA], d[MU_FIT_OPTIMA], loss[MU_FIT_OPTIMA];
};

struct mu_measured {
    double theta[MU_LAW_PARAMETERS];
    double vertex_n[MU_BUDGETS], vertex_d[MU_BUDGETS], vertex_loss[MU_BUDGETS];
    struct mu_measured_method method[MU_METHOD_COUNT];
};

/* What one thread needs. */
struct mu_measure_scratch {
    struct mu_isoflop isoflop;
    struct mu_envelope envelope;
    double *loss; /* [count] */
};

void mu_measure_nothing(struct mu_measured_method *out); /* all NAN */
/* The law's optima, at all budgets of the plan. */
void mu_measure_law_optima(const struct mu_measure_plan *plan, const double theta[],
                           struct mu_measured_method *out);
/* Those of lines through vertices or an envelope; theta: for their losses, NULL: not known. */
void mu_measure_line_optima(const struct mu_measure_plan *plan, struct mu_power n,
                            struct mu_power d, const double *theta, struct mu_measured_method *out);

/* A replicate: multiplicity[count]; start: theta of the points as they are. */
enum mu_status mu_measure(const struct mu_measure_plan *plan, const double *multiplicity,
                          const double *start, struct mu_measure_scratch *scratch,
                          struct mu_measured *out) MU_CHECKED;

#endif

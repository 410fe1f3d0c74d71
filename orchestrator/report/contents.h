/* What a report of a fit says, section by section, in words and tables. */
#ifndef MUSTER_REPORT_CONTENTS_H
#define MUSTER_REPORT_CONTENTS_H

#include "orchestrator/fit/fit.h"
#include "orchestrator/points/points_csv.h"
#include "orchestrator/report/document.h"

struct mu_contents {
    const struct mu_fit *fit;
    const struct mu_points_found *found;
    bool brief; /* for a terminal: what fits on two or three screens; the rest is in the files */
};

/* What was fitted and what came out, in a few sentences. */
void mu_contents_summary(struct mu_document *doc, const struct mu_contents *c);

/* What was read, from which columns; what was left out, and why; the budgets that were seen. */
void mu_contents_points(struct mu_document *doc, const struct mu_contents *c);
void mu_contents_isoflop(struct mu_document *doc, const struct mu_contents *c);
void mu_contents_envelope(struct mu_document *doc, const struct mu_contents *c);
/* The law under all objectives, its intervals, and what --drop-top changed. */
void mu_contents_law(struct mu_document *doc, const struct mu_contents *c);
/* The exponents by each method, and where methods disagree. */
void mu_contents_scaling(struct mu_document *doc, const struct mu_contents *c);
/* Seed noise, hold-out and leave-future-out; brief: predictions of the largest budget only. */
void mu_contents_checks(struct mu_document *doc, const struct mu_contents *c);
void mu_contents_conventions(struct mu_document *doc, const struct mu_contents *c);
void mu_contents_published(struct mu_document *doc, const struct mu_contents *c);
void mu_contents_recommendation(struct mu_document *doc, const struct mu_contents *c);
void mu_contents_warnings(struct mu_document *doc, const struct mu_contents *c);

/* Of the first target by a method that mu_contents_method gave, in a few sentences. */
void mu_contents_sentence(struct mu_document *doc, const struct mu_fit *fit, enum mu_method method);

/* The smallest compute of the points used, FLOPs; INFINITY: there are none. */
double mu_contents_smallest(const struct mu_fit *fit);
/* As far below the points as a fit should be asked. */
static inline bool mu_contents_below(const struct mu_fit *fit, const struct mu_fit_optimum *o)
{
    const double smallest = mu_contents_smallest(fit);

    return isfinite(smallest) && o->c < smallest / 2;
}
/* Tokens over distinct tokens; NAN where the law does not know of repetitions, or all are new. */
double mu_contents_epochs(const struct mu_fit *fit, const struct mu_fit_optimum *o);

/* Its residuals' sd is from the median deviation, which is as little moved by outliers as the
 * objective is. */
static inline const char *mu_contents_sd(const struct mu_fit *fit)
{
    return fit->options.objective.kind == MU_OBJECTIVE_SQUARES ? "sd" : "robust sd";
}

/* It says which size is best. A law of compute alone is not refused, but does not. */
static inline bool mu_contents_gives(const struct mu_fit *fit, enum mu_method method)
{
    return !fit->scaling[method].refusal.refused && !isnan(fit->scaling[method].a.value);
}

/* The method that recommendations are shown of: parametric, else the first that gave one, else one
 * that predicts losses only. MU_METHOD_COUNT: none. */
enum mu_method mu_contents_method(const struct mu_fit *fit);

#endif

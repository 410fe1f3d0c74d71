/* A whole fit: points in, laws with intervals and recommendations out. What `muster fit` and the
 * end of a sweep call; orchestrator/report/ shows the result.
 *
 * A pure function of points and options, whatever the number of threads: replicate r of the
 * bootstrap draws from (seed, r), and all that is said comes from the replicates in their order. */
#ifndef MUSTER_FIT_FIT_H
#define MUSTER_FIT_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/fit/envelope.h"
#include "orchestrator/fit/estimate.h"
#include "orchestrator/fit/flops.h"
#include "orchestrator/fit/isoflop.h"
#include "orchestrator/fit/law.h"
#include "orchestrator/fit/parametric.h"
#include "orchestrator/fit/points.h"
#include "orchestrator/fit/recommend.h"
#include "orchestrator/fit/refusal.h"

/* X(name, word, for people) */
#define MU_METHOD_TABLE(X)              \
    X(ENVELOPE, "envelope", "envelope") \
    X(ISOFLOP, "isoflop", "IsoFLOP")    \
    X(PARAMETRIC, "parametric", "parametric")

enum mu_method {
#define MU_METHOD_ENUM(name, word, text) MU_METHOD_##name,
    MU_METHOD_TABLE(MU_METHOD_ENUM)
#undef MU_METHOD_ENUM
        MU_METHOD_COUNT
};

enum {
    MU_FIT_TARGETS = 32,   /* at most */
    MU_FIT_PATH = 21,      /* budgets at which the optimum is given for drawing */
    MU_FIT_FAR = 30,       /* a target this many times the largest budget is flagged */
    MU_FIT_WARNINGS = 64,  /* at most */
    MU_FIT_CONVENTIONS = 6 /* 3 counts x 2 FLOP functions */
};

struct mu_fit_options {
    enum mu_law_kind law;
    struct mu_objective objective; /* the one that intervals and recommendations are made with */
    size_t drop_top;               /* points of the highest loss that are left out */
    size_t replicates;             /* of the bootstrap; 0: no intervals */
    uint64_t seed;
    unsigned threads;              /* 0: as many as this process may use cores */
    double target[MU_FIT_TARGETS]; /* FLOPs, ascending */
    size_t targets;
    bool flops_given; /* else as the points' C says */
    enum mu_flops_kind flops;
    struct mu_shape_rule rule; /* !known: the points' own, if they have shapes, else the default */
    enum mu_count_kind count;  /* what the points' N counts; AS_GIVEN: as their shapes say */
    double unique;    /* distinct tokens that a recommendation may use; INFINITY: no limit */
    double tolerance; /* of the loss, relative: for the loss-equivalent range of N */
    bool without[MU_METHOD_COUNT]; /* methods that are not asked for */
    bool may_refuse;               /* that every method refuses is a result, too */
};

/* How far the losses of equal runs with other seeds scatter, as the sd of ln loss. */
struct mu_fit_noise {
    double sd;
    size_t degrees; /* of freedom it was estimated with */
    bool repeated;  /* from runs of one (N, D) that differ in seed; else from the law's residuals */
};

struct mu_fit_law {
    enum mu_law_kind kind;
    struct mu_refusal refusal;
    size_t points;                                       /* that it was fitted to */
    struct mu_law_estimate estimate[MU_OBJECTIVE_COUNT]; /* all three, side by side */
    /* Of the chosen objective: */
    struct mu_estimate theta[MU_LAW_PARAMETERS];
    bool weak[MU_LAW_PARAMETERS]; /* weakly identified: see the profile instead of the bootstrap */
    double profile_low[MU_LAW_PARAMETERS],
        profile_high[MU_LAW_PARAMETERS]; /* 95 %; NAN: not made */
    double residual_sd;                  /* of ln loss */
    /* Before --drop-top, when points were dropped: what that policy changed. */
    struct mu_law_estimate undropped;
};

/* The optimum of one budget by one method. */
struct mu_fit_optimum {
    double c;
    struct mu_estimate n, d, ratio; /* ratio: D / N */
    struct mu_estimate
        loss; /* of a run there, by the law; its bands hold a new run's seed noise too */
    double n_low, n_high;  /* loss-equivalent range; NAN: not known */
    bool far;              /* beyond MU_FIT_FAR times the largest budget fitted */
    struct mu_built built; /* within 10 % of N; layers 0: the shape rule builds none */
};

/* One method's scaling of the optimum: N* ~ C^a, D* ~ C^b. Of a law whose optimum is no power law
 * (data-constrained, or with attention in the FLOPs): the slope at the largest budget fitted. */
struct mu_fit_scaling {
    struct mu_refusal refusal;
    struct mu_estimate a, b;
    size_t replicates; /* that gave a result */
    struct mu_fit_optimum target[MU_FIT_TARGETS];
    struct mu_fit_optimum
        path[MU_FIT_PATH]; /* from the smallest budget fitted to the largest target */
};

/* Two methods at the largest budget fitted: ln of the ratio of their N*, resampled together. */
struct mu_fit_disagreement {
    enum mu_method one, other;
    struct mu_estimate ln_ratio;
    bool flagged; /* its 95 % interval is without 0 */
};

/* The recommendation as other conventions would have it: points recounted, fitted again. */
struct mu_fit_convention {
    enum mu_count_kind count;
    enum mu_flops_kind flops;
    bool own;         /* the points' own */
    double a, b;      /* exponents, of the parametric law */
    double a_isoflop; /* NAN: refused */
    struct {
        double n, d;  /* N under this count; tokens */
        double n_own; /* the same model under the points' own count */
    } target[MU_FIT_TARGETS];
};

/* Fitted to the budgets up to one, predicted for those above it. */
struct mu_fit_future {
    double c_fitted, c_predicted; /* largest budget fitted; the budget predicted */
    size_t fitted, predicted;     /* points */
    struct mu_refusal refusal;
    double bias, rms; /* of ln(predicted loss / loss) over the points predicted */
    double n_ratio;   /* predicted N* over the vertex there; NAN: no vertex */
};

struct mu_fit_residual {
    double predicted; /* loss */
    bool used;        /* false: dropped, or no final loss */
};

/* Where the rule came from that recommended models are built by. */
enum mu_rule_source {
    MU_RULE_GIVEN,  /* options.rule */
    MU_RULE_POINTS, /* the points' own shapes */
    MU_RULE_DEFAULT /* width / layers = 100, heads of 64, context 2048, vocabulary 32000 */
};

struct mu_fit {
    struct mu_fit_options options; /* as resolved: targets, threads, rule, count */
    enum mu_rule_source rule_source;
    const struct mu_fit_points *points; /* the caller's */
    struct mu_flops flops;
    double c_largest;     /* of the points used */
    size_t used, dropped; /* points of final losses */
    int dropped_line[64]; /* of the file; the first 64 */
    struct mu_fit_noise noise;

    struct mu_fit_law law;
    struct mu_budgets budgets;
    struct mu_isoflop isoflop;
    struct mu_estimate vertex_n[MU_BUDGETS], vertex_d[MU_BUDGETS], vertex_loss[MU_BUDGETS];
    double isoflop_bias
        [MU_BUDGETS]; /* N at the parabola's vertex over N*, were the law true; NAN: unknown */
    struct mu_envelope envelope;

    struct mu_fit_scaling scaling[MU_METHOD_COUNT];
    struct mu_fit_disagreement disagreement[MU_METHOD_COUNT];
    size_t disagreements;
    struct mu_fit_convention convention[MU_FIT_CONVENTIONS];
    size_t conventions;
    char conventions_missing[160]; /* why there are none */
    struct mu_fit_future
        *future; /* ascending in c_fitted, then c_predicted; the last is the hold-out */
    size_t futures;
    struct mu_fit_residual *residual; /* [points->count] */
    char warning[MU_FIT_WARNINGS][240];
    size_t warnings;
};

const char *mu_method_text(enum mu_method method); /* "IsoFLOP" */

/* The law of Hoffmann et al. by Huber's function, 4000 replicates, no targets. */
void mu_fit_options_default(struct mu_fit_options *options);

/* Without targets in the options: the largest budget fitted, and 3, 10 and 30 times it. MU_OK
 * also when methods refused (each says why); MU_FAILED when none gave a result and may_refuse is
 * not set, or there is no point. `points` stays the caller's and must outlive the result. */
enum mu_status mu_fit_run(const struct mu_fit_points *points, const struct mu_fit_options *options,
                          struct mu_fit **out) MU_CHECKED;
void mu_fit_free(struct mu_fit *fit);

#endif

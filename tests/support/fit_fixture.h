/* A whole result of a fit, made up: everything that a report may have to show, without the
 * computing that belongs to orchestrator/fit/. The law is Chinchilla's with the plain sum-Huber
 * optimum on Epoch's points; the rest follows from it by closed forms. */
#ifndef MUSTER_TESTS_FIT_FIXTURE_H
#define MUSTER_TESTS_FIT_FIXTURE_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/fit/fit.h"
#include "orchestrator/points/points_csv.h"

enum {
    FIXTURE_BUDGETS = 5,
    FIXTURE_SIZES = 9,
    FIXTURE_CURVES = 7,
    FIXTURE_MOMENTS = 40,
    FIXTURE_DROPPED = 2
};

struct fixture {
    struct mu_fit *fit;
    struct mu_fit_points points;
    struct mu_points_found found;
};

static const double fixture_theta[] = {1.81722, 477.83, 2143.42, .34731, .36717};
static const double fixture_budget[FIXTURE_BUDGETS] = {6e18, 3e19, 1e20, 6e20, 3e21};

static inline double fixture_loss(double n, double d)
{
    const double *t = fixture_theta;

    return t[0] + t[1] * pow(n, -t[3]) + t[2] * pow(d, -t[4]);
}

/* N* of C = 6 N D: Hoffmann et al. 2022, eq. 4. */
static inline double fixture_optimum(double c)
{
    const double *t = fixture_theta;
    double g = pow(t[3] * t[1] / (t[4] * t[2]), 1 / (t[3] + t[4]));

    return g * pow(c / 6, t[4] / (t[3] + t[4]));
}

static inline struct mu_estimate fixture_number(double value, double sd)
{
    return (struct mu_estimate){value, value * exp(-1.2816 * sd), value * exp(1.2816 * sd),
                                value * exp(-1.96 * sd), value * exp(1.96 * sd)};
}

static inline struct mu_estimate fixture_nothing(void)
{
    return mu_estimate_of(NAN);
}

static inline void fixture_point(struct fixture *f, double n, double d, uint32_t seed,
                                 uint32_t curve, bool end)
{
    size_t k = f->points.count++;
    double u = mu_rng_uniform(mu_rng_draw(7, MU_RNG_SYNTHETIC, (uint32_t)k, 0).w[0]);

    f->points.point[k] = (struct mu_fit_point){
        .n = n,
        .d = d,
        .c = 6 * n * d,
        .loss = fixture_loss(n, d) * exp((u - .5) * (end ? .012 : .004)),
        .weight = 1,
        .unique = d,
        .cluster = (uint32_t)k,
        .group = MU_FIT_NONE,
        .curve = curve,
        .seed = seed,
        .end = end,
        .line = (int)k + 2,
    };
}

static inline void fixture_points(struct fixture *f)
{
    f->points.point = calloc(FIXTURE_BUDGETS * FIXTURE_SIZES * 2 + FIXTURE_CURVES * FIXTURE_MOMENTS,
                             sizeof *f->points.point);
    for (size_t b = 0; b < FIXTURE_BUDGETS; b++)
        for (size_t s = 0; s < FIXTURE_SIZES; s++) {
            /* the sizes of the largest budget lie all above its optimum */
            double n = fixture_optimum(fixture_budget[b]) *
                       pow(1.6, (double)s - (b + 1 < FIXTURE_BUDGETS ? 4 : -1));

            for (uint32_t seed = 0; seed < (b == 0 ? 2 : 1); seed++)
                fixture_point(f, n, fixture_budget[b] / (6 * n), seed, MU_FIT_NONE, true);
        }
    for (uint32_t curve = 0; curve < FIXTURE_CURVES; curve++)
        for (int m = 0; m < FIXTURE_MOMENTS; m++)
            fixture_point(f, 2e7 * pow(3, curve), 2e8 * pow(1.2, m) * pow(1.6, curve), MU_FIT_NONE,
                          curve, m + 1 == FIXTURE_MOMENTS);
    f->points.clusters = (uint32_t)f->points.count;
    f->points.cluster_kind = "row";
}

/* Least squares of a parabola in ln N through the points of budget b. */
static inline void fixture_parabola(struct fixture *f, size_t b)
{
    struct mu_isoflop_budget *q = &f->fit->isoflop.budget[b];
    double m[3][4] = {{0}};

    q->ln_n_centre = log(fixture_optimum(fixture_budget[b]));
    q->n_low = INFINITY;
    for (size_t i = 0; i < f->points.count; i++) {
        const struct mu_fit_point *p = &f->points.point[i];
        double x = log(p->n) - q->ln_n_centre;

        if (f->fit->budgets.of[i] != b)
            continue;
        q->points++;
        q->n_low = fmin(q->n_low, p->n);
        q->n_high = fmax(q->n_high, p->n);
        for (int r = 0; r < 3; r++) {
            for (int c = 0; c < 3; c++)
                m[r][c] += pow(x, r + c);
            m[r][3] += pow(x, r) * p->loss;
        }
    }
    for (int k = 0; k < 3; k++)
        for (int r = 0; r < 3; r++) {
            double by = m[r][k] / m[k][k];

            for (int c = 0; r != k && c < 4; c++)
                m[r][c] -= by * m[k][c];
        }
    for (int k = 0; k < 3; k++)
        q->q[k] = m[k][3] / m[k][k];
    q->n = exp(q->ln_n_centre - q->q[1] / (2 * q->q[2]));
    q->d = fixture_budget[b] / (6 * q->n);
    q->loss = q->q[0] - q->q[1] * q->q[1] / (4 * q->q[2]);
    q->residual_sd = .004;
}

static inline void fixture_isoflop(struct fixture *f)
{
    struct mu_fit *fit = f->fit;

    fit->budgets.count = fit->isoflop.count = FIXTURE_BUDGETS;
    fit->budgets.of = malloc(f->points.count * sizeof *fit->budgets.of);
    for (size_t i = 0; i < f->points.count; i++) {
        fit->budgets.of[i] = MU_FIT_NONE;
        for (uint32_t b = 0; b < FIXTURE_BUDGETS; b++)
            if (f->points.point[i].curve == MU_FIT_NONE &&
                fabs(log(f->points.point[i].c / fixture_budget[b])) < .01)
                fit->budgets.of[i] = b, fit->budgets.points++;
    }
    for (size_t b = 0; b < FIXTURE_BUDGETS; b++) {
        fit->budgets.c[b] = fixture_budget[b];
        fit->budgets.spread[b] = 1;
        fixture_parabola(f, b);
        fit->isoflop_bias[b] = 1.03;
        fit->vertex_n[b] = fixture_number(fit->isoflop.budget[b].n, .08);
        fit->vertex_d[b] = fixture_number(fit->isoflop.budget[b].d, .08);
        fit->vertex_loss[b] = fixture_number(fit->isoflop.budget[b].loss, .001);
    }
    mu_refuse(&fit->isoflop.budget[FIXTURE_BUDGETS - 1].refusal,
              "the vertex lies at N = 4.1e9, outside the sizes tried (8.2e9 to 3.5e11): smaller "
              "models are needed at this budget");
    fit->vertex_n[FIXTURE_BUDGETS - 1] = fit->vertex_d[FIXTURE_BUDGETS - 1] =
        fit->vertex_loss[FIXTURE_BUDGETS - 1] = fixture_nothing();
    fit->isoflop_bias[FIXTURE_BUDGETS - 1] = NAN;
    fit->isoflop.vertices = FIXTURE_BUDGETS - 1;
    fit->isoflop.n_line = (struct mu_power){.507, -2.1};
    fit->isoflop.d_line = (struct mu_power){.493, .31};
    fit->isoflop.loss_line = (struct mu_power){-.05, 3.2};
}

static inline void fixture_envelope(struct mu_fit *fit)
{
    struct mu_envelope *e = &fit->envelope;

    *e = (struct mu_envelope){.curves = FIXTURE_CURVES,
                              .sizes = 5,
                              .c_low = 3e17,
                              .c_high = 5e21,
                              .n_line = {.49, -1.4},
                              .d_line = {.51, -.39},
                              .samples = 300};
    for (size_t k = 0; k < e->samples; k++) {
        double best = fixture_optimum(
            e->c[k] = 3e17 * pow(5e21 / 3e17, (double)k / (double)(e->samples - 1)));

        e->n[k] = 2e7 * pow(3, round(log(best / 2e7) / log(3)));
        e->loss[k] = fixture_loss(e->n[k], e->c[k] / (6 * e->n[k]));
    }
}

static inline void fixture_optimum_of(const struct mu_fit *fit, enum mu_method m, double c,
                                      struct mu_fit_optimum *o)
{
    static const double factor[] = {1.15, 1.04, 1}, sd[] = {.2, .12, .06};
    double away = fabs(log(c / 1e20)) / 10, n = fixture_optimum(c) * factor[m];
    double loss = fixture_loss(n, c / (6 * n));

    *o = (struct mu_fit_optimum){
        .c = c,
        .n = fixture_number(n, sd[m] * (.3 + away)),
        .d = fixture_number(c / (6 * n), sd[m] * (.3 + away)),
        .ratio = fixture_number(c / (6 * n * n), 2 * sd[m] * (.3 + away)),
        .loss = fixture_number(loss, .003 + .005 * away),
        .n_low = m == MU_METHOD_PARAMETRIC ? n / 1.46 : NAN,
        .n_high = m == MU_METHOD_PARAMETRIC ? n * 1.5 : NAN,
        .far = c > MU_FIT_FAR * fit->c_largest,
        .built = {.shape = {32, 4096, 2048, 32000}, .heads = 64, .n = round(n * 1.013)},
    };
}

static inline void fixture_scaling(struct mu_fit *fit)
{
    static const double a[] = {.49, .507, .51389};

    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        struct mu_fit_scaling *s = &fit->scaling[m];

        s->a = fixture_number(a[m], .03);
        s->b = fixture_number(1 - a[m], .03);
        s->replicates = 4000 - 7 * (size_t)m;
        for (size_t t = 0; t < fit->options.targets; t++)
            fixture_optimum_of(fit, m, fit->options.target[t], &s->target[t]);
        for (size_t k = 0; k < MU_FIT_PATH; k++)
            fixture_optimum_of(fit, m, 6e18 * pow(5.76e23 / 6e18, (double)k / (MU_FIT_PATH - 1)),
                               &s->path[k]);
    }
    fit->disagreement[0] = (struct mu_fit_disagreement){
        MU_METHOD_ENVELOPE, MU_METHOD_PARAMETRIC, {.14, .05, .23, .01, .27}, true};
    fit->disagreement[1] = (struct mu_fit_disagreement){
        MU_METHOD_ISOFLOP, MU_METHOD_PARAMETRIC, {.04, -.05, .13, -.09, .17}, false};
    fit->disagreements = 2;
}

static inline void fixture_law(struct mu_fit *fit)
{
    static const double sd[] = {.014, .25, .3, .045, .06};

    fit->law.kind = MU_LAW_CHINCHILLA;
    fit->law.points = fit->used;
    fit->law.residual_sd = .0037;
    for (size_t o = 0; o < MU_OBJECTIVE_COUNT; o++) {
        for (size_t k = 0; k < 5; k++)
            fit->law.estimate[o].theta[k] = fixture_theta[k] * (1 + .004 * (double)o);
        fit->law.estimate[o].objective = .00101827402 * pow(3, (double)o);
        fit->law.estimate[o].converged = o != 1;
    }
    fit->law.estimate[2].at_bound = 1;
    fit->law.undropped = fit->law.estimate[0];
    fit->law.undropped.theta[4] = .453;
    for (size_t k = 0; k < 5; k++) {
        fit->law.theta[k] = fixture_number(fixture_theta[k], sd[k]);
        fit->law.profile_low[k] = fit->law.profile_high[k] = NAN;
    }
    fit->law.weak[2] = true;
    fit->law.profile_low[2] = 812.4;
    fit->law.profile_high[2] = INFINITY;
}

static inline void fixture_checks(struct mu_fit *fit)
{
    static const enum mu_count_kind count[] = {MU_COUNT_ALL, MU_COUNT_NON_EMBEDDING,
                                               MU_COUNT_NON_EMBEDDING_HEAD};

    fit->noise = (struct mu_fit_noise){.00341, 9, true};
    for (size_t k = 0; k < MU_FIT_CONVENTIONS; k++) {
        struct mu_fit_convention *v = &fit->convention[k];

        *v = (struct mu_fit_convention){
            .count = count[k / 2],
            .flops = k % 2 ? MU_FLOPS_6N_ATTENTION : MU_FLOPS_6N,
            .own = k == 0,
            .a = .51389 + .03 * (double)k,
            .b = .48611 - .03 * (double)k,
            .a_isoflop = k == 3 ? NAN : .507 + .03 * (double)k,
        };
        for (size_t t = 0; t < fit->options.targets; t++) {
            v->target[t].n = fixture_optimum(fit->options.target[t]) * (1 - .1 * (double)k);
            v->target[t].n_own = v->target[t].n * (1 + .05 * (double)k);
            v->target[t].d = fit->options.target[t] / (6 * v->target[t].n_own);
        }
    }
    fit->conventions = MU_FIT_CONVENTIONS;
    fit->future = calloc(4, sizeof *fit->future);
    for (size_t k = 0; k < 4; k++)
        fit->future[k] = (struct mu_fit_future){
            fixture_budget[k], fixture_budget[k + 1],   18 + 9 * k, 9,
            {false, ""},       .004 - .002 * (double)k, .005,       k == 3 ? NAN : 1.04};
    mu_refuse(&fit->future[0].refusal, "one budget does not tell N from D");
    fit->futures = 4;
}

static inline void fixture_warn(struct mu_fit *fit, const char *text)
{
    snprintf(fit->warning[fit->warnings++], sizeof fit->warning[0], "%s", text);
}

static inline void fixture_found(struct fixture *f)
{
    struct mu_points_found *found = &f->found;

    *found = (struct mu_points_found){
        .rows = f->points.count + 3, .bad = 1, .not_done = 2, .curves = FIXTURE_CURVES, .seeds = 2};
    strcpy(found->path, "runs/<b>points</b> & \"more\".csv");
    strcpy(found->column[MU_COLUMN_n], "Model Size");
    strcpy(found->column[MU_COLUMN_c], "Training FLOP");
    strcpy(found->column[MU_COLUMN_loss], "loss <script>alert(1)</script>");
    strcpy(found->column[MU_COLUMN_seed], "seed\033[31m \xff");
    strcpy(found->column[MU_COLUMN_status], "status");
    strcpy(found->derived, "D = C / (6 N)");
    strcpy(found->note[0], "training FLOPs: 'Training FLOP' was taken before '<b>C</b>'");
    found->notes = 1;
}

/* Three methods, five budgets (one refused), three targets (one far), all kinds of intervals. */
static inline struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct mu_fit *fit = f->fit = calloc(1, sizeof *f->fit);

    fixture_points(f);
    fixture_found(f);
    fit->points = &f->points;
    fit->options = (struct mu_fit_options){
        .law = MU_LAW_CHINCHILLA,
        .objective = {MU_OBJECTIVE_HUBER, 1e-3},
        .drop_top = FIXTURE_DROPPED,
        .replicates = 4000,
        .seed = UINT64_MAX,
        .threads = 2,
        .target = {1e21, 1e22, 5.76e23},
        .targets = 3,
        .unique = INFINITY,
        .count = MU_COUNT_ALL,
        .rule = {true, 0, 128, 64, 64, 2048, 32000},
        .tolerance = .001,
    };
    fit->rule_source = MU_RULE_POINTS;
    fit->flops = (struct mu_flops){
        .kind = MU_FLOPS_6N,
        .count = MU_COUNT_ALL,
        .rule = fit->options.rule,
    };
    fit->c_largest = 3e21;
    fit->dropped = FIXTURE_DROPPED;
    fit->dropped_line[0] = 2;
    fit->dropped_line[1] = 3;
    fixture_isoflop(f);
    fit->used = fit->budgets.points + FIXTURE_CURVES - FIXTURE_DROPPED;
    fit->residual = calloc(f->points.count, sizeof *fit->residual);
    for (size_t i = 0; i < f->points.count; i++) {
        fit->residual[i].predicted = fixture_loss(f->points.point[i].n, f->points.point[i].d);
        fit->residual[i].used = f->points.point[i].end && i >= FIXTURE_DROPPED;
    }
    fixture_envelope(fit);
    fixture_law(fit);
    fixture_scaling(fit);
    fixture_checks(fit);
    fixture_warn(fit, "the target 5.76e23 is 192 times the largest budget fitted (3e21): far "
                      "extrapolation");
    fixture_warn(fit, "the methods disagree: N* by the envelope is 1.15 times that by the law "
                      "(95 %: 1.01..1.31)");
    fixture_warn(fit, "B is weakly identified: use its profile interval");
    return f;
}

/* As from seven points of one curve without a bootstrap: nearly everything is refused or NAN. */
static inline struct fixture *fixture_refused(void)
{
    struct fixture *f = fixture_new();
    struct mu_fit *fit = f->fit;

    fit->budgets.count = fit->isoflop.count = fit->isoflop.vertices = 0;
    for (size_t i = 0; i < f->points.count; i++)
        fit->budgets.of[i] = MU_FIT_NONE;
    mu_refuse(&fit->budgets.refusal, "no two points have the same compute");
    mu_refuse(&fit->isoflop.refusal, "there are no budgets");
    fit->envelope = (struct mu_envelope){.curves = 0};
    mu_refuse(&fit->envelope.refusal, "end points only: loss curves are needed");
    mu_refuse(&fit->law.refusal, "7 points do not determine 5 parameters: 10 are needed");
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        fit->scaling[m] = (struct mu_fit_scaling){.replicates = 0};
        mu_refuse(&fit->scaling[m].refusal, "no optimum");
    }
    for (size_t i = 0; i < f->points.count; i++)
        fit->residual[i] = (struct mu_fit_residual){NAN, false};
    fit->noise = (struct mu_fit_noise){NAN, 0, false};
    fit->flops.rule.known = fit->options.rule.known = false;
    fit->options.replicates = fit->options.targets = 0;
    fit->futures = fit->conventions = fit->disagreements = fit->warnings = 0;
    strcpy(fit->conventions_missing, "the points have no shapes");
    return f;
}

static inline void fixture_free(struct fixture *f)
{
    free(f->fit->budgets.of);
    free(f->fit->future);
    free(f->fit->residual);
    free(f->fit);
    free(f->points.point);
    free(f);
}

#endif

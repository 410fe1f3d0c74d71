/* What a user should know before believing a fit. Other files warn as well, of what only they
 * see. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "orchestrator/fit/parts.h"

void mu_fit_warn(struct mu_fit *fit, const char *format, ...)
{
    va_list arguments;

    if (fit->warnings == MU_FIT_WARNINGS)
        return;
    va_start(arguments, format);
    vsnprintf(fit->warning[fit->warnings++], sizeof fit->warning[0], format, arguments);
    va_end(arguments);
    mu_shorten_exponents(fit->warning[fit->warnings - 1]);
}

static void warn_of_targets(const struct mu_fit_work *w)
{
    struct mu_fit *fit = w->fit;
    const enum mu_method m =
        fit->scaling[MU_METHOD_PARAMETRIC].refusal.refused
            ? fit->isoflop.refusal.refused ? MU_METHOD_ENVELOPE : MU_METHOD_ISOFLOP
            : MU_METHOD_PARAMETRIC;

    for (size_t k = 0; k < fit->options.targets; k++) {
        const struct mu_fit_optimum *o = &fit->scaling[m].target[k];

        if (o->far && !fit->scaling[m].refusal.refused)
            mu_fit_warn(fit,
                        "%.4g FLOPs is %.3g times the largest budget fitted: beyond %d times a law "
                        "is a hope",
                        o->c, o->c / mu_fit_largest_of(w, m), MU_FIT_FAR);
        if (o->c < w->c_least / 2)
            mu_fit_warn(fit, "%.4g FLOPs is less than the smallest budget fitted (%.3g): a typo?",
                        o->c, w->c_least);
        if (!isnan(o->n.value) && o->built.shape.layers == 0)
            mu_fit_warn(fit,
                        "no model that the shape rule builds has about %.4g parameters: --shape "
                        "says how yours are built",
                        o->n.value);
    }
}

/* Data that was seen more than once is worth less, which one law alone knows. */
static void warn_of_repeats(const struct mu_fit_work *w)
{
    double most = 1;
    size_t rows = 0;

    for (size_t i = 0; i < w->count; i++)
        if (w->kept[i].end && w->kept[i].d > 1.01 * w->kept[i].unique) {
            rows++;
            most = fmax(most, w->kept[i].d / w->kept[i].unique);
        }
    if (rows > 0 && w->plan.law != MU_LAW_DATA_CONSTRAINED)
        mu_fit_warn(w->fit,
                    "%zu of %zu runs saw their tokens more than once (up to %.3g times); this law "
                    "takes all of them as fresh: --law data-constrained does not",
                    rows, w->fit->used, most);
    else if (rows > 0 && !w->fit->isoflop.refusal.refused)
        mu_fit_warn(w->fit,
                    "%zu of %zu runs saw their tokens more than once: the IsoFLOP method takes all "
                    "of them as fresh",
                    rows, w->fit->used);
    if (isfinite(w->plan.unique) && w->plan.law != MU_LAW_DATA_CONSTRAINED)
        mu_fit_warn(w->fit,
                    "--unique-tokens has no part in this law: --law data-constrained has it");
}

static void warn_of_groups(const struct mu_fit_work *w)
{
    size_t given = 0, without = 0;

    for (size_t i = 0; i < w->count; i++)
        if (w->kept[i].end)
            *(w->kept[i].group == MU_FIT_NONE ? &without : &given) += 1;
    if (given > 0 && without > 0)
        mu_fit_warn(w->fit, "%zu runs have no group, and no part in the IsoFLOP method", without);
}

static void warn_of_shapes(const struct mu_fit_work *w)
{
    size_t shapes = 0;

    for (size_t i = 0; i < w->count; i++)
        shapes += w->kept[i].end && w->kept[i].shape.layers > 0;
    if (shapes > 0 && w->fit->rule_source == MU_RULE_DEFAULT)
        mu_fit_warn(w->fit,
                    "%zu of %zu runs tell their shapes, but not one context length and vocabulary "
                    "for all: models are built by default, --shape says how yours are",
                    shapes, w->fit->used);
}

void mu_fit_warn_all(struct mu_fit_work *w)
{
    if (w->problem && !w->fit->law.estimate[w->plan.objective.kind].converged)
        mu_fit_warn(w->fit, "no minimum was reached: the parameters are the best that were found");
    warn_of_repeats(w);
    warn_of_groups(w);
    warn_of_shapes(w);
    warn_of_targets(w);
}

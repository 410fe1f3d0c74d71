/* fit.json: what came out. */
#include "orchestrator/report/contents.h"
#include "orchestrator/report/json_parts.h"
#include "orchestrator/report/words.h"

/* {"E": 1.8, "A": ...} by the names of the law's parameters */
static json_t *theta_of(const struct mu_law *law, const double *theta)
{
    json_t *object = json_object();

    for (size_t k = 0; k < law->parameters; k++)
        json_object_set_new(object, law->parameter[k], mu_json_real(theta[k]));
    return object;
}

static json_t *estimate_of(const struct mu_law *law, const struct mu_law_estimate *e)
{
    json_t *bounds = json_array();

    for (size_t k = 0; k < law->parameters; k++)
        if (e->at_bound >> k & 1)
            json_array_append_new(bounds, json_string(law->parameter[k]));
    return json_pack("{s:o, s:o, s:b, s:o}", "theta", theta_of(law, e->theta), "objective",
                     mu_json_real(e->objective), "converged", (int)e->converged, "at_bound",
                     bounds);
}

/* Only where one was made; an end at infinity is null. */
static json_t *profile_of(const struct mu_fit_law *law, size_t k)
{
    if (isnan(law->profile_low[k]) && isnan(law->profile_high[k]))
        return json_null();
    return json_pack("{s:o, s:o}", "low95", mu_json_real(law->profile_low[k]), "high95",
                     mu_json_real(law->profile_high[k]));
}

json_t *mu_json_law(const struct mu_fit *fit)
{
    const struct mu_fit_law *l = &fit->law;
    const struct mu_law *law = mu_law_of(l->kind);
    json_t *estimates = json_object(), *parameters = json_object();

    for (enum mu_objective_kind o = 0; !l->refusal.refused && o < MU_OBJECTIVE_COUNT; o++)
        json_object_set_new(estimates, mu_words_objective_id(o), estimate_of(law, &l->estimate[o]));
    for (size_t k = 0; !l->refusal.refused && k < law->parameters; k++)
        json_object_set_new(parameters, law->parameter[k],
                            json_pack("{s:o, s:b, s:o}", "estimate", mu_json_number(&l->theta[k]),
                                      "weak", (int)l->weak[k], "profile", profile_of(l, k)));
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", law->name, "formula", law->formula,
        "source", law->source, "refusal", mu_json_refusal(&l->refusal), "points",
        mu_json_size(l->points), "estimates", estimates, "parameters", parameters, "residual_sd",
        l->refusal.refused ? json_null() : mu_json_real(l->residual_sd), "undropped",
        l->refusal.refused || fit->dropped == 0 ? json_null() : estimate_of(law, &l->undropped));
}

static json_t *power_of(struct mu_power p, bool refused)
{
    return refused ? json_null()
                   : json_pack("{s:o, s:o}", "exponent", mu_json_real(p.exponent), "ln_at_one",
                               mu_json_real(p.ln_at_one));
}

static json_t *budget_of(const struct mu_fit *fit, size_t k)
{
    const struct mu_isoflop_budget *b = &fit->isoflop.budget[k];
    json_t *parabola = json_null(), *vertex = json_null();

    if (!b->refusal.refused) {
        parabola = json_pack("{s:o, s:o, s:o}", "ln_n_centre", mu_json_real(b->ln_n_centre),
                             "coefficients", mu_json_reals(b->q, 3), "residual_sd",
                             mu_json_real(b->residual_sd));
        vertex = json_pack("{s:o, s:o, s:o, s:o}", "n", mu_json_number(&fit->vertex_n[k]), "d",
                           mu_json_number(&fit->vertex_d[k]), "loss",
                           mu_json_number(&fit->vertex_loss[k]), "bias",
                           mu_json_real(fit->isoflop_bias[k]));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "c",
                     mu_json_real(fit->budgets.c[k]), "spread",
                     mu_json_real(fit->budgets.spread[k]), "points", mu_json_size(b->points),
                     "n_low", mu_json_real(b->n_low), "n_high", mu_json_real(b->n_high), "refusal",
                     mu_json_refusal(&b->refusal), "parabola", parabola, "vertex", vertex);
}

json_t *mu_json_isoflop(const struct mu_fit *fit)
{
    const struct mu_isoflop *iso = &fit->isoflop;
    bool refused = iso->refusal.refused;
    json_t *budgets = json_array();

    for (size_t k = 0; k < iso->count; k++)
        json_array_append_new(budgets, budget_of(fit, k));
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "refusal", mu_json_refusal(&iso->refusal),
        "budgets_refusal", mu_json_refusal(&fit->budgets.refusal), "budgets", budgets, "vertices",
        mu_json_size(iso->vertices), "n_line", power_of(iso->n_line, refused), "d_line",
        power_of(iso->d_line, refused), "loss_line", power_of(iso->loss_line, refused));
}

json_t *mu_json_envelope(const struct mu_fit *fit)
{
    const struct mu_envelope *e = &fit->envelope;
    bool refused = e->refusal.refused;
    size_t samples = refused ? 0 : e->samples;

    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "refusal",
        mu_json_refusal(&e->refusal), "curves", mu_json_size(e->curves), "sizes",
        mu_json_size(e->sizes), "c_low", refused ? json_null() : mu_json_real(e->c_low), "c_high",
        refused ? json_null() : mu_json_real(e->c_high), "n_line", power_of(e->n_line, refused),
        "d_line", power_of(e->d_line, refused), "c", mu_json_reals(e->c, samples), "n",
        mu_json_reals(e->n, samples), "loss", mu_json_reals(e->loss, samples));
}

static json_t *built_of(const struct mu_built *built)
{
    if (built->shape.layers == 0)
        return json_null();
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "layers", mu_json_size(built->shape.layers),
                     "width", mu_json_size(built->shape.width), "heads", mu_json_size(built->heads),
                     "context", mu_json_size(built->shape.context), "vocab",
                     mu_json_size(built->shape.vocab), "n", mu_json_real(built->n));
}

static json_t *optimum_of(const struct mu_fit *fit, const struct mu_fit_optimum *o)
{
    return json_pack(
        "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o}", "c", mu_json_real(o->c), "n",
        mu_json_number(&o->n), "d", mu_json_number(&o->d), "d_over_n", mu_json_number(&o->ratio),
        "epochs", mu_json_real(mu_contents_epochs(fit, o)), "loss", mu_json_number(&o->loss),
        "n_low", mu_json_real(o->n_low), "n_high", mu_json_real(o->n_high), "far", (int)o->far,
        "below", (int)mu_contents_below(fit, o), "built", built_of(&o->built));
}

static json_t *optima_of(const struct mu_fit *fit, const struct mu_fit_optimum *o, size_t count)
{
    json_t *list = json_array();

    for (size_t k = 0; k < count; k++)
        json_array_append_new(list, optimum_of(fit, &o[k]));
    return list;
}

json_t *mu_json_scaling(const struct mu_fit *fit)
{
    json_t *methods = json_object();

    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        const struct mu_fit_scaling *s = &fit->scaling[m];
        bool refused = s->refusal.refused;

        json_object_set_new(methods, mu_words_method_id(m),
                            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "refusal",
                                      mu_json_refusal(&s->refusal), "a",
                                      refused ? json_null() : mu_json_number(&s->a), "b",
                                      refused ? json_null() : mu_json_number(&s->b), "replicates",
                                      mu_json_size(s->replicates), "targets",
                                      optima_of(fit, s->target, refused ? 0 : fit->options.targets),
                                      "path", optima_of(fit, s->path, refused ? 0 : MU_FIT_PATH)));
    }
    return methods;
}

json_t *mu_json_disagreements(const struct mu_fit *fit)
{
    json_t *list = json_array();

    for (size_t k = 0; k < fit->disagreements; k++) {
        const struct mu_fit_disagreement *d = &fit->disagreement[k];

        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o, s:b}", "one", mu_words_method_id(d->one),
                                        "other", mu_words_method_id(d->other), "ln_ratio",
                                        mu_json_number(&d->ln_ratio), "flagged", (int)d->flagged));
    }
    return list;
}

json_t *mu_json_conventions(const struct mu_fit *fit)
{
    json_t *list = json_array();

    for (size_t k = 0; k < fit->conventions; k++) {
        const struct mu_fit_convention *v = &fit->convention[k];
        json_t *targets = json_array();

        for (size_t t = 0; t < fit->options.targets; t++)
            json_array_append_new(targets, json_pack("{s:o, s:o, s:o, s:o}", "c",
                                                     mu_json_real(fit->options.target[t]), "n",
                                                     mu_json_real(v->target[t].n), "d",
                                                     mu_json_real(v->target[t].d), "n_own",
                                                     mu_json_real(v->target[t].n_own)));
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:b, s:o, s:o, s:o, s:o}", "count",
                            mu_words_count_id(v->count), "flops", mu_words_flops_id(v->flops),
                            "own", (int)v->own, "a", mu_json_real(v->a), "b", mu_json_real(v->b),
                            "a_isoflop", mu_json_real(v->a_isoflop), "targets", targets));
    }
    return list;
}

json_t *mu_json_futures(const struct mu_fit *fit)
{
    json_t *list = json_array();

    for (size_t k = 0; k < fit->futures; k++) {
        const struct mu_fit_future *f = &fit->future[k];
        bool refused = f->refusal.refused;

        json_array_append_new(
            list, json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "c_fitted",
                            mu_json_real(f->c_fitted), "c_predicted", mu_json_real(f->c_predicted),
                            "fitted", mu_json_size(f->fitted), "predicted",
                            mu_json_size(f->predicted), "refusal", mu_json_refusal(&f->refusal),
                            "bias", refused ? json_null() : mu_json_real(f->bias), "rms",
                            refused ? json_null() : mu_json_real(f->rms), "n_ratio",
                            refused ? json_null() : mu_json_real(f->n_ratio)));
    }
    return list;
}

/* What was found: budgets, envelope, law, and how the optimum scales by each method. */
#include <string.h>

#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

enum {
    BUDGETS_SHOWN = 12, /* on a terminal */
    REFUSALS_SHOWN = 3,
    FARTHEST_SHOWN = 4,
    FAR = 5 /* sd: of so many a point is told */
};

/* Of ln loss: below, points that agree with the law are told apart by rounding alone. */
#define LEAST_FAR 1e-6

static void say_lines(struct mu_document *doc, struct mu_power n, struct mu_power d)
{
    mu_document_say(doc, MU_BLOCK_ITEM, "N* = %s C^%s, D* = %s C^%s.",
                    mu_figure(exp(n.ln_at_one), 6).text, mu_figure(n.exponent, 6).text,
                    mu_figure(exp(d.ln_at_one), 6).text, mu_figure(d.exponent, 6).text);
}

/* How far a parabola is from the law, in the sizes that were tried: the worst of the budgets. */
static void say_bias(struct mu_document *doc, const struct mu_fit *fit)
{
    size_t worst = 0;
    double most = 0;

    for (size_t k = 0; k < fit->isoflop.count; k++)
        if (fabs(log(fit->isoflop_bias[k])) > most) {
            most = fabs(log(fit->isoflop_bias[k]));
            worst = k;
        }
    if (most > .02)
        mu_document_say(
            doc, MU_BLOCK_ITEM,
            "A parabola is not the law: were the fitted law true, vertices from these "
            "sizes would miss its N*, by a factor of %s at %s FLOPs, where it is worst.",
            mu_figure(fit->isoflop_bias[worst], 3).text,
            mu_figure_short(fit->budgets.c[worst], 4).text);
}

static void say_refused_budgets(struct mu_document *doc, const struct mu_fit *fit)
{
    size_t refused = 0;

    for (size_t k = 0; k < fit->isoflop.count; k++)
        if (fit->isoflop.budget[k].refusal.refused && refused++ < REFUSALS_SHOWN)
            mu_document_say(doc, MU_BLOCK_ITEM, "Budget %s refused: %s.",
                            mu_figure_short(fit->budgets.c[k], 4).text,
                            fit->isoflop.budget[k].refusal.why);
    if (refused > REFUSALS_SHOWN)
        mu_document_say(doc, MU_BLOCK_ITEM, "And %zu more refused.", refused - REFUSALS_SHOWN);
}

static void cell_95(struct mu_document *doc, const struct mu_estimate *n)
{
    mu_document_cell(doc, "%s", mu_figure_range(n->low95, n->high95, 3).text);
}

static void table_of_budgets(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const size_t count = fit->isoflop.count;
    const size_t first = c->brief && count > BUDGETS_SHOWN ? count - BUDGETS_SHOWN : 0;

    mu_document_table(doc, "Budget|Runs|N tried|N*|95 %|D*|95 %|Loss");
    for (size_t k = first; k < count; k++) {
        const struct mu_isoflop_budget *b = &fit->isoflop.budget[k];

        mu_document_cell(doc, "%s", mu_figure_short(fit->budgets.c[k], 4).text);
        mu_document_cell(doc, "%zu", b->points);
        mu_document_cell(doc, "%s", mu_figure_range(b->n_low, b->n_high, 2).text);
        if (b->refusal.refused) {
            mu_document_cell(doc, "refused");
            mu_document_row_end(doc);
            continue;
        }
        mu_document_cell(doc, "%s", mu_figure(fit->vertex_n[k].value, 6).text);
        cell_95(doc, &fit->vertex_n[k]);
        mu_document_cell(doc, "%s", mu_figure(fit->vertex_d[k].value, 6).text);
        cell_95(doc, &fit->vertex_d[k]);
        mu_document_cell(doc, "%s", mu_figure(fit->vertex_loss[k].value, 6).text);
    }
    mu_document_table_end(doc);
    if (first > 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "And %zu smaller budgets (--out writes all).", first);
}

void mu_contents_isoflop(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_isoflop *iso = &fit->isoflop;

    if (iso->count == 0 && c->brief)
        return; /* its refusal stands with the scaling */
    mu_document_say(doc, MU_BLOCK_SECTION, "IsoFLOP: the vertex of a parabola in ln N per budget");
    if (iso->count == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "Refused: %s.",
                        fit->budgets.refusal.refused ? fit->budgets.refusal.why : iso->refusal.why);
        return;
    }
    table_of_budgets(doc, c);
    say_refused_budgets(doc, fit);
    if (iso->refusal.refused) {
        if (!c->brief)
            mu_document_say(doc, MU_BLOCK_TEXT, "No line through the vertices: %s.",
                            iso->refusal.why);
        return;
    }
    say_lines(doc, iso->n_line, iso->d_line);
    say_bias(doc, fit);
}

void mu_contents_envelope(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_envelope *e = &c->fit->envelope;

    if (e->refusal.refused && c->brief)
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Envelope: the lowest of all loss curves");
    if (e->refusal.refused) {
        mu_document_say(doc, MU_BLOCK_TEXT, "Refused: %s.", e->refusal.why);
        return;
    }
    mu_document_say(doc, MU_BLOCK_ITEM,
                    "%zu curves; %zu sizes are lowest somewhere between %s and %s FLOPs.",
                    e->curves, e->sizes, mu_figure(e->c_low, 4).text, mu_figure(e->c_high, 4).text);
    say_lines(doc, e->n_line, e->d_line);
}

/* Of a parameter that is weakly identified the profile's. */
static struct mu_figure interval_of(const struct mu_fit_law *law, size_t k)
{
    return law->weak[k] ? mu_figure_range(law->profile_low[k], law->profile_high[k], 4)
                        : mu_figure_95(&law->theta[k]);
}

/* One row for each parameter, one column for each objective, and one without --drop-top; brief: the
 * intervals too. */
static void table_of_objectives(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_law *law = mu_law_of(fit->law.kind);
    char header[200] = "<Parameter";
    bool undropped = fit->dropped > 0;
    size_t at = strlen(header);

    for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
        at += (size_t)snprintf(header + at, sizeof header - at, "|%s%s", mu_words_objective_id(o),
                               o == fit->options.objective.kind ? " *" : "");
    snprintf(header + at, sizeof header - at, "%s%s", undropped ? "|*, none dropped" : "",
             c->brief ? "|<*, 95 %" : "");
    mu_document_table(doc, header);
    for (size_t k = 0; k < law->parameters; k++) {
        mu_document_cell(doc, "%s", law->parameter[k]);
        for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
            mu_document_cell(doc, "%s%s", mu_figure(fit->law.estimate[o].theta[k], 7).text,
                             fit->law.estimate[o].at_bound >> k & 1 ? " (bound)" : "");
        if (undropped)
            mu_document_cell(doc, "%s", mu_figure(fit->law.undropped.theta[k], 7).text);
        if (c->brief)
            mu_document_cell(doc, "%s%s", interval_of(&fit->law, k).text,
                             fit->law.weak[k] ? " (weak)" : "");
    }
    mu_document_cell(doc, "objective");
    for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
        mu_document_cell(doc, "%s", mu_figure(fit->law.estimate[o].objective, 9).text);
    if (undropped)
        mu_document_cell(doc, "%s", mu_figure(fit->law.undropped.objective, 9).text);
    mu_document_table_end(doc);
}

static void table_of_intervals(struct mu_document *doc, const struct mu_fit *fit)
{
    const struct mu_law *law = mu_law_of(fit->law.kind);
    bool weak = false;

    for (size_t k = 0; k < law->parameters; k++)
        weak = weak || fit->law.weak[k];
    mu_document_table(doc, weak ? "<Parameter|Estimate|80 %|95 %|95 % by profile|<"
                                : "<Parameter|Estimate|80 %|95 %");
    for (size_t k = 0; k < law->parameters; k++) {
        mu_document_cell(doc, "%s", law->parameter[k]);
        mu_document_cell(doc, "%s", mu_figure(fit->law.theta[k].value, 7).text);
        mu_document_cell(doc, "%s", mu_figure_80(&fit->law.theta[k]).text);
        mu_document_cell(doc, "%s", mu_figure_95(&fit->law.theta[k]).text);
        if (!weak)
            continue;
        mu_document_cell(
            doc, "%s", mu_figure_range(fit->law.profile_low[k], fit->law.profile_high[k], 4).text);
        mu_document_cell(doc, "%s", fit->law.weak[k] ? "weakly identified" : "");
    }
    mu_document_table_end(doc);
}

static void say_intervals(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    bool weak = false;

    for (size_t k = 0; k < mu_law_of(fit->law.kind)->parameters; k++)
        weak = weak || fit->law.weak[k];
    if (!c->brief) {
        mu_document_say(doc, MU_BLOCK_TEXT,
                        "Intervals under %s:", mu_words_objective(fit->options.objective.kind));
        table_of_intervals(doc, fit);
    }
    if (weak)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Weakly identified: the points hardly determine this parameter. Its "
                        "interval is the one by profile likelihood; an end that is 'inf' or 0 "
                        "means that the points set no limit there.");
}

static double residual_of(const struct mu_fit *fit, size_t i)
{
    return log(fit->points->point[i].loss / fit->residual[i].predicted);
}

/* Points so far from the law that no noise put them there; a line each, the farthest first. */
static void say_farthest(struct mu_document *doc, const struct mu_fit *fit)
{
    size_t far[FARTHEST_SHOWN + 1], count = 0, all = 0, at = 0;
    char list[FARTHEST_SHOWN * 40] = "";

    if (isnan(fit->law.residual_sd))
        return; /* too few clusters to tell */
    for (size_t i = 0; i < fit->points->count; i++) {
        size_t k = count;

        if (!fit->residual[i].used || fit->points->point[i].weight == 0 ||
            !(fabs(residual_of(fit, i)) > fmax(FAR * fit->law.residual_sd, LEAST_FAR)))
            continue;
        for (; k > 0 && fabs(residual_of(fit, far[k - 1])) < fabs(residual_of(fit, i)); k--)
            far[k] = far[k - 1];
        far[k] = i;
        count = count < FARTHEST_SHOWN ? count + 1 : count;
        all++;
    }
    for (size_t k = 0; k < count; k++)
        at += (size_t)snprintf(list + at, sizeof list - at, "%sline %d %s%s %%", at > 0 ? ", " : "",
                               fit->points->point[far[k]].line,
                               residual_of(fit, far[k]) > 0 ? "+" : "",
                               mu_figure_short(100 * expm1(residual_of(fit, far[k])), 2).text);
    if (all > 0)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Beyond %d %s of the law: %zu point%s; farthest: %s. Look at %s; "
                        "--drop-top leaves out the highest losses.",
                        FAR, mu_contents_sd(fit), all, all > 1 ? "s" : "", list,
                        all > 1 ? "them" : "it");
}

void mu_contents_law(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_law *law = mu_law_of(fit->law.kind);

    if (fit->law.refusal.refused && c->brief)
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Parametric law: %s  (%s)", law->formula, law->source);
    if (fit->law.refusal.refused) {
        mu_document_say(doc, MU_BLOCK_TEXT, "Refused: %s.", fit->law.refusal.why);
        return;
    }
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "Of %zu points, by three objectives (delta %s); the one marked * is used. "
                    "Residuals: %s %s %%.",
                    fit->law.points, mu_figure_short(fit->options.objective.delta, 6).text,
                    mu_contents_sd(fit), mu_figure(100 * fit->law.residual_sd, 4).text);
    table_of_objectives(doc, c);
    say_farthest(doc, fit);
    for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
        if (!fit->law.estimate[o].converged)
            mu_document_say(doc, MU_BLOCK_ITEM, "By %s no minimum was reached.",
                            mu_words_objective(o));
    say_intervals(doc, c);
}

static void table_of_exponents(struct mu_document *doc, const struct mu_contents *c)
{
    mu_document_table(doc, "<Method|a|80 %|95 %|b|80 %|95 %");
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        const struct mu_fit_scaling *s = &c->fit->scaling[m];

        if (!mu_contents_gives(c->fit, m) && c->brief)
            continue;
        mu_document_cell(doc, "%s", mu_words_method(m));
        if (!mu_contents_gives(c->fit, m)) {
            mu_document_cell(doc, s->refusal.refused ? "refused" : "none");
            mu_document_row_end(doc);
            continue;
        }
        mu_document_cell(doc, "%s", mu_figure(s->a.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure_80(&s->a).text);
        mu_document_cell(doc, "%s", mu_figure_95(&s->a).text);
        mu_document_cell(doc, "%s", mu_figure(s->b.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure_80(&s->b).text);
        mu_document_cell(doc, "%s", mu_figure_95(&s->b).text);
    }
    mu_document_table_end(doc);
}

void mu_contents_scaling(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;

    mu_document_say(doc, MU_BLOCK_SECTION, "How the optimum scales: N* ~ C^a, D* ~ C^b");
    table_of_exponents(doc, c);
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (fit->scaling[m].refusal.refused)
            mu_document_say(doc, MU_BLOCK_ITEM, "The %s method is refused: %s.", mu_words_method(m),
                            fit->scaling[m].refusal.why);
        else if (!mu_contents_gives(fit, m))
            mu_document_say(doc, MU_BLOCK_ITEM,
                            "The %s law says nothing of the best size: it is one of compute alone.",
                            mu_words_method(m));
    for (size_t k = 0; k < fit->disagreements; k++) {
        const struct mu_fit_disagreement *d = &fit->disagreement[k];

        if (isnan(d->ln_ratio.low95))
            mu_document_say(
                doc, MU_BLOCK_ITEM, "%s over %s, N* at %s FLOPs: %s; without an interval.",
                mu_words_method(d->one), mu_words_method(d->other),
                mu_figure_short(fit->c_largest, 4).text, mu_figure(exp(d->ln_ratio.value), 4).text);
        else
            mu_document_say(
                doc, d->flagged ? MU_BLOCK_ALERT : MU_BLOCK_ITEM,
                "%s over %s, N* at %s FLOPs: %s (95 %%: %s): they %s.", mu_words_method(d->one),
                mu_words_method(d->other), mu_figure_short(fit->c_largest, 4).text,
                mu_figure(exp(d->ln_ratio.value), 4).text,
                mu_figure_range(exp(d->ln_ratio.low95), exp(d->ln_ratio.high95), 4).text,
                d->flagged ? "disagree beyond their intervals" : "agree");
    }
}

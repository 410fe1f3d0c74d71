/* What was found: budgets, envelope, law, and how the optimum scales by each method. */
#include <string.h>

#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

static void say_line(struct mu_document *doc, const char *what, struct mu_power line)
{
    mu_document_say(doc, MU_BLOCK_ITEM, "%s = %s C^%s", what,
                    mu_figure(exp(line.ln_at_one), 6).text, mu_figure(line.exponent, 6).text);
}

/* How far a parabola is from the law, in the sizes that were tried. */
static void say_bias(struct mu_document *doc, const struct mu_fit *fit)
{
    char list[MU_BUDGETS * 24] = "";
    size_t at = 0;

    for (size_t k = 0; k < fit->isoflop.count; k++)
        if (fabs(fit->isoflop_bias[k] - 1) > .02)
            at += (size_t)snprintf(list + at, sizeof list - at, "%s%.8s at %.10s",
                                   at > 0 ? ", " : "", mu_figure(fit->isoflop_bias[k], 3).text,
                                   mu_figure_short(fit->budgets.c[k], 4).text);
    if (at > 0)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "A parabola is not the law: were the fitted law true, vertices from these "
                        "sizes would lie at so many times the true N*: %s.",
                        list);
}

static void cell_95(struct mu_document *doc, const struct mu_estimate *n)
{
    mu_document_cell(doc, "%s", mu_figure_range(n->low95, n->high95, 3).text);
}

void mu_contents_isoflop(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_isoflop *iso = &fit->isoflop;

    mu_document_say(doc, MU_BLOCK_SECTION, "IsoFLOP: the vertex of a parabola in ln N per budget");
    if (iso->count == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "Refused: %s",
                        iso->refusal.refused ? iso->refusal.why : fit->budgets.refusal.why);
        return;
    }
    mu_document_table(doc, "Budget|Runs|N tried|N*|95 %|D*|95 %|Loss");
    for (size_t k = 0; k < iso->count; k++) {
        const struct mu_isoflop_budget *b = &iso->budget[k];

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
    for (size_t k = 0; k < iso->count; k++)
        if (iso->budget[k].refusal.refused)
            mu_document_say(doc, MU_BLOCK_ITEM, "Budget %s refused: %s",
                            mu_figure_short(fit->budgets.c[k], 4).text, iso->budget[k].refusal.why);
    if (iso->refusal.refused) {
        mu_document_say(doc, MU_BLOCK_TEXT, "No line through the vertices: %s", iso->refusal.why);
        return;
    }
    say_line(doc, "N*", iso->n_line);
    say_line(doc, "D*", iso->d_line);
    say_bias(doc, fit);
}

void mu_contents_envelope(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_envelope *e = &c->fit->envelope;

    mu_document_say(doc, MU_BLOCK_SECTION, "Envelope: the lowest of all loss curves");
    if (e->refusal.refused) {
        mu_document_say(doc, MU_BLOCK_TEXT, "Refused: %s", e->refusal.why);
        return;
    }
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "%zu curves; %zu sizes are lowest somewhere between %s and %s FLOPs.",
                    e->curves, e->sizes, mu_figure(e->c_low, 4).text, mu_figure(e->c_high, 4).text);
    say_line(doc, "N*", e->n_line);
    say_line(doc, "D*", e->d_line);
}

/* One row for each parameter, one column for each objective, and one without --drop-top. */
static void table_of_objectives(struct mu_document *doc, const struct mu_fit *fit)
{
    const struct mu_law *law = mu_law_of(fit->law.kind);
    char header[200] = "<Parameter";
    bool undropped = fit->dropped > 0;
    size_t at = strlen(header);

    for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
        at += (size_t)snprintf(header + at, sizeof header - at, "|%s%s", mu_words_objective_id(o),
                               o == fit->options.objective.kind ? " *" : "");
    if (undropped)
        snprintf(header + at, sizeof header - at, "|*, nothing dropped");
    mu_document_table(doc, header);
    for (size_t k = 0; k < law->parameters; k++) {
        mu_document_cell(doc, "%s", law->parameter[k]);
        for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
            mu_document_cell(doc, "%s%s", mu_figure(fit->law.estimate[o].theta[k], 7).text,
                             fit->law.estimate[o].at_bound >> k & 1 ? " (bound)" : "");
        if (undropped)
            mu_document_cell(doc, "%s", mu_figure(fit->law.undropped.theta[k], 7).text);
    }
    mu_document_cell(doc, "objective");
    for (enum mu_objective_kind o = 0; o < MU_OBJECTIVE_COUNT; o++)
        mu_document_cell(doc, "%s%s", mu_figure(fit->law.estimate[o].objective, 9).text,
                         fit->law.estimate[o].converged ? "" : " (no minimum)");
    if (undropped)
        mu_document_cell(doc, "%s", mu_figure(fit->law.undropped.objective, 9).text);
    mu_document_table_end(doc);
}

static void table_of_intervals(struct mu_document *doc, const struct mu_fit *fit)
{
    const struct mu_law *law = mu_law_of(fit->law.kind);

    mu_document_table(doc, "<Parameter|Estimate|80 %|95 %|95 % by profile|<");
    for (size_t k = 0; k < law->parameters; k++) {
        mu_document_cell(doc, "%s", law->parameter[k]);
        mu_document_cell(doc, "%s", mu_figure(fit->law.theta[k].value, 7).text);
        mu_document_cell(doc, "%s", mu_figure_80(&fit->law.theta[k]).text);
        mu_document_cell(doc, "%s", mu_figure_95(&fit->law.theta[k]).text);
        mu_document_cell(
            doc, "%s", mu_figure_range(fit->law.profile_low[k], fit->law.profile_high[k], 4).text);
        mu_document_cell(doc, "%s", fit->law.weak[k] ? "weakly identified" : "");
    }
    mu_document_table_end(doc);
}

void mu_contents_law(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_law *law = mu_law_of(fit->law.kind);
    bool weak = false;

    mu_document_say(doc, MU_BLOCK_SECTION, "Parametric law: %s", law->name);
    mu_document_say(doc, MU_BLOCK_TEXT, "%s  (%s)", law->formula, law->source);
    if (fit->law.refusal.refused) {
        mu_document_say(doc, MU_BLOCK_TEXT, "Refused: %s", fit->law.refusal.why);
        return;
    }
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "Fitted to %zu points under three objectives (delta %s); intervals and "
                    "recommendations are of the one marked *.",
                    fit->law.points, mu_figure_short(fit->options.objective.delta, 6).text);
    table_of_objectives(doc, fit);
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "Intervals under %s:", mu_words_objective(fit->options.objective.kind));
    table_of_intervals(doc, fit);
    for (size_t k = 0; k < law->parameters; k++)
        weak = weak || fit->law.weak[k];
    if (weak)
        mu_document_say(
            doc, MU_BLOCK_ITEM,
            "Weakly identified: the points hardly determine this parameter. Its "
            "interval is the one by profile likelihood; an end that is 'inf' or 0 means "
            "that the points set no limit there.");
    mu_document_say(doc, MU_BLOCK_ITEM, "Residuals: sd %s %% of the loss.",
                    mu_figure(100 * fit->law.residual_sd, 4).text);
}

void mu_contents_scaling(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;

    mu_document_say(doc, MU_BLOCK_SECTION, "How the optimum scales: N* ~ C^a, D* ~ C^b");
    mu_document_table(doc, "<Method|a|80 %|95 %|b|80 %|95 %|Boot");
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
        const struct mu_fit_scaling *s = &fit->scaling[m];

        mu_document_cell(doc, "%s", mu_words_method(m));
        if (s->refusal.refused) {
            mu_document_cell(doc, "refused");
            mu_document_row_end(doc);
            continue;
        }
        mu_document_cell(doc, "%s", mu_figure(s->a.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure_range(s->a.low80, s->a.high80, 3).text);
        mu_document_cell(doc, "%s", mu_figure_95(&s->a).text);
        mu_document_cell(doc, "%s", mu_figure(s->b.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure_range(s->b.low80, s->b.high80, 3).text);
        mu_document_cell(doc, "%s", mu_figure_95(&s->b).text);
        mu_document_cell(doc, "%zu", s->replicates);
    }
    mu_document_table_end(doc);
    if (fit->options.replicates > 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "Boot: bootstrap replicates that gave a result.");
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (fit->scaling[m].refusal.refused)
            mu_document_say(doc, MU_BLOCK_ITEM, "The %s method is refused: %s", mu_words_method(m),
                            fit->scaling[m].refusal.why);
    for (size_t k = 0; k < fit->disagreements; k++) {
        const struct mu_fit_disagreement *d = &fit->disagreement[k];

        mu_document_say(doc, d->flagged ? MU_BLOCK_ALERT : MU_BLOCK_ITEM,
                        "At %s FLOPs N* by the %s method is %s times that by the %s method (95 %%: "
                        "%s): they %s.",
                        mu_figure_short(fit->c_largest, 4).text, mu_words_method(d->one),
                        mu_figure(exp(d->ln_ratio.value), 4).text, mu_words_method(d->other),
                        mu_figure_range(exp(d->ln_ratio.low95), exp(d->ln_ratio.high95), 4).text,
                        d->flagged ? "disagree beyond their intervals" : "agree");
    }
}

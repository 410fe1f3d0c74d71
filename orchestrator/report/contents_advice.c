/* What a researcher wants first: the model to train, and what to beware of. */
#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

enum mu_method mu_contents_method(const struct mu_fit *fit)
{
    static const enum mu_method order[] = {MU_METHOD_PARAMETRIC, MU_METHOD_ISOFLOP,
                                           MU_METHOD_ENVELOPE};

    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        if (mu_contents_gives(fit, order[k]))
            return order[k];
    return fit->scaling[MU_METHOD_PARAMETRIC].refusal.refused ? MU_METHOD_COUNT
                                                              : MU_METHOD_PARAMETRIC;
}

/* "44 x 4416": layers and width as the shape rule builds them. */
static void cell_built(struct mu_document *doc, const struct mu_built *built)
{
    if (built->shape.layers == 0)
        mu_document_cell(doc, "-");
    else
        mu_document_cell(doc, "%llu x %llu", (unsigned long long)built->shape.layers,
                         (unsigned long long)built->shape.width);
}

static bool any_loss(const struct mu_fit *fit, const struct mu_fit_scaling *s)
{
    for (size_t t = 0; t < fit->options.targets; t++)
        if (!isnan(s->target[t].loss.value))
            return true;
    return false;
}

static const char *mark_of(const struct mu_fit *fit, const struct mu_fit_optimum *o)
{
    return o->far ? "far" : mu_contents_below(fit, o) ? "below" : "";
}

static void table_of_optima(struct mu_document *doc, const struct mu_fit *fit,
                            const struct mu_fit_scaling *s)
{
    const bool losses = any_loss(fit, s), epochs = !isnan(mu_contents_epochs(fit, &s->target[0]));
    char header[80];

    snprintf(header, sizeof header, "Budget|N|D|D/N%s%s|<Build|<", epochs ? "|Passes" : "",
             losses ? "|Loss|80 %|95 %" : "");
    mu_document_table(doc, header);
    for (size_t t = 0; t < fit->options.targets; t++) {
        const struct mu_fit_optimum *o = &s->target[t];

        mu_document_cell(doc, "%s", mu_figure_short(o->c, 4).text);
        mu_document_cell(doc, "%s", mu_figure(o->n.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure(o->d.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure(o->ratio.value, 6).text);
        if (epochs)
            mu_document_cell(doc, "%s", mu_figure(mu_contents_epochs(fit, o), 4).text);
        if (losses) {
            mu_document_cell(doc, "%s", mu_figure(o->loss.value, 6).text);
            mu_document_cell(doc, "%s", mu_figure_80(&o->loss).text);
            mu_document_cell(doc, "%s", mu_figure_95(&o->loss).text);
        }
        cell_built(doc, &o->built);
        mu_document_cell(doc, "%s", mark_of(fit, o));
    }
    mu_document_table_end(doc);
}

/* How to read it. */
static void say_optima(struct mu_document *doc, const struct mu_fit *fit, enum mu_method method)
{
    const struct mu_fit_optimum *o = &fit->scaling[method].target[0];

    mu_document_say(doc, MU_BLOCK_TEXT, "By the %s method%s%s%s.", mu_words_method(method),
                    isnan(o->loss.low95) ? "" : "; bands of the loss hold a new run's seed noise",
                    isnan(mu_contents_epochs(fit, o)) ? "" : "; passes: D over distinct tokens",
                    o->built.shape.layers == 0 ? "" : "; build: layers x width");
}

/* Brief: with N by the other methods, which have a table of their own in a page. */
static void table_of_ranges(struct mu_document *doc, const struct mu_contents *c, enum mu_method of)
{
    const struct mu_fit *fit = c->fit;
    char header[160];
    size_t at = (size_t)snprintf(header, sizeof header,
                                 "Budget|N, 95 %%|N, equal loss|D, 95 %%|D/N, 95 %%");

    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (c->brief && m != of && mu_contents_gives(fit, m))
            at += (size_t)snprintf(header + at, sizeof header - at, "|%s N", mu_words_method(m));
    mu_document_table(doc, header);
    for (size_t t = 0; t < fit->options.targets; t++) {
        const struct mu_fit_optimum *o = &fit->scaling[of].target[t];

        mu_document_cell(doc, "%s", mu_figure_short(o->c, 4).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->n.low95, o->n.high95, 3).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->n_low, o->n_high, 3).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->d.low95, o->d.high95, 3).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->ratio.low95, o->ratio.high95, 3).text);
        for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
            if (c->brief && m != of && mu_contents_gives(fit, m))
                mu_document_cell(doc, "%s", mu_figure(fit->scaling[m].target[t].n.value, 6).text);
    }
    mu_document_table_end(doc);
}

/* Rows: each budget by each method that gave something; N* and D/N with their intervals. */
static void table_of_methods(struct mu_document *doc, const struct mu_fit *fit)
{
    mu_document_say(doc, MU_BLOCK_TEXT, "N and D/N by each method, with their intervals:");
    mu_document_table(doc, "Budget|<Method|N|80 %|95 %|D/N|95 %");
    for (size_t t = 0; t < fit->options.targets; t++)
        for (enum mu_method m = 0, first = MU_METHOD_COUNT; m < MU_METHOD_COUNT; m++) {
            const struct mu_fit_optimum *o = &fit->scaling[m].target[t];

            if (!mu_contents_gives(fit, m))
                continue;
            first = first == MU_METHOD_COUNT ? m : first;
            mu_document_cell(doc, "%s", m == first ? mu_figure_short(o->c, 4).text : "");
            mu_document_cell(doc, "%s", mu_words_method(m));
            mu_document_cell(doc, "%s", mu_figure(o->n.value, 6).text);
            mu_document_cell(doc, "%s", mu_figure_80(&o->n).text);
            mu_document_cell(doc, "%s", mu_figure_95(&o->n).text);
            mu_document_cell(doc, "%s", mu_figure(o->ratio.value, 6).text);
            mu_document_cell(doc, "%s", mu_figure_range(o->ratio.low95, o->ratio.high95, 3).text);
        }
    mu_document_table_end(doc);
}

static void table_of_architectures(struct mu_document *doc, const struct mu_fit *fit,
                                   const struct mu_fit_scaling *s)
{
    if (s->target[0].built.shape.layers == 0)
        return;
    mu_document_say(doc, MU_BLOCK_TEXT, "Nearest models that can be built by the shape rule:");
    mu_document_table(doc, "Budget|N wanted|Layers|Width|Heads|N built|Built / wanted");
    for (size_t t = 0; t < fit->options.targets; t++) {
        const struct mu_fit_optimum *o = &s->target[t];

        if (o->built.shape.layers == 0)
            continue;
        mu_document_cell(doc, "%s", mu_figure_short(o->c, 4).text);
        mu_document_cell(doc, "%s", mu_figure(o->n.value, 6).text);
        mu_document_cell(doc, "%llu", (unsigned long long)o->built.shape.layers);
        mu_document_cell(doc, "%llu", (unsigned long long)o->built.shape.width);
        mu_document_cell(doc, "%u", o->built.heads);
        mu_document_cell(doc, "%s", mu_figure_short(o->built.n, 15).text);
        mu_document_cell(doc, "%s", mu_figure(o->built.n / o->n.value, 4).text);
    }
    mu_document_table_end(doc);
}

/* "N* grows as C^0.514 (95 %: 0.482..0.556) by the parametric method, ..." */
static void say_exponents(struct mu_document *doc, const struct mu_fit *fit)
{
    char list[400] = "";
    size_t at = 0;

    for (enum mu_method m = MU_METHOD_COUNT; m-- > 0;) {
        const struct mu_fit_scaling *s = &fit->scaling[m];

        if (!mu_contents_gives(fit, m))
            continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%sC^%s", at > 0 ? ", as " : "",
                               mu_figure(s->a.value, 3).text);
        if (!isnan(s->a.low95))
            at += (size_t)snprintf(list + at, sizeof list - at, " (95 %%: %s)",
                                   mu_figure_range(s->a.low95, s->a.high95, 3).text);
        at +=
            (size_t)snprintf(list + at, sizeof list - at, " by the %s method", mu_words_method(m));
    }
    if (at > 0)
        mu_document_say(doc, MU_BLOCK_TEXT, "The best size N* grows as %s.", list);
}

/* Which methods gave nothing, and whether the others agree. */
static void say_verdict(struct mu_document *doc, const struct mu_fit *fit)
{
    size_t flagged = 0, compared = 0, given = 0;
    char methods[80];

    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        given += mu_contents_gives(fit, m) ? 1 : 0;
    for (size_t k = 0; k < fit->disagreements; k++) {
        compared += isnan(fit->disagreement[k].ln_ratio.low95) ? 0 : 1;
        flagged += fit->disagreement[k].flagged;
    }
    if (given == 0)
        snprintf(methods, sizeof methods, "No method tells the best size");
    else if (given == 1)
        snprintf(methods, sizeof methods, "One method of %d gave a result: nothing confirms it",
                 MU_METHOD_COUNT);
    else
        snprintf(methods, sizeof methods, "%zu methods of %d gave a result, and %s", given,
                 MU_METHOD_COUNT,
                 compared == 0 ? "there are no intervals to compare them by"
                 : flagged > 0 ? "they disagree beyond their intervals"
                               : "they agree within their intervals");
    mu_document_say(doc, flagged > 0 ? MU_BLOCK_ALERT : MU_BLOCK_TEXT, "%s. Warnings: %zu.",
                    methods, fit->warnings);
}

void mu_contents_summary(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const enum mu_method m = mu_contents_method(fit);

    mu_document_say(doc, MU_BLOCK_TEXT,
                    "Scaling laws were fitted to %zu final losses of " MU_OUTSIDE(
                        "%s") ", of training runs of up to "
                              "%s FLOPs%s.",
                    fit->used, c->found->path, mu_figure_short(fit->c_largest, 4).text,
                    fit->dropped > 0 ? "; the highest losses were dropped, as asked" : "");
    if (m == MU_METHOD_COUNT) {
        mu_document_say(doc, MU_BLOCK_LEAD, "No recommendation: every method refused.");
        return;
    }
    if (fit->options.targets > 0)
        mu_contents_sentence(doc, fit, m);
    say_exponents(doc, fit);
    say_verdict(doc, fit);
}

void mu_contents_recommendation(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const enum mu_method m = mu_contents_method(fit);
    const struct mu_fit_scaling *s = &fit->scaling[m == MU_METHOD_COUNT ? 0 : m];

    mu_document_say(doc, MU_BLOCK_SECTION, "Recommendation");
    if (m == MU_METHOD_COUNT) {
        mu_document_say(doc, MU_BLOCK_LEAD, "None: every method refused.");
        return;
    }
    if (fit->options.targets == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "No budgets were asked for (--target-flops).");
        return;
    }
    if (c->brief)
        mu_contents_sentence(doc, fit, m);
    say_optima(doc, fit, m);
    table_of_optima(doc, fit, s);
    if (isnan(s->target[0].n.value))
        return;
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "Intervals; 'equal loss' are the sizes within %s %% of the best loss:",
                    mu_figure_short(100 * fit->options.tolerance, 3).text);
    table_of_ranges(doc, c, m);
    if (c->brief)
        return;
    table_of_methods(doc, fit);
    table_of_architectures(doc, fit, s);
}

/* What the last column of the recommendations means. */
static void say_marks(struct mu_document *doc, const struct mu_fit *fit,
                      const struct mu_fit_scaling *s)
{
    bool far = false, below = false;

    for (size_t t = 0; t < fit->options.targets; t++) {
        far = far || s->target[t].far;
        below = below || mu_contents_below(fit, &s->target[t]);
    }
    if (far)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "'far' marks budgets more than %d times the largest one fitted (%s "
                        "FLOPs): the interval holds the law's uncertainty, not that it is the "
                        "wrong law.",
                        MU_FIT_FAR, mu_figure_short(fit->c_largest, 4).text);
    if (below)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "'below' marks budgets of less than half of the smallest one fitted (%s "
                        "FLOPs), for which the same holds.",
                        mu_figure_short(mu_contents_smallest(fit), 4).text);
}

void mu_contents_warnings(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const enum mu_method m = mu_contents_method(fit);

    if (fit->warnings > 0)
        mu_document_say(doc, MU_BLOCK_SECTION, "Warnings");
    else
        mu_document_say(doc, MU_BLOCK_TEXT, "No warnings.");
    for (size_t k = 0; k < fit->warnings; k++)
        mu_document_say(doc, MU_BLOCK_ALERT, MU_OUTSIDE("%s"), fit->warning[k]);
    if (!c->brief && m != MU_METHOD_COUNT)
        say_marks(doc, fit, &fit->scaling[m]);
}

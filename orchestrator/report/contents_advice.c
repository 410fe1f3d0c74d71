/* What a researcher wants first: the model to train, and what to beware of. */
#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

enum mu_method mu_contents_method(const struct mu_fit *fit)
{
    static const enum mu_method order[] = {MU_METHOD_PARAMETRIC, MU_METHOD_ISOFLOP,
                                           MU_METHOD_ENVELOPE};

    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++)
        if (!fit->scaling[order[k]].refusal.refused)
            return order[k];
    return MU_METHOD_COUNT;
}

static void table_of_optima(struct mu_document *doc, const struct mu_fit *fit,
                            const struct mu_fit_scaling *s)
{
    mu_document_table(doc, "Budget|N|D|D/N|Loss|Loss, 80 %|Loss, 95 %|<");
    for (size_t t = 0; t < fit->options.targets; t++) {
        const struct mu_fit_optimum *o = &s->target[t];

        mu_document_cell(doc, "%s", mu_figure_short(o->c, 4).text);
        mu_document_cell(doc, "%s", mu_figure(o->n.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure(o->d.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure(o->ratio.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure(o->loss.value, 6).text);
        mu_document_cell(doc, "%s", mu_figure_80(&o->loss).text);
        mu_document_cell(doc, "%s", mu_figure_95(&o->loss).text);
        mu_document_cell(doc, "%s", o->far ? "far" : "");
    }
    mu_document_table_end(doc);
}

static void table_of_ranges(struct mu_document *doc, const struct mu_fit *fit,
                            const struct mu_fit_scaling *s)
{
    mu_document_table(doc, "Budget|N, 80 %|N, 95 %|D, 95 %|D/N, 95 %|N, equal loss");
    for (size_t t = 0; t < fit->options.targets; t++) {
        const struct mu_fit_optimum *o = &s->target[t];

        mu_document_cell(doc, "%s", mu_figure_short(o->c, 4).text);
        mu_document_cell(doc, "%s", mu_figure_80(&o->n).text);
        mu_document_cell(doc, "%s", mu_figure_95(&o->n).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->d.low95, o->d.high95, 3).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->ratio.low95, o->ratio.high95, 3).text);
        mu_document_cell(doc, "%s", mu_figure_range(o->n_low, o->n_high, 3).text);
    }
    mu_document_table_end(doc);
}

/* Rows: budgets; columns: the methods that gave something, N* and D/N of each. */
static void table_of_methods(struct mu_document *doc, const struct mu_fit *fit)
{
    char header[160] = "Budget";
    size_t at = 6, methods = 0;

    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        if (!fit->scaling[m].refusal.refused) {
            at +=
                (size_t)snprintf(header + at, sizeof header - at, "|N, %s|D/N", mu_words_method(m));
            methods++;
        }
    if (methods < 2)
        return;
    mu_document_say(doc, MU_BLOCK_TEXT, "By each method:");
    mu_document_table(doc, header);
    for (size_t t = 0; t < fit->options.targets; t++) {
        mu_document_cell(doc, "%s", mu_figure_short(fit->options.target[t], 4).text);
        for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++) {
            if (fit->scaling[m].refusal.refused)
                continue;
            mu_document_cell(doc, "%s", mu_figure(fit->scaling[m].target[t].n.value, 6).text);
            mu_document_cell(doc, "%s", mu_figure(fit->scaling[m].target[t].ratio.value, 6).text);
        }
    }
    mu_document_table_end(doc);
}

static void table_of_architectures(struct mu_document *doc, const struct mu_fit *fit,
                                   const struct mu_fit_scaling *s)
{
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
        mu_document_cell(doc, "%.15g", o->built.n);
        mu_document_cell(doc, "%s", mu_figure(o->built.n / o->n.value, 4).text);
    }
    mu_document_table_end(doc);
}

static void say_advice(struct mu_document *doc, const struct mu_fit *fit,
                       const struct mu_fit_optimum *o)
{
    char loss[200] = "", range[280] = "";

    if (!isnan(o->loss.value))
        snprintf(loss, sizeof loss, ", for a loss of %s%s%s%s", mu_figure(o->loss.value, 4).text,
                 isnan(o->loss.low95) ? "" : " (95 %: ",
                 isnan(o->loss.low95) ? "" : mu_figure_95(&o->loss).text,
                 isnan(o->loss.low95) ? "" : ")");
    if (!isnan(o->n_low) && !isnan(o->n_high))
        snprintf(range, sizeof range,
                 " Anything from %s to %s parameters is within %s %% of that loss.",
                 mu_figure_words(o->n_low).text, mu_figure_words(o->n_high).text,
                 mu_figure_short(100 * fit->options.tolerance, 3).text);
    mu_document_say(doc, MU_BLOCK_LEAD, "With %s FLOPs train %s parameters on %s tokens%s.%s%s",
                    mu_figure_short(o->c, 4).text, mu_figure_words(o->n.value).text,
                    mu_figure_words(o->d.value).text, loss, range,
                    o->far ? " Far beyond the points: take it as a hint." : "");
}

void mu_contents_recommendation(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    enum mu_method m = mu_contents_method(fit);
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
    for (size_t t = 0; t < fit->options.targets; t++)
        say_advice(doc, fit, &s->target[t]);
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "By the %s method; bands of the loss hold a new run's seed noise:", mu_words_method(m));
    table_of_optima(doc, fit, s);
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "Intervals, and the sizes whose loss is within %s %% of the best one:",
                    mu_figure_short(100 * fit->options.tolerance, 3).text);
    table_of_ranges(doc, fit, s);
    table_of_methods(doc, fit);
    if (fit->flops.rule.known || s->target[0].built.shape.layers > 0)
        table_of_architectures(doc, fit, s);
}

void mu_contents_warnings(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    enum mu_method m = mu_contents_method(fit);

    mu_document_say(doc, MU_BLOCK_SECTION, "Warnings");
    for (size_t k = 0; k < fit->warnings; k++)
        mu_document_say(doc, MU_BLOCK_ALERT, "%s", fit->warning[k]);
    if (fit->warnings == 0)
        mu_document_say(doc, MU_BLOCK_TEXT, "None.");
    for (size_t t = 0; m != MU_METHOD_COUNT && t < fit->options.targets; t++)
        if (fit->scaling[m].target[t].far) {
            mu_document_say(doc, MU_BLOCK_ITEM,
                            "'far' marks budgets more than %d times the largest one fitted (%s "
                            "FLOPs): the interval holds the law's uncertainty, not that it is the "
                            "wrong law.",
                            MU_FIT_FAR, mu_figure_short(fit->c_largest, 4).text);
            break;
        }
}

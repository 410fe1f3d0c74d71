/* What was checked, and how the rest of the world counts and finds. */
#include <string.h>

#include "orchestrator/fit/published.h"
#include "orchestrator/report/contents.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

enum { FUTURES_SHOWN = 4 /* on a terminal */, PAIRS_SHOWN = 120 /* in a page */ };

static void say_noise(struct mu_document *doc, const struct mu_fit *fit)
{
    if (isnan(fit->noise.sd) || fit->noise.degrees == 0)
        mu_document_say(doc, MU_BLOCK_TEXT, "Seed noise is not known.");
    else
        mu_document_say(doc, MU_BLOCK_TEXT,
                        "Seed noise: %s %s %% of the loss (%zu degrees of freedom), by %s.",
                        fit->noise.repeated ? "sd" : mu_contents_sd(fit),
                        mu_figure(100 * fit->noise.sd, 4).text, fit->noise.degrees,
                        fit->noise.repeated ? "runs of equal N and D and other seeds"
                                            : "what the law leaves over");
}

/* Pairs of many budgets are more than anybody reads; fit.json has them all. */
static bool only_largest(const struct mu_contents *c)
{
    return c->brief || c->fit->futures > PAIRS_SHOWN;
}

static bool is_shown(const struct mu_contents *c, size_t k)
{
    const struct mu_fit_future *f = &c->fit->future[k],
                               *last = &c->fit->future[c->fit->futures - 1];

    return !f->refusal.refused && !(only_largest(c) && f->c_predicted < last->c_predicted);
}

/* Three places where they are of use: a law that fails is wrong by any factor. */
static void cell_percent(struct mu_document *doc, double part, const char *plus)
{
    if (fabs(part) < 10)
        mu_document_cell(doc, "%s%.3f %%", part >= 0 ? plus : "", 100 * part);
    else
        mu_document_cell(doc, "%s%s %%", part >= 0 ? plus : "",
                         mu_figure_short(100 * part, 4).text);
}

static void table_of_futures(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    size_t left = 0;
    double fitted = 0;

    for (size_t k = 0; k < fit->futures; k++)
        left += is_shown(c, k);
    mu_document_table(doc, "Fitted up to|Points|Predicted at|Points|Bias|RMS|N* ratio|<");
    for (size_t k = 0; k < fit->futures; k++) {
        const struct mu_fit_future *f = &fit->future[k];
        const bool same = !(f->c_fitted > fitted);

        if (!is_shown(c, k) || (left-- > FUTURES_SHOWN && c->brief))
            continue;
        fitted = f->c_fitted;
        mu_document_cell(doc, "%s", same ? "" : mu_figure_short(f->c_fitted, 4).text);
        if (same)
            mu_document_cell(doc, "%s", "");
        else
            mu_document_cell(doc, "%zu", f->fitted);
        mu_document_cell(doc, "%s", mu_figure_short(f->c_predicted, 4).text);
        mu_document_cell(doc, "%zu", f->predicted);
        cell_percent(doc, f->bias, "+");
        cell_percent(doc, f->rms, "");
        mu_document_cell(doc, "%s", mu_figure(f->n_ratio, 4).text);
        mu_document_cell(doc, "%s", k + 1 == fit->futures ? "hold-out" : "");
    }
    mu_document_table_end(doc);
}

/* One sentence for all: the smallest budgets are refused, and for one reason mostly. */
static void say_refused_futures(struct mu_document *doc, const struct mu_fit *fit)
{
    const struct mu_fit_future *last = NULL;
    size_t refused = 0;

    for (size_t k = 0; k < fit->futures; k++)
        if (fit->future[k].refusal.refused) {
            last = &fit->future[k];
            refused++;
        }
    if (last)
        mu_document_say(doc, MU_BLOCK_ITEM, "%zu of %zu predictions refused, %sfrom %s FLOPs: %s.",
                        refused, fit->futures,
                        last == &fit->future[fit->futures - 1] ? "the hold-out too, " : "",
                        mu_figure_short(last->c_fitted, 4).text, last->refusal.why);
}

void mu_contents_checks(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;

    mu_document_say(doc, MU_BLOCK_SECTION, "Noise, and prediction of the future");
    say_noise(doc, fit);
    if (fit->futures == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "No hold-out: there are no budgets to hold out.");
        return;
    }
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "%s by the law of smaller ones: bias and RMS of ln(predicted / measured loss); "
                    "N* ratio: predicted N* over the parabola's vertex there.",
                    only_largest(c) ? "The largest budget predicted" : "Each budget predicted");
    table_of_futures(doc, c);
    say_refused_futures(doc, fit);
}

/* At one budget on a terminal, at all targets in a page. */
static void rows_of_convention(struct mu_document *doc, const struct mu_contents *c,
                               const struct mu_fit_convention *v)
{
    const struct mu_fit_options *options = &c->fit->options;

    for (size_t t = 0; t == 0 || (t < options->targets && !c->brief); t++) {
        mu_document_cell(doc, "%s%s", t > 0 ? "" : mu_words_count_id(v->count),
                         v->own && t == 0 ? " *" : "");
        mu_document_cell(doc, "%s", t > 0 ? "" : mu_words_flops_id(v->flops));
        mu_document_cell(doc, "%s", t > 0 ? "" : mu_figure(v->a, 6).text);
        mu_document_cell(doc, "%s", t > 0 ? "" : mu_figure(v->a_isoflop, 6).text);
        if (options->targets > 0) {
            mu_document_cell(doc, "%s", mu_figure_short(options->target[t], 4).text);
            mu_document_cell(doc, "%s", mu_figure(v->target[t].n, 6).text);
            mu_document_cell(doc, "%s", mu_figure(v->target[t].n_own, 6).text);
            mu_document_cell(doc, "%s", mu_figure(v->target[t].d, 6).text);
            mu_document_cell(doc, "%s", mu_figure(v->target[t].d / v->target[t].n, 4).text);
        }
        mu_document_row_end(doc);
    }
}

void mu_contents_conventions(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;

    if (fit->conventions == 0 && c->brief)
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Under other counting conventions");
    if (fit->conventions == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "None: %s.", fit->conventions_missing);
        return;
    }
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "The same points recounted and fitted again. N is in each convention's own count; "
        "'N, ours' is the same model counted as the points are (the row marked *).");
    mu_document_table(doc, "<N counts|<FLOPs|a|a IsoFLOP|Budget|N|N, ours|D|D/N");
    for (size_t k = 0; k < fit->conventions; k++)
        rows_of_convention(doc, c, &fit->convention[k]);
    mu_document_table_end(doc);
    if (c->brief)
        return;
    for (enum mu_count_kind k = MU_COUNT_AS_GIVEN + 1; k < MU_COUNT_KINDS; k++)
        mu_document_say(doc, MU_BLOCK_ITEM, "%s: %s.", mu_words_count_id(k), mu_words_count(k));
    for (enum mu_flops_kind k = 0; k < MU_FLOPS_KINDS; k++)
        if (k != MU_FLOPS_MEASURED)
            mu_document_say(doc, MU_BLOCK_ITEM, "%s: FLOPs of a token are %s.",
                            mu_words_flops_id(k), mu_words_flops(k));
}

static void cells_of_law(struct mu_document *doc, double n, double d)
{
    mu_document_cell(doc, "%s", mu_figure(n, 6).text);
    mu_document_cell(doc, "%s", mu_figure(d / n, 4).text);
}

/* At the smallest and the largest target: between them is a power law, or nearly one. */
void mu_contents_published(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit_options *options = &c->fit->options;
    const size_t last = options->targets > 1 ? options->targets - 1 : 0, step = last > 0 ? last : 1;
    const enum mu_method method = mu_contents_method(c->fit);
    char header[120] = "<Law";

    if (options->targets == 0)
        return;
    for (size_t t = 0, at = 4; t <= last; t += step)
        at += (size_t)snprintf(header + at, sizeof header - at, "|N, %s|D/N",
                               mu_figure_short(options->target[t], 4).text);
    mu_document_say(doc, MU_BLOCK_SECTION, "Published laws");
    mu_document_table(doc, header);
    if (method < MU_METHOD_COUNT && mu_contents_gives(c->fit, method)) {
        mu_document_cell(doc, "this fit, %s", mu_words_method(method));
        for (size_t t = 0; t <= last; t += step)
            cells_of_law(doc, c->fit->scaling[method].target[t].n.value,
                         c->fit->scaling[method].target[t].d.value);
    }
    for (size_t k = 0; k < mu_published_law_count; k++) {
        const struct mu_published *law = &mu_published_laws[k];

        mu_document_cell(doc, "%s", law->name);
        for (size_t t = 0; t <= last; t += step)
            cells_of_law(doc, law->n(options->target[t]), law->d(options->target[t]));
    }
    mu_document_table_end(doc);
    for (size_t k = 0; !c->brief && k < mu_published_law_count; k++)
        mu_document_say(doc, MU_BLOCK_ITEM, "%s: %s. %s.", mu_published_laws[k].name,
                        mu_published_laws[k].source, mu_published_laws[k].counts);
}

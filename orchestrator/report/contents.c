/* What was read, what was checked, and how the rest of the world counts. */
#include "orchestrator/report/contents.h"

#include <string.h>

#include "orchestrator/fit/published.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

static void say_left_out(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    char lines[400] = "";
    size_t at = 0, shown = 0;
    const size_t most = sizeof fit->dropped_line / sizeof fit->dropped_line[0];

    if (c->found->bad > 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "Bad rows, left out as asked (each was named): %zu.",
                        c->found->bad);
    if (c->found->not_done > 0)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Rows of runs that did not end well (column '%s'), left out: %zu.",
                        c->found->column[MU_COLUMN_status], c->found->not_done);
    if (fit->dropped == 0) {
        mu_document_say(doc, MU_BLOCK_ITEM, "No point was dropped for its loss (--drop-top 0).");
        return;
    }
    for (; shown < fit->dropped && shown < most && at + 16 < sizeof lines; shown++)
        at += (size_t)snprintf(lines + at, sizeof lines - at, "%s%d", shown ? ", " : "",
                               fit->dropped_line[shown]);
    mu_document_say(doc, MU_BLOCK_ITEM,
                    "Points of the highest loss, dropped (--drop-top %zu): %zu, line%s %s%s. What "
                    "that changed stands with the law.",
                    fit->options.drop_top, fit->dropped, fit->dropped > 1 ? "s" : "", lines,
                    shown < fit->dropped ? ", ..." : "");
}

static void say_flops(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_flops *flops = &c->fit->flops;
    const struct mu_shape_rule *rule = &flops->rule;
    char shape[160] = "";

    mu_document_say(doc, MU_BLOCK_ITEM, "FLOPs of a token: %s. N counts parameters %s.",
                    mu_words_flops(flops->kind), mu_words_count(flops->count));
    if (!rule->known) {
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Shapes of models are not known: sizes are recommended, "
                        "not architectures (--shape gives a rule).");
        return;
    }
    if (rule->layers > 0)
        snprintf(shape, sizeof shape, "%llu layers", (unsigned long long)rule->layers);
    else
        snprintf(shape, sizeof shape, "width / layers = %s", mu_figure_short(rule->aspect, 4).text);
    mu_document_say(doc, MU_BLOCK_ITEM,
                    "Shape rule: %s, heads of %llu, widths in steps of %llu, "
                    "context %llu, vocabulary %llu.",
                    shape, (unsigned long long)rule->head_width,
                    (unsigned long long)rule->width_step, (unsigned long long)rule->context,
                    (unsigned long long)rule->vocab);
}

void mu_contents_points(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_points_found *found = c->found;

    mu_document_say(doc, MU_BLOCK_SECTION, "Points");
    mu_document_say(doc, MU_BLOCK_TEXT, "%zu rows of %s give %zu points, %zu of them used.",
                    found->rows, found->path, fit->points->count, fit->used);
    mu_document_table(doc, "<Quantity|<Column|<Meaning");
    for (enum mu_column k = 0; k < MU_COLUMNS; k++) {
        if (!found->column[k][0])
            continue;
        mu_document_cell(doc, "%s", mu_words_column_id(k));
        mu_document_cell(doc, "%s", found->column[k]);
        mu_document_cell(doc, "%s", mu_words_column(k));
    }
    mu_document_table_end(doc);
    if (found->derived[0])
        mu_document_say(doc, MU_BLOCK_ITEM, "Derived: %s.", found->derived);
    say_left_out(doc, c);
    say_flops(doc, c);
    if (fit->budgets.count > 0)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "%zu compute budgets were found, from %s to %s FLOPs, with %zu points.",
                        fit->budgets.count, mu_figure_short(fit->budgets.c[0], 4).text,
                        mu_figure_short(fit->budgets.c[fit->budgets.count - 1], 4).text,
                        fit->budgets.points);
    else
        mu_document_say(doc, MU_BLOCK_ITEM, "No compute budgets: %s", fit->budgets.refusal.why);
    if (found->curves > 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "%zu loss curves.", found->curves);
    if (fit->options.replicates > 0)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Intervals: %zu bootstrap replicates that resample %u clusters (a cluster "
                        "is a %s), seed %llu.",
                        fit->options.replicates, fit->points->clusters, fit->points->cluster_kind,
                        (unsigned long long)fit->options.seed);
    else
        mu_document_say(doc, MU_BLOCK_ITEM, "No intervals: no bootstrap was asked for.");
}

static void table_of_futures(struct mu_document *doc, const struct mu_fit *fit)
{
    mu_document_table(doc, "Fitted up to|Points|Predicted at|Points|Bias|RMS|N* ratio|<");
    for (size_t k = 0; k < fit->futures; k++) {
        const struct mu_fit_future *f = &fit->future[k];

        mu_document_cell(doc, "%s", mu_figure_short(f->c_fitted, 4).text);
        mu_document_cell(doc, "%zu", f->fitted);
        mu_document_cell(doc, "%s", mu_figure_short(f->c_predicted, 4).text);
        mu_document_cell(doc, "%zu", f->predicted);
        if (f->refusal.refused) {
            mu_document_cell(doc, "-");
            mu_document_cell(doc, "-");
            mu_document_cell(doc, "-");
            mu_document_cell(doc, "refused");
            continue;
        }
        mu_document_cell(doc, "%+.3f %%", 100 * f->bias);
        mu_document_cell(doc, "%.3f %%", 100 * f->rms);
        mu_document_cell(doc, "%s", mu_figure(f->n_ratio, 4).text);
        mu_document_cell(doc, "%s", k + 1 == fit->futures ? "hold-out" : "");
    }
    mu_document_table_end(doc);
}

void mu_contents_checks(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const char *said = NULL;

    mu_document_say(doc, MU_BLOCK_SECTION, "Noise and prediction of the future");
    if (isnan(fit->noise.sd))
        mu_document_say(doc, MU_BLOCK_TEXT, "Seed noise is not known.");
    else
        mu_document_say(doc, MU_BLOCK_TEXT,
                        "Seed noise: the losses of equal runs scatter by %s %% (sd of ln loss, %zu "
                        "degrees of freedom), taken from %s.",
                        mu_figure(100 * fit->noise.sd, 4).text, fit->noise.degrees,
                        fit->noise.repeated ? "runs that differ in their seed alone"
                                            : "the law's residuals, for lack of repeated runs");
    if (fit->futures == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "No hold-out: there are no budgets to hold out.");
        return;
    }
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "The law fitted to the smaller budgets predicts the points of a larger one: bias "
        "and RMS of ln(predicted / measured loss); N* ratio: predicted N* over the "
        "parabola's vertex there.");
    table_of_futures(doc, fit);
    for (size_t k = 0; k < fit->futures; k++) {
        const struct mu_fit_future *f = &fit->future[k];

        if (!f->refusal.refused || (said && strcmp(said, f->refusal.why) == 0))
            continue;
        said = f->refusal.why;
        mu_document_say(doc, MU_BLOCK_ITEM, "Refused up to %s: %s",
                        mu_figure_short(f->c_fitted, 4).text, said);
    }
}

void mu_contents_conventions(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;

    mu_document_say(doc, MU_BLOCK_SECTION, "Under other counting conventions");
    if (fit->conventions == 0) {
        mu_document_say(doc, MU_BLOCK_TEXT, "None: %s", fit->conventions_missing);
        return;
    }
    mu_document_say(
        doc, MU_BLOCK_TEXT,
        "The same points recounted and fitted again. N is in each convention's own count; "
        "'N, ours' is the same model counted as the points are (the row marked *).");
    mu_document_table(doc, "<N counts|<FLOPs|a|a IsoFLOP|Budget|N|N, ours|D|D/N");
    for (size_t k = 0; k < fit->conventions; k++) {
        const struct mu_fit_convention *v = &fit->convention[k];

        for (size_t t = 0; t < fit->options.targets || t == 0; t++) {
            mu_document_cell(doc, "%s%s", t > 0 ? "" : mu_words_count_id(v->count),
                             v->own && t == 0 ? " *" : "");
            mu_document_cell(doc, "%s", t > 0 ? "" : mu_words_flops_id(v->flops));
            mu_document_cell(doc, "%s", t > 0 ? "" : mu_figure(v->a, 6).text);
            mu_document_cell(doc, "%s", t > 0 ? "" : mu_figure(v->a_isoflop, 6).text);
            if (fit->options.targets > 0) {
                mu_document_cell(doc, "%s", mu_figure_short(fit->options.target[t], 4).text);
                mu_document_cell(doc, "%s", mu_figure(v->target[t].n, 6).text);
                mu_document_cell(doc, "%s", mu_figure(v->target[t].n_own, 6).text);
                mu_document_cell(doc, "%s", mu_figure(v->target[t].d, 6).text);
                mu_document_cell(doc, "%s", mu_figure(v->target[t].d / v->target[t].n, 4).text);
            }
            mu_document_row_end(doc);
        }
    }
    mu_document_table_end(doc);
    for (enum mu_count_kind k = MU_COUNT_AS_GIVEN + 1; k < MU_COUNT_KINDS; k++)
        mu_document_say(doc, MU_BLOCK_ITEM, "%s: %s.", mu_words_count_id(k), mu_words_count(k));
    for (enum mu_flops_kind k = 0; k < MU_FLOPS_KINDS; k++)
        if (k != MU_FLOPS_MEASURED)
            mu_document_say(doc, MU_BLOCK_ITEM, "%s: FLOPs of a token are %s.",
                            mu_words_flops_id(k), mu_words_flops(k));
}

void mu_contents_published(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit_options *options = &c->fit->options;

    if (options->targets == 0)
        return;
    mu_document_say(doc, MU_BLOCK_SECTION, "Published laws at these budgets");
    mu_document_table(doc, "<Law|Budget|N|D|D/N");
    for (size_t k = 0; k < mu_published_law_count; k++) {
        const struct mu_published *law = &mu_published_laws[k];

        for (size_t t = 0; t < options->targets; t++) {
            double n = law->n(options->target[t]), d = law->d(options->target[t]);

            mu_document_cell(doc, "%s", t > 0 ? "" : law->name);
            mu_document_cell(doc, "%s", mu_figure_short(options->target[t], 4).text);
            mu_document_cell(doc, "%s", mu_figure(n, 6).text);
            mu_document_cell(doc, "%s", mu_figure(d, 6).text);
            mu_document_cell(doc, "%s", mu_figure(d / n, 4).text);
        }
    }
    mu_document_table_end(doc);
    for (size_t k = 0; k < mu_published_law_count; k++)
        mu_document_say(doc, MU_BLOCK_ITEM, "%s: %s. %s", mu_published_laws[k].name,
                        mu_published_laws[k].source, mu_published_laws[k].counts);
}

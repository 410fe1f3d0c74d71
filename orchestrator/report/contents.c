/* What was read, and what was made of it before any fit. */
#include "orchestrator/report/contents.h"

#include <string.h>

#include "orchestrator/fit/interval.h"
#include "orchestrator/report/figure.h"
#include "orchestrator/report/words.h"

static void table_of_columns(struct mu_document *doc, const struct mu_points_found *found)
{
    mu_document_table(doc, "<Quantity|<Column|<Meaning");
    for (enum mu_column k = 0; k < MU_COLUMNS; k++) {
        if (!found->column[k][0])
            continue;
        mu_document_cell(doc, "%s", mu_words_column_id(k));
        mu_document_cell(doc, MU_OUTSIDE("%s"), found->column[k]);
        mu_document_cell(doc, "%s", mu_words_column(k));
    }
    mu_document_table_end(doc);
    if (found->derived[0])
        mu_document_say(doc, MU_BLOCK_ITEM, "Derived: %s.", found->derived);
}

/* The same in a sentence; of columns called as options are the name is enough. */
static void say_columns(struct mu_document *doc, const struct mu_points_found *found)
{
    char list[MU_COLUMNS * 96] = "";
    size_t at = 0;

    for (enum mu_column k = 0; k < MU_COLUMNS; k++) {
        const char *id = mu_words_column_id(k), *name = found->column[k];

        if (!name[0])
            continue;
        at += (size_t)snprintf(list + at, sizeof list - at, "%s%s", at > 0 ? ", " : "",
                               strcmp(id, name) == 0 ? ""
                               : k <= MU_COLUMN_c    ? mu_words_column(k)
                                                     : id);
        at += (size_t)snprintf(
            list + at, sizeof list - at,
            strcmp(id, name) == 0 ? MU_OUTSIDE("%s") : " in '" MU_OUTSIDE("%s") "'", name);
    }
    mu_document_say(doc, MU_BLOCK_ITEM, "Columns: %s%s%s.", list, found->derived[0] ? "; " : "",
                    found->derived);
}

static void say_dropped(struct mu_document *doc, const struct mu_fit *fit)
{
    const size_t most = sizeof fit->dropped_line / sizeof fit->dropped_line[0];
    char lines[400] = "";
    size_t at = 0, shown = 0;

    if (fit->dropped == 0) {
        mu_document_say(doc, MU_BLOCK_ITEM, "No point was dropped for its loss (--drop-top 0).");
        return;
    }
    for (; shown < fit->dropped && shown < most && at + 16 < sizeof lines; shown++)
        at += (size_t)snprintf(lines + at, sizeof lines - at, "%s%d", shown ? ", " : "",
                               fit->dropped_line[shown]);
    mu_document_say(doc, MU_BLOCK_ITEM,
                    "Dropped for the highest losses (--drop-top %zu): line%s %s%s.",
                    fit->options.drop_top, fit->dropped > 1 ? "s" : "", lines,
                    shown < fit->dropped ? ", ..." : "");
}

/* " (4 'tuning', 1 'diverged')" */
static const char *statuses(const struct mu_points_found *found, char text[320])
{
    size_t used = 0, told = 0;

    text[0] = 0;
    for (size_t k = 0; k < MU_POINTS_STATUSES && found->status[k].count > 0; k++) {
        used += (size_t)snprintf(text + used, 320 - used, "%s%zu '%s'", k ? ", " : " (",
                                 found->status[k].count, found->status[k].word);
        told += found->status[k].count;
    }
    if (used > 0)
        snprintf(text + used, 320 - used, "%s)", told < found->not_done ? ", ..." : "");
    return text;
}

static void say_left_out(struct mu_document *doc, const struct mu_contents *c)
{
    char text[320];

    if (c->found->bad > 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "Bad rows, left out as asked (each was named): %zu.",
                        c->found->bad);
    if (c->found->not_done > 0)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Rows that are no final results (column '" MU_OUTSIDE(
                            "%s") "'), left out: %zu" MU_OUTSIDE("%s") ".",
                        c->found->column[MU_COLUMN_status], c->found->not_done,
                        statuses(c->found, text));
    say_dropped(doc, c->fit);
}

static void say_rule(struct mu_document *doc, const struct mu_fit *fit)
{
    static const char *const source[] = {
        [MU_RULE_GIVEN] = "as asked",
        [MU_RULE_POINTS] = "as the points' are",
        [MU_RULE_DEFAULT] = "by default",
    };
    const struct mu_shape_rule *rule = &fit->options.rule;
    char depth[96];

    if (!rule->known)
        return;
    if (rule->layers > 0)
        snprintf(depth, sizeof depth, "%llu layers", (unsigned long long)rule->layers);
    else
        snprintf(depth, sizeof depth, "width / layers = %s", mu_figure_short(rule->aspect, 4).text);
    mu_document_say(doc, MU_BLOCK_ITEM,
                    "Models are built %s: %s, heads of %llu, context %llu, vocabulary %llu.",
                    source[fit->rule_source], depth, (unsigned long long)rule->head_width,
                    (unsigned long long)rule->context, (unsigned long long)rule->vocab);
}

static void say_counting(struct mu_document *doc, const struct mu_fit *fit)
{
    static const char *const count[] = {
        [MU_COUNT_AS_GIVEN] = "Which parameters N counts is not known (--count says it)",
        [MU_COUNT_ALL] = "N counts all parameters, with token and position embeddings",
        [MU_COUNT_NON_EMBEDDING] = "N leaves out the embeddings and the output head",
        [MU_COUNT_NON_EMBEDDING_HEAD] = "N leaves out the embeddings, but not the output head",
    };

    if (fit->points->single)
        return;
    mu_document_say(doc, MU_BLOCK_ITEM, "%s. FLOPs of training on a token: %s.",
                    count[fit->flops.count], mu_words_flops(fit->flops.kind));
    if (isfinite(fit->options.unique) && fit->options.law == MU_LAW_DATA_CONSTRAINED)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "Recommended runs have %s distinct tokens; what is beyond are repetitions.",
                        mu_figure_short(fit->options.unique, 6).text);
    say_rule(doc, fit);
}

static void say_clusters(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit_points *points = c->fit->points;
    char clusters[160];

    if (strcmp(points->cluster_kind, "row") == 0)
        snprintf(clusters, sizeof clusters, "each of the %u rows is a cluster", points->clusters);
    else
        snprintf(clusters, sizeof clusters,
                 "each of the %u values of column '" MU_OUTSIDE("%s") "' is a cluster",
                 points->clusters, points->cluster_kind);
    if (c->fit->options.replicates == 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "No intervals: no bootstrap was asked for; %s.",
                        clusters);
    else if (c->fit->options.replicates < MU_INTERVAL_LEAST)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "No intervals: they need %d bootstrap replicates or more, and %zu %s asked "
                        "for; %s.",
                        MU_INTERVAL_LEAST, c->fit->options.replicates,
                        c->fit->options.replicates == 1 ? "was" : "were", clusters);
    else
        mu_document_say(
            doc, MU_BLOCK_ITEM, "Intervals: %zu bootstrap replicates of clusters, seed %llu; %s.",
            c->fit->options.replicates, (unsigned long long)c->fit->options.seed, clusters);
}

void mu_contents_points(struct mu_document *doc, const struct mu_contents *c)
{
    const struct mu_fit *fit = c->fit;
    const struct mu_points_found *found = c->found;
    size_t in_budgets = 0;

    mu_document_say(doc, MU_BLOCK_SECTION, "Points");
    mu_document_say(doc, MU_BLOCK_TEXT,
                    "%zu rows of " MU_OUTSIDE("%s") " give %zu points%s, %zu of them used.",
                    found->rows, found->path, fit->points->count,
                    found->curves > 0 ? " (most are moments of a loss curve)" : "", fit->used);
    if (c->brief)
        say_columns(doc, found);
    else
        table_of_columns(doc, found);
    for (size_t k = 0; !c->brief && k < found->notes; k++) /* the verb has said them by now */
        mu_document_say(doc, MU_BLOCK_ITEM, "Noted while reading: " MU_OUTSIDE("%s"),
                        found->note[k]);
    say_left_out(doc, c);
    for (size_t i = 0; i < fit->points->count && fit->budgets.of; i++)
        in_budgets += fit->budgets.of[i] != MU_FIT_NONE;
    if (fit->budgets.count > 0 && !c->brief)
        mu_document_say(doc, MU_BLOCK_ITEM,
                        "%zu compute budgets were found, from %s to %s FLOPs, with %zu points.",
                        fit->budgets.count, mu_figure_short(fit->budgets.c[0], 4).text,
                        mu_figure_short(fit->budgets.c[fit->budgets.count - 1], 4).text,
                        in_budgets);
    if (found->curves > 0)
        mu_document_say(doc, MU_BLOCK_ITEM, "%zu loss curves.", found->curves);
    say_counting(doc, fit);
    say_clusters(doc, c);
}

#include "orchestrator/points/columns.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/config/nearest.h"
#include "orchestrator/points/cell.h"
#include "orchestrator/points/heads.h"

void mu_points_note(struct mu_points_found *found, const char *format, ...)
{
    va_list arguments;

    if (found->notes == MU_POINTS_NOTES)
        return;
    va_start(arguments, format);
    vsnprintf(found->note[found->notes++], sizeof found->note[0], format, arguments);
    va_end(arguments);
}

struct search {
    const struct mu_points_request *request;
    const char *const *head;
    size_t count;
    struct mu_columns *out;
    struct mu_points_found *found;
};

/* "'a', 'b', 'c'", for a message. */
struct list {
    char text[400];
    size_t used, names, more; /* more: that found no room, or are over `most` */
};

static void list_add(struct list *list, const char *head, size_t most)
{
    const struct mu_cell_text name = mu_cell_show(head);

    if (list->more || list->names == most ||
        list->used + strlen(name.text) + 24 > sizeof list->text) {
        list->more++;
        return;
    }
    list->used += (size_t)snprintf(list->text + list->used, sizeof list->text - list->used, "%s%s",
                                   list->names++ ? ", " : "", name.text);
}

static void list_end(struct list *list)
{
    if (list->more)
        snprintf(list->text + list->used, sizeof list->text - list->used, " and %zu more",
                 list->more);
}

static struct list list_heads(const struct search *s)
{
    struct list list = {.text = ""};

    for (size_t i = 0; i < s->count; i++)
        list_add(&list, s->head[i], s->count);
    list_end(&list);
    return list;
}

static void take(struct search *s, enum mu_column column, size_t at, int exponent)
{
    s->out->at[column] = (int)at;
    s->out->exponent[column] = exponent;
    mu_cell_copy(s->found->column[column], sizeof s->found->column[column], s->head[at]);
    if (exponent)
        mu_points_note(s->found, "%s: %s is in units of 1e%d", mu_column_meaning(column),
                       mu_cell_show(s->head[at]).text, exponent);
}

/* Letter by letter, else up to case, spaces and punctuation. */
static enum mu_status take_given(struct search *s, enum mu_column column)
{
    const char *given = s->request->column[column], *option = mu_column_option(column);
    struct mu_nearest nearest = mu_nearest_to(given);
    const char *answer;
    size_t at = 0, exact = 0, alike = 0;
    int exponent;

    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->head[i], given) == 0 && exact++ == 0)
            at = i;
    for (size_t i = 0; i < s->count && !exact; i++)
        if (mu_head_is_alike(s->head[i], given) && alike++ == 0)
            at = i;
    for (size_t i = 0; i < s->count; i++)
        mu_nearest_offer(&nearest, s->head[i]);
    answer = mu_nearest_answer(&nearest);
    if (exact + alike > 1)
        return MU_FAIL(MU_USAGE, "--%s: %zu columns of %s are called '%s'; rename them", option,
                       exact + alike, s->found->path, given);
    if (exact + alike == 0 && answer)
        return MU_FAIL(MU_USAGE, "--%s: %s has no column '%s'; did you mean %s?", option,
                       s->found->path, given, mu_cell_show(answer).text);
    if (exact + alike == 0)
        return MU_FAIL(MU_USAGE, "--%s: %s has no column '%s'; its columns are %s", option,
                       s->found->path, given, list_heads(s).text);
    exponent = mu_head_unit(column, s->head[at]);
    if (exponent == MU_HEAD_NO_UNIT) {
        mu_points_note(s->found, "%s: %s is read as plain numbers, whatever its brackets say",
                       mu_column_meaning(column), mu_cell_show(s->head[at]).text);
        exponent = 0;
    }
    take(s, column, at, exponent);
    return MU_OK;
}

/* Whether an amount or the loss was given this column: then it is nothing else. */
static bool is_given(const struct search *s, size_t at)
{
    for (int k = 0; k < MU_COLUMNS; k++)
        if (s->request->column[k] && s->out->at[k] == (int)at &&
            (mu_column_is_amount((enum mu_column)k) || k == MU_COLUMN_loss))
            return true;
    return false;
}

static enum mu_status guess(struct search *s, enum mu_column column)
{
    static const struct mu_head_match nothing = {MU_HEAD_NONE, 0, false, false};
    struct mu_head_match best = nothing;
    const char *others[2] = {NULL, NULL};
    size_t at = 0, other_count = 0, equal = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct mu_head_match m = is_given(s, i) ? nothing : mu_head_match(column, s->head[i]);

        if (m.rank == MU_HEAD_NONE)
            continue;
        if (m.rank < best.rank) {
            if (best.rank != MU_HEAD_NONE)
                others[other_count++ > 0] = s->head[at];
            best = m;
            at = i;
            equal = 0;
        } else {
            equal += m.rank == best.rank;
            others[other_count++ > 0] = s->head[i];
            if (m.rank == best.rank)
                others[0] = s->head[i];
        }
    }
    if (best.rank == MU_HEAD_NONE)
        return MU_OK;
    if (equal && strcmp(s->head[at], others[0]) == 0)
        return MU_FAIL(MU_USAGE, "%s: two columns are called %s; rename one", s->found->path,
                       mu_cell_show(s->head[at]).text);
    if (equal)
        return MU_FAIL(MU_USAGE, "%s: both %s and %s could be the %s; say which with --%s",
                       s->found->path, mu_cell_show(s->head[at]).text, mu_cell_show(others[0]).text,
                       mu_column_meaning(column), mu_column_option(column));
    if (other_count > 1)
        mu_points_note(s->found, "%s: %s was taken before %s and %zu more; --%s names another",
                       mu_column_meaning(column), mu_cell_show(s->head[at]).text,
                       mu_cell_show(others[0]).text, other_count - 1, mu_column_option(column));
    else if (other_count)
        mu_points_note(s->found, "%s: %s was taken before %s; --%s names another",
                       mu_column_meaning(column), mu_cell_show(s->head[at]).text,
                       mu_cell_show(others[0]).text, mu_column_option(column));
    take(s, column, at, best.exponent);
    return MU_OK;
}

/* All that may name the runs, the likeliest first: their rows will tell. */
static void guess_curves(struct search *s)
{
    struct mu_columns *out = s->out;
    int rank[MU_CURVE_GUESSES];

    for (size_t i = 0; i < s->count; i++) {
        const struct mu_head_match m = mu_head_match(MU_COLUMN_curve, s->head[i]);
        size_t k = out->curves;

        if (m.rank == MU_HEAD_NONE || (m.needs_steps && out->step < 0) || is_given(s, i))
            continue;
        while (k > 0 && rank[k - 1] > m.rank)
            k--;
        if (k == MU_CURVE_GUESSES)
            continue;
        out->curves += out->curves < MU_CURVE_GUESSES;
        for (size_t j = out->curves - 1; j > k; j--) {
            rank[j] = rank[j - 1];
            out->curve[j] = out->curve[j - 1];
        }
        rank[k] = m.rank;
        out->curve[k] = (int)i;
    }
    out->curve_guessed = out->curves > 0;
}

static enum mu_status refuse_perplexity(const struct search *s, size_t at)
{
    return MU_FAIL(
        MU_USAGE,
        "%s: %s looks like a perplexity; the loss is its natural logarithm: add a column "
        "of that",
        s->found->path, mu_cell_show(s->head[at]).text);
}

/* A column that would do but for its unit is named. */
static enum mu_status check_loss(const struct search *s)
{
    const int at = s->out->at[MU_COLUMN_loss];

    if (at >= 0)
        return mu_head_is_perplexity(s->head[at]) ? refuse_perplexity(s, (size_t)at) : MU_OK;
    for (size_t i = 0; i < s->count; i++)
        if (mu_head_is_perplexity(s->head[i]))
            return refuse_perplexity(s, i);
    for (size_t i = 0; i < s->count; i++)
        if (mu_head_match(MU_COLUMN_loss, s->head[i]).unit_unknown)
            return MU_FAIL(MU_USAGE,
                           "%s: %s looks like the loss, in a unit that is not known here; losses "
                           "are in nats a token, or name a column with --loss",
                           s->found->path, mu_cell_show(s->head[i]).text);
    return MU_FAIL(MU_USAGE,
                   "%s: no column looks like the loss; name it with --loss; the columns are %s",
                   s->found->path, list_heads(s).text);
}

static enum mu_status check_units(const struct search *s)
{
    for (enum mu_column k = MU_COLUMN_n; k <= MU_COLUMN_c; k++)
        for (size_t i = 0; s->out->at[k] < 0 && i < s->count; i++)
            if (mu_head_match(k, s->head[i]).unit_unknown)
                return MU_FAIL(
                    MU_USAGE,
                    "%s: %s looks like the %s, in a unit that is not known here; convert "
                    "it to plain numbers, or to K, M, B or T, or name a column with "
                    "--%s",
                    s->found->path, mu_cell_show(s->head[i]).text, mu_column_meaning(k),
                    mu_column_option(k));
    return MU_OK;
}

/* The loss and two of N, D, C; for a law of one variable, that alone. */
static enum mu_status check_enough(const struct search *s)
{
    const int *at = s->out->at;
    const enum mu_column alone = s->request->alone;
    const int have = (at[MU_COLUMN_n] >= 0) + (at[MU_COLUMN_d] >= 0) + (at[MU_COLUMN_c] >= 0);
    char missing[40] = "";
    enum mu_column one = MU_COLUMN_n;
    enum mu_status st = MU_OK;

    MU_TRY(check_loss(s), st, done);
    if (have >= 2)
        return MU_OK;
    s->out->single = alone != MU_COLUMNS && at[alone] >= 0;
    if (s->out->single)
        return MU_OK;
    MU_TRY(check_units(s), st, done);
    if (alone != MU_COLUMNS)
        return MU_FAIL(MU_USAGE,
                       "%s: this law is of %s, and no column looks like that; name it with --%s; "
                       "the columns are %s",
                       s->found->path, mu_column_meaning(alone), mu_column_option(alone),
                       list_heads(s).text);
    for (enum mu_column k = MU_COLUMN_n; k <= MU_COLUMN_c; k++) {
        if (at[k] >= 0)
            one = k;
        else
            snprintf(missing + strlen(missing), sizeof missing - strlen(missing), "%s--%s",
                     missing[0] ? " or " : "", mu_column_option(k));
    }
    if (have == 1)
        return MU_FAIL(MU_USAGE,
                       "%s: two of parameters, training tokens and training FLOPs are needed, and "
                       "only '%s' was found; name another with %s, or fit a law of it alone with "
                       "--law power-%s; the columns are %s",
                       s->found->path, s->found->column[one], missing, mu_column_option(one),
                       list_heads(s).text);
    return MU_FAIL(MU_USAGE,
                   "%s: two of parameters, training tokens and training FLOPs are needed, and none "
                   "was found; name them with %s; the columns are %s",
                   s->found->path, missing, list_heads(s).text);
done:
    return st;
}

static enum mu_status check_head(const struct search *s)
{
    size_t numbers = 0, filled = 0;
    double value;

    for (size_t i = 0; i < s->count; i++) {
        filled += s->head[i][0] != 0;
        numbers += !mu_cell_number(s->head[i], 0, &value);
    }
    if (2 * numbers > filled)
        return MU_FAIL(MU_USAGE,
                       "%s: the first row looks like numbers; a row of names is needed (a line "
                       "that begins with # is a comment)",
                       s->found->path);
    return MU_OK;
}

enum mu_status mu_columns_find(const struct mu_points_request *request, const char *const *head,
                               size_t count, struct mu_columns *out, struct mu_points_found *found)
{
    struct search s = {request, head, count, out, found};
    enum mu_status st = MU_OK;

    *out = (struct mu_columns){0};
    for (int k = 0; k < MU_COLUMNS; k++)
        out->at[k] = -1;
    out->step = -1;
    MU_TRY(check_head(&s), st, done);
    for (int k = 0; k < MU_COLUMNS; k++)
        if (request->column[k] && request->column[k][0])
            MU_TRY(take_given(&s, (enum mu_column)k), st, done);
    if (out->at[MU_COLUMN_curve] >= 0)
        out->curve[out->curves++] = out->at[MU_COLUMN_curve];
    for (size_t i = 0; i < count && out->step < 0; i++)
        if (mu_head_is_step(head[i]))
            out->step = (int)i;
    if (!request->column[MU_COLUMN_curve])
        guess_curves(&s);
    for (int k = 0; k < MU_COLUMNS; k++)
        if (!request->column[k] && k != MU_COLUMN_curve)
            MU_TRY(guess(&s, (enum mu_column)k), st, done);
    MU_TRY(check_enough(&s), st, done);
done:
    return st;
}

/* Others that could have been what was found have been told; a trial's name is for people. */
static bool is_told(const struct mu_columns *columns, const char *head, size_t at)
{
    bool told = head[0] == 0 || mu_head_is_alike(head, "trial");

    for (int k = 0; k < MU_COLUMNS; k++)
        told |= columns->at[k] == (int)at ||
                (k != MU_COLUMN_curve && columns->at[k] >= 0 &&
                 mu_head_match((enum mu_column)k, head).rank != MU_HEAD_NONE);
    return told;
}

void mu_columns_tell_unused(const struct mu_columns *columns, const char *const *head, size_t count,
                            struct mu_points_found *found)
{
    enum { TOLD = 10 };
    struct list list = {.text = ""};

    for (size_t i = 0; i < count; i++)
        if (!is_told(columns, head[i], i))
            list_add(&list, head[i], TOLD);
    list_end(&list);
    if (list.names)
        mu_points_note(found, "columns that are not used: %s", list.text);
}

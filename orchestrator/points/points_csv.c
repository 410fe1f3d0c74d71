/* One row after another is read, checked, and made a point; what needs all of them (curves,
 * clusters) comes after. */
#include "orchestrator/points/points_csv.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/points/cell.h"
#include "orchestrator/points/clusters.h"
#include "orchestrator/points/columns.h"
#include "orchestrator/points/complaints.h"
#include "orchestrator/points/curves.h"
#include "orchestrator/points/decimals.h"
#include "orchestrator/points/doubt.h"
#include "orchestrator/points/heads.h"
#include "orchestrator/points/names.h"
#include "orchestrator/points/row.h"
#include "orchestrator/points/table_csv.h"

struct reader {
    const struct mu_points_request *request;
    struct mu_points_found *found;
    struct mu_fit_points *points;
    size_t room;
    struct mu_csv_form form;
    char **head;
    size_t width;        /* cells of the head */
    bool *decimal_comma; /* [width] */
    struct mu_columns columns;
    struct mu_names groups, seeds, clusters;
    struct mu_curves curves;
    struct mu_complaints complaints;
    const char *text; /* of the file */
    size_t size;
};

static bool is_done(const char *status)
{
    static const char *const words[] = {"done", "complete", "completed", "finished",
                                        "ok",   "success",  "succeeded"};
    char squashed[16];

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (mu_cell_squash(squashed, sizeof squashed, status, strlen(status)) &&
            strcmp(squashed, words[i]) == 0)
            return true;
    return false;
}

static void count_status(struct mu_points_found *found, const char *status)
{
    char word[sizeof found->status[0].word];
    size_t k = 0;

    found->not_done++;
    mu_cell_copy(word, sizeof word, status);
    while (k < MU_POINTS_STATUSES && found->status[k].count > 0 &&
           strcmp(found->status[k].word, word) != 0)
        k++;
    if (k == MU_POINTS_STATUSES)
        return;
    memcpy(found->status[k].word, word, sizeof word);
    found->status[k].count++;
}

static enum mu_status number_of(const struct mu_points_row *row, int at, struct mu_names *names,
                                uint32_t *out)
{
    const char *cell = mu_points_row_cell(row, at);

    *out = MU_FIT_NONE;
    return cell ? mu_names_number(names, cell, out) : MU_OK;
}

/* Which curve the row belongs to, by each guess. */
static enum mu_status number_curves(struct reader *r, const struct mu_points_row *row,
                                    uint32_t *numbers)
{
    enum mu_status st = MU_OK;

    for (size_t k = 0; k < r->columns.curves; k++)
        MU_TRY(number_of(row, r->columns.curve[k], &r->curves.name[k], &numbers[k]), st, done);
done:
    return st;
}

/* d: 0 when it is not known. */
static enum mu_status leave_out(struct reader *r, const struct mu_points_row *row, double d)
{
    enum mu_status st = MU_OK;

    for (size_t k = 0; k < r->columns.curves; k++) {
        const char *name = mu_points_row_cell(row, r->columns.curve[k]);

        if (name)
            MU_TRY(mu_curves_leave_out(&r->curves, k, name, d > 0 ? d : INFINITY), st, done);
    }
done:
    return st;
}

static enum mu_status grow(struct reader *r)
{
    const size_t room = r->room ? 2 * r->room : 256;
    struct mu_fit_point *more = realloc(r->points->point, room * sizeof *more);
    uint32_t *tag;

    if (!more)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", room);
    r->points->point = more;
    tag = realloc(r->curves.tag, room * (r->columns.curves + 1) * sizeof *tag);
    if (!tag)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", room);
    r->curves.tag = tag;
    r->room = room;
    return MU_OK;
}

static enum mu_status keep_point(struct reader *r, const struct mu_points_row *row,
                                 struct mu_fit_point *p)
{
    const int *at = r->columns.at;
    enum mu_status st = MU_OK;

    if (r->points->count == r->room)
        MU_TRY(grow(r), st, done);
    MU_TRY(number_of(row, at[MU_COLUMN_group], &r->groups, &p->group), st, done);
    MU_TRY(number_of(row, at[MU_COLUMN_seed], &r->seeds, &p->seed), st, done);
    p->curve = MU_FIT_NONE;
    MU_TRY(number_curves(r, row, r->curves.tag + r->points->count * r->columns.curves), st, done);
    MU_TRY(number_of(row, at[MU_COLUMN_cluster], &r->clusters, &p->cluster), st, done);
    r->points->point[r->points->count++] = *p;
done:
    return st;
}

static enum mu_status take_row(struct reader *r, const struct mu_csv_row *csv)
{
    struct mu_points_row row = {.request = r->request,
                                .found = r->found,
                                .columns = &r->columns,
                                .decimal_comma = r->decimal_comma,
                                .complaints = &r->complaints,
                                .csv = csv};
    struct mu_fit_point p = {.line = csv->line, .end = true};
    const char *status;
    size_t cells = csv->cells;

    while (!csv->broken && cells > 0 && !mu_points_row_cell(&row, (int)cells - 1))
        cells--;
    if (!csv->broken && cells == 0)
        return MU_OK; /* ",,,": what a spreadsheet makes of an empty line */
    if (++r->found->rows > MU_POINTS_ROWS)
        return MU_FAIL(MU_FAILED, "%s has more than %d rows", r->found->path, MU_POINTS_ROWS);
    if (csv->broken)
        mu_points_row_spoil(&row, MU_COLUMNS, csv->broken, "the row %s", csv->broken);
    else if (cells > r->width || csv->cells < r->width)
        mu_points_row_spoil(&row, MU_COLUMNS, "width",
                            "the row has %zu cells; expected %zu, as in the head", csv->cells,
                            r->width);
    status = row.bad ? NULL : mu_points_row_cell(&row, r->columns.at[MU_COLUMN_status]);
    if (status && !is_done(status)) {
        count_status(r->found, status);
        return leave_out(r, &row, 0);
    }
    if (!row.bad)
        mu_points_row_amounts(&row, &p);
    if (!row.bad)
        return keep_point(r, &row, &p);
    r->curves.unreadable += csv->broken != NULL;
    return csv->broken ? MU_OK : leave_out(r, &row, p.d);
}

/* What is missing of N, D and C, and how it is made. */
static void tell_derived(struct reader *r)
{
    static const char *const formulas[3][2] = {
        {"N = C / (6 D)", "N = C / (6 D) - 2 L d T"},
        {"D = C / (6 N)", "D = C / (6 N + 12 L d T)"},
        {"C = 6 N D", "C = (6 N + 12 L d T) D"},
    };

    for (int k = MU_COLUMN_n; k <= MU_COLUMN_c && !r->columns.single; k++)
        if (r->columns.at[k] < 0)
            snprintf(r->found->derived, sizeof r->found->derived, "%s",
                     formulas[k][r->request->flops == MU_FLOPS_6N_ATTENTION]);
}

/* One variable orders the moments of a curve only when it is that of tokens. */
static enum mu_status check_single(struct reader *r)
{
    struct mu_columns *columns = &r->columns;

    r->points->single = columns->single;
    if (!columns->single || !columns->curves || columns->at[MU_COLUMN_d] >= 0)
        return MU_OK;
    if (!columns->curve_guessed)
        return MU_FAIL(MU_USAGE,
                       "%s: --curve needs the training tokens of each row; name them with --d, or "
                       "keep the last row of each curve",
                       r->found->path);
    columns->curves = 0;
    return MU_OK;
}

static enum mu_status find_decimals(struct reader *r)
{
    enum mu_status st = MU_OK;

    r->decimal_comma = calloc(r->width + 1, sizeof *r->decimal_comma);
    if (!r->decimal_comma)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu columns", r->width);
    if (r->form.delimiter == ',')
        return MU_OK;
    MU_TRY(mu_decimals_find(r->found->path, r->text, r->size, r->decimal_comma, r->width), st,
           done);
    for (int k = 0; k < MU_COLUMNS; k++)
        if (r->columns.at[k] >= 0 && r->decimal_comma[r->columns.at[k]] &&
            mu_column_is_number((enum mu_column)k))
            mu_points_note(r->found, "commas in '%s' are read as decimal commas",
                           r->found->column[k]);
done:
    return st;
}

static enum mu_status take_head(struct reader *r, const struct mu_csv_row *csv)
{
    const struct mu_columns *columns = &r->columns;
    enum mu_status st = MU_OK;
    int shape = 0;

    if (csv->broken)
        return MU_FAIL(MU_FAILED, "%s:%d: the head %s", r->found->path, csv->line, csv->broken);
    r->head = calloc(csv->cells + 1, sizeof *r->head);
    if (!r->head)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu columns", csv->cells);
    for (r->width = 0; r->width < csv->cells; r->width++) {
        r->head[r->width] = strdup(csv->cell[r->width]);
        if (!r->head[r->width])
            return MU_FAIL(MU_NO_MEMORY, "no memory for %zu columns", csv->cells);
    }
    if (r->form.delimiter != ',')
        mu_points_note(r->found, "cells are separated by %s",
                       r->form.delimiter == ';' ? "semicolons" : "tabs");
    MU_TRY(
        mu_columns_find(r->request, (const char *const *)r->head, r->width, &r->columns, r->found),
        st, done);
    r->curves.columns = columns;
    tell_derived(r);
    MU_TRY(check_single(r), st, done);
    MU_TRY(find_decimals(r), st, done);
    shape = (columns->at[MU_COLUMN_layers] >= 0) + (columns->at[MU_COLUMN_width] >= 0) +
            (columns->at[MU_COLUMN_context] >= 0) + (columns->at[MU_COLUMN_vocab] >= 0);
    if (shape > 0 && shape < 4)
        mu_points_note(r->found,
                       "shapes are not used: of layers, width, context and vocabulary "
                       "only %d of 4 columns were found",
                       shape);
    if (mu_points_need_shape(r->request, r->found) && shape < 4)
        return MU_FAIL(MU_USAGE,
                       "%s: 6N+12LdT needs columns of layers, width, context and vocabulary; name "
                       "them with --layers, --width, --context, --vocab",
                       r->found->path);
done:
    return st;
}

static enum mu_status take_any(void *context, const struct mu_csv_row *csv)
{
    struct reader *r = context;

    return r->head ? take_row(r, csv) : take_head(r, csv);
}

/* A cell that is empty is a cluster of its own. */
static enum mu_status finish_clusters(struct reader *r)
{
    struct mu_fit_points *points = r->points;
    const bool by_column = r->columns.at[MU_COLUMN_cluster] >= 0;
    const uint32_t curves = mu_curves_count(&r->curves);

    for (size_t i = 0; i < points->count && !by_column; i++)
        points->point[i].cluster = points->point[i].curve;
    points->cluster_kind = strdup(by_column ? r->found->column[MU_COLUMN_cluster]
                                  : curves  ? r->found->column[MU_COLUMN_curve]
                                            : "row");
    if (!points->cluster_kind)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a name");
    return mu_clusters_number(points, by_column ? r->clusters.count : curves);
}

static enum mu_status finish(struct reader *r)
{
    struct mu_points_found *found = r->found;
    enum mu_status st = MU_OK;

    if (!r->head)
        return MU_FAIL(MU_FAILED, "%s is empty; expected a row of names and rows of numbers",
                       found->path);
    if (r->form.comments)
        mu_points_note(found, "lines left out because they begin with #: %zu", r->form.comments);
    if (found->rows == 0)
        return MU_FAIL(MU_FAILED, "%s has a head and no rows", found->path);
    MU_TRY(mu_curves_finish(&r->curves, (const char *const *)r->head, r->points, found,
                            &r->complaints),
           st, done);
    found->bad = r->complaints.count;
    MU_TRY(mu_complaints_tell(&r->complaints, found, r->request->skip_bad), st, done);
    if (r->points->count == 0)
        return MU_FAIL(MU_FAILED, "%s has no points: of %zu rows %zu are bad and %zu not done",
                       found->path, found->rows, found->bad, found->not_done);
    found->seeds = r->seeds.count;
    found->curves = mu_curves_count(&r->curves);
    if (found->curves)
        r->columns.at[MU_COLUMN_curve] = r->columns.curve[r->curves.chosen];
    if (!r->request->is_own)
        mu_columns_tell_unused(&r->columns, (const char *const *)r->head, r->width, found);
    mu_points_doubt_units(r->points, found);
    MU_TRY(mu_points_doubt_designs(r->points, r->columns.step >= 0,
                                   r->request->column[MU_COLUMN_curve] || r->columns.curves > 0,
                                   found),
           st, done);
    MU_TRY(finish_clusters(r), st, done);
done:
    return st;
}

enum mu_status mu_points_parse(const struct mu_points_request *request, const char *text,
                               size_t size, struct mu_fit_points *points,
                               struct mu_points_found *found)
{
    struct reader r = {
        .request = request, .found = found, .points = points, .text = text, .size = size};
    enum mu_status st = MU_OK;

    *points = (struct mu_fit_points){0};
    *found = (struct mu_points_found){0};
    mu_cell_copy(found->path, sizeof found->path,
                 strcmp(request->path, "-") == 0 ? "standard input" : request->path);
    MU_TRY(mu_csv_parse(found->path, text, size, &r.form, take_any, &r), st, done);
    MU_TRY(finish(&r), st, done);
done:
    for (size_t i = 0; r.head && i < r.width; i++)
        free(r.head[i]);
    free(r.head);
    free(r.decimal_comma);
    mu_names_deinit(&r.groups);
    mu_names_deinit(&r.seeds);
    mu_names_deinit(&r.clusters);
    mu_curves_deinit(&r.curves);
    if (st != MU_OK)
        mu_points_free(points);
    return st;
}

enum mu_status mu_points_read(const struct mu_points_request *request, struct mu_fit_points *points,
                              struct mu_points_found *found)
{
    enum mu_status st = MU_OK;
    char *text = NULL;
    size_t size;

    *points = (struct mu_fit_points){0};
    *found = (struct mu_points_found){0};
    MU_TRY(mu_csv_load(request->path, &text, &size), st, done);
    MU_TRY(mu_points_parse(request, text, size, points, found), st, done);
done:
    free(text);
    return st;
}

void mu_points_free(struct mu_fit_points *points)
{
    free(points->point);
    free((char *)points->cluster_kind);
    *points = (struct mu_fit_points){0};
}

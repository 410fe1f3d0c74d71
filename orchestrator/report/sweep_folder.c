#include "orchestrator/report/sweep_folder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/points/table_csv.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/records.h"

struct reading {
    struct mu_sweep_table *table;
    size_t room; /* rows */
    const char *path;
};

static enum mu_status take_row(void *context, const struct mu_csv_row *row)
{
    struct reading *r = context;
    struct mu_sweep_table *t = r->table;
    const size_t rows = t->cell ? t->rows + 1 : 0; /* with the head */
    char **cell = t->cell;

    if (row->broken)
        return MU_FAIL(MU_FAILED, "%s:%d: the row %s", r->path, row->line, row->broken);
    if (rows == 0)
        t->columns = row->cells;
    if (row->cells != t->columns)
        return MU_FAIL(MU_FAILED, "%s:%d: the row has %zu cells; expected %zu, as in the head",
                       r->path, row->line, row->cells, t->columns);
    if (rows == r->room) {
        r->room = r->room ? 2 * r->room : 64;
        cell = reallocarray(t->cell, r->room * t->columns, sizeof *cell);
        if (!cell)
            return MU_FAIL(MU_NO_MEMORY, "no memory for %s", r->path);
        memset(cell + rows * t->columns, 0, (r->room - rows) * t->columns * sizeof *cell);
        t->cell = cell;
    }
    t->rows = rows;
    for (size_t k = 0; k < t->columns; k++) {
        t->cell[rows * t->columns + k] = strdup(row->cell[k]);
        if (!t->cell[rows * t->columns + k])
            return MU_FAIL(MU_NO_MEMORY, "no memory for %s", r->path);
    }
    return MU_OK;
}

static void free_table(struct mu_sweep_table *t)
{
    for (size_t k = 0; t->cell && k < (t->rows + 1) * t->columns; k++)
        free(t->cell[k]);
    free(t->cell);
    *t = (struct mu_sweep_table){0};
}

static enum mu_status read_table(const char *folder, const char *name, struct mu_sweep_table *out)
{
    char path[MU_PATH_MAX], *text = NULL;
    struct reading r = {.table = out, .path = path};
    struct mu_csv_form form;
    size_t size;
    enum mu_status st;

    MU_TRY(mu_path_format(path, "%s/%s", folder, name), st, done);
    if (!mu_file_exists(path))
        return MU_OK;
    MU_TRY(mu_csv_load(path, &text, &size), st, done);
    MU_TRY(mu_csv_parse(path, text, size, &form, take_row, &r), st, done);
done:
    free(text);
    return st;
}

static enum mu_status read_status(struct mu_sweep_folder *f)
{
    const enum mu_status st = mu_sweep_read_status(f->path, &f->status);

    if (st == MU_NOT_FOUND)
        return MU_FAIL(MU_USAGE,
                       "%s is no folder of a sweep: it has no sweep.json; expected one, or a CSV "
                       "file of points",
                       f->path);
    return st;
}

/* Of each trial one row. */
static enum mu_status number_trials(const struct mu_sweep_folder *f, const struct mu_sweep_table *t,
                                    const char *file, struct mu_names *names)
{
    enum mu_status st = MU_OK;
    uint32_t number;

    for (size_t i = 0; i < t->rows; i++) {
        const char *name = mu_sweep_text(t, i, "trial");

        MU_TRY(mu_names_number(names, name, &number), st, done);
        if (number != i)
            return MU_FAIL(MU_FAILED, "%s/%s: two rows are of trial %s", f->path, file, name);
    }
done:
    return st;
}

/* Which row of the results belongs to each of the times. */
static enum mu_status join(struct mu_sweep_folder *f)
{
    struct mu_names names = {0};
    enum mu_status st = MU_OK;

    f->result_of = calloc(f->timing.rows + 1, sizeof *f->result_of);
    if (!f->result_of)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu trials", f->timing.rows);
    MU_TRY(number_trials(f, &f->results, "results.csv", &names), st, done);
    MU_TRY(number_trials(f, &f->timing, "timing.csv", &f->trials), st, done);
    for (size_t i = 0; i < f->results.rows; i++)
        f->points += strcmp(mu_sweep_text(&f->results, i, "status"), "complete") == 0 &&
                     mu_sweep_number(&f->results, i, "loss") > 0;
    for (size_t i = 0; i < f->timing.rows; i++) {
        const uint32_t row = mu_names_find(&names, mu_sweep_text(&f->timing, i, "trial"));

        f->result_of[i] = row == UINT32_MAX ? SIZE_MAX : row;
    }
done:
    mu_names_deinit(&names);
    return st;
}

enum mu_status mu_sweep_folder_read(const char *path, struct mu_sweep_folder *out)
{
    enum mu_status st;

    *out = (struct mu_sweep_folder){0};
    MU_TRY(mu_path_format(out->path, "%s", path), st, done);
    MU_TRY(mu_path_format(out->results_path, "%s/results.csv", path), st, done);
    MU_TRY(read_status(out), st, done);
    MU_TRY(read_table(path, "results.csv", &out->results), st, done);
    MU_TRY(read_table(path, "timing.csv", &out->timing), st, done);
    MU_TRY(read_table(path, "timeline.csv", &out->timeline), st, done);
    MU_TRY(join(out), st, done);
done:
    return st;
}

void mu_sweep_folder_free(struct mu_sweep_folder *f)
{
    json_decref(f->status);
    free_table(&f->results);
    free_table(&f->timing);
    free_table(&f->timeline);
    free(f->result_of);
    mu_names_deinit(&f->trials);
    *f = (struct mu_sweep_folder){0};
}

static enum mu_status refuse_fit(const struct mu_sweep_folder *f, const char *what)
{
    return MU_FAIL(MU_FAILED, "%s/sweep.json: fit.%s cannot be", f->path, what);
}

static enum mu_status ask_methods(const struct mu_sweep_folder *f, const json_t *methods,
                                  struct mu_fit_options *options)
{
    static const char *const words[] = {
#define WORD(name, word, text) word,
        MU_METHOD_TABLE(WORD)
#undef WORD
    };
    bool asked[MU_METHOD_COUNT] = {false};

    if (json_array_size(methods) == 0)
        return MU_OK; /* all */
    for (size_t i = 0; i < json_array_size(methods); i++) {
        const char *word = json_string_value(json_array_get(methods, i));
        enum mu_method m = 0;

        while (word && m < MU_METHOD_COUNT && strcmp(word, words[m]) != 0)
            m++;
        if (!word || m == MU_METHOD_COUNT)
            return refuse_fit(f, "methods");
        asked[m] = true;
    }
    for (enum mu_method m = 0; m < MU_METHOD_COUNT; m++)
        options->without[m] = !asked[m];
    return MU_OK;
}

static enum mu_status ask_targets(const struct mu_sweep_folder *f, const json_t *targets,
                                  struct mu_fit_options *options)
{
    options->targets = 0;
    for (size_t i = 0; i < json_array_size(targets) && i < MU_FIT_TARGETS; i++) {
        const double target = json_number_value(json_array_get(targets, i));

        if (!(target >= 1 && target <= 1e40 &&
              (i == 0 || target > options->target[options->targets - 1])))
            return refuse_fit(f, "targets");
        options->target[options->targets++] = target;
    }
    return MU_OK;
}

enum mu_status mu_sweep_folder_ask(const struct mu_sweep_folder *f,
                                   struct mu_points_request *request,
                                   struct mu_fit_options *options)
{
    const json_t *fit = json_object_get(f->status, "fit");
    const char *params = mu_json_get_text(json_object_get(f->status, "count"), "params");
    const double bootstrap = mu_json_get_real(fit, "bootstrap");
    enum mu_status st;

    request->path = f->results_path;
    request->is_own = true;
    if (!request->column[MU_COLUMN_n])
        request->column[MU_COLUMN_n] = strcmp(params, "all") == 0      ? "params_all"
                                       : strcmp(params, "nonemb") == 0 ? "params_nonemb"
                                                                       : "params_nonemb_head";
    options->may_refuse = true;
    if (bootstrap >= 0 && bootstrap <= 1e6)
        options->replicates = (size_t)bootstrap;
    MU_TRY(ask_methods(f, json_object_get(fit, "methods"), options), st, done);
    MU_TRY(ask_targets(f, json_object_get(fit, "targets"), options), st, done);
done:
    return st;
}

const char *mu_sweep_text(const struct mu_sweep_table *t, size_t row, const char *column)
{
    for (size_t k = 0; t->cell && row < t->rows && k < t->columns; k++)
        if (strcmp(t->cell[k], column) == 0)
            return t->cell[(row + 1) * t->columns + k];
    return "";
}

double mu_sweep_number(const struct mu_sweep_table *t, size_t row, const char *column)
{
    const char *text = mu_sweep_text(t, row, column);
    char *end;
    const double value = strtod(text, &end);

    return end > text && *end == 0 ? value : NAN;
}

size_t mu_sweep_find(const struct mu_sweep_table *t, const char *column, const char *text)
{
    for (size_t i = 0; i < t->rows; i++)
        if (strcmp(mu_sweep_text(t, i, column), text) == 0)
            return i;
    return SIZE_MAX;
}

size_t mu_sweep_find_trial(const struct mu_sweep_folder *f, const char *name)
{
    const uint32_t row = mu_names_find(&f->trials, name);

    return row == UINT32_MAX ? SIZE_MAX : row;
}

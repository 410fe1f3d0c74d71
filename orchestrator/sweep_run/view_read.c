/* The table's contents out of sweep.json, as status_json.c writes it. From anybody's JSON: what is
 * missing or of another type is 0 or not known; lists and numbers that cannot be are refused. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/part_folder.h"
#include "orchestrator/sweep_run/records.h"
#include "orchestrator/sweep_run/view.h"

static int64_t integer(const json_t *object, const char *key)
{
    const json_int_t n = json_integer_value(json_object_get(object, key));

    return n > 0 ? n : 0;
}

static uint32_t count(const json_t *object, const char *key)
{
    const int64_t n = integer(object, key);

    return n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

static bool truth(const json_t *object, const char *key)
{
    return json_is_true(json_object_get(object, key));
}

static void words(const json_t *object, const char *key, char *out, size_t size)
{
    snprintf(out, size, "%s", mu_json_get_text(object, key));
}

static struct mu_sweep_row read_row(const json_t *trial)
{
    struct mu_sweep_row r = {.phase = mu_cell_phase_of(mu_json_get_text(trial, "phase")),
                             .workers = count(trial, "workers"),
                             .step = integer(trial, "step"),
                             .steps = integer(trial, "steps"),
                             .n = mu_json_get_real(trial, "n"),
                             .tokens = mu_json_get_real(trial, "d"),
                             .flops = mu_json_get_real(trial, "c"),
                             .train_loss = mu_json_get_real(trial, "train_loss"),
                             .valid_loss = mu_json_get_real(trial, "valid_loss"),
                             .tokens_per_s = mu_json_get_real(trial, "tokens_per_s"),
                             .wanted = mu_json_get_real(trial, "wanted"),
                             .retries = count(trial, "retries"),
                             .ended_at = mu_json_get_real(trial, "ended_at")};

    words(trial, "name", r.name, sizeof r.name);
    words(trial, "message", r.message, sizeof r.message);
    return r;
}

/* MU_NO_MEMORY: reported. */
static enum mu_status read_rows(const json_t *list, uint32_t most, struct mu_sweep_row **row,
                                uint32_t *rows)
{
    size_t n = json_array_size(list);

    n = n < most ? n : most;
    *row = calloc(n + 1, sizeof **row);
    if (!*row)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the table of a sweep");
    for (size_t i = 0; i < n; i++)
        (*row)[i] = read_row(json_array_get(list, i));
    *rows = (uint32_t)n;
    return MU_OK;
}

static void read_tuned(const json_t *object, struct mu_sweep_view *v)
{
    const json_t *cells = json_object_get(object, "cells");
    const size_t n = json_array_size(cells);

    words(object, "key", v->tuned_key, sizeof v->tuned_key);
    v->tuned.known = truth(object, "known");
    v->tuned.coefficient = mu_json_get_real(object, "coefficient");
    v->tuned.exponent = mu_json_get_real(object, "exponent");
    v->tuned.cells = (uint32_t)(n < MU_SWEEP_LIST ? n : MU_SWEEP_LIST);
    for (uint32_t i = 0; i < v->tuned.cells; i++)
        v->tuned.cell[i].is_bracketed = truth(json_array_get(cells, i), "bracketed");
}

static void read_budgets(const json_t *list, struct mu_sweep_view *v)
{
    const size_t n = json_array_size(list);

    v->budgets = (uint32_t)(n < MU_SWEEP_LIST ? n : MU_SWEEP_LIST);
    for (uint32_t i = 0; i < v->budgets; i++) {
        const json_t *b = json_array_get(list, i);

        v->budget[i] = (struct mu_sweep_view_budget){
            .window = {.budget = mu_json_get_real(b, "budget"),
                       .bracket = mu_sweep_bracket_of(mu_json_get_text(b, "bracket")),
                       .extended = integer(b, "extended"),
                       .is_exhausted = truth(b, "exhausted"),
                       .best_size = mu_json_get_real(b, "best_size"),
                       .best_loss = mu_json_get_real(b, "best_loss")},
            .trials = count(b, "trials"),
            .ended = count(b, "ended"),
        };
    }
}

static enum mu_status read_view(const json_t *o, struct mu_sweep_view *v)
{
    const json_t *phases = json_object_get(o, "phases"), *fleet = json_object_get(o, "fleet");
    const double now = mu_json_get_real(o, "now");
    enum mu_status st;

    words(o, "name", v->name, sizeof v->name);
    words(o, "ended", v->ended, sizeof v->ended);
    v->was_launched = mu_json_get_text(o, "launch")[0] != 0;
    v->all_known = truth(o, "all_known");
    v->start = count(o, "start");
    v->trials = count(o, "trials");
    v->now = isfinite(now) ? now : 0;
    v->eta = mu_json_get_real(o, "eta");
    v->tokens_per_s = mu_json_get_real(o, "tokens_per_s");
    v->ranks = count(fleet, "ranks");
    v->busy = count(fleet, "busy");
    v->dead = count(fleet, "dead");
    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++)
        v->phases[p] = count(phases, mu_cell_word(p));
    mu_goodput_from_json(json_object_get(o, "goodput"), &v->goodput);
    read_tuned(json_object_get(o, "tuned"), v);
    read_budgets(json_object_get(o, "budgets"), v);
    MU_TRY(read_rows(json_object_get(o, "live"), MU_TRIALS_MAX, &v->live, &v->lives), st, done);
    MU_TRY(read_rows(json_object_get(o, "recent"), MU_SWEEP_ROWS_RECENT, &v->recent, &v->recents),
           st, done);
done:
    return st;
}

enum mu_status mu_sweep_view_read(const char *sweep_path, struct mu_sweep_view **out)
{
    json_t *object = NULL;
    enum mu_status st;

    *out = NULL;
    MU_TRY(mu_sweep_read_status(sweep_path, &object), st, done);
    *out = calloc(1, sizeof **out);
    st = *out ? read_view(object, *out)
              : MU_FAIL(MU_NO_MEMORY, "no memory for the table of a sweep");
    if (st == MU_OK && !(*out)->ended[0])
        (*out)->interrupted = !mu_sweep_is_locked(sweep_path);
done:
    json_decref(object);
    if (st != MU_OK) {
        mu_sweep_view_free(*out);
        *out = NULL;
    }
    return st;
}

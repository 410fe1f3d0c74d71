/* The table's contents from the state, in the process that keeps it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/sweep_run/view.h"

struct mu_sweep_row mu_sweep_row_make(const struct mu_sweep_state *s, uint32_t trial)
{
    const struct mu_sweep_trial *t = &s->stages->trials.item[trial];
    const struct mu_cell *c = &s->cell[trial];
    struct mu_sweep_row r = {.phase = c->phase,
                             .workers = c->workers,
                             .step = c->step,
                             .steps = t->settings.run_steps,
                             .n = t->n,
                             .tokens = t->tokens,
                             .flops = t->flops,
                             .train_loss = c->train_loss,
                             .valid_loss = c->valid_loss,
                             .tokens_per_s = c->tokens_per_s,
                             .wanted = c->wanted,
                             .retries = c->retries,
                             .ended_at = NAN};

    memcpy(r.name, t->name, sizeof r.name);
    memcpy(r.message, c->message, sizeof r.message);
    return r;
}

static enum mu_status take_live(struct mu_sweep_view *v, const struct mu_sweep_state *s)
{
    const uint32_t count = v->phases[MU_CELL_TRAINS] + v->phases[MU_CELL_MOVES];

    v->live = calloc(count + 1, sizeof *v->live);
    if (!v->live)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the table of a sweep");
    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        if (mu_cell_is_live(s->cell[i].phase))
            v->live[v->lives++] = mu_sweep_row_make(s, i);
    return MU_OK;
}

/* Puts trial i, which ended at `at`, where it belongs among the newest. */
static void insert_recent(struct mu_sweep_view *v, const struct mu_sweep_state *s, uint32_t i,
                          double at)
{
    uint32_t place = v->recents;

    while (place > 0 && v->recent[place - 1].ended_at < at)
        place--;
    if (place == MU_SWEEP_ROWS_RECENT)
        return;
    if (v->recents < MU_SWEEP_ROWS_RECENT)
        v->recents++;
    memmove(&v->recent[place + 1], &v->recent[place], (v->recents - 1 - place) * sizeof *v->recent);
    v->recent[place] = mu_sweep_row_make(s, i);
    v->recent[place].ended_at = at;
}

static enum mu_status take_recent(struct mu_sweep_view *v, const struct mu_sweep_state *s)
{
    double *at = mu_sweep_ends(s);

    v->recent = calloc(MU_SWEEP_ROWS_RECENT, sizeof *v->recent);
    if (!at || !v->recent) {
        free(at);
        return MU_FAIL(MU_NO_MEMORY, "no memory for the table of a sweep");
    }
    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        if (at[i] >= 0)
            insert_recent(v, s, i, at[i]);
    free(at);
    return MU_OK;
}

static void take_budgets(struct mu_sweep_view *v, const struct mu_sweep_state *s)
{
    if (s->spec->kind != MU_SWEEP_ISOFLOP)
        return;
    v->budgets = s->spec->budgets.count;
    for (uint32_t b = 0; b < v->budgets; b++) {
        v->budget[b].window = s->stages->window[b];
        v->budget[b].window.budget = s->spec->budgets.item[b];
        mu_sweep_count_cells(s, b, &v->budget[b].trials, &v->budget[b].ended);
    }
}

static void take_words(struct mu_sweep_view *v, const struct mu_sweep_state *s)
{
    const struct mu_sweep_law *tuned = mu_sweep_tuned(s->spec);

    memcpy(v->name, s->spec->name, sizeof v->name);
    if (tuned)
        memcpy(v->tuned_key, tuned->key, sizeof v->tuned_key);
    if (s->ended)
        snprintf(v->ended, sizeof v->ended, "%s", s->ended);
}

enum mu_status mu_sweep_view_make(const struct mu_sweep_state *s, struct mu_sweep_view **out)
{
    struct mu_sweep_view *v = calloc(1, sizeof *v);
    enum mu_status st = MU_OK;

    *out = v;
    if (!v)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the table of a sweep");
    v->all_known = s->stages->complete;
    v->start = s->start;
    v->trials = s->stages->trials.count;
    v->now = s->now;
    v->eta = s->eta;
    v->tokens_per_s = mu_sweep_tokens_per_s(s);
    v->ranks = s->ranks;
    v->busy = s->busy;
    v->dead = s->dead;
    v->goodput = s->goodput;
    v->tuned = s->stages->tuned;
    for (uint32_t i = 0; i < v->trials; i++)
        v->phases[s->cell[i].phase]++;
    take_words(v, s);
    take_budgets(v, s);
    MU_TRY(take_live(v, s), st, done);
    MU_TRY(take_recent(v, s), st, done);
done:
    if (st != MU_OK) {
        mu_sweep_view_free(v);
        *out = NULL;
    }
    return st;
}

void mu_sweep_view_free(struct mu_sweep_view *v)
{
    if (!v)
        return;
    free(v->live);
    free(v->recent);
    free(v);
}

bool mu_sweep_view_was_launched(const struct mu_sweep_view *v)
{
    return v->was_launched;
}

void mu_sweep_view_set_launched(struct mu_sweep_view *v)
{
    v->is_launched = true;
    v->interrupted = false;
}

enum mu_sweep_standing mu_sweep_view_standing(const struct mu_sweep_view *v)
{
    const bool is_complete = v->ended[0] && v->all_known && v->phases[MU_CELL_FAILED] == 0 &&
                             mu_sweep_view_count_ended(v) == v->trials;

    if (v->is_launched && !is_complete)
        return MU_SWEEP_RUNS;
    if (!v->ended[0])
        return v->interrupted ? MU_SWEEP_WAS_KILLED : MU_SWEEP_RUNS;
    if (!v->all_known || mu_sweep_view_count_ended(v) < v->trials)
        return MU_SWEEP_STOPPED;
    return v->phases[MU_CELL_FAILED] > 0 ? MU_SWEEP_HAS_FAILURES : MU_SWEEP_COMPLETE;
}

uint32_t mu_sweep_view_count_ended(const struct mu_sweep_view *v)
{
    uint32_t ended = 0;

    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++)
        ended += mu_cell_has_ended(p) ? v->phases[p] : 0;
    return ended;
}

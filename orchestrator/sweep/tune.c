#include "orchestrator/sweep/tune.h"

#include <math.h>
#include <stdio.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/sweep/trial.h"

static const double FAR = 2;     /* times beyond the sizes tuned at, and the law is a guess */
static const double SAME = 1e-9; /* ln N */

/* A cell's values, ascending. */
struct tried {
    uint32_t count;
    double x[MU_SWEEP_LIST];   /* ln of the value */
    double off[MU_SWEEP_LIST]; /* |ln factor| */
    struct mu_sweep_result result[MU_SWEEP_LIST];
};

enum { NONE = UINT32_MAX };

bool mu_sweep_tune_has_ended(const struct mu_sweep_trials *trials,
                             const struct mu_sweep_result *result, uint32_t count)
{
    for (uint32_t i = 0; i < trials->count; i++)
        if (trials->item[i].role == MU_SWEEP_TUNE &&
            (i >= count || result[i].kind == MU_SWEEP_RESULT_NONE))
            return false;
    return true;
}

/* Of equal losses that of the value nearest to the configuration's own. */
static uint32_t find_best(const struct tried *t)
{
    uint32_t best = NONE;

    for (uint32_t i = 0; i < t->count; i++) {
        if (t->result[i].kind != MU_SWEEP_RESULT_LOSS)
            continue;
        if (best == NONE || t->result[i].loss < t->result[best].loss ||
            (t->result[i].loss == t->result[best].loss && t->off[i] < t->off[best]))
            best = i;
    }
    return best;
}

/* The nearest complete value in a direction; NONE. *worse: there is one, or one that diverged. */
static uint32_t find_neighbour(const struct tried *t, uint32_t best, int step, bool *worse)
{
    *worse = false;
    for (uint32_t i = best + (uint32_t)step; i < t->count; i += (uint32_t)step) {
        *worse |= t->result[i].kind != MU_SWEEP_RESULT_MISSING;
        if (t->result[i].kind == MU_SWEEP_RESULT_LOSS)
            return i;
    }
    return NONE;
}

/* loss = best + p u + q u^2, u = x - that of the best. */
static void put_vertex(const struct tried *t, uint32_t left, uint32_t best, uint32_t right,
                       struct mu_sweep_optimum *out)
{
    const double below = t->x[best] - t->x[left], above = t->x[right] - t->x[best];
    const double fall = (t->result[left].loss - out->loss) / below,
                 rise = (t->result[right].loss - out->loss) / above;
    const double q = (fall + rise) / (below + above), p = rise - q * above;

    out->points = 3;
    if (q <= 0) /* all three are equal */
        return;
    out->value = mu_det_exp(t->x[best] - p / (2 * q));
    out->loss -= p * p / (4 * q);
}

/* *is_least: nothing below the best is known to be worse. */
static void find_optimum(const struct tried *t, uint32_t best, struct mu_sweep_optimum *out,
                         bool *is_least)
{
    bool worse_below, worse_above;
    const uint32_t left = find_neighbour(t, best, -1, &worse_below),
                   right = find_neighbour(t, best, 1, &worse_above);

    out->value = mu_det_exp(t->x[best]);
    out->loss = t->result[best].loss;
    out->is_bracketed = worse_below && worse_above;
    *is_least = !worse_below;
    out->points = 1;
    if (left != NONE && right != NONE)
        put_vertex(t, left, best, right, out);
}

/* The trials of a cell, and what is the same in all of them. */
static struct tried gather(const struct mu_sweep_spec *spec, const struct mu_sweep_cell *cell,
                           const struct mu_sweep_trials *trials,
                           const struct mu_sweep_result *result, struct mu_sweep_optimum *out)
{
    const char *key = mu_sweep_tuned(spec)->key;
    struct tried t = {.count = 0};

    *out = (struct mu_sweep_optimum){.size = cell->size, .budget = cell->budget};
    for (uint32_t i = 0; i < trials->count; i++) {
        const struct mu_sweep_trial *one = &trials->item[i];

        if (one->role != MU_SWEEP_TUNE || one->size != cell->size || one->budget != cell->budget)
            continue;
        out->n = one->n;
        t.x[t.count] = mu_det_log(mu_sweep_trial_value(one, key));
        t.off[t.count] = fabs(mu_det_log(one->factor));
        t.result[t.count++] = result[i];
    }
    return t;
}

/* By least squares in ln N and ln of the values; sizes that are one: a constant. */
static void fit_law(struct mu_sweep_tuned *out)
{
    double mean_x = 0, mean_y = 0, xx = 0, xy = 0;

    for (uint32_t i = 0; i < out->cells; i++) {
        mean_x += mu_det_log(out->cell[i].n) / out->cells;
        mean_y += mu_det_log(out->cell[i].value) / out->cells;
    }
    for (uint32_t i = 0; i < out->cells; i++) {
        const double x = mu_det_log(out->cell[i].n) - mean_x;

        xx += x * x;
        xy += x * (mu_det_log(out->cell[i].value) - mean_y);
    }
    out->exponent = xx > SAME ? xy / xx : 0;
    out->coefficient = mu_det_exp(mean_y - out->exponent * mean_x);
}

static void warn_of_edge(const char *key, const struct mu_sweep_optimum *o, bool is_least,
                         void (*warn)(void *context, const char *line), void *context)
{
    char line[300];

    snprintf(line, sizeof line,
             "the best %s at size %g and %g FLOPs, %.3g, is the %s of those that gave a loss: the "
             "optimum may lie beyond; add %s sweep.tune.factors",
             key, o->size, o->budget, o->value, is_least ? "smallest" : "largest",
             is_least ? "smaller" : "larger");
    warn(context, line);
}

enum mu_status mu_sweep_tune(const struct mu_sweep_spec *spec, const char *file,
                             const struct mu_sweep_trials *trials,
                             const struct mu_sweep_result *result, struct mu_sweep_tuned *out,
                             void (*warn)(void *context, const char *line), void *context)
{
    const char *key = mu_sweep_tuned(spec)->key;

    *out = (struct mu_sweep_tuned){.least_n = INFINITY};
    for (uint32_t i = 0; i < spec->tune.cells.count; i++) {
        struct mu_sweep_optimum *o = &out->cell[out->cells++];
        const struct tried t = gather(spec, &spec->tune.cells.item[i], trials, result, o);
        const uint32_t best = find_best(&t);
        bool is_least;

        if (best == NONE)
            return MU_FAIL(MU_CONFIG,
                           "%s: sweep.tune: none of the %u trials that tune %s at size %g and %g "
                           "FLOPs gave a loss (they diverged, or failed): their ends are in "
                           "trials/tune-*; expected other sweep.tune.factors, or another %s that "
                           "they multiply",
                           file, t.count, key, o->size, o->budget, key);
        find_optimum(&t, best, o, &is_least);
        if (!o->is_bracketed)
            warn_of_edge(key, o, is_least, warn, context);
        out->least_n = fmin(out->least_n, o->n);
        out->most_n = fmax(out->most_n, o->n);
    }
    fit_law(out);
    out->known = true;
    return MU_OK;
}

void mu_sweep_tune_check_range(const struct mu_sweep_spec *spec, const struct mu_sweep_tuned *tuned,
                               const struct mu_sweep_trials *trials, uint32_t from,
                               void (*warn)(void *context, const char *line), void *context)
{
    const struct mu_sweep_trial *farthest = NULL;
    double most = FAR;
    uint32_t count = 0;
    char line[512];

    for (uint32_t i = from; i < trials->count; i++) {
        const double n = trials->item[i].n, off = fmax(n / tuned->most_n, tuned->least_n / n);

        count += off > FAR;
        if (off > most) {
            most = off;
            farthest = &trials->item[i];
        }
    }
    if (!farthest)
        return;
    snprintf(line, sizeof line,
             "%u trial%s more than %g times outside of the sizes that %s was tuned at, N = %.3g to "
             "%.3g (%s: %.3g): its law, %.3g N^%.3g, is extrapolated there; tune at sizes further "
             "apart",
             count, count == 1 ? " is" : "s are", FAR, mu_sweep_tuned(spec)->key, tuned->least_n,
             tuned->most_n, farthest->name, farthest->n, tuned->coefficient, tuned->exponent);
    warn(context, line);
}

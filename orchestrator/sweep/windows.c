#include "orchestrator/sweep/windows.h"

#include <math.h>
#include <string.h>

#include "orchestrator/sweep/making.h"

/* What a budget's trials of each size have come to; by index into spec->sizes. */
struct tally {
    bool is_open; /* not all have ended */
    int64_t extended;
    bool is_there[MU_SWEEP_LIST];
    double loss[MU_SWEEP_LIST]; /* mean; INFINITY: diverged; NAN: none */
    uint32_t first, last;       /* that are there */
};

static uint32_t index_of(const struct mu_sweep_numbers *n, double value)
{
    uint32_t i = 0;

    while (i < n->count && n->item[i] != value)
        i++;
    return i;
}

static void add_up(const struct mu_sweep_spec *spec, const struct mu_sweep_trials *trials,
                   const struct mu_sweep_result *result, uint32_t count, double budget,
                   struct tally *t)
{
    uint32_t losses[MU_SWEEP_LIST] = {0};

    *t = (struct tally){.first = MU_SWEEP_LIST};
    for (uint32_t i = 0; i < trials->count; i++) {
        const struct mu_sweep_trial *one = &trials->item[i];
        const enum mu_sweep_result_kind kind = i < count ? result[i].kind : MU_SWEEP_RESULT_NONE;
        uint32_t k;

        if (one->role != MU_SWEEP_CELL || one->budget != budget)
            continue;
        k = index_of(&spec->sizes, one->size);
        t->is_there[k] = true;
        t->is_open |= kind == MU_SWEEP_RESULT_NONE;
        t->extended = one->extension > t->extended ? one->extension : t->extended;
        losses[k] += kind == MU_SWEEP_RESULT_LOSS || kind == MU_SWEEP_RESULT_DIVERGED;
        t->loss[k] += kind == MU_SWEEP_RESULT_LOSS       ? result[i].loss
                      : kind == MU_SWEEP_RESULT_DIVERGED ? INFINITY
                                                         : 0;
    }
    for (uint32_t k = 0; k < spec->sizes.count; k++) {
        t->loss[k] = losses[k] > 0 ? t->loss[k] / losses[k] : NAN;
        if (t->is_there[k]) {
            t->first = t->first == MU_SWEEP_LIST ? k : t->first;
            t->last = k;
        }
    }
}

/* Whether there is a size with a loss; of equal ones the smallest. */
static bool find_best(const struct mu_sweep_spec *spec, const struct tally *t, uint32_t *best)
{
    bool found = false;

    for (uint32_t k = 0; k < spec->sizes.count; k++) {
        if (isfinite(t->loss[k]) && (!found || t->loss[k] < t->loss[*best])) {
            *best = k;
            found = true;
        }
    }
    return found;
}

/* Sizes with a result from `from` to before `to`. */
static int64_t results_in(const struct tally *t, uint32_t from, uint32_t to)
{
    int64_t results = 0;

    for (uint32_t k = from; k < to; k++)
        results += !isnan(t->loss[k]);
    return results;
}

static bool can_extend(const struct mu_sweep_spec *spec, const struct tally *t,
                       const struct mu_sweep_window *w)
{
    return t->extended < spec->window.extend && t->first <= t->last &&
           (t->first > w->first || t->last < w->last);
}

/* Sizes beyond those there are, nearest first, on the sides that lack some. */
static uint32_t choose(const struct mu_sweep_spec *spec, const struct tally *t,
                       const struct mu_sweep_window *w, int64_t left, int64_t right,
                       double size[MU_SWEEP_LIST])
{
    uint32_t chosen = 0;

    if (!can_extend(spec, t, w))
        return 0;
    for (uint32_t k = t->first; left > 0 && k > w->first; left--)
        size[chosen++] = spec->sizes.item[--k];
    for (uint32_t k = t->last; right > 0 && k < w->last; right--)
        size[chosen++] = spec->sizes.item[++k];
    return chosen;
}

uint32_t mu_sweep_window_look(const struct mu_sweep_spec *spec,
                              const struct mu_sweep_trials *trials,
                              const struct mu_sweep_result *result, uint32_t count, uint32_t b,
                              struct mu_sweep_window *window, double size[MU_SWEEP_LIST])
{
    struct tally t;
    uint32_t best = 0, chosen;
    int64_t left, right; /* sizes that lack */
    bool found;

    window->budget = spec->budgets.item[b];
    add_up(spec, trials, result, count, window->budget, &t);
    found = find_best(spec, &t, &best);
    window->extended = t.extended;
    window->best_size = found ? spec->sizes.item[best] : NAN;
    window->best_loss = found ? t.loss[best] : NAN;
    window->bracket = MU_SWEEP_BRACKET_OPEN;
    window->is_exhausted = !can_extend(spec, &t, window);
    if (t.is_open)
        return 0;
    window->bracket = MU_SWEEP_BRACKET_NONE;
    window->is_exhausted = true;
    if (!found)
        return 0;
    left = spec->window.each_side - results_in(&t, 0, best);
    right = spec->window.each_side - results_in(&t, best + 1, spec->sizes.count);
    window->bracket = left <= 0 && right <= 0 ? MU_SWEEP_BRACKET_YES
                      : left >= right         ? MU_SWEEP_BRACKET_LEFT
                                              : MU_SWEEP_BRACKET_RIGHT;
    chosen = choose(spec, &t, window, left, right, size);
    window->is_exhausted = chosen == 0 && window->bracket != MU_SWEEP_BRACKET_YES;
    return chosen;
}

bool mu_sweep_window_is_final(const struct mu_sweep_window *w)
{
    return w->is_exhausted || w->bracket == MU_SWEEP_BRACKET_YES;
}

/* Moves *to by steps of one, over sizes whose runs can be. */
static enum mu_status reach(struct mu_sweep_making *mk, double budget, int step, int64_t most,
                            uint32_t *to)
{
    const struct mu_sweep_numbers *sizes = &mk->spec->sizes;
    enum mu_status st = MU_OK;

    for (int64_t i = 0; i < most && *to + (uint32_t)step < sizes->count; i++) {
        st = mu_sweep_make_more(mk, sizes->item[*to + (uint32_t)step], budget, 1);
        if (st != MU_OK || mk->mistakes.count > 0)
            break;
        *to += (uint32_t)step;
    }
    mu_mistakes_deinit(&mk->mistakes);
    return st;
}

/* The making's trials are scratch. */
static enum mu_status reach_all(struct mu_sweep_making *mk, const struct mu_sweep_trials *trials,
                                struct mu_sweep_window window[MU_SWEEP_LIST])
{
    const struct mu_sweep_spec *spec = mk->spec;
    const int64_t most = spec->window.extend * spec->window.each_side;
    enum mu_status st = MU_OK;

    for (uint32_t b = 0; b < spec->budgets.count; b++) {
        struct tally t;

        add_up(spec, trials, NULL, 0, spec->budgets.item[b], &t);
        window[b] = (struct mu_sweep_window){.first = t.first, .last = t.last};
        MU_TRY(reach(mk, spec->budgets.item[b], -1, most, &window[b].first), st, failed);
        MU_TRY(reach(mk, spec->budgets.item[b], 1, most, &window[b].last), st, failed);
    }
failed:
    return st;
}

enum mu_status mu_sweep_windows_reach(const struct mu_sweep_spec *spec,
                                      const struct mu_settings *base, const char *file,
                                      const struct mu_sweep_trials *trials, double coefficient,
                                      double exponent, struct mu_sweep_trials *reached,
                                      struct mu_sweep_window window[MU_SWEEP_LIST])
{
    struct mu_sweep_making mk;
    enum mu_status st;

    *reached = (struct mu_sweep_trials){0};
    MU_TRY(mu_sweep_making_begin(&mk, spec, base, file, reached, coefficient, exponent), st, done);
    if (spec->kind == MU_SWEEP_ISOFLOP)
        MU_TRY(reach_all(&mk, trials, window), st, done);
    if (trials->count + reached->count > MU_TRIALS_MAX)
        st =
            MU_FAIL(MU_CONFIG,
                    "%s: the sweep may grow to %u trials, %u of them by extensions, and %d are the "
                    "most: take fewer values, or a smaller sweep.window.extend",
                    file, trials->count + reached->count, reached->count, MU_TRIALS_MAX);
done:
    return mu_sweep_making_end(&mk, st);
}

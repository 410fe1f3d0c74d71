/* Which trials there are, one by one. */
#include "orchestrator/sweep/making.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PLACE_MAX = 320 };

/* axes: what a grid calls it; "" else. */
static enum mu_status make(struct mu_sweep_making *mk, struct mu_sweep_trial *t, const char *axes)
{
    char text[PLACE_MAX];
    struct mu_place place = {text, 0};
    const int before = mk->mistakes.count;
    enum mu_status st;

    if (mk->trials->count == MU_TRIALS_MAX)
        return MU_FAIL(MU_CONFIG, "%s: the sweep has more than %d trials: take fewer values",
                       mk->file, MU_TRIALS_MAX);
    mu_sweep_trial_name(mk->spec, t, axes);
    snprintf(text, sizeof text, "%.160s: trial %s", mk->file, t->name);
    snprintf(t->settings.run_name, sizeof t->settings.run_name, "%s", t->name);
    t->trunk = MU_TRIAL_ALONE;
    MU_TRY(mu_sweep_trial_fill(t, &mk->laws, place, &mk->mistakes), st, failed);
    if (mk->mistakes.count == before)
        st = mu_sweep_trials_add(mk->trials, t);
failed:
    return st;
}

enum mu_status mu_sweep_making_begin(struct mu_sweep_making *mk, const struct mu_sweep_spec *spec,
                                     const struct mu_settings *base, const char *file,
                                     struct mu_sweep_trials *trials, double coefficient,
                                     double exponent)
{
    enum mu_status st;

    *mk = (struct mu_sweep_making){
        .spec = spec, .base = base, .file = file, .trials = trials, .before = trials->count};
    st = mu_sweep_laws_init(&mk->laws, spec);
    mk->laws.tuned_coefficient = coefficient;
    mk->laws.tuned_exponent = exponent;
    return st;
}

enum mu_status mu_sweep_making_end(struct mu_sweep_making *mk, enum mu_status st)
{
    const enum mu_status found = mu_mistakes_report(&mk->mistakes);

    mu_sweep_laws_deinit(&mk->laws);
    st = st == MU_OK ? found : st;
    if (st != MU_OK)
        mu_sweep_trials_truncate(mk->trials, mk->before);
    else
        mu_sweep_trials_add_up(mk->trials);
    return st;
}

static struct mu_sweep_trial blank(const struct mu_sweep_making *mk, enum mu_sweep_role role)
{
    return (struct mu_sweep_trial){.role = role, .factor = 1, .settings = *mk->base};
}

enum mu_status mu_sweep_make_tuning(struct mu_sweep_making *mk)
{
    const struct mu_sweep_spec *s = mk->spec;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; mu_sweep_tuned(s) && i < s->tune.cells.count; i++) {
        const int before = mk->mistakes.count;

        for (uint32_t f = 0; f < s->tune.factors.count && mk->mistakes.count == before; f++) {
            struct mu_sweep_trial t = blank(mk, MU_SWEEP_TUNE);

            t.size = s->tune.cells.item[i].size;
            t.budget = s->tune.cells.item[i].budget;
            t.factor = s->tune.factors.item[f];
            t.settings.run_seed = s->tune.seed;
            MU_TRY(make(mk, &t, ""), st, failed);
        }
    }
failed:
    return st;
}

static int64_t seeds_of(const struct mu_sweep_spec *s, double budget)
{
    for (uint32_t i = 0; i < s->repeats.count; i++)
        if (s->repeats.item[i].budget == budget)
            return s->repeats.item[i].seeds;
    return 1;
}

/* One size with one budget (or multiple), all seeds; controls too. */
static enum mu_status make_cell(struct mu_sweep_making *mk, enum mu_sweep_role role, double size,
                                double budget, double multiple)
{
    const int64_t seeds = role == MU_SWEEP_CELL ? seeds_of(mk->spec, budget) : 1;
    const int before = mk->mistakes.count; /* those of one seed are those of all */
    enum mu_status st = MU_OK;

    for (int64_t i = 0; i < seeds && mk->mistakes.count == before; i++) {
        struct mu_sweep_trial t = blank(mk, role);

        t.size = size;
        t.budget = budget;
        t.multiple = multiple;
        t.settings.run_seed += i;
        MU_TRY(make(mk, &t, ""), st, failed);
    }
failed:
    return st;
}

/* N and FLOPs of a token of a size. */
static enum mu_status measure(struct mu_sweep_making *mk, double size, double *n, double *flops)
{
    struct mu_sweep_trial t = blank(mk, MU_SWEEP_CELL);
    char text[PLACE_MAX];
    enum mu_status st;

    snprintf(text, sizeof text, "%.160s: size %g", mk->file, size);
    t.size = size;
    st = mu_sweep_trial_count(&t, &mk->laws, (struct mu_place){text, 0}, &mk->mistakes);
    *n = t.n;
    *flops = t.flops_per_token;
    return st;
}

/* The sizes nearest to where the optimum of a budget is expected, as many as the window has. */
static enum mu_status make_window(struct mu_sweep_making *mk, double budget, const double *n,
                                  const double *flops)
{
    const struct mu_sweep_numbers *sizes = &mk->spec->sizes;
    const uint32_t points =
        mk->spec->window.points < sizes->count ? (uint32_t)mk->spec->window.points : sizes->count;
    double nearest = INFINITY;
    uint32_t centre = 0, from;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < sizes->count; i++) {
        const double ratio = budget / flops[i] / n[i];
        const double off = fabs(log(ratio / mk->spec->window.tokens_per_parameter));

        if (off < nearest) {
            nearest = off;
            centre = i;
        }
    }
    from = centre > points / 2 ? centre - points / 2 : 0;
    from = from + points > sizes->count ? sizes->count - points : from;
    for (uint32_t i = from; i < from + points; i++)
        MU_TRY(make_cell(mk, MU_SWEEP_CELL, sizes->item[i], budget, 0), st, failed);
failed:
    return st;
}

static enum mu_status make_isoflop(struct mu_sweep_making *mk)
{
    const struct mu_sweep_spec *s = mk->spec;
    double n[MU_SWEEP_LIST], flops[MU_SWEEP_LIST];
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < s->sizes.count; i++)
        MU_TRY(measure(mk, s->sizes.item[i], &n[i], &flops[i]), st, failed);
    for (uint32_t b = 0; b < s->budgets.count && mk->mistakes.count == 0; b++)
        MU_TRY(make_window(mk, s->budgets.item[b], n, flops), st, failed);
failed:
    return st;
}

static enum mu_status make_ladder(struct mu_sweep_making *mk)
{
    const struct mu_sweep_spec *s = mk->spec;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < s->sizes.count; i++) {
        const int before = mk->mistakes.count;

        for (uint32_t j = 0; j < s->multiples.count && mk->mistakes.count == before; j++)
            MU_TRY(make_cell(mk, MU_SWEEP_CELL, s->sizes.item[i], 0, s->multiples.item[j]), st,
                   failed);
    }
failed:
    return st;
}

/* A combination of values: digit d of `index` is the value on axis d. The batch is set last, since
 * tokens become sequences by the context. */
static enum mu_status make_combination(struct mu_sweep_making *mk, uint64_t index,
                                       enum mu_sweep_axis_style style)
{
    struct mu_sweep_trial t = blank(mk, MU_SWEEP_CELL);
    const struct mu_place place = {mk->file, 0};
    const char *tokens = NULL;
    char axes[MU_SWEEP_AXES_MAX] = "", text[MU_SWEEP_AXIS_MAX];

    for (uint32_t a = 0; a < mk->spec->grid.count; a++) {
        const struct mu_sweep_axis *axis = &mk->spec->grid.item[a];
        const uint64_t value = index % axis->values.count;

        index /= axis->values.count;
        if (strcmp(axis->key, "batch.tokens") == 0)
            tokens = axis->values.item[value];
        else
            mu_sweep_trial_set(&t, axis->key, axis->values.item[value], place, &mk->mistakes);
        mu_sweep_axis_name(axis, value, style, text);
        strncat(axes, text, sizeof axes - strlen(axes) - 1);
    }
    if (tokens)
        mu_sweep_trial_set(&t, "batch.tokens", tokens, place, &mk->mistakes);
    return make(mk, &t, axes);
}

static enum mu_status make_grid(struct mu_sweep_making *mk)
{
    const struct mu_sweep_spec *s = mk->spec;
    const enum mu_sweep_axis_style style = mu_sweep_axis_style_of(s);
    uint64_t combinations = 1;
    enum mu_status st = MU_OK;

    for (uint32_t a = 0; a < s->grid.count; a++)
        combinations *= s->grid.item[a].values.count;
    for (uint64_t i = 0; i < combinations && mk->mistakes.count == 0; i++)
        MU_TRY(make_combination(mk, i, style), st, failed);
failed:
    return st;
}

static enum mu_status make_controls(struct mu_sweep_making *mk)
{
    const uint32_t cells = mk->trials->count;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < cells; i++) {
        const struct mu_sweep_trial t = mk->trials->item[i]; /* the array may move */
        bool wanted = false;

        for (uint32_t j = 0; j < mk->spec->trunk_tax.count; j++)
            wanted |= mk->spec->trunk_tax.item[j] == t.size;
        if (wanted && t.role == MU_SWEEP_CELL && t.settings.run_seed == mk->base->run_seed)
            MU_TRY(make_cell(mk, MU_SWEEP_CONTROL, t.size, t.budget, t.multiple), st, failed);
    }
failed:
    return st;
}

/* Laws of the length make the runs of a size part at their first step. */
static enum mu_status check_trunks(struct mu_sweep_making *mk)
{
    const char *key = mu_sweep_laws_of_length(&mk->laws);

    if (!key)
        return MU_OK;
    mu_sweep_trials_add_up(mk->trials);
    return MU_FAIL(MU_CONFIG,
                   "%s: sweep.laws: the law of %s follows the length of a run, so that runs of one "
                   "size share no trunk; expected a law of N or size, or share_trunk = false, "
                   "which takes %.2g times the FLOPs (%.3g instead of %.3g)",
                   mk->file, key, mk->trials->flops_alone / mk->trials->flops_shared,
                   mk->trials->flops_alone, mk->trials->flops_shared);
}

enum mu_status mu_sweep_make_cells(struct mu_sweep_making *mk)
{
    enum mu_status st;

    if (mk->mistakes.count > 0)
        return MU_OK;
    st = mk->spec->kind == MU_SWEEP_ISOFLOP  ? make_isoflop(mk)
         : mk->spec->kind == MU_SWEEP_LADDER ? make_ladder(mk)
                                             : make_grid(mk);
    if (st == MU_OK && mk->mistakes.count == 0)
        st = make_controls(mk);
    if (st != MU_OK || mk->mistakes.count > 0 || !mk->spec->share_trunk)
        return st;
    mu_sweep_trials_share(mk->trials);
    return check_trunks(mk);
}

enum mu_status mu_sweep_make_more(struct mu_sweep_making *mk, double size, double budget,
                                  int64_t extension)
{
    const uint32_t before = mk->trials->count;
    enum mu_status st = make_cell(mk, MU_SWEEP_CELL, size, budget, 0);

    for (uint32_t i = before; i < mk->trials->count; i++)
        mk->trials->item[i].extension = extension;
    return st;
}

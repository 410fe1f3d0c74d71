#include "orchestrator/sweep/trials.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/mistakes.h"
#include "orchestrator/sweep/trial.h"

enum { FIRST_CAPACITY = 64, PLACE_MAX = 320 };

struct making {
    const struct mu_sweep_spec *spec;
    const struct mu_settings *base;
    const char *file;
    struct mu_sweep_trials *trials;
    struct mu_sweep_laws laws;
    struct mu_mistakes mistakes;
};

const char *mu_sweep_role_word(enum mu_sweep_role role)
{
    static const char *const words[] = {
#define WORD(name, word) [MU_SWEEP_##name] = word,
        MU_SWEEP_ROLE_TABLE(WORD)
#undef WORD
    };

    return words[role];
}

void mu_sweep_trials_deinit(struct mu_sweep_trials *t)
{
    free(t->item);
    memset(t, 0, sizeof *t);
}

static enum mu_status add(struct mu_sweep_trials *t, const struct mu_sweep_trial *trial)
{
    if (t->count == t->capacity) {
        uint32_t capacity = t->capacity ? 2 * t->capacity : FIRST_CAPACITY;
        struct mu_sweep_trial *item = realloc(t->item, capacity * sizeof *item);

        if (!item)
            return MU_FAIL(MU_NO_MEMORY, "no memory for %u trials", capacity);
        t->item = item;
        t->capacity = capacity;
    }
    t->item[t->count++] = *trial;
    return MU_OK;
}

/* "width32" of "model.width" and 32. */
static const char *last_part(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot ? dot + 1 : key;
}

enum { NUMBER_MAX = 26 };

/* The fewest digits that mean this number and no other, so that no two trials have one name. */
static const char *shortest(double value, char text[NUMBER_MAX])
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, NUMBER_MAX, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

static void name_trial(const struct making *mk, struct mu_sweep_trial *t, const char *axes)
{
    char what[60] = "", length[40] = "", factor[40] = "", number[NUMBER_MAX];

    if (t->size > 0)
        snprintf(what, sizeof what, "%.20s%s-", last_part(mk->spec->size_key),
                 shortest(t->size, number));
    if (t->budget > 0)
        snprintf(length, sizeof length, "c%s-", shortest(t->budget, number));
    else if (t->multiple > 0)
        snprintf(length, sizeof length, "x%s-", shortest(t->multiple, number));
    if (t->role == MU_SWEEP_TUNE)
        snprintf(factor, sizeof factor, "-f%s", shortest(t->factor, number));
    snprintf(t->name, sizeof t->name, "%s%s%s%ss%" PRId64 "%s",
             t->role == MU_SWEEP_CELL   ? ""
             : t->role == MU_SWEEP_TUNE ? "tune-"
                                        : "alone-",
             what, axes, length, t->settings.run_seed, factor);
}

/* axes: what a grid calls it; "" else. */
static enum mu_status make(struct making *mk, struct mu_sweep_trial *t, const char *axes)
{
    char text[PLACE_MAX];
    struct mu_place place = {text, 0};
    const int before = mk->mistakes.count;
    enum mu_status st;

    if (mk->trials->count == MU_TRIALS_MAX)
        return MU_FAIL(MU_CONFIG, "%s: the sweep has more than %d trials: take fewer values",
                       mk->file, MU_TRIALS_MAX);
    name_trial(mk, t, axes);
    snprintf(text, sizeof text, "%.160s: trial %s", mk->file, t->name);
    snprintf(t->settings.run_name, sizeof t->settings.run_name, "%s", t->name);
    t->trunk = MU_TRIAL_ALONE;
    MU_TRY(mu_sweep_trial_fill(t, &mk->laws, place, &mk->mistakes), st, failed);
    if (mk->mistakes.count == before)
        st = add(mk->trials, t);
failed:
    return st;
}

static struct mu_sweep_trial blank(const struct making *mk, enum mu_sweep_role role)
{
    return (struct mu_sweep_trial){.role = role, .factor = 1, .settings = *mk->base};
}

static enum mu_status make_tuning(struct making *mk)
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
static enum mu_status make_cell(struct making *mk, enum mu_sweep_role role, double size,
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
static enum mu_status measure(struct making *mk, double size, double *n, double *flops)
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
static enum mu_status make_window(struct making *mk, double budget, const double *n,
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

static enum mu_status make_isoflop(struct making *mk)
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

static enum mu_status make_ladder(struct making *mk)
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

enum { AXES_MAX = 96, AXIS_MAX = 60 };
/* How an axis stands in a trial's name: "lr1e-3-", or its value's number, "train2-" or "2-". */
enum axis_style { STYLE_VALUE, STYLE_INDEX, STYLE_BARE };

static bool is_plain(const char *value)
{
    return strlen(value) <= 20 &&
           strspn(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ+-._") ==
               strlen(value);
}

static size_t name_axis(const struct mu_sweep_axis *axis, uint64_t value, enum axis_style style,
                        char text[AXIS_MAX])
{
    bool plain = style == STYLE_VALUE;

    for (uint32_t i = 0; i < axis->values.count; i++)
        plain &= is_plain(axis->values.item[i]);
    if (style == STYLE_BARE)
        return (size_t)snprintf(text, AXIS_MAX, "%" PRIu64 "-", value + 1);
    if (plain)
        return (size_t)snprintf(text, AXIS_MAX, "%.20s%s-", last_part(axis->key),
                                axis->values.item[value]);
    return (size_t)snprintf(text, AXIS_MAX, "%.20s%" PRIu64 "-", last_part(axis->key), value + 1);
}

/* The most telling style in which the names of all combinations have room. */
static enum axis_style style_of(const struct mu_sweep_spec *s)
{
    char text[AXIS_MAX];

    for (enum axis_style style = STYLE_VALUE; style < STYLE_BARE; style++) {
        size_t most = 0;

        for (uint32_t a = 0; a < s->grid.count; a++) {
            size_t longest = 0;

            for (uint32_t v = 0; v < s->grid.item[a].values.count; v++) {
                const size_t length = name_axis(&s->grid.item[a], v, style, text);

                longest = length > longest ? length : longest;
            }
            most += longest;
        }
        if (most < AXES_MAX)
            return style;
    }
    return STYLE_BARE;
}

/* A combination of values: digit d of `index` is the value on axis d. The batch is set last, since
 * tokens become sequences by the context. */
static enum mu_status make_combination(struct making *mk, uint64_t index, enum axis_style style)
{
    struct mu_sweep_trial t = blank(mk, MU_SWEEP_CELL);
    const struct mu_place place = {mk->file, 0};
    const char *tokens = NULL;
    char axes[AXES_MAX] = "", text[AXIS_MAX];

    for (uint32_t a = 0; a < mk->spec->grid.count; a++) {
        const struct mu_sweep_axis *axis = &mk->spec->grid.item[a];
        const uint64_t value = index % axis->values.count;

        index /= axis->values.count;
        if (strcmp(axis->key, "batch.tokens") == 0)
            tokens = axis->values.item[value];
        else
            mu_sweep_trial_set(&t, axis->key, axis->values.item[value], place, &mk->mistakes);
        name_axis(axis, value, style, text);
        strncat(axes, text, sizeof axes - strlen(axes) - 1);
    }
    if (tokens)
        mu_sweep_trial_set(&t, "batch.tokens", tokens, place, &mk->mistakes);
    return make(mk, &t, axes);
}

static enum mu_status make_grid(struct making *mk)
{
    const struct mu_sweep_spec *s = mk->spec;
    const enum axis_style style = style_of(s);
    uint64_t combinations = 1;
    enum mu_status st = MU_OK;

    for (uint32_t a = 0; a < s->grid.count; a++)
        combinations *= s->grid.item[a].values.count;
    for (uint64_t i = 0; i < combinations && mk->mistakes.count == 0; i++)
        MU_TRY(make_combination(mk, i, style), st, failed);
failed:
    return st;
}

static enum mu_status make_controls(struct making *mk)
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

/* ---- trunks ---------------------------------------------------------------------------------- */

/* Cells of one size and seed share the trunk of the longest of them. */
static void share_trunks(const struct mu_sweep_spec *spec, struct mu_sweep_trials *t)
{
    for (uint32_t i = 0; spec->share_trunk && i < t->count; i++) {
        struct mu_sweep_trial *one = &t->item[i];
        const struct mu_schedule schedule = mu_settings_schedule(&one->settings);
        uint32_t longest = i;

        if (one->role != MU_SWEEP_CELL)
            continue;
        for (uint32_t j = 0; j < t->count; j++) {
            const struct mu_sweep_trial *other = &t->item[j];

            if (other->role == MU_SWEEP_CELL && other->size == one->size &&
                other->settings.run_seed == one->settings.run_seed &&
                other->settings.run_steps > t->item[longest].settings.run_steps)
                longest = j;
        }
        one->trunk = longest;
        one->shared = longest == i ? 0 : mu_schedule_cooldown_start(&schedule);
    }
}

static void add_up(struct mu_sweep_trials *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct mu_sweep_trial *one = &t->item[i];

        t->flops_alone += one->flops;
        t->flops_shared += one->flops * (1 - (double)one->shared / (double)one->settings.run_steps);
    }
}

/* Laws of the length make the runs of a size part at their first step. */
static enum mu_status check_trunks(const struct making *mk)
{
    const char *key = mu_sweep_laws_of_length(&mk->laws);

    if (!mk->spec->share_trunk || !key || mk->trials->flops_shared <= 0)
        return MU_OK;
    return MU_FAIL(MU_CONFIG,
                   "%s: sweep.laws: the law of %s follows the length of a run, so that runs of one "
                   "size share no trunk; expected a law of N or size, or share_trunk = false, "
                   "which takes %.2g times the FLOPs (%.3g instead of %.3g)",
                   mk->file, key, mk->trials->flops_alone / mk->trials->flops_shared,
                   mk->trials->flops_alone, mk->trials->flops_shared);
}

enum mu_status mu_sweep_trials_make(const struct mu_sweep_spec *spec,
                                    const struct mu_settings *base, const char *file,
                                    struct mu_sweep_trials *out)
{
    struct making mk = {.spec = spec, .base = base, .file = file, .trials = out};
    enum mu_status st, found;

    *out = (struct mu_sweep_trials){0};
    MU_TRY(mu_sweep_laws_init(&mk.laws, spec), st, done);
    MU_TRY(make_tuning(&mk), st, done);
    if (mk.mistakes.count > 0)
        goto done;
    st = spec->kind == MU_SWEEP_ISOFLOP  ? make_isoflop(&mk)
         : spec->kind == MU_SWEEP_LADDER ? make_ladder(&mk)
                                         : make_grid(&mk);
    if (st == MU_OK && mk.mistakes.count == 0)
        st = make_controls(&mk);
    if (st != MU_OK || mk.mistakes.count > 0)
        goto done;
    share_trunks(spec, out);
    add_up(out);
    st = check_trunks(&mk);
done:
    found = mu_mistakes_report(&mk.mistakes);
    mu_sweep_laws_deinit(&mk.laws);
    st = st == MU_OK ? found : st;
    if (st != MU_OK)
        mu_sweep_trials_deinit(out);
    return st;
}

#include "orchestrator/sweep/spec_check.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/number.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/sweep/formula.h"

struct checking {
    struct mu_sweep_spec *spec;
    const struct mu_settings *base;
    struct mu_place place;
    struct mu_mistakes *mistakes;
};

#define MISTAKE(c, key, ...) mu_mistakes_add((c)->mistakes, (c)->place, "sweep." key, __VA_ARGS__)

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void sort(struct mu_sweep_numbers *n)
{
    uint32_t kept = 0;

    qsort(n->item, n->count, sizeof *n->item, compare);
    for (uint32_t i = 0; i < n->count; i++)
        if (kept == 0 || n->item[i] > n->item[kept - 1])
            n->item[kept++] = n->item[i];
    n->count = kept;
}

static bool has(const struct mu_sweep_numbers *n, double value)
{
    for (uint32_t i = 0; i < n->count; i++)
        if (n->item[i] == value)
            return true;
    return false;
}

static void check_name(const struct checking *c)
{
    const char *name = c->spec->name;

    if (strchr(name, '/') || name[0] == '.' || name[0] == '-')
        MISTAKE(c, "name",
                "\"%s\" is not a plain folder name; expected one without '/', and without '.' or "
                "'-' in front",
                name);
}

static void check_kind(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;

    if (s->kind == MU_SWEEP_GRID) {
        if (s->grid.count == 0)
            MISTAKE(c, "grid",
                    "missing; expected grid = ( { key = \"optim.lr\"; values = [\"1e-3\", "
                    "\"2e-3\"]; } );");
        return;
    }
    if (s->sizes.count == 0)
        MISTAKE(c, "sizes.values", "missing; expected several sizes");
    if (s->kind == MU_SWEEP_ISOFLOP && s->budgets.count == 0)
        MISTAKE(c, "budgets", "missing; expected FLOPs, as in budgets = [1e11, 3e11];");
    if (s->kind == MU_SWEEP_LADDER && s->multiples.count == 0)
        MISTAKE(c, "multiples",
                "missing; expected tokens a parameter, as in multiples = [5, 10, 20];");
    if (s->kind == MU_SWEEP_ISOFLOP && s->sizes.count > 0 && s->sizes.count < 4)
        MISTAKE(c, "sizes.values",
                "%u sizes; expected at least 4, since a parabola in ln N is fitted to each budget",
                s->sizes.count);
}

static void check_key(const struct checking *c, const char *where, const char *key)
{
    const char *nearest;

    if (mu_sweep_key(key))
        return;
    nearest = mu_key_nearest(key);
    mu_mistakes_add(c->mistakes, c->place, where, "there is no key '%s'%s%s%s", key,
                    nearest ? "; did you mean '" : "; `muster config` lists those that exist",
                    nearest ? nearest : "", nearest ? "'?" : "");
}

/* What a law or the sizes give a value to: a number, and none that the sweep itself sets. */
static void check_number(const struct checking *c, const char *where, const char *name)
{
    static const char *const own[] = {"run.steps", "run.seed", "run.name", "run.dir"};
    const struct mu_key *key = mu_sweep_key(name);

    check_key(c, where, name);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        if (strcmp(name, own[i]) == 0) {
            mu_mistakes_add(c->mistakes, c->place, where,
                            "%s is set by the sweep itself; expected another key", name);
            return;
        }
    }
    if (key && key->type != MU_TYPE_INT && key->type != MU_TYPE_AUTO_INT &&
        key->type != MU_TYPE_REAL)
        mu_mistakes_add(c->mistakes, c->place, where,
                        "%s holds no single number; expected a key that does", name);
}

/* N follows from the shape, so that the shape cannot follow N. */
static void check_shape(const struct checking *c, const struct mu_sweep_law *law,
                        const struct mu_formula *f)
{
    const bool is_shape =
        strncmp(law->key, "model.", 6) == 0 || strcmp(law->key, "synthetic.params") == 0;

    if (is_shape && (f->uses[MU_FORMULA_N] || f->uses[MU_FORMULA_D] || f->uses[MU_FORMULA_C]))
        MISTAKE(c, "laws",
                "%s = \"%s\": N follows from %s; expected a formula of size alone, whose value is "
                "that of %s",
                law->key, law->value, law->key, c->spec->size_key);
    if (c->spec->kind == MU_SWEEP_GRID && f->uses[MU_FORMULA_SIZE])
        MISTAKE(c, "laws", "%s = \"%s\": a grid has no sizes; expected a formula of N, D and C",
                law->key, law->value);
}

static void check_law(const struct checking *c, const struct mu_sweep_law *law)
{
    struct mu_formula formula;
    char why[256];

    if (!*law->key || !*law->value) {
        MISTAKE(c, "laws", "a law lacks its %s; expected { key = \"...\"; value = \"...\"; }",
                *law->key ? "value" : "key");
        return;
    }
    check_number(c, "sweep.laws", law->key);
    if (strcmp(law->key, c->spec->size_key) == 0 && c->spec->kind != MU_SWEEP_GRID)
        MISTAKE(c, "laws", "%s is what the sizes vary; expected a law of another key", law->key);
    if (law->unit == MU_SWEEP_UNIT_TOKENS && strcmp(law->key, "optim.schedule.warmup") != 0 &&
        strcmp(law->key, "eval.every") != 0)
        MISTAKE(c, "laws", "unit = \"tokens\" is for keys in steps, and %s is none", law->key);
    if (strcmp(law->value, "tune") == 0)
        return;
    if (mu_formula_init(&formula, law->value, why, sizeof why) != MU_OK)
        MISTAKE(c, "laws", "%s = \"%s\": %s; expected a formula of N, D, C and size", law->key,
                law->value, why);
    else
        check_shape(c, law, &formula);
    mu_formula_deinit(&formula);
}

static void check_window(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;

    if (s->kind == MU_SWEEP_ISOFLOP && s->window.points < 2 * s->window.each_side + 1)
        MISTAKE(c, "window.points",
                "%lld sizes have no room for %lld on each side of the minimum; expected %lld",
                (long long)s->window.points, (long long)s->window.each_side,
                (long long)(2 * s->window.each_side + 1));
}

/* 1e-3 and 0.001 too. */
static bool is_same(const char *a, const char *b)
{
    double x, y;

    return strcmp(a, b) == 0 || (mu_number_real(a, &x) == MU_NUMBER_OK &&
                                 mu_number_real(b, &y) == MU_NUMBER_OK && x == y);
}

static void check_axis(const struct checking *c, const struct mu_sweep_axis *axis)
{
    if (!*axis->key || axis->values.count == 0) {
        MISTAKE(c, "grid", "an axis lacks its %s; expected { key = \"...\"; values = [...]; }",
                *axis->key ? "values" : "key");
        return;
    }
    check_key(c, "sweep.grid", axis->key);
    if (strcmp(axis->key, "run.name") == 0 || strcmp(axis->key, "run.dir") == 0)
        MISTAKE(c, "grid", "%s is set by the sweep itself; expected another key", axis->key);
    for (uint32_t i = 0; i < axis->values.count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (is_same(axis->values.item[i], axis->values.item[j]))
                MISTAKE(c, "grid", "%s has %s twice; expected it once", axis->key,
                        axis->values.item[i]);
}

/* Every axis, and no key on two of them. */
static void check_grid(const struct checking *c)
{
    for (uint32_t i = 0; i < c->spec->grid.count; i++) {
        const struct mu_sweep_axis *axis = &c->spec->grid.item[i];

        check_axis(c, axis);
        for (uint32_t j = 0; j < i; j++)
            if (mu_sweep_key(axis->key) &&
                mu_sweep_key(axis->key) == mu_sweep_key(c->spec->grid.item[j].key))
                MISTAKE(c, "grid", "%s has two axes; expected one", axis->key);
    }
}

static void check_laws(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;

    for (uint32_t i = 0; i < s->laws.count; i++) {
        check_law(c, &s->laws.item[i]);
        for (uint32_t j = 0; j < i; j++)
            if (mu_sweep_key(s->laws.item[i].key) &&
                mu_sweep_key(s->laws.item[i].key) == mu_sweep_key(s->laws.item[j].key))
                MISTAKE(c, "laws", "%s has two laws; expected one",
                        mu_sweep_key(s->laws.item[i].key)->name);
    }
}

/* Tuning multiplies what the run configuration says. */
static void check_multiplied(const struct checking *c, const char *key)
{
    double value;

    memcpy(&value, (const char *)c->base + mu_sweep_key(key)->offset, sizeof value);
    if (!(value > 0))
        MISTAKE(c, "tune", "%s is %g, and is tuned by factors of that; expected it above 0", key,
                value);
}

static void check_tune(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;
    const struct mu_sweep_law *tuned = mu_sweep_tuned(s);

    if (!tuned) {
        if (s->tune.cells.count > 0)
            MISTAKE(c, "tune",
                    "no law says \"tune\"; expected one, as in laws = ( { key = "
                    "\"optim.lr\"; value = \"tune\"; } );");
        return;
    }
    if (mu_sweep_key(tuned->key) && mu_sweep_key(tuned->key)->type != MU_TYPE_REAL)
        MISTAKE(c, "laws", "%s cannot be tuned; expected a key that holds a real number",
                tuned->key);
    else if (mu_sweep_key(tuned->key))
        check_multiplied(c, tuned->key);
    if (s->kind == MU_SWEEP_GRID)
        MISTAKE(c, "tune", "a grid has no sizes to tune at; expected %s on an axis of the grid",
                tuned->key);
    if (s->tune.cells.count == 0)
        MISTAKE(c, "tune.cells", "missing; expected { size = ...; budget = ...; }, one or several");
    if (s->tune.factors.count < 3)
        MISTAKE(c, "tune.factors",
                "%u factors; expected at least 3, since a parabola in ln of the value is fitted",
                s->tune.factors.count);
    for (uint32_t i = 0; i < s->tune.cells.count; i++) {
        const struct mu_sweep_cell *cell = &s->tune.cells.item[i];

        if (!has(&s->sizes, cell->size))
            MISTAKE(c, "tune.cells", "%g is none of the sizes; expected one of sizes.values",
                    cell->size);
        for (uint32_t j = 0; j < i; j++)
            if (cell->size == s->tune.cells.item[j].size &&
                cell->budget == s->tune.cells.item[j].budget)
                MISTAKE(c, "tune.cells", "size %g with %g FLOPs stands there twice; expected once",
                        cell->size, cell->budget);
    }
}

/* Seeds of repeats count up from the run's own. */
static void check_seeds(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;
    const int64_t first = c->base->run_seed;
    int64_t most = 1;

    for (uint32_t i = 0; i < s->repeats.count; i++) {
        if (!has(&s->budgets, s->repeats.item[i].budget))
            MISTAKE(c, "repeats", "%g is none of the budgets; expected one of budgets",
                    s->repeats.item[i].budget);
        if (s->repeats.item[i].seeds > most)
            most = s->repeats.item[i].seeds;
    }
    if (mu_sweep_tuned(s) && s->tune.seed >= first && s->tune.seed < first + most)
        MISTAKE(c, "tune.seed",
                "%lld is a seed of the grid's own cells (%lld to %lld); expected another one, so "
                "that what was chosen by luck is not measured by it",
                (long long)s->tune.seed, (long long)first, (long long)(first + most - 1));
}

static void check_trunks(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;

    for (uint32_t i = 0; i < s->trunk_tax.count; i++)
        if (!has(&s->sizes, s->trunk_tax.item[i]))
            MISTAKE(c, "controls.trunk_tax",
                    "%g is none of the sizes; expected some of sizes.values", s->trunk_tax.item[i]);
    if (!s->share_trunk)
        return;
    if (s->kind == MU_SWEEP_GRID)
        MISTAKE(c, "share_trunk", "runs of a grid share nothing; expected false");
    else if (c->base->schedule_kind != MU_SCHEDULE_WSD || c->base->schedule_cooldown <= 0)
        MISTAKE(c, "share_trunk",
                "needs a rate that does not depend on the length of the run until it falls; "
                "expected optim.schedule.kind = \"wsd\" and a cooldown above 0, or false here");
}

static void check_fit(const struct checking *c)
{
    const struct mu_sweep_spec *s = c->spec;

    for (uint32_t i = 0; i < s->fit.methods.count; i++) {
        const char *word = s->fit.methods.item[i];

        if (strcmp(word, "isoflop") != 0 && strcmp(word, "parametric") != 0 &&
            strcmp(word, "envelope") != 0)
            MISTAKE(c, "fit.methods", "\"%s\"; expected envelope, isoflop or parametric", word);
    }
    if (*s->fit.holdout && strcmp(s->fit.holdout, "largest_budget") != 0)
        MISTAKE(c, "fit.holdout", "\"%s\"; expected \"largest_budget\"", s->fit.holdout);
}

void mu_sweep_check(struct mu_sweep_spec *spec, const struct mu_settings *base,
                    struct mu_place place, struct mu_mistakes *m)
{
    const struct checking c = {spec, base, place, m};

    sort(&spec->budgets);
    sort(&spec->multiples);
    sort(&spec->sizes);
    sort(&spec->trunk_tax);
    sort(&spec->tune.factors);
    sort(&spec->fit.targets);
    check_name(&c);
    check_kind(&c);
    if (spec->kind != MU_SWEEP_GRID)
        check_number(&c, "sweep.sizes.key", spec->size_key);
    check_window(&c);
    check_grid(&c);
    check_laws(&c);
    check_tune(&c);
    check_seeds(&c);
    check_trunks(&c);
    check_fit(&c);
}

/* Keys in steps, sequences and the like are the schema's; tokens of a batch are sequences. */
const struct mu_key *mu_sweep_key(const char *name)
{
    return mu_key_find(strcmp(name, "batch.tokens") == 0 ? "batch.sequences" : name);
}

const struct mu_sweep_law *mu_sweep_tuned(const struct mu_sweep_spec *spec)
{
    for (uint32_t i = 0; i < spec->laws.count; i++)
        if (strcmp(spec->laws.item[i].value, "tune") == 0)
            return &spec->laws.item[i];
    return NULL;
}

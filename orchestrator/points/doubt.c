#include "orchestrator/points/doubt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "orchestrator/points/columns.h"

/* The smallest model and run that anybody fits a law to are far above. */
static const double least_n = 100, least_d = 1000;
/* Attention adds to 6 N D, mixtures of experts and counts without embeddings take away. */
static const double least_ratio = 0.02, most_ratio = 50;

static void doubt(struct mu_points_found *found, const char *what, double largest)
{
    mu_points_note(found,
                   "%s are at most %g: is a unit missing? It can stand in the column's head, as in "
                   "'Params (B)'",
                   what, largest);
}

void mu_points_doubt_units(const struct mu_fit_points *points, struct mu_points_found *found)
{
    double n = 0, d = 0, low = INFINITY, high = 0;

    for (size_t i = 0; i < points->count; i++) {
        const struct mu_fit_point *p = &points->point[i];
        const double ratio = p->c / (6 * p->n * p->d);

        n = fmax(n, p->n);
        d = fmax(d, p->d);
        low = fmin(low, ratio);
        high = fmax(high, ratio);
    }
    if (n < least_n && (found->column[MU_COLUMN_n][0] || !points->single))
        doubt(found, "parameters", n);
    if (d < least_d && (found->column[MU_COLUMN_d][0] || !points->single))
        doubt(found, "training tokens", d);
    if (points->single)
        return;
    if (high < least_ratio || low > most_ratio)
        mu_points_note(found, "training FLOPs are %.3g to %.3g times 6 N D: is a unit missing?",
                       low, high);
}

static int order(double a, double b)
{
    return (a > b) - (a < b);
}

/* In a law of C alone n and d are 1. */
static int by_size(const void *one, const void *other)
{
    const struct mu_fit_point *a = one, *b = other;
    const int n = order(a->n, b->n), d = order(a->d, b->d), c = order(a->c, b->c);

    return n ? n : d ? d : a->n > 1 || a->d > 1 ? 0 : c;
}

static int by_run(const void *one, const void *other)
{
    const struct mu_fit_point *a = one, *b = other;
    const int size = by_size(one, other), unique = order(a->unique, b->unique);

    return size ? size : unique ? unique : (a->seed > b->seed) - (a->seed < b->seed);
}

/* Points of which others are the same run, as far as their columns say. */
static size_t count_repeats(struct mu_fit_point *p, size_t count)
{
    size_t repeats = 0;

    qsort(p, count, sizeof *p, by_run);
    for (size_t i = 0; i < count; i++)
        repeats += (i > 0 && by_run(&p[i - 1], &p[i]) == 0) ||
                   (i + 1 < count && by_run(&p[i], &p[i + 1]) == 0);
    return repeats;
}

static void doubt_repeats(struct mu_fit_point *ends, size_t count, bool single,
                          struct mu_points_found *found)
{
    const size_t repeats = count_repeats(ends, count);
    char what[24] = "N and D";

    for (enum mu_column k = MU_COLUMN_n; single && k <= MU_COLUMN_c; k++)
        if (found->column[k][0])
            snprintf(what, sizeof what, "%c", "NDC"[k]);
    if (3 * repeats >= count && repeats > 1)
        mu_points_note(found,
                       "%zu of %zu final losses share their %s with others%s: is there a "
                       "hyperparameter among the columns that are not used? Then keep the best of "
                       "each",
                       repeats, count, what,
                       found->column[MU_COLUMN_seed][0] ? ", and their seed" : "");
}

/* Sorted by size. */
static void doubt_ends(const struct mu_fit_point *p, size_t count, bool steps,
                       struct mu_points_found *found)
{
    enum { MANY = 10 }; /* rows a size: more than designs of final losses have */
    size_t sizes = 0, longer = 0;

    for (size_t i = 0; i < count; i++) {
        const bool same = i > 0 && order(p[i - 1].n, p[i].n) == 0;

        sizes += !same;
        longer += same && order(p[i - 1].d, p[i].d) != 0;
    }
    if (steps && longer)
        mu_points_note(found,
                       "rows are taken for final losses of runs of their own, though there is a "
                       "column of training steps; if they are moments of curves, --curve names the "
                       "column of runs");
    else if (!found->column[MU_COLUMN_cluster][0] && longer >= (MANY - 1) * sizes)
        mu_points_note(
            found, "rows are taken for final losses of runs of their own, though many have one "
                   "size and differ in tokens; if they are moments of curves, --curve names the "
                   "column of runs");
}

enum mu_status mu_points_doubt_designs(const struct mu_fit_points *points, bool steps, bool decided,
                                       struct mu_points_found *found)
{
    struct mu_fit_point *ends = malloc((points->count + 1) * sizeof *ends);
    size_t count = 0;

    if (!ends)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %zu points", points->count);
    for (size_t i = 0; i < points->count; i++)
        if (points->point[i].end)
            ends[count++] = points->point[i];
    doubt_repeats(ends, count, points->single, found);
    if (!decided && !points->single)
        doubt_ends(ends, count, steps, found);
    free(ends);
    return MU_OK;
}

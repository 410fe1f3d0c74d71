/* Which points share a compute budget.
 *
 * The density of the points in ln C (a sum of Gaussians of width h) is cut at its valleys.
 * Budgets that were set are seen at a narrow width, where nothing lies between them; those read
 * off a figure scatter by tens of per cent and need a wide one: widths are tried from narrow to
 * wide, and the first that shows budgets is taken. Points enter in the order of C, so that the
 * order of the rows does not matter. */
#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/budgets.h"

/* Two peaks of width h are two for as long as they are over 2 h apart: 2 %, 8 %, and a factor of
 * 1.4 (sweeps have factors of 1.7 to 10 from one budget to the next). `valley`: how deep the
 * density must fall between budgets, on average, relative to the lower of the peaks beside. */
static const struct {
    double width, valley;
} RESOLUTION[] = {{.01, .05}, {.04, .05}, {1. / 6, 2. / 3}};

enum {
    STEPS_PER_WIDTH = 8, /* of the density's grid */
    REACH = 6,           /* widths; what a Gaussian has beyond is 1e-8 */
    WIDEST = 12,         /* widths that a budget's C spread over, at most: a factor of 7.4 */
    SIZES_OF_A_BUDGET = 3
};
static const double PROMINENCE = .95; /* a valley is lower than this part of its peaks */
static const double SAME = 5e-3;      /* ln; tokens are rounded to whole steps */

struct row {
    double ln_c;
    double ln_n;
    size_t point;
};

static int by_compute(const void *a, const void *b)
{
    const struct row *x = a, *y = b;

    if (x->ln_c != y->ln_c)
        return x->ln_c < y->ln_c ? -1 : 1;
    if (x->ln_n != y->ln_n)
        return x->ln_n < y->ln_n ? -1 : 1;
    return x->point < y->point ? -1 : x->point > y->point;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How many differ by more than SAME. Sorts them. */
static size_t distinct(double *ln, size_t count)
{
    size_t found = 0;
    double last = 0;

    qsort(ln, count, sizeof *ln, ascending);
    for (size_t k = 0; k < count; k++)
        if (k == 0 || ln[k] - last > SAME) {
            last = ln[k];
            found++;
        }
    return found;
}

struct valleys {
    size_t count;
    double at[MU_BUDGETS - 1];
    double depth; /* density in the valley over that of the lower peak beside it: mean */
    bool many;    /* more than fit */
};

static double density(const struct row *row, size_t count, size_t *first, double x, double width)
{
    double sum = 0;

    while (*first < count && row[*first].ln_c < x - REACH * width)
        ++*first;
    for (size_t k = *first; k < count && row[k].ln_c <= x + REACH * width; k++) {
        const double z = (row[k].ln_c - x) / width;

        sum += mu_det_exp(-z * z / 2);
    }
    return sum;
}

/* Walks up to a peak and down to a valley in turn; a turn counts once it has changed the density by
 * 1 - PROMINENCE. */
static struct valleys find_valleys(const struct row *row, size_t count, double width)
{
    const double low = row[0].ln_c - 3 * width, step = width / STEPS_PER_WIDTH;
    const double span = row[count - 1].ln_c + 3 * width - low;
    struct valleys v = {0};
    double peak[MU_BUDGETS] = {0}, floor[MU_BUDGETS] = {0};
    double floor_from = 0, floor_to = 0;
    bool falling = false;
    size_t first = 0;

    for (size_t k = 0; (double)k * step <= span; k++) {
        const double x = low + (double)k * step, f = density(row, count, &first, x, width);

        if (!falling) {
            if (f > peak[v.count])
                peak[v.count] = f;
            falling = f < PROMINENCE * peak[v.count];
            if (falling)
                floor[v.count] = INFINITY;
        }
        if (!falling)
            continue;
        if (f < floor[v.count]) {
            floor[v.count] = f;
            floor_from = x;
        }
        if (f <= floor[v.count])
            floor_to = x;
        if (floor[v.count] < PROMINENCE * f) {
            if (v.count == MU_BUDGETS - 1) {
                v.many = true;
                return v;
            }
            v.at[v.count++] = (floor_from + floor_to) / 2;
            peak[v.count] = f;
            falling = false;
        }
    }
    for (size_t k = 0; k < v.count; k++)
        v.depth += floor[k] / fmin(peak[k], peak[k + 1]) / (double)v.count;
    return v;
}

/* Points are budgets when most of them lie in groups of several sizes that stand apart, and are no
 * continuum: FLOPs spread evenly over decades have no valley either. */
static bool cut(const struct row *row, size_t count, size_t resolution, double *scratch,
                struct valleys *v)
{
    size_t inside = 0;

    *v = find_valleys(row, count, RESOLUTION[resolution].width);
    if (v->many || v->depth > RESOLUTION[resolution].valley)
        return false;
    for (size_t k = 0, from = 0; k <= v->count; k++) {
        const double widest = WIDEST * RESOLUTION[resolution].width;
        size_t n = 0;

        for (; from + n < count && (k == v->count || row[from + n].ln_c < v->at[k]); n++)
            scratch[n] = row[from + n].ln_n;
        if (distinct(scratch, n) >= SIZES_OF_A_BUDGET &&
            row[from + n - 1].ln_c - row[from].ln_c <= widest)
            inside += n;
        from += n;
    }
    return 2 * inside > count;
}

/* A ladder: the same few amounts of data at every size. */
static bool is_ladder(const struct mu_fit_point *points, const struct row *row, size_t count,
                      double *scratch)
{
    for (size_t k = 0; k < count; k++)
        scratch[k] = mu_det_log(points[row[k].point].d);
    return 2 * distinct(scratch, count) <= count;
}

static void join(struct mu_budgets *out, const struct mu_fit_point *points, size_t point,
                 size_t budget, size_t members[], double low[])
{
    const double c = points[point].c;

    out->of[point] = (uint32_t)budget;
    out->c[budget] += mu_det_log(c); /* a sum, until all are in */
    if (members[budget] == 0 || c < low[budget])
        low[budget] = c;
    if (c > out->spread[budget])
        out->spread[budget] = c; /* likewise the largest */
    members[budget]++;
}

static void finish(struct mu_budgets *out, const size_t members[], const double low[])
{
    for (size_t k = 0; k < out->count; k++) {
        out->c[k] = mu_det_exp(out->c[k] / (double)members[k]);
        out->spread[k] /= low[k];
    }
}

static void by_valleys(const struct mu_fit_point *points, const struct row *row, size_t count,
                       const struct valleys *v, struct mu_budgets *out)
{
    size_t members[MU_BUDGETS] = {0};
    double low[MU_BUDGETS] = {0};

    for (size_t k = 0, from = 0; k <= v->count; k++) {
        size_t n = 0;

        while (from + n < count && (k == v->count || row[from + n].ln_c < v->at[k]))
            n++;
        for (size_t i = from; n > 1 && i < from + n; i++)
            join(out, points, row[i].point, out->count, members, low);
        if (n > 1)
            out->count++;
        from += n;
    }
    finish(out, members, low);
}

struct given {
    uint32_t group;
    double sum;
    size_t members;
};

static int by_mean(const void *a, const void *b)
{
    const struct given *x = a, *y = b;
    const double one = x->sum / (double)x->members, other = y->sum / (double)y->members;

    if (one != other)
        return one < other ? -1 : 1;
    return x->group < y->group ? -1 : x->group > y->group;
}

/* The user's groups, a single point too: that it is not enough is said where it is fitted. */
static void by_groups(const struct mu_fit_point *points, const struct row *row, size_t count,
                      struct mu_budgets *out)
{
    struct given given[MU_BUDGETS];
    size_t members[MU_BUDGETS] = {0}, found = 0;
    double low[MU_BUDGETS] = {0};

    for (size_t k = 0; k < count; k++) {
        const uint32_t group = points[row[k].point].group;
        size_t g = 0;

        if (group == MU_FIT_NONE)
            continue;
        while (g < found && given[g].group != group)
            g++;
        if (g == MU_BUDGETS) {
            mu_refuse(&out->refusal, "over %d groups are given: more than there can be budgets",
                      MU_BUDGETS);
            return;
        }
        if (g == found)
            given[found++] = (struct given){.group = group};
        given[g].sum += row[k].ln_c;
        given[g].members++;
    }
    qsort(given, found, sizeof *given, by_mean);
    out->count = found;
    for (size_t k = 0; k < count; k++)
        for (size_t g = 0; g < found; g++)
            if (points[row[k].point].group == given[g].group)
                join(out, points, row[k].point, g, members, low);
    finish(out, members, low);
}

static void by_compute_alone(const struct mu_fit_point *points, const struct row *row, size_t count,
                             double *scratch, struct mu_budgets *out)
{
    enum { LAST = sizeof RESOLUTION / sizeof *RESOLUTION - 1 };
    struct valleys v;

    for (size_t k = 0; k < LAST; k++)
        if (cut(row, count, k, scratch, &v)) {
            by_valleys(points, row, count, &v, out);
            return;
        }
    if (is_ladder(points, row, count, scratch))
        mu_refuse(&out->refusal,
                  "the points are a grid of sizes and tokens, not of budgets: their FLOPs do not "
                  "gather at common values (IsoFLOP needs several sizes at one C; a group column "
                  "can name budgets)");
    else if (cut(row, count, LAST, scratch, &v))
        by_valleys(points, row, count, &v, out);
    else
        mu_refuse(&out->refusal,
                  "no budgets to be seen: the FLOPs of %zu points, %.3g to %.3g, do not gather "
                  "at up to %d values that %d or more sizes share (a group column can name the "
                  "budgets)",
                  count, points[row[0].point].c, points[row[count - 1].point].c, MU_BUDGETS,
                  SIZES_OF_A_BUDGET);
}

enum mu_status mu_budgets_find(const struct mu_fit_point *points, size_t count,
                               struct mu_budgets *out)
{
    struct row *row = NULL;
    double *scratch = NULL;
    size_t ends = 0;
    bool given = false;
    enum mu_status st = MU_OK;

    *out = (struct mu_budgets){.points = count};
    out->of = malloc((count ? count : 1) * sizeof *out->of);
    out->ln_n = calloc(2 * count + 1, sizeof *out->ln_n);
    row = malloc((count ? count : 1) * sizeof *row);
    scratch = malloc((count ? count : 1) * sizeof *scratch);
    if (!out->of || !out->ln_n || !row || !scratch) {
        mu_budgets_free(out);
        st = MU_FAIL(MU_NO_MEMORY, "budgets of %zu points", count);
        goto done;
    }
    out->ln_c = out->ln_n + count;
    for (size_t k = 0; k < count; k++) {
        out->of[k] = MU_FIT_NONE;
        if (!points[k].end)
            continue;
        out->ln_n[k] = mu_det_log(points[k].n);
        out->ln_c[k] = mu_det_log(points[k].c);
        given = given || points[k].group != MU_FIT_NONE;
        row[ends++] = (struct row){out->ln_c[k], out->ln_n[k], k};
    }
    qsort(row, ends, sizeof *row, by_compute);
    if (ends == 0)
        mu_refuse(&out->refusal, "there are no final losses");
    else if (given)
        by_groups(points, row, ends, out);
    else
        by_compute_alone(points, row, ends, scratch, out);
done:
    free(row);
    free(scratch);
    return st;
}

void mu_budgets_free(struct mu_budgets *budgets)
{
    free(budgets->of);
    free(budgets->ln_n);
    budgets->of = NULL;
    budgets->ln_n = budgets->ln_c = NULL;
    budgets->count = budgets->points = 0;
}

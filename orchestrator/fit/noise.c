#include "orchestrator/fit/noise.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"

struct run {
    const struct mu_fit_point *point;
    size_t group;
    double value; /* what groups are being split by */
};

static double size_of(const struct mu_fit_point *p)
{
    return p->n;
}

static double tokens_of(const struct mu_fit_point *p)
{
    return p->d;
}

static double unique_of(const struct mu_fit_point *p)
{
    return p->unique;
}

static double layers_of(const struct mu_fit_point *p)
{
    return (double)p->shape.layers;
}

static double width_of(const struct mu_fit_point *p)
{
    return (double)p->shape.width;
}

static double heads_of(const struct mu_fit_point *p)
{
    return p->heads;
}

/* In what repeats agree, and how nearly (relative). */
static const struct {
    double (*value)(const struct mu_fit_point *p);
    double tolerance;
} likeness[] = {
    {size_of, 1e-6}, {tokens_of, 1e-3}, {unique_of, 1e-3},
    {layers_of, 0},  {width_of, 0},     {heads_of, 0},
};

static int by_group_and_value(const void *a, const void *b)
{
    const struct run *x = a, *y = b;

    return x->group != y->group ? (x->group > y->group) - (x->group < y->group)
                                : (x->value > y->value) - (x->value < y->value);
}

/* Losses last: then sums do not depend on the order in the file. */
static int by_group_and_run(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    const struct mu_fit_point *p = x->point, *q = y->point;

    if (x->group != y->group)
        return (x->group > y->group) - (x->group < y->group);
    if (p->cluster != q->cluster)
        return (p->cluster > q->cluster) - (p->cluster < q->cluster);
    if (p->seed != q->seed)
        return (p->seed > q->seed) - (p->seed < q->seed);
    return (p->loss > q->loss) - (p->loss < q->loss);
}

static void split_groups(struct run *runs, size_t count,
                         double (*value)(const struct mu_fit_point *), double tolerance)
{
    size_t group = 0, first = 0, before = 0; /* group of run i - 1, as it was */

    for (size_t i = 0; i < count; i++)
        runs[i].value = value(runs[i].point);
    qsort(runs, count, sizeof *runs, by_group_and_value);
    for (size_t i = 0; i < count; i++) {
        if (i && (runs[i].group != before ||
                  runs[i].value - runs[first].value > tolerance * runs[first].value)) {
            group++;
            first = i;
        }
        before = runs[i].group;
        runs[i].group = group;
    }
}

static bool same_run(const struct run *a, const struct run *b)
{
    return a->point->cluster == b->point->cluster && a->point->seed == b->point->seed;
}

/* Mean ln loss of the run that begins at runs[0], of at most `count` points; *points: how many. */
static double loss_of_run(const struct run *runs, size_t count, size_t *points)
{
    double sum = 0;

    for (*points = 0; *points < count && same_run(runs, &runs[*points]); ++*points)
        sum += mu_det_log(runs[*points].point->loss);
    return sum / (double)*points;
}

/* Sum of squares about the mean of a group's runs, by Welford's recurrence; adds to the degrees. */
static double scatter_of_group(const struct run *runs, size_t count, size_t *degrees)
{
    double mean = 0, squares = 0;
    size_t members = 0;

    for (size_t i = 0, points; i < count; i += points) {
        const double loss = loss_of_run(&runs[i], count - i, &points), off = loss - mean;

        members++;
        mean += off / (double)members;
        squares += off * (loss - mean);
    }
    *degrees += members - 1;
    return squares;
}

double mu_noise_of_repeats(const struct mu_fit_point *points, size_t count, size_t *degrees)
{
    struct run *runs = count ? malloc(count * sizeof *runs) : NULL;
    double squares = 0;
    size_t used = 0;

    *degrees = 0;
    if (!runs)
        return NAN;
    for (size_t i = 0; i < count; i++)
        if (points[i].end && points[i].weight > 0 && points[i].seed != MU_FIT_NONE)
            runs[used++] = (struct run){.point = &points[i]};
    for (size_t k = 0; k < sizeof likeness / sizeof *likeness; k++)
        split_groups(runs, used, likeness[k].value, likeness[k].tolerance);
    qsort(runs, used, sizeof *runs, by_group_and_run);
    for (size_t i = 0, end; i < used; i = end) {
        for (end = i; end < used && runs[end].group == runs[i].group;)
            end++;
        squares += scatter_of_group(&runs[i], end - i, degrees);
    }
    free(runs);
    return *degrees ? sqrt(squares / (double)*degrees) : NAN;
}

double mu_noise_design_effect(const double *residual, const uint32_t *cluster, size_t count,
                              uint32_t clusters)
{
    double *sum = calloc(2 * (size_t)clusters + 1, sizeof *sum), *size;
    double all = 0, total = 0, between = 0, squares = 0, members, rho;
    const double n = (double)count, groups = clusters;

    if (!sum || clusters < 2 || count <= clusters) {
        free(sum);
        return 1;
    }
    size = sum + clusters;
    for (size_t i = 0; i < count; i++) {
        sum[cluster[i]] += residual[i];
        size[cluster[i]]++;
        all += residual[i];
    }
    for (size_t i = 0; i < count; i++)
        total += (residual[i] - all / n) * (residual[i] - all / n);
    for (uint32_t k = 0; k < clusters; k++) {
        between += size[k] > 0 ? size[k] * pow(sum[k] / size[k] - all / n, 2) : 0;
        squares += size[k] * size[k];
    }
    free(sum);
    members = (n - squares / n) / (groups - 1);
    between /= groups - 1;
    total = (total - between * (groups - 1)) / (n - groups); /* within */
    rho = (between - total) / (between + (members - 1) * total);
    return rho > 0 ? 1 + (members - 1) * rho : 1;
}

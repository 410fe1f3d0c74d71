#include "orchestrator/points/moments.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int by_line(const void *one, const void *other)
{
    const struct mu_fit_point *a = one, *b = other;

    return (a->line > b->line) - (a->line < b->line);
}

static int by_curve(const void *one, const void *other)
{
    const struct mu_fit_point *a = one, *b = other;

    if (a->curve != b->curve) /* MU_FIT_NONE + 1 is 0 */
        return (a->curve + 1 > b->curve + 1) - (a->curve + 1 < b->curve + 1);
    if (a->curve != MU_FIT_NONE && (a->d < b->d || a->d > b->d))
        return (a->d > b->d) - (a->d < b->d);
    return by_line(one, other);
}

void mu_moments_sort(struct mu_fit_point *points, size_t count)
{
    qsort(points, count, sizeof *points, by_curve);
}

void mu_moments_unsort(struct mu_fit_point *points, size_t count)
{
    qsort(points, count, sizeof *points, by_line);
}

static bool same_curve(const struct mu_fit_point *points, size_t i)
{
    return i > 0 && points[i].curve != MU_FIT_NONE && points[i].curve == points[i - 1].curve;
}

void mu_moments_level(struct mu_fit_point *points, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (same_curve(points, i) && fabs(points[i].n - points[i - 1].n) <= 1e-9 * points[i].n)
            points[i].n = points[i - 1].n;
}

struct mu_moment_fault mu_moments_check(const struct mu_fit_point *points, size_t i)
{
    struct mu_moment_fault fault = {""};
    const struct mu_fit_point *p = &points[i], *before = p - 1;

    if (!same_curve(points, i))
        return fault;
    if (p->n < before->n || p->n > before->n)
        snprintf(fault.text, sizeof fault.text,
                 "has %.10g parameters, and %.10g in line %d of the same curve; expected one size",
                 p->n, before->n, before->line);
    else if (!(p->d > before->d))
        snprintf(
            fault.text, sizeof fault.text,
            "is at %.10g tokens, as line %d of the same curve; expected one row for each moment",
            p->d, before->line);
    return fault;
}

bool mu_moments_plausible(const struct mu_fit_point *points, size_t count)
{
    bool several = false;

    for (size_t i = 0; i < count; i++) {
        if (mu_moments_check(points, i).text[0])
            return false;
        several |= same_curve(points, i);
    }
    return several;
}

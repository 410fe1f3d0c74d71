/* Points that are moments of loss curves: in order, checked, and with an end. */
#ifndef MUSTER_POINTS_MOMENTS_H
#define MUSTER_POINTS_MOMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "orchestrator/fit/points.h"

/* Each curve's points together, ascending in d (rows without a curve first); a point's place among
 * equals is its line's. */
void mu_moments_sort(struct mu_fit_point *points, size_t count);
/* Back in the order of lines. */
void mu_moments_unsort(struct mu_fit_point *points, size_t count);

/* Of sorted points: sizes of one curve that differ by the rounding of C / (6 D) become one. */
void mu_moments_level(struct mu_fit_point *points, size_t count);

/* Of sorted points: do those of every curve have one n and differ in d, and has one several? */
bool mu_moments_plausible(const struct mu_fit_point *points, size_t count);

/* How point i of sorted ones contradicts the point before it, in its curve: for people, "" when it
 * does not. */
struct mu_moment_fault {
    char text[160];
};
struct mu_moment_fault mu_moments_check(const struct mu_fit_point *points, size_t i);

#endif

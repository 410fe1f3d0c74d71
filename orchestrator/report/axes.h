/* Axes of gnuplot's pictures: ranges and marks that can be read, colours that can be told apart. */
#ifndef MUSTER_REPORT_AXES_H
#define MUSTER_REPORT_AXES_H

#include <stddef.h>
#include <stdio.h>

struct mu_span {
    double low, high;
};

#define MU_SPAN_EMPTY ((struct mu_span){INFINITY, -INFINITY})

/* Not finite or not positive: left out. */
void mu_span_take(struct mu_span *span, double value);

enum mu_axis {
    MU_AXIS_POWERS, /* logarithmic, 10^18: FLOPs */
    MU_AXIS_COUNTS, /* logarithmic, 400M, 1B: parameters and tokens */
    MU_AXIS_TUNED,  /* logarithmic, 0.002: a learning rate or the like */
    MU_AXIS_LOSS    /* logarithmic when it spans more than 2.5, else linear */
};

/* `set ...` for axis "x", "y" or "cb" over the span and `margin` of it (of its logarithm) on either
 * side. `marks`: labels there is room for, about. */
void mu_axis_put(FILE *out, const char *axis, enum mu_axis kind, struct mu_span span, double margin,
                 int marks);

struct mu_colour {
    char text[10]; /* "#0072b2" */
};
/* From violet to green, as viridis: ordered also in grey and for the colour-blind. at: 0 .. 1 */
struct mu_colour mu_colour_at(double at);
/* The same as a palette. */
void mu_palette_put(FILE *out);

#endif

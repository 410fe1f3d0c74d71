#include "orchestrator/report/axes.h"

#include <math.h>
#include <stdint.h>

#include "orchestrator/report/figure.h"

/* viridis (van der Walt & Smith) from .2 to .8: its ends vanish on dark pages and on white ones */
static const uint8_t viridis[][3] = {{0x3e, 0x4a, 0x89}, {0x31, 0x68, 0x8e}, {0x26, 0x82, 0x8e},
                                     {0x1f, 0x9e, 0x89}, {0x35, 0xb7, 0x79}, {0x6e, 0xce, 0x58}};
/* Beyond what an axis can show with room to spare: what a law makes of absurd numbers. */
static const double LEAST = 1e-290, MOST = 1e290;
enum { ANCHORS = sizeof viridis / sizeof viridis[0] };

void mu_span_take(struct mu_span *span, double value)
{
    if (!isfinite(value) || value <= 0)
        return;
    span->low = fmin(span->low, value);
    span->high = fmax(span->high, value);
}

static void put_mark(FILE *out, const char *axis, enum mu_axis kind, double mantissa, int decade)
{
    double value = mantissa * pow(10, decade);

    if (kind == MU_AXIS_TUNED)
        fprintf(out, "set %stics add ('%g' %.9g)\n", axis, value, value);
    else if (kind != MU_AXIS_POWERS)
        fprintf(out, "set %stics add ('%s' %.9g)\n", axis, mu_figure_label(value).text, value);
    else if (mantissa > 1)
        fprintf(out, "set %stics add ('%g·10^{%d}' %.9g)\n", axis, mantissa, decade, value);
    else
        fprintf(out, "set %stics add ('10^{%d}' %.9g)\n", axis, decade, value);
}

/* Labelled marks as dense as there is room for, small ones at the other whole mantissas. */
static void put_marks(FILE *out, const char *axis, enum mu_axis kind, struct mu_span span,
                      int marks)
{
    static const struct {
        double per_decade;
        double mantissa[12];
    } dense[] = {
        {18, {1, 1.2, 1.5, 2, 2.5, 3, 3.5, 4, 5, 6, 7, 8}},
        {9, {1, 1.5, 2, 3, 4, 5, 7}},
        {3, {1, 2, 5}},
        {2, {1, 3}},
        {1, {1}},
    };
    double decades = log10(span.high / span.low);
    size_t k = 0, step = 1;

    while (k + 1 < sizeof dense / sizeof dense[0] && dense[k].per_decade * decades > marks)
        k++;
    while (decades / (double)step > marks)
        step++;
    fprintf(out, "set %stics ()\n", axis);
    for (int decade = (int)floor(log10(span.low)); decade <= (int)ceil(log10(span.high));
         decade++) {
        for (size_t m = 0; m < 12 && dense[k].mantissa[m] > 0; m++)
            if (decade % (int)step == 0)
                put_mark(out, axis, kind, dense[k].mantissa[m], decade);
        for (int m = 2; decades > 1 && decades < 9 && m < 10; m++)
            fprintf(out, "set %stics add ('' %.9g 1)\n", axis, m * pow(10, decade));
    }
}

void mu_axis_put(FILE *out, const char *axis, enum mu_axis kind, struct mu_span span, double margin,
                 int marks)
{
    if (kind == MU_AXIS_LOSS && !(span.high / span.low > 2.5)) {
        double by = margin * (span.high - span.low);

        if (!(by > 1e-6 * span.high)) /* which gnuplot would find empty */
            by = .05 * span.high;
        fprintf(out, "unset logscale %s\nset %srange [%.9g:%.9g]\n", axis, axis, span.low - by,
                span.high + by);
        return;
    }
    double by = margin * log(span.high / span.low);

    if (!(span.high > span.low))
        by = log(2);
    span = (struct mu_span){fmax(span.low * exp(-by), LEAST), fmin(span.high * exp(by), MOST)};
    fprintf(out, "set logscale %s\nset %srange [%.9g:%.9g]\n", axis, axis, span.low, span.high);
    put_marks(out, axis, kind, span, marks);
}

struct mu_colour mu_colour_at(double at)
{
    double x = fmin(fmax(at, 0), 1) * (ANCHORS - 1);
    int k = (int)fmin(x, ANCHORS - 2);
    struct mu_colour colour;
    unsigned mixed[3];

    for (int c = 0; c < 3; c++)
        mixed[c] = (unsigned)lround(viridis[k][c] * (k + 1 - x) + viridis[k + 1][c] * (x - k));
    snprintf(colour.text, sizeof colour.text, "#%02x%02x%02x", mixed[0] & 255, mixed[1] & 255,
             mixed[2] & 255);
    return colour;
}

void mu_palette_put(FILE *out)
{
    fprintf(out, "set palette defined (");
    for (int k = 0; k < ANCHORS; k++)
        fprintf(out, "%s%d '%s'", k ? ", " : "", k, mu_colour_at((double)k / (ANCHORS - 1)).text);
    fprintf(out, ")\n");
}

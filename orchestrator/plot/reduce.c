#include "orchestrator/plot/reduce.h"

#include <math.h>
#include <stdlib.h>

enum { STEEP = 5 }; /* a power law's mean over 0.8 i .. 1.2 i is its value at i, but for 0.3 % */

enum mu_status mu_plot_curve_init(struct mu_plot_curve *c, size_t count)
{
    *c = (struct mu_plot_curve){
        .x = calloc(count + 1, sizeof *c->x), .y = calloc(count + 1, sizeof *c->y), .count = count};
    if (c->x && c->y)
        return MU_OK;
    mu_plot_curve_deinit(c);
    return MU_FAIL(MU_NO_MEMORY, "no memory for a curve of %zu points", count);
}

void mu_plot_curve_deinit(struct mu_plot_curve *c)
{
    free(c->x);
    free(c->y);
    *c = (struct mu_plot_curve){0};
}

enum mu_status mu_plot_smooth(const double *in, size_t count, size_t window, double *out)
{
    double *sum = calloc(count + 1, sizeof *sum);
    size_t *numbers = calloc(count + 1, sizeof *numbers);

    for (size_t i = 0; sum && numbers && i < count; i++) {
        sum[i + 1] = sum[i] + (isnan(in[i]) ? 0 : in[i]);
        numbers[i + 1] = numbers[i] + (isnan(in[i]) ? 0 : 1);
    }
    for (size_t i = 0; sum && numbers && i < count; i++) {
        const size_t half = window / 2 < i / STEEP ? window / 2 : i / STEEP;
        const size_t end = half < count - 1 - i ? i + half + 1 : count;

        out[i] = half == 0 || isnan(in[i])
                     ? in[i]
                     : (sum[end] - sum[i - half]) / (double)(numbers[end] - numbers[i - half]);
    }
    free(sum);
    free(numbers);
    return sum && numbers ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory to smooth %zu values", count);
}

/* The points [from, to) of one part, moved to `end`; gives back the new end. */
static size_t keep_part(struct mu_plot_curve *c, size_t from, size_t to, size_t end)
{
    size_t keep[4], low = to, high = to, first = to, last = to;

    for (size_t i = from; i < to; i++) {
        if (isnan(c->y[i]))
            continue;
        first = first == to ? i : first;
        low = low == to || c->y[i] < c->y[low] ? i : low;
        high = high == to || c->y[i] > c->y[high] ? i : high;
        last = i;
    }
    if (first == to)
        first = low = high = last = from; /* an interruption as long as the part */
    keep[0] = first;
    keep[1] = low < high ? low : high;
    keep[2] = low < high ? high : low;
    keep[3] = last;
    for (size_t k = 0; k < 4; k++)
        if (k == 0 || keep[k] != keep[k - 1]) {
            c->x[end] = c->x[keep[k]];
            c->y[end++] = c->y[keep[k]];
        }
    return end;
}

static double position(double x, bool log_x)
{
    return log_x ? log(x) : x;
}

void mu_plot_thin(struct mu_plot_curve *c, size_t parts, bool log_x)
{
    double low, span;
    size_t end = 0, from = 0;

    if (c->count <= 4 * parts)
        return;
    low = position(c->x[0], log_x);
    span = position(c->x[c->count - 1], log_x) - low;
    if (!(span > 0))
        return;
    while (from < c->count) {
        const double at = (position(c->x[from], log_x) - low) / span * (double)parts;
        const double next = floor(at) + 1;
        size_t to = from + 1;

        while (to < c->count && (position(c->x[to], log_x) - low) / span * (double)parts < next)
            to++;
        end = keep_part(c, from, to, end);
        from = to;
    }
    c->count = end;
}

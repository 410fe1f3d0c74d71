#include "orchestrator/fit/flops.h"

#include <math.h>
#include <stdlib.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/fit/shape_rule.h"

static const double agreement = 0.01;  /* of C with what N and D say, relative */
static const double knot_width = 0.05; /* in ln N: points nearer than this make one knot */

struct sample {
    double ln_n, ln_flops;
};

/* The knot at the lower end of the interval that ln_n lies in; the first and the last interval go
 * on beyond the ends. At least two knots. */
static size_t interval_of(const struct mu_flops *f, double ln_n)
{
    size_t low = 0, high = f->knots.count - 1;

    while (high - low > 1) {
        const size_t middle = (low + high) / 2;

        if (f->knots.ln_n[middle] < ln_n)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static double slope_of_interval(const struct mu_flops *f, size_t k)
{
    return (f->knots.ln_flops[k + 1] - f->knots.ln_flops[k]) /
           (f->knots.ln_n[k + 1] - f->knots.ln_n[k]);
}

static double slope_measured(const struct mu_flops *f, double ln_n)
{
    return f->knots.count < 2 ? 1 : slope_of_interval(f, interval_of(f, ln_n));
}

static double flops_measured(const struct mu_flops *f, double n)
{
    const double ln_n = mu_det_log(n);
    const size_t k = f->knots.count < 2 ? 0 : interval_of(f, ln_n);

    return mu_det_exp(f->knots.ln_flops[k] + slope_measured(f, ln_n) * (ln_n - f->knots.ln_n[k]));
}

double mu_flops_per_token(const struct mu_flops *f, double n)
{
    struct mu_real_shape s;

    if (f->kind == MU_FLOPS_6N)
        return 6 * n;
    if (f->kind == MU_FLOPS_MEASURED)
        return flops_measured(f, n);
    s = mu_shape_between(&f->rule, n, f->count);
    return 6 * n + mu_count_attention(s.layers, s.width, (double)f->rule.context);
}

double mu_flops_slope(const struct mu_flops *f, double n)
{
    struct mu_real_shape s;
    double context, by_n;

    if (f->kind == MU_FLOPS_6N)
        return 1;
    if (f->kind == MU_FLOPS_MEASURED)
        return slope_measured(f, mu_det_log(n));
    s = mu_shape_between(&f->rule, n, f->count);
    context = (double)f->rule.context;
    by_n = 6 + (mu_count_attention(s.layers, 1, context) +
                mu_count_attention(s.layers_slope, s.width, context)) /
                   s.n_slope;
    return n * by_n / (6 * n + mu_count_attention(s.layers, s.width, context));
}

static bool says_compute(const struct mu_flops *f, const struct mu_fit_point *points, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!(fabs(points[i].c / (mu_flops_per_token(f, points[i].n) * points[i].d) - 1) <=
              agreement))
            return false;
    return true;
}

static int by_ln_n(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;

    return x->ln_n != y->ln_n ? (x->ln_n > y->ln_n) - (x->ln_n < y->ln_n)
                              : (x->ln_flops > y->ln_flops) - (x->ln_flops < y->ln_flops);
}

static int by_ln_flops(const void *a, const void *b)
{
    const struct sample *x = a, *y = b;

    return (x->ln_flops > y->ln_flops) - (x->ln_flops < y->ln_flops);
}

/* Of samples ascending in ln N; leaves them in another order. */
static void add_knot(struct mu_flops *f, struct sample *of, size_t count)
{
    const size_t k = f->knots.count++, low = (count - 1) / 2, high = count / 2;

    f->knots.ln_n[k] = (of[low].ln_n + of[high].ln_n) / 2;
    qsort(of, count, sizeof *of, by_ln_flops);
    f->knots.ln_flops[k] = (of[low].ln_flops + of[high].ln_flops) / 2;
}

static enum mu_status measure(struct mu_flops *f, const struct mu_fit_point *points, size_t count)
{
    struct sample *samples = malloc(count * sizeof *samples);
    double width;

    if (!samples)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the FLOPs of %zu points", count);
    for (size_t i = 0; i < count; i++)
        samples[i] =
            (struct sample){mu_det_log(points[i].n), mu_det_log(points[i].c / points[i].d)};
    qsort(samples, count, sizeof *samples, by_ln_n);
    /* a knot's points lie within the width and the next begins beyond it: never too many knots */
    width = fmax(knot_width, (samples[count - 1].ln_n - samples[0].ln_n) / (MU_FLOPS_KNOTS - 1));
    for (size_t i = 0, end; i < count; i = end) {
        end = i + 1;
        while (end < count && samples[end].ln_n - samples[i].ln_n <= width)
            end++;
        add_knot(f, &samples[i], end - i);
    }
    free(samples);
    return MU_OK;
}

enum mu_status mu_flops_of_points(const struct mu_fit_point *points, size_t count,
                                  struct mu_flops *out)
{
    *out = (struct mu_flops){
        .kind = MU_FLOPS_6N,
        .count = mu_count_of_points(points, count),
        .rule = mu_shape_rule_of_points(points, count),
    };
    if (!count)
        return MU_FAIL(MU_FAILED, "no points to read FLOPs from");
    if (says_compute(out, points, count))
        return MU_OK;
    out->kind = MU_FLOPS_6N_ATTENTION;
    if (out->rule.known && says_compute(out, points, count))
        return MU_OK;
    out->kind = MU_FLOPS_MEASURED;
    return measure(out, points, count);
}

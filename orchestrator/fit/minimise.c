#include "orchestrator/fit/minimise.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { STEPS = 100, N = MU_MINIMISE_VARIABLES };

bool mu_cholesky_solve(double *a, size_t stride, size_t n, double *x)
{
    for (size_t j = 0; j < n; j++) {
        double pivot = a[j * stride + j];
        const double whole = pivot;

        for (size_t k = 0; k < j; k++)
            pivot -= a[j * stride + k] * a[j * stride + k];
        if (!(pivot > 1e-14 * fabs(whole)))
            return false;
        pivot = sqrt(pivot);
        a[j * stride + j] = pivot;
        for (size_t i = j + 1; i < n; i++) {
            double sum = a[i * stride + j];

            for (size_t k = 0; k < j; k++)
                sum -= a[i * stride + k] * a[j * stride + k];
            a[i * stride + j] = sum / pivot;
        }
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            x[i] -= a[i * stride + k] * x[k];
        x[i] /= a[i * stride + i];
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            x[i] -= a[k * stride + i] * x[k];
        x[i] /= a[i * stride + i];
    }
    return true;
}

static void swap(double *a, double *b)
{
    const double t = *a;

    *a = *b;
    *b = t;
}

bool mu_gauss_solve(double *a, size_t stride, size_t n, double *x)
{
    for (size_t j = 0; j < n; j++) {
        size_t pivot = j;

        for (size_t i = j + 1; i < n; i++)
            if (fabs(a[i * stride + j]) > fabs(a[pivot * stride + j]))
                pivot = i;
        if (!(fabs(a[pivot * stride + j]) > DBL_MIN))
            return false;
        for (size_t k = j; k < n && pivot != j; k++)
            swap(&a[j * stride + k], &a[pivot * stride + k]);
        if (pivot != j)
            swap(&x[j], &x[pivot]);
        for (size_t i = j + 1; i < n; i++) {
            const double factor = a[i * stride + j] / a[j * stride + j];

            for (size_t k = j + 1; k < n; k++)
                a[i * stride + k] -= factor * a[j * stride + k];
            x[i] -= factor * x[j];
        }
    }
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            x[i] -= a[i * stride + k] * x[k];
        x[i] /= a[i * stride + i];
    }
    return true;
}

/* Where variables stand: held ones have a step that is given, others are solved for. */
struct held {
    bool is[N];
    double step[N];
};

static struct held hold_at_bounds(const struct mu_minimise *p, const double x[],
                                  const double gradient[])
{
    struct held held = {0};

    for (size_t i = 0; i < p->variables; i++)
        held.is[i] = p->low[i] == p->high[i] || (x[i] <= p->low[i] && gradient[i] > 0) ||
                     (x[i] >= p->high[i] && gradient[i] < 0);
    return held;
}

static bool solve_free(size_t n, const struct mu_derivatives *at, const double metric[N][N],
                       double mu, const struct held *held, double step[])
{
    double a[N][N], b[N] = {0};
    size_t free[N], count = 0;

    for (size_t i = 0; i < n; i++)
        if (!held->is[i])
            free[count++] = i;
    for (size_t i = 0; i < count; i++) {
        b[i] = -at->gradient[free[i]];
        for (size_t j = 0; j < n; j++)
            b[i] -= held->step[j] * (at->second[free[i]][j] + mu * metric[free[i]][j]);
        for (size_t j = 0; j < count; j++)
            a[i][j] = at->second[free[i]][free[j]] + mu * metric[free[i]][free[j]];
    }
    if (!mu_cholesky_solve(&a[0][0], N, count, b))
        return false;
    for (size_t i = 0; i < n; i++)
        step[i] = held->step[i];
    for (size_t i = 0; i < count; i++)
        step[free[i]] = b[i];
    return true;
}

/* The step within bounds: what would cross one is held there, and the rest solved again. */
static bool solve_step(const struct mu_minimise *p, const double x[],
                       const struct mu_derivatives *at, const double metric[N][N], double mu,
                       double step[])
{
    struct held held = hold_at_bounds(p, x, at->gradient);

    for (size_t round = 0; round <= p->variables; round++) {
        bool crossed = false;

        if (!solve_free(p->variables, at, metric, mu, &held, step))
            return false;
        for (size_t i = 0; i < p->variables; i++) {
            const double to = x[i] + step[i];

            if (held.is[i] || (to >= p->low[i] && to <= p->high[i]))
                continue;
            held.is[i] = crossed = true;
            held.step[i] = (to < p->low[i] ? p->low[i] : p->high[i]) - x[i];
        }
        if (!crossed)
            return true;
    }
    return true;
}

static double predicted_decrease(size_t n, const struct mu_derivatives *at, const double step[])
{
    double sum = 0;

    for (size_t i = 0; i < n; i++) {
        double row = 0;

        for (size_t j = 0; j < n; j++)
            row += at->second[i][j] * step[j];
        sum -= step[i] * (at->gradient[i] + 0.5 * row);
    }
    return sum;
}

/* G, with a little on the diagonal: a term of amplitude 0 does not feel its exponent. */
static void metric_at(const struct mu_minimise *p, double delta, const double x[],
                      double metric[N][N])
{
    struct mu_derivatives at;

    p->evaluate(p->context, x, delta, true, &at);
    memcpy(metric, at.second, sizeof at.second);
    for (size_t i = 0; i < p->variables; i++)
        metric[i][i] += 1e-13 * (p->weight + metric[i][i]);
}

static void step_to(const struct mu_minimise *p, const double x[], const double step[], double to[])
{
    for (size_t i = 0; i < p->variables; i++)
        to[i] = fmin(fmax(x[i] + step[i], p->low[i]), p->high[i]);
}

/* How small a decrease is none: `relative` of the value, and rounding. */
static bool iterate(const struct mu_minimise *p, double delta, const double metric[N][N],
                    double relative, double x[], double *value)
{
    struct mu_derivatives at, next;
    double mu = 0, step[N], to[N];
    bool still = false;

    p->evaluate(p->context, x, delta, false, &at);
    for (int k = 0; k < STEPS && !still; k++) {
        double predicted, ratio;

        if (!solve_step(p, x, &at, metric, mu, step)) {
            mu = fmax(4 * mu, 1e-3);
            continue;
        }
        predicted = predicted_decrease(p->variables, &at, step);
        still =
            predicted >= 0 && predicted <= relative * at.value + 1e-30 * p->weight && mu <= 1e-3;
        step_to(p, x, step, to);
        p->evaluate(p->context, to, delta, false, &next);
        ratio = predicted > 0 ? (at.value - next.value) / predicted : -1;
        if (next.value <= at.value && predicted > 0) {
            memcpy(x, to, p->variables * sizeof *x);
            at = next;
        } else if (mu > 1e12) {
            break;
        }
        if (!(ratio > 0.25))
            mu = fmax(4 * mu, 1e-3);
        else if (ratio > 0.75)
            mu = mu < 1e-4 ? 0 : mu / 10;
    }
    *value = at.value;
    return still;
}

bool mu_minimise(const struct mu_minimise *p, double delta, double x[], double *value)
{
    return mu_minimise_through(p, delta, delta, x, value);
}

bool mu_minimise_through(const struct mu_minimise *p, double first, double delta, double x[],
                         double *value)
{
    double metric[N][N];

    for (size_t i = 0; i < p->variables; i++)
        x[i] = fmin(fmax(x[i], p->low[i]), p->high[i]);
    metric_at(p, delta, x, metric);
    for (double d = first; d > 1.5 * delta; d /= 4)
        iterate(p, d, metric, 1e-4, x, value);
    return iterate(p, delta, metric, 1e-13, x, value);
}

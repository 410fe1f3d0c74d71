#include "orchestrator/fit/terms.h"

/* The value, 5 slopes, and the upper triangle of the Hessian, lane by lane. */
struct sums {
    mu_lanes value, gradient[MU_TERMS_PARAMETERS];
    mu_lanes hessian[MU_TERMS_PARAMETERS * (MU_TERMS_PARAMETERS + 1) / 2];
};

/* With M the predicted loss and J = dM / M: d2 r = d2 M / M - J J', hence
 *   d2 S = sum (w huber'' - w huber') J J' + w huber' d2 M / M. */
MU_LANES_INLINE void evaluate_block(const struct mu_terms_points *points, size_t b,
                                    const double theta[], double delta, bool hessian,
                                    struct sums *sums)
{
    const mu_lanes x = points->x[b] + points->shift_x, y = points->y[b] + points->shift_y,
                   w = points->weight[b], ax = -theta[3] * x, by = -theta[4] * y;
    mu_lanes u, v, predicted, r, psi, j[MU_TERMS_PARAMETERS], inverse, slope, both;
    size_t k = 0;

    mu_lanes_exp(&ax, &u);
    mu_lanes_exp(&by, &v);
    predicted = theta[0] + theta[1] * u + theta[2] * v;
    mu_lanes_clamp(&predicted, 0x1p-1000, 0x1p1000, &predicted);
    mu_lanes_log(&predicted, &r);
    r -= points->ln_loss[b];
    mu_lanes_clamp(&r, -delta, delta, &psi);
    slope = w * psi;
    sums->value += slope * (r - 0.5 * psi);
    inverse = 1 / predicted;
    j[0] = inverse;
    j[1] = u * inverse;
    j[2] = v * inverse;
    j[3] = -theta[1] * x * j[1];
    j[4] = -theta[2] * y * j[2];
    both = w;
    if (hessian) {
        const mu_lanes_int inside = (mu_lanes_int)(psi == r);

        both = (mu_lanes)((mu_lanes_int)w & inside) - slope;
    }
    for (int row = 0; row < MU_TERMS_PARAMETERS; row++) {
        const mu_lanes scaled = both * j[row];

        sums->gradient[row] += slope * j[row];
        for (int column = row; column < MU_TERMS_PARAMETERS; column++)
            sums->hessian[k++] += scaled * j[column];
    }
    if (hessian) { /* of (A, alpha), (B, beta), (alpha, alpha), (beta, beta) */
        const mu_lanes sx = slope * x, sy = slope * y;

        sums->hessian[7] -= sx * j[1];
        sums->hessian[11] -= sy * j[2];
        sums->hessian[12] -= sx * j[3];
        sums->hessian[14] -= sy * j[4];
    }
}

MU_LANES_INLINE void evaluate(const struct mu_terms_points *points, const double theta[],
                              double delta, enum mu_terms_second second, struct mu_terms_sums *out)
{
    struct sums sums = {0};
    size_t k = 0;

    if (second == MU_TERMS_HESSIAN)
        for (size_t b = 0; b < points->blocks; b++)
            evaluate_block(points, b, theta, delta, true, &sums);
    else
        for (size_t b = 0; b < points->blocks; b++)
            evaluate_block(points, b, theta, delta, false, &sums);
    out->value = mu_lanes_sum(&sums.value);
    for (int row = 0; row < MU_TERMS_PARAMETERS; row++) {
        out->gradient[row] = mu_lanes_sum(&sums.gradient[row]);
        for (int column = row; column < MU_TERMS_PARAMETERS; column++)
            out->hessian[row][column] = out->hessian[column][row] =
                mu_lanes_sum(&sums.hessian[k++]);
    }
}

MU_LANES_INLINE void moments(const struct mu_terms_points *points, const mu_lanes *u,
                             const mu_lanes *v, const double amplitude[3], double delta,
                             struct mu_terms_moments *out)
{
    mu_lanes value = {0}, product[6] = {{0}}, target[3] = {{0}};

    for (size_t b = 0; b < points->blocks; b++) {
        const mu_lanes one = points->inverse_loss[b], cu = u[b] * one, cv = v[b] * one,
                       r = amplitude[0] * one + amplitude[1] * cu + amplitude[2] * cv - 1;
        mu_lanes psi, magnitude, w, w0, w1, w2;

        mu_lanes_clamp(&r, -delta, delta, &psi);
        value += points->weight[b] * psi * (r - 0.5 * psi);
        /* psi / r, which is 1 at r = 0 */
        magnitude = (mu_lanes)((mu_lanes_int)r & INT64_MAX) + 0x1p-1000;
        w = points->weight[b] * ((mu_lanes)((mu_lanes_int)psi & INT64_MAX) + 0x1p-1000) / magnitude;
        w0 = w * one;
        w1 = w * cu;
        w2 = w * cv;
        product[0] += w0 * one;
        product[1] += w0 * cu;
        product[2] += w0 * cv;
        product[3] += w1 * cu;
        product[4] += w1 * cv;
        product[5] += w2 * cv;
        target[0] += w0;
        target[1] += w1;
        target[2] += w2;
    }
    out->value = mu_lanes_sum(&value);
    for (int row = 0, k = 0; row < 3; row++) {
        out->target[row] = mu_lanes_sum(&target[row]);
        for (int column = row; column < 3; column++)
            out->product[row][column] = out->product[column][row] = mu_lanes_sum(&product[k++]);
    }
}

MU_LANES_INLINE void exp_all(const mu_lanes *x, double factor, size_t blocks, mu_lanes *out)
{
    for (size_t b = 0; b < blocks; b++) {
        const mu_lanes scaled = factor * x[b];

        mu_lanes_exp(&scaled, &out[b]);
    }
}

MU_LANES_INLINE void log_all(const mu_lanes *x, size_t blocks, mu_lanes *out)
{
    for (size_t b = 0; b < blocks; b++)
        mu_lanes_log(&x[b], &out[b]);
}

#define VARIANT(name, set, target)                                                                 \
    target static void name##_evaluate(const struct mu_terms_points *points, const double theta[], \
                                       double delta, enum mu_terms_second second,                  \
                                       struct mu_terms_sums *out)                                  \
    {                                                                                              \
        evaluate(points, theta, delta, second, out);                                               \
    }                                                                                              \
    target static void name##_moments(const struct mu_terms_points *points, const mu_lanes *u,     \
                                      const mu_lanes *v, const double amplitude[3], double delta,  \
                                      struct mu_terms_moments *out)                                \
    {                                                                                              \
        moments(points, u, v, amplitude, delta, out);                                              \
    }                                                                                              \
    target static void name##_exp(const mu_lanes *x, double factor, size_t blocks, mu_lanes *out)  \
    {                                                                                              \
        exp_all(x, factor, blocks, out);                                                           \
    }                                                                                              \
    target static void name##_log(const mu_lanes *x, size_t blocks, mu_lanes *out)                 \
    {                                                                                              \
        log_all(x, blocks, out);                                                                   \
    }                                                                                              \
    static const struct mu_terms_variant name = {#name,          set,        name##_evaluate,      \
                                                 name##_moments, name##_exp, name##_log};

VARIANT(plain, MU_TERMS_PLAIN, )
VARIANT(avx2, MU_TERMS_AVX2, MU_TARGET_AVX2)
VARIANT(avx512, MU_TERMS_AVX512, MU_TARGET_AVX512)

static bool runs_here(enum mu_terms_set set)
{
#ifdef __x86_64__
    if (set == MU_TERMS_AVX2)
        return __builtin_cpu_supports("avx2");
    if (set == MU_TERMS_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq");
#endif
    return set == MU_TERMS_PLAIN;
}

const struct mu_terms_variant *mu_terms_variant_at(size_t k)
{
    static const struct mu_terms_variant *const all[MU_TERMS_SETS] = {&plain, &avx2, &avx512};

    for (size_t i = 0; i < MU_TERMS_SETS; i++)
        if (runs_here(all[i]->set) && k-- == 0)
            return all[i];
    return NULL;
}

const struct mu_terms_variant *mu_terms_fastest(void)
{
    const struct mu_terms_variant *best = mu_terms_variant_at(0), *next;

    for (size_t k = 1; (next = mu_terms_variant_at(k)) != NULL; k++)
        best = next;
    return best;
}

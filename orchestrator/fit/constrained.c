#include "orchestrator/fit/constrained.h"

#include <math.h>

#include "orchestrator/base/detmath.h"

enum { E, A, B, ALPHA, BETA, R_D, R_N, VARIABLES };

/* ln G with G = 1 + R (1 - exp(-s / R)), the worth of s + 1 times what is distinct; and its
 * derivatives by u = ln(what is distinct), with amount = (s + 1) exp u fixed, and by rho = ln R. */
struct worth {
    mu_lanes ln, u, rho, u_u, u_rho, rho_rho;
};

MU_LANES_INLINE void worth_of(const mu_lanes *excess, double r, struct worth *out)
{
    const mu_lanes s = *excess, q = s + 1, exponent = -s / r;
    const mu_lanes_int over = (mu_lanes_int)(s > 0);
    mu_lanes e, g, g_u, g_rho, g_u_rho, none = {0};

    mu_lanes_exp(&exponent, &e);
    g = 1 + r * (1 - e);
    mu_lanes_log(&g, &out->ln);
    g_u = -q * e / g;
    g_rho = (r * (1 - e) - s * e) / g;
    g_u_rho = -q * e * s / (r * g);
    out->u = g_u;
    out->rho = g_rho;
    out->u_u = q * e * (1 - q / r) / g - g_u * g_u;
    out->u_rho = g_u_rho - g_u * g_rho;
    out->rho_rho = g_rho - s * s * e / (r * g) - g_rho * g_rho;
    mu_lanes_select(&over, &out->ln, &none, &out->ln);
    mu_lanes_select(&over, &out->u, &none, &out->u);
    mu_lanes_select(&over, &out->rho, &none, &out->rho);
    mu_lanes_select(&over, &out->u_u, &none, &out->u_u);
    mu_lanes_select(&over, &out->u_rho, &none, &out->u_rho);
    mu_lanes_select(&over, &out->rho_rho, &none, &out->rho_rho);
}

/* exp(ln_amount - ln_distinct) - 1, or 0 where that is negative. */
MU_LANES_INLINE void excess_of(const mu_lanes *ln_amount, const mu_lanes *ln_distinct,
                               mu_lanes *out)
{
    const mu_lanes ratio = *ln_amount - *ln_distinct;

    mu_lanes_exp(&ratio, out);
    *out -= 1;
    mu_lanes_clamp(out, 0, 1e12, out);
}

/* Variables, and what is the same for all points. */
struct at {
    const double *x;
    double ln_alpha_over_beta, r_d, r_n;
};

static struct at at_variables(const double x[])
{
    return (struct at){x, mu_det_log(x[ALPHA] / x[BETA]), mu_det_exp(x[R_D]), mu_det_exp(x[R_N])};
}

/* A term of the loss, its logarithm's slopes and second derivatives. */
struct term {
    mu_lanes value, slope[VARIABLES], second[VARIABLES][VARIABLES];
};

/* ln T = a - alpha X, X = u + ln G where N exceeds U_N = exp u, else ln N. U_N is where
 * alpha A / U_N^alpha = beta B / U^beta, so with a = ln A and b = ln B at the centre:
 * alpha u = K = ln(alpha / beta) + a + alpha c_x - b - beta c_y + beta ln U. */
MU_LANES_INLINE void size_term(const struct mu_work *work, size_t block, const struct at *at,
                               bool second, struct term *t)
{
    const double *x = at->x, alpha = x[ALPHA], beta = x[BETA];
    const mu_lanes ln_n = work->points.x[block] + work->problem->centre_x,
                   ln_u = work->ln_unique[block];
    const mu_lanes u = (at->ln_alpha_over_beta + x[A] + alpha * work->centre_x - x[B] -
                        beta * work->centre_y + beta * ln_u) /
                       alpha;
    mu_lanes excess, big_x, ln_t, k[VARIABLES] = {{0}}, by[VARIABLES] = {{0}};
    mu_lanes_int over;
    struct worth g;

    excess_of(&ln_n, &u, &excess);
    over = (mu_lanes_int)(excess > 0);
    worth_of(&excess, at->r_n, &g);
    big_x = u + g.ln;
    mu_lanes_select(&over, &big_x, &ln_n, &big_x);
    g.u = (mu_lanes)((mu_lanes_int)(1 + g.u) & over); /* of X */
    ln_t = x[A] - alpha * (big_x - work->centre_x);
    mu_lanes_exp(&ln_t, &t->value);

    k[A] = 1 - (mu_lanes){0};
    k[B] = -1 - (mu_lanes){0};
    k[ALPHA] = (1 / alpha + work->centre_x) - (mu_lanes){0};
    k[BETA] = ln_u - 1 / beta - work->centre_y;
    for (int i = A; i <= BETA; i++)
        by[i] = (k[i] - (i == ALPHA ? u : (mu_lanes){0})) / alpha; /* u by variable i */
    for (int i = A; i < VARIABLES; i++)
        t->slope[i] = (i == A) - (i == ALPHA) * (big_x - work->centre_x) -
                      alpha * (g.u * by[i] + (i == R_N) * g.rho);
    for (int i = A; second && i < VARIABLES; i++)
        for (int j = i; j < VARIABLES; j++) {
            const double k_ij = i != j       ? 0
                                : i == ALPHA ? -1 / (alpha * alpha)
                                : i == BETA  ? 1 / (beta * beta)
                                             : 0;
            const mu_lanes u_ij =
                (k_ij - (double)(i == ALPHA) * by[j] - (double)(j == ALPHA) * by[i]) / alpha;

            t->second[i][j] =
                -(double)(i == ALPHA) * (g.u * by[j] + (double)(j == R_N) * g.rho) -
                (double)(j == ALPHA) * (g.u * by[i] + (double)(i == R_N) * g.rho) -
                alpha * (g.u_u * by[i] * by[j] +
                         g.u_rho * ((double)(j == R_N) * by[i] + (double)(i == R_N) * by[j]) +
                         (double)(i == R_N && j == R_N) * g.rho_rho + g.u * u_ij);
        }
}

/* ln V = b - beta Y, Y = ln U + ln G. */
MU_LANES_INLINE void data_term(const struct mu_work *work, size_t block, const struct at *at,
                               struct term *t)
{
    const double *x = at->x, beta = x[BETA];
    const mu_lanes ln_d = work->points.y[block] + work->problem->centre_y,
                   ln_u = work->ln_unique[block];
    mu_lanes excess, y, ln_v;
    struct worth g;

    excess_of(&ln_d, &ln_u, &excess);
    worth_of(&excess, at->r_d, &g);
    y = ln_u + g.ln - work->centre_y;
    ln_v = x[B] - beta * y;
    mu_lanes_exp(&ln_v, &t->value);
    t->slope[B] = 1 - (mu_lanes){0};
    t->slope[BETA] = -y;
    t->slope[R_D] = -beta * g.rho;
    t->second[BETA][R_D] = -g.rho;
    t->second[R_D][R_D] = -beta * g.rho_rho;
}

struct sums {
    mu_lanes value, gradient[VARIABLES], second[VARIABLES][VARIABLES];
};

MU_LANES_INLINE void add_block(const struct mu_work *work, size_t block, const struct at *at,
                               double delta, bool metric, struct sums *sums)
{
    struct term t = {.value = {0}}, v = {.value = {0}};
    const mu_lanes w = work->points.weight[block];
    mu_lanes predicted, r, psi, slope, both, j[VARIABLES];
    mu_lanes_int inside;

    size_term(work, block, at, !metric, &t);
    data_term(work, block, at, &v);
    predicted = at->x[E] + t.value + v.value;
    mu_lanes_log(&predicted, &r);
    r -= work->points.ln_loss[block];
    mu_lanes_clamp(&r, -delta, delta, &psi);
    slope = w * psi;
    sums->value += slope * (r - 0.5 * psi);
    t.value /= predicted;
    v.value /= predicted;
    j[E] = 1 / predicted;
    for (int i = A; i < VARIABLES; i++)
        j[i] = t.value * t.slope[i] + v.value * v.slope[i];
    inside = (mu_lanes_int)(psi == r);
    both = metric ? w : (mu_lanes)((mu_lanes_int)w & inside) - slope;
    for (int i = 0; i < VARIABLES; i++) {
        sums->gradient[i] += slope * j[i];
        for (int k = i; k < VARIABLES; k++) {
            sums->second[i][k] += both * j[i] * j[k];
            if (!metric)
                sums->second[i][k] +=
                    slope * (t.value * (t.slope[i] * t.slope[k] + t.second[i][k]) +
                             v.value * (v.slope[i] * v.slope[k] + v.second[i][k]));
        }
    }
}

MU_LANES_INLINE void add_blocks(const struct mu_work *work, const double x[], double delta,
                                bool metric, struct sums *sums)
{
    const struct at at = at_variables(x);

    for (size_t block = 0; block < work->points.blocks; block++)
        add_block(work, block, &at, delta, metric, sums);
}

#define VARIANT(name, target)                                                           \
    target static void name(const struct mu_work *work, const double x[], double delta, \
                            bool metric, struct sums *sums)                             \
    {                                                                                   \
        add_blocks(work, x, delta, metric, sums);                                       \
    }
VARIANT(add_plain, )
VARIANT(add_avx2, MU_TARGET_AVX2)
VARIANT(add_avx512, MU_TARGET_AVX512)

void mu_constrained_evaluate(const void *context, const double x[], double delta, bool metric,
                             struct mu_derivatives *out)
{
    static void (*const add[MU_TERMS_SETS])(const struct mu_work *, const double[], double, bool,
                                            struct sums *) = {add_plain, add_avx2, add_avx512};
    const struct mu_work *work = context;
    struct sums sums = {.value = {0}};

    add[work->problem->terms->set](work, x, delta, metric, &sums);
    out->value = mu_lanes_sum(&sums.value);
    for (int i = 0; i < VARIABLES; i++) {
        out->gradient[i] = mu_lanes_sum(&sums.gradient[i]);
        for (int k = i; k < VARIABLES; k++)
            out->second[i][k] = out->second[k][i] = mu_lanes_sum(&sums.second[i][k]);
    }
}

double mu_constrained_residual(const struct mu_work *work, size_t i, const double x[],
                               double slope[])
{
    const size_t block = i / MU_LANES, lane = i % MU_LANES;
    const struct at at = at_variables(x);
    struct term t, v = {.value = {0}};
    double predicted;

    size_term(work, block, &at, false, &t);
    data_term(work, block, &at, &v);
    predicted = x[E] + t.value[lane] + v.value[lane];
    slope[E] = 1 / predicted;
    for (int k = A; k < VARIABLES; k++)
        slope[k] =
            (t.value[lane] * t.slope[k][lane] + v.value[lane] * v.slope[k][lane]) / predicted;
    return mu_det_log(predicted) - work->points.ln_loss[block][lane];
}

void mu_constrained_column(const struct mu_work *work, const double x[], mu_lanes *out)
{
    const struct at at = at_variables(x);
    const double at_one = mu_det_exp(-x[A]);

    for (size_t block = 0; block < work->points.blocks; block++) {
        struct term t;

        size_term(work, block, &at, false, &t);
        out[block] = t.value * at_one;
    }
}

void mu_constrained_data_column(const struct mu_work *work, double beta, double worth,
                                mu_lanes *out)
{
    const struct at at =
        at_variables((const double[VARIABLES]){[BETA] = beta, [R_D] = mu_det_log(worth)});

    for (size_t block = 0; block < work->points.blocks; block++) {
        struct term t;

        data_term(work, block, &at, &t);
        out[block] = t.value;
    }
}

/* Bodies of the plain operations, all but attention; compiled once for float and once for double
 * (see reference_declare.h). Written to be read: one loop an index, sums in order of index, no
 * blocking. exp and log are those of orchestrator/base/detmath.h, so that the float device has the
 * same bits on every CPU. */
#include <math.h> /* sqrt: exact everywhere */
#include <stdlib.h>
#include <string.h>

#include "kernels/reference/reference_math.h"

void MU_REF(embed)(struct mu_device *device, real *out, const real *table, const real *position,
                   const int32_t *token, int64_t n, int64_t t, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        const real *row = table + token[i] * c;

        for (int64_t j = 0; j < c; j++)
            out[i * c + j] = position ? row[j] + position[i % t * c + j] : row[j];
        reference_poll(device);
    }
}

void MU_REF(embed_backward)(struct mu_device *device, real *rows, real *dposition, const real *dout,
                            const int32_t *row_of, int64_t n, int64_t t, int64_t c,
                            bool overwrite_position)
{
    if (dposition && overwrite_position)
        memset(dposition, 0, (size_t)(t * c) * sizeof(real));
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < c; j++) {
            rows[row_of[i] * c + j] += dout[i * c + j];
            if (dposition)
                dposition[i % t * c + j] += dout[i * c + j];
        }
        reference_poll(device);
    }
}

void MU_REF(layernorm)(struct mu_device *device, real *out, real *mean, real *rstd, real *x_out,
                       const real *x, const real *branch, const real *weight, const real *bias,
                       int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        const real *row = x + i * c;
        real sum = 0, squares = 0;

        if (branch) {
            for (int64_t j = 0; j < c; j++)
                x_out[i * c + j] = x[i * c + j] + branch[i * c + j];
            row = x_out + i * c;
        }
        for (int64_t j = 0; j < c; j++)
            sum += row[j];
        mean[i] = sum / (real)c;
        for (int64_t j = 0; j < c; j++)
            squares += (row[j] - mean[i]) * (row[j] - mean[i]);
        rstd[i] = 1 / (real)sqrt((double)(squares / (real)c + (real)1e-5));
        for (int64_t j = 0; j < c; j++)
            out[i * c + j] = (row[j] - mean[i]) * rstd[i] * weight[j] + bias[j];
        reference_poll(device);
    }
}

/* With xhat = (x - mean) rstd and g = dout weight: dx = rstd (g - mean(g) - xhat mean(g xhat)). */
void MU_REF(layernorm_backward)(struct mu_device *device, real *dx, real *dweight, real *dbias,
                                const real *dout, const real *x, const real *weight,
                                const real *mean, const real *rstd, int64_t n, int64_t c,
                                bool overwrite)
{
    if (overwrite) {
        memset(dweight, 0, (size_t)c * sizeof(real));
        memset(dbias, 0, (size_t)c * sizeof(real));
    }
    for (int64_t i = 0; i < n; i++) {
        real sum_g = 0, sum_gx = 0;

        for (int64_t j = 0; j < c; j++) {
            real xhat = (x[i * c + j] - mean[i]) * rstd[i];
            real g = dout[i * c + j] * weight[j];

            sum_g += g;
            sum_gx += g * xhat;
            dweight[j] += dout[i * c + j] * xhat;
            dbias[j] += dout[i * c + j];
        }
        for (int64_t j = 0; j < c; j++) {
            real xhat = (x[i * c + j] - mean[i]) * rstd[i];
            real g = dout[i * c + j] * weight[j];

            dx[i * c + j] += rstd[i] * (g - sum_g / (real)c - xhat * (sum_gx / (real)c));
        }
        reference_poll(device);
    }
}

void MU_REF(rmsnorm)(struct mu_device *device, real *out, real *rstd, real *x_out, const real *x,
                     const real *branch, const real *weight, int64_t n, int64_t c)
{
    for (int64_t i = 0; i < n; i++) {
        const real *row = x + i * c;
        real squares = 0;

        if (branch) {
            for (int64_t j = 0; j < c; j++)
                x_out[i * c + j] = x[i * c + j] + branch[i * c + j];
            row = x_out + i * c;
        }
        for (int64_t j = 0; j < c; j++)
            squares += row[j] * row[j];
        rstd[i] = 1 / (real)sqrt((double)(squares / (real)c + (real)1e-5));
        for (int64_t j = 0; j < c; j++)
            out[i * c + j] = row[j] * rstd[i] * weight[j];
        reference_poll(device);
    }
}

/* With xhat = x rstd and g = dout weight: dx = rstd (g - xhat mean(g xhat)). */
void MU_REF(rmsnorm_backward)(struct mu_device *device, real *dx, real *dweight, const real *dout,
                              const real *x, const real *weight, const real *rstd, int64_t n,
                              int64_t c, bool overwrite)
{
    if (overwrite)
        memset(dweight, 0, (size_t)c * sizeof(real));
    for (int64_t i = 0; i < n; i++) {
        real sum_gx = 0;

        for (int64_t j = 0; j < c; j++) {
            real xhat = x[i * c + j] * rstd[i];

            sum_gx += dout[i * c + j] * weight[j] * xhat;
            dweight[j] += dout[i * c + j] * xhat;
        }
        for (int64_t j = 0; j < c; j++) {
            real xhat = x[i * c + j] * rstd[i];
            real g = dout[i * c + j] * weight[j];

            dx[i * c + j] += rstd[i] * (g - xhat * (sum_gx / (real)c));
        }
        reference_poll(device);
    }
}

/* GELU in its tanh form, as x times a logistic: (1 + tanh u) / 2 = 1 / (1 + exp(-2u)),
 * u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline real MU_REF(gelu_gate)(real x)
{
    real u = (real)0x1.9884533d43651p-1 * (x + (real)0.044715 * x * x * x);

    return 1 / (1 + (real)mu_det_exp((double)(-2 * u)));
}

static inline real MU_REF(gelu_slope)(real x)
{
    real gate = MU_REF(gelu_gate)(x);
    real du = (real)0x1.9884533d43651p-1 * (1 + 3 * (real)0.044715 * x * x);

    return gate + x * gate * (1 - gate) * 2 * du;
}

void MU_REF(linear)(struct mu_device *device, struct mu_linear shape, real *y, real *before,
                    const real *x, const real *w, const real *b, enum mu_epilogue epilogue)
{
    for (int64_t n = 0; n < shape.rows; n++) {
        for (int64_t o = 0; o < shape.out; o++) {
            real sum = 0;

            for (int64_t i = 0; i < shape.in; i++)
                sum += x[n * shape.in + i] * w[o * shape.in + i];
            if (b)
                sum += b[o];
            if (epilogue == MU_EPILOGUE_GELU) {
                before[n * shape.out + o] = sum;
                sum *= MU_REF(gelu_gate)(sum);
            }
            y[n * shape.out + o] = sum;
        }
        reference_poll(device);
    }
}

void MU_REF(linear_backward_input)(struct mu_device *device, struct mu_linear shape, real *dx,
                                   const real *dy, const real *w)
{
    for (int64_t n = 0; n < shape.rows; n++) {
        memset(dx + n * shape.in, 0, (size_t)shape.in * sizeof(real));
        for (int64_t o = 0; o < shape.out; o++)
            for (int64_t i = 0; i < shape.in; i++)
                dx[n * shape.in + i] += dy[n * shape.out + o] * w[o * shape.in + i];
        reference_poll(device);
    }
}

void MU_REF(linear_backward_weight)(struct mu_device *device, struct mu_linear shape, real *dw,
                                    real *db, const real *dy, const real *x, bool overwrite)
{
    if (overwrite) {
        memset(dw, 0, (size_t)(shape.in * shape.out) * sizeof(real));
        if (db)
            memset(db, 0, (size_t)shape.out * sizeof(real));
    }
    for (int64_t n = 0; n < shape.rows; n++) {
        for (int64_t o = 0; o < shape.out; o++) {
            real d = dy[n * shape.out + o];

            for (int64_t i = 0; i < shape.in; i++)
                dw[o * shape.in + i] += d * x[n * shape.in + i];
            if (db)
                db[o] += d;
        }
        reference_poll(device);
    }
}

void MU_REF(gelu_backward)(struct mu_device *device, real *d, const real *before, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        d[i] *= MU_REF(gelu_slope)(before[i]);
        if (i % 4096 == 0)
            reference_poll(device);
    }
}

/* 1 / (1 + exp(-x)), with exponents that cannot overflow. */
static inline real MU_REF(logistic)(real x)
{
    real e = (real)mu_det_exp((double)(x < 0 ? x : -x));

    return (x < 0 ? e : 1) / (1 + e);
}

void MU_REF(swiglu)(struct mu_device *device, real *out, const real *both, int64_t n, int64_t f)
{
    for (int64_t i = 0; i < n; i++) {
        const real *gate = both + i * 2 * f, *up = gate + f;

        for (int64_t j = 0; j < f; j++)
            out[i * f + j] = gate[j] * MU_REF(logistic)(gate[j]) * up[j];
        reference_poll(device);
    }
}

/* silu'(x) = s (1 + x (1 - s)), s the logistic of x, 1 - s that of -x. */
void MU_REF(swiglu_backward)(struct mu_device *device, real *dboth, const real *dout,
                             const real *both, int64_t n, int64_t f)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < f; j++) {
            int64_t at = i * 2 * f + j;
            real gate = both[at], up = both[at + f], d = dout[i * f + j];
            real s = MU_REF(logistic)(gate), slope = s * (1 + gate * MU_REF(logistic)(-gate));

            dboth[at] = d * up * slope;
            dboth[at + f] = d * (gate * s);
        }
        reference_poll(device);
    }
}

/* Heads of queries, then of keys, of a token lie side by side. */
void MU_REF(rotate)(struct mu_device *device, struct mu_attention shape, real *qkv,
                    const real *turn, bool backward)
{
    int64_t heads = 2 * shape.heads, half = shape.head_size / 2;

    for (int64_t n = 0; n < shape.batch * shape.context; n++) {
        const real *by = turn + n % shape.context * 2 * half;

        for (int64_t h = 0; h < heads; h++) {
            real *x = qkv + n * 3 * shape.heads * shape.head_size + h * shape.head_size;

            for (int64_t i = 0; i < half; i++) {
                real cosine = by[2 * i], sine = backward ? -by[2 * i + 1] : by[2 * i + 1];
                real a = x[i], b = x[i + half];

                x[i] = a * cosine - b * sine;
                x[i + half] = b * cosine + a * sine;
            }
        }
        reference_poll(device);
    }
}

/* One row of logits at a time. dlogit = scale (softmax - [v = target]). */
void MU_REF(classifier)(struct mu_device *device, real *losses, real *dx, real *dtable,
                        const real *x, const real *table, const int32_t *target, real scale,
                        int64_t n, int64_t c, int64_t v, bool overwrite)
{
    real *logit = malloc((size_t)v * sizeof *logit);

    MU_ASSERT(logit);
    if (dx && overwrite)
        memset(dtable, 0, (size_t)(v * c) * sizeof(real));
    for (int64_t i = 0; i < n; i++) {
        real largest = (real)-INFINITY, sum = 0;

        for (int64_t k = 0; k < v; k++) {
            logit[k] = 0;
            for (int64_t j = 0; j < c; j++)
                logit[k] += x[i * c + j] * table[k * c + j];
            largest = logit[k] > largest ? logit[k] : largest;
            if (k % 1024 == 0)
                reference_poll(device);
        }
        for (int64_t k = 0; k < v; k++)
            sum += (real)mu_det_exp((double)(logit[k] - largest));
        losses[i] = (real)mu_det_log((double)sum) - (logit[target[i]] - largest);
        if (!dx)
            continue;
        memset(dx + i * c, 0, (size_t)c * sizeof(real));
        for (int64_t k = 0; k < v; k++) {
            real p = (real)mu_det_exp((double)(logit[k] - largest)) / sum;
            real d = scale * (p - (k == target[i] ? 1 : 0));

            for (int64_t j = 0; j < c; j++) {
                dx[i * c + j] += d * table[k * c + j];
                dtable[k * c + j] += d * x[i * c + j];
            }
            if (k % 1024 == 0)
                reference_poll(device);
        }
    }
    free(logit);
}

void MU_REF(adamw)(struct mu_device *device, const struct MU_REF(adamw_args) * a)
{
    for (int64_t i = 0; i < a->count; i++) {
        real g = a->gradient[i] * a->gradient_scale, w = a->weight[i];
        real m = a->beta1 * a->m[i] + (1 - a->beta1) * g;
        real v = a->beta2 * a->v[i] + (1 - a->beta2) * g * g;
        real root = (real)sqrt((double)(v / a->bias2));

        a->m_out[i] = m;
        a->v_out[i] = v;
        a->weight_out[i] = w - a->lr * (m / a->bias1 / (root + a->eps) + a->decay * w);
        if (i % 65536 == 0)
            reference_poll(device);
    }
}

/* Part of vector_ops.c: LayerNorm and RMSNorm, and their gradients, of one row each. */
#ifndef MUSTER_KERNELS_CPU_VECTOR_NORMS_H
#define MUSTER_KERNELS_CPU_VECTOR_NORMS_H

#include <math.h>

#include "kernels/cpu/vector/vector.h"

static void layernorm(void *out, bool bf16, float *mean, float *rstd, float *x_out, const float *x,
                      const float *branch, const float *weight, const float *bias, int64_t c)
{
    vec sum = {0}, squares = {0}, m, s;
    const float *row = branch ? x_out : x;

    for (int64_t i = 0; i < c; i += LANES) {
        vec v = load(x + i, c - i);

        if (branch) {
            v += load(branch + i, c - i);
            store(x_out + i, v, c - i);
        }
        sum += v;
    }
    *mean = sum_lanes(sum) / (float)c;
    m = splat(*mean);
    for (int64_t i = 0; i < c; i += LANES) {
        vec d = load_or(row + i, c - i, *mean) - m;

        squares += d * d;
    }
    *rstd = 1.0f / sqrtf(sum_lanes(squares) / (float)c + 1e-5f);
    s = splat(*rstd);
    for (int64_t i = 0; i < c; i += LANES) {
        vec v = (load(row + i, c - i) - m) * s;

        v = v * load(weight + i, c - i) + load(bias + i, c - i);
        store_act(out, bf16, i, v, c - i);
    }
}

static void layernorm_backward(float *dx, float *dweight, float *dbias, const float *dout,
                               const float *x, const float *weight, float mean, float rstd,
                               int64_t c)
{
    vec sum_g = {0}, sum_gx = {0}, mean_g, mean_gx;

    for (int64_t i = 0; i < c; i += LANES) {
        vec xhat = (load_or(x + i, c - i, mean) - mean) * rstd;
        vec d = load(dout + i, c - i);
        vec g = d * load(weight + i, c - i);

        sum_g += g;
        sum_gx += g * xhat;
        store(dweight + i, load(dweight + i, c - i) + d * xhat, c - i);
        store(dbias + i, load(dbias + i, c - i) + d, c - i);
    }
    mean_g = splat(sum_lanes(sum_g) / (float)c);
    mean_gx = splat(sum_lanes(sum_gx) / (float)c);
    for (int64_t i = 0; i < c; i += LANES) {
        vec xhat = (load(x + i, c - i) - mean) * rstd;
        vec g = load(dout + i, c - i) * load(weight + i, c - i);

        store(dx + i, load(dx + i, c - i) + rstd * (g - mean_g - xhat * mean_gx), c - i);
    }
}

static void rmsnorm(void *out, bool bf16, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t c)
{
    const float *row = branch ? x_out : x;
    vec squares = {0}, s;

    for (int64_t i = 0; i < c; i += LANES) {
        vec v = load(x + i, c - i);

        if (branch) {
            v += load(branch + i, c - i);
            store(x_out + i, v, c - i);
        }
        squares += v * v;
    }
    *rstd = 1.0f / sqrtf(sum_lanes(squares) / (float)c + 1e-5f);
    s = splat(*rstd);
    for (int64_t i = 0; i < c; i += LANES)
        store_act(out, bf16, i, load(row + i, c - i) * s * load(weight + i, c - i), c - i);
}

static void rmsnorm_backward(float *dx, float *dweight, const float *dout, const float *x,
                             const float *weight, float rstd, int64_t c)
{
    vec sum_gx = {0}, mean_gx;

    for (int64_t i = 0; i < c; i += LANES) {
        vec xhat = load(x + i, c - i) * rstd, d = load(dout + i, c - i);

        sum_gx += d * load(weight + i, c - i) * xhat;
        store(dweight + i, load(dweight + i, c - i) + d * xhat, c - i);
    }
    mean_gx = splat(sum_lanes(sum_gx) / (float)c);
    for (int64_t i = 0; i < c; i += LANES) {
        vec xhat = load(x + i, c - i) * rstd;
        vec g = load(dout + i, c - i) * load(weight + i, c - i);

        store(dx + i, load(dx + i, c - i) + rstd * (g - xhat * mean_gx), c - i);
    }
}

#endif

/* GPT-2's forward pass in double precision, written from the formulas and sharing no code with the
 * workload or the devices: one sequence at a time, one loop an index. Gradients come from central
 * differences of it, so that no derivation is trusted twice. Tensors are found by name. */
#ifndef MUSTER_TESTS_SUPPORT_GPT64_H
#define MUSTER_TESTS_SUPPORT_GPT64_H

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/core/layout.h"

struct gpt64 {
    const struct mu_layout *layout;
    int layers, heads, width, context, vocab;
    const double *p; /* layout->elements */
    int hidden;      /* llama64.h's, both */
    double rope_theta;
};

__attribute__((format(printf, 2, 3))) static inline const double *gpt64_tensor(
    const struct gpt64 *m, const char *format, ...)
{
    char name[MU_TENSOR_NAME_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    for (uint32_t i = 0; i < m->layout->tensor_count; i++)
        if (strcmp(m->layout->tensors[i].spec.name, name) == 0)
            return m->p + m->layout->tensors[i].offset;
    fprintf(stderr, "no tensor is called %s\n", name);
    abort();
}

static inline void gpt64_norm(const double *x, const double *w, const double *b, int c, double *out)
{
    double mean = 0, variance = 0;

    for (int i = 0; i < c; i++)
        mean += x[i] / c;
    for (int i = 0; i < c; i++)
        variance += (x[i] - mean) * (x[i] - mean) / c;
    for (int i = 0; i < c; i++)
        out[i] = (x[i] - mean) / sqrt(variance + 1e-5) * w[i] + b[i];
}

static inline void gpt64_linear(const double *x, const double *w, const double *b, int in, int out,
                                double *y)
{
    for (int o = 0; o < out; o++) {
        y[o] = b[o];
        for (int i = 0; i < in; i++)
            y[o] += w[o * in + i] * x[i];
    }
}

/* x (T, C) += attention of block l. */
static inline void gpt64_attention(const struct gpt64 *m, int l, double *x)
{
    const int c = m->width, t = m->context, d = c / m->heads;
    double *qkv = calloc((size_t)(t * 3 * c), sizeof *qkv);
    double normed[c], mixed[c], out[c], p[t];

    for (int i = 0; i < t; i++) {
        gpt64_norm(x + i * c, gpt64_tensor(m, "h.%d.ln_1.weight", l),
                   gpt64_tensor(m, "h.%d.ln_1.bias", l), c, normed);
        gpt64_linear(normed, gpt64_tensor(m, "h.%d.attn.qkv.weight", l),
                     gpt64_tensor(m, "h.%d.attn.qkv.bias", l), c, 3 * c, qkv + i * 3 * c);
    }
    for (int i = 0; i < t; i++) {
        for (int h = 0; h < m->heads; h++) {
            const double *q = qkv + i * 3 * c + h * d;
            double sum = 0;

            for (int k = 0; k <= i; k++) {
                double dot = 0;

                for (int e = 0; e < d; e++)
                    dot += q[e] * qkv[k * 3 * c + c + h * d + e];
                p[k] = exp(dot / sqrt(d));
                sum += p[k];
            }
            for (int e = 0; e < d; e++) {
                mixed[h * d + e] = 0;
                for (int k = 0; k <= i; k++)
                    mixed[h * d + e] += p[k] / sum * qkv[k * 3 * c + 2 * c + h * d + e];
            }
        }
        gpt64_linear(mixed, gpt64_tensor(m, "h.%d.attn.proj.weight", l),
                     gpt64_tensor(m, "h.%d.attn.proj.bias", l), c, c, out);
        for (int e = 0; e < c; e++)
            x[i * c + e] += out[e];
    }
    free(qkv);
}

/* x (T, C) += mlp of block l. */
static inline void gpt64_mlp(const struct gpt64 *m, int l, double *x)
{
    const int c = m->width;
    double normed[c], wide[4 * c], out[c];

    for (int i = 0; i < m->context; i++) {
        gpt64_norm(x + i * c, gpt64_tensor(m, "h.%d.ln_2.weight", l),
                   gpt64_tensor(m, "h.%d.ln_2.bias", l), c, normed);
        gpt64_linear(normed, gpt64_tensor(m, "h.%d.mlp.up.weight", l),
                     gpt64_tensor(m, "h.%d.mlp.up.bias", l), c, 4 * c, wide);
        for (int e = 0; e < 4 * c; e++)
            wide[e] =
                wide[e] / 2 * (1 + tanh(sqrt(2 / M_PI) * (wide[e] + 0.044715 * pow(wide[e], 3))));
        gpt64_linear(wide, gpt64_tensor(m, "h.%d.mlp.down.weight", l),
                     gpt64_tensor(m, "h.%d.mlp.down.bias", l), 4 * c, c, out);
        for (int e = 0; e < c; e++)
            x[i * c + e] += out[e];
    }
}

/* Sum of the cross entropies, in nats, of one window of T + 1 tokens. */
static inline double gpt64_loss(const struct gpt64 *m, const int *window)
{
    const int c = m->width, t = m->context;
    const double *wte = gpt64_tensor(m, "wte.weight"), *wpe = gpt64_tensor(m, "wpe.weight");
    double *x = calloc((size_t)(t * c), sizeof *x), normed[c], loss = 0;

    for (int i = 0; i < t; i++)
        for (int e = 0; e < c; e++)
            x[i * c + e] = wte[window[i] * c + e] + wpe[i * c + e];
    for (int l = 0; l < m->layers; l++) {
        gpt64_attention(m, l, x);
        gpt64_mlp(m, l, x);
    }
    for (int i = 0; i < t; i++) {
        double sum = 0, hit = 0;

        gpt64_norm(x + i * c, gpt64_tensor(m, "ln_f.weight"), gpt64_tensor(m, "ln_f.bias"), c,
                   normed);
        for (int v = 0; v < m->vocab; v++) {
            double logit = 0;

            for (int e = 0; e < c; e++)
                logit += wte[v * c + e] * normed[e];
            sum += exp(logit);
            hit = v == window[i + 1] ? logit : hit;
        }
        loss += log(sum) - hit;
    }
    free(x);
    return loss;
}

#endif

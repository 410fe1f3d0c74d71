/* A Llama's forward pass in double precision, as gpt64.h has GPT-2's. */
#ifndef MUSTER_TESTS_SUPPORT_LLAMA64_H
#define MUSTER_TESTS_SUPPORT_LLAMA64_H

#include "tests/support/gpt64.h"

static inline void llama64_norm(const double *x, const double *w, int c, double *out)
{
    double square = 0;

    for (int i = 0; i < c; i++)
        square += x[i] * x[i] / c;
    for (int i = 0; i < c; i++)
        out[i] = x[i] / sqrt(square + 1e-5) * w[i];
}

static inline void llama64_matrix(const double *x, const double *w, int in, int out, double *y)
{
    for (int o = 0; o < out; o++) {
        y[o] = 0;
        for (int i = 0; i < in; i++)
            y[o] += w[o * in + i] * x[i];
    }
}

/* One head's query or key (D) at position t. */
static inline void llama64_turn(double *x, int d, int t, double theta)
{
    for (int i = 0; i < d / 2; i++) {
        const double angle = t * pow(theta, -2.0 * i / d), a = x[i], b = x[i + d / 2];

        x[i] = a * cos(angle) - b * sin(angle);
        x[i + d / 2] = b * cos(angle) + a * sin(angle);
    }
}

/* qkv (T, 3, H, D) of x (T, C), turned. */
static inline void llama64_qkv(const struct gpt64 *m, int l, const double *x, double *qkv)
{
    const int c = m->width, d = c / m->heads;
    double normed[c];

    for (int i = 0; i < m->context; i++) {
        llama64_norm(x + i * c, gpt64_tensor(m, "model.layers.%d.input_layernorm.weight", l), c,
                     normed);
        llama64_matrix(normed, gpt64_tensor(m, "model.layers.%d.self_attn.qkv_proj.weight", l), c,
                       3 * c, qkv + i * 3 * c);
        for (int h = 0; h < 2 * m->heads; h++)
            llama64_turn(qkv + i * 3 * c + h * d, d, i, m->rope_theta);
    }
}

/* x (T, C) += attention of block l. */
static inline void llama64_attention(const struct gpt64 *m, int l, double *x)
{
    const int c = m->width, t = m->context, d = c / m->heads;
    double *qkv = calloc((size_t)(t * 3 * c), sizeof *qkv), mixed[c], out[c], p[t];

    llama64_qkv(m, l, x, qkv);
    for (int i = 0; i < t; i++) {
        for (int h = 0; h < m->heads; h++) {
            double sum = 0;

            for (int k = 0; k <= i; k++) {
                p[k] = 0;
                for (int e = 0; e < d; e++)
                    p[k] += qkv[i * 3 * c + h * d + e] * qkv[k * 3 * c + c + h * d + e];
                p[k] = exp(p[k] / sqrt(d));
                sum += p[k];
            }
            for (int e = 0; e < d; e++) {
                mixed[h * d + e] = 0;
                for (int k = 0; k <= i; k++)
                    mixed[h * d + e] += p[k] / sum * qkv[k * 3 * c + 2 * c + h * d + e];
            }
        }
        llama64_matrix(mixed, gpt64_tensor(m, "model.layers.%d.self_attn.o_proj.weight", l), c, c,
                       out);
        for (int e = 0; e < c; e++)
            x[i * c + e] += out[e];
    }
    free(qkv);
}

/* x (T, C) += mlp of block l. */
static inline void llama64_mlp(const struct gpt64 *m, int l, double *x)
{
    const int c = m->width, f = m->hidden;
    double normed[c], wide[2 * f], out[c];

    for (int i = 0; i < m->context; i++) {
        llama64_norm(x + i * c,
                     gpt64_tensor(m, "model.layers.%d.post_attention_layernorm.weight", l), c,
                     normed);
        llama64_matrix(normed, gpt64_tensor(m, "model.layers.%d.mlp.gate_up_proj.weight", l), c,
                       2 * f, wide);
        for (int e = 0; e < f; e++)
            wide[e] = wide[e] / (1 + exp(-wide[e])) * wide[f + e];
        llama64_matrix(wide, gpt64_tensor(m, "model.layers.%d.mlp.down_proj.weight", l), f, c, out);
        for (int e = 0; e < c; e++)
            x[i * c + e] += out[e];
    }
}

/* As gpt64_loss. */
static inline double llama64_loss(const struct gpt64 *m, const int *window)
{
    const int c = m->width, t = m->context;
    const double *table = gpt64_tensor(m, "model.embed_tokens.weight");
    double *x = calloc((size_t)(t * c), sizeof *x), normed[c], logit[m->vocab], loss = 0;

    for (int i = 0; i < t; i++)
        memcpy(x + i * c, table + window[i] * c, (size_t)c * sizeof *x);
    for (int l = 0; l < m->layers; l++) {
        llama64_attention(m, l, x);
        llama64_mlp(m, l, x);
    }
    for (int i = 0; i < t; i++) {
        double sum = 0;

        llama64_norm(x + i * c, gpt64_tensor(m, "model.norm.weight"), c, normed);
        llama64_matrix(normed, table, c, m->vocab, logit);
        for (int v = 0; v < m->vocab; v++)
            sum += exp(logit[v]);
        loss += log(sum) - logit[window[i + 1]];
    }
    free(x);
    return loss;
}

#endif

/* Causal attention, plain; compiled for float and double (see reference_declare.h).
 *
 *   s[i][k] = q[i] . k[k] / sqrt(D), k <= i;  p = softmax(s);  out[i] = sum_k p[i][k] v[k]
 *
 * Backward, with dp[i][k] = dout[i] . v[k]: ds = p (dp - sum_k p dp) / sqrt(D), and sum_k p dp =
 * dout[i] . out[i]. */
#include <math.h>
#include <string.h>

#include "kernels/reference/reference_math.h"

/* Row `token` of part 0 (q), 1 (k) or 2 (v) of head h in a tensor (B, T, 3, H, D). */
static inline int64_t MU_REF(qkv_at)(struct mu_attention s, int64_t b, int64_t token, int64_t part,
                                     int64_t h)
{
    return (((b * s.context + token) * 3 + part) * s.heads + h) * s.head_size;
}

static inline real MU_REF(dot)(const real *a, const real *b, int64_t n)
{
    real sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Row i of one head: scores are computed twice rather than stored. */
static void MU_REF(attend_row)(struct mu_attention s, real *out, real *lse, const real *qkv,
                               int64_t b, int64_t h, int64_t i)
{
    const real *q = qkv + MU_REF(qkv_at)(s, b, i, 0, h);
    real scale = 1 / (real)sqrt((double)s.head_size), largest = (real)-INFINITY, sum = 0;

    for (int64_t k = 0; k <= i; k++) {
        real score = scale * MU_REF(dot)(q, qkv + MU_REF(qkv_at)(s, b, k, 1, h), s.head_size);

        largest = score > largest ? score : largest;
    }
    memset(out, 0, (size_t)s.head_size * sizeof(real));
    for (int64_t k = 0; k <= i; k++) {
        const real *v = qkv + MU_REF(qkv_at)(s, b, k, 2, h);
        real score = scale * MU_REF(dot)(q, qkv + MU_REF(qkv_at)(s, b, k, 1, h), s.head_size);
        real e = (real)mu_det_exp((double)(score - largest));

        sum += e;
        for (int64_t d = 0; d < s.head_size; d++)
            out[d] += e * v[d];
    }
    for (int64_t d = 0; d < s.head_size; d++)
        out[d] /= sum;
    *lse = largest + (real)mu_det_log((double)sum);
}

void MU_REF(attention)(struct mu_device *device, struct mu_attention s, real *out, real *lse,
                       const real *qkv)
{
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++)
            for (int64_t i = 0; i < s.context; i++) {
                MU_REF(attend_row)
                (s, out + ((b * s.context + i) * s.heads + h) * s.head_size,
                 lse + (b * s.heads + h) * s.context + i, qkv, b, h, i);
                reference_poll(device);
            }
}

void MU_REF(attention_last)(struct mu_device *device, struct mu_attention s, real *out,
                            const real *qkv)
{
    real lse;

    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t h = 0; h < s.heads; h++) {
            MU_REF(attend_row)
            (s, out + (b * s.heads + h) * s.head_size, &lse, qkv, b, h, s.context - 1);
            reference_poll(device);
        }
}

void MU_REF(attention_backward)(struct mu_device *device, struct mu_attention s, real *dqkv,
                                const real *dout, const real *out, const real *qkv, const real *lse)
{
    real scale = 1 / (real)sqrt((double)s.head_size);

    memset(dqkv, 0, (size_t)(s.batch * s.context * 3 * s.heads * s.head_size) * sizeof(real));
    for (int64_t row = 0; row < s.batch * s.heads * s.context; row++) {
        int64_t b = row / (s.heads * s.context), h = row / s.context % s.heads;
        int64_t i = row % s.context, at_q = MU_REF(qkv_at)(s, b, i, 0, h);
        int64_t at_out = ((b * s.context + i) * s.heads + h) * s.head_size;
        real inner = MU_REF(dot)(dout + at_out, out + at_out, s.head_size);

        for (int64_t k = 0; k <= i; k++) {
            int64_t at_k = MU_REF(qkv_at)(s, b, k, 1, h), at_v = MU_REF(qkv_at)(s, b, k, 2, h);
            real score = scale * MU_REF(dot)(qkv + at_q, qkv + at_k, s.head_size);
            real p = (real)mu_det_exp((double)(score - lse[row]));
            real dp = MU_REF(dot)(dout + at_out, qkv + at_v, s.head_size);
            real ds = p * (dp - inner) * scale;

            for (int64_t d = 0; d < s.head_size; d++) {
                dqkv[at_q + d] += ds * qkv[at_k + d];
                dqkv[at_k + d] += ds * qkv[at_q + d];
                dqkv[at_v + d] += p * dout[at_out + d];
            }
        }
        reference_poll(device);
    }
}

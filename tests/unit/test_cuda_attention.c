/* Attention of kernels/cuda/, emulated, against the reference in double: every element within what
 * arithmetic in f32, with p and ds rounded to act, may be off by. */
#include "tests/support/cuda_compare.h"

#include "kernels/reference/reference_f64.h"

/* Unit roundoffs: half of the distance to the next number, relative. */
#define F32_ROUNDING  0x1p-24
#define BF16_ROUNDING 0x1p-8

static float largest_qkv; /* of random numbers in q, k and v */

static void run_forward_and_backward(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    struct mu_attention s = {r->shape.b, r->shape.t, r->shape.h, r->shape.d};
    int64_t n = s.batch * s.context, c = s.heads * s.head_size;
    void *qkv = random_act(r, n * 3 * c, largest_qkv), *dout = random_act(r, n * c, 1);
    void *out = output(r, "out", n * c, true, false);
    float *lse = output(r, "lse", s.batch * s.heads * s.context, false, false);

    op->attention(r->device, s, out, lse, qkv);
    op->attention_backward(r->device, s, output(r, "dqkv", n * 3 * c, true, false), dout, out, qkv,
                           lse);
}

/* All tensors of one run as doubles; right and bound of each output. */
struct wide {
    struct mu_attention s;
    double act_rounding; /* of what is stored as act */
    double *qkv, *dout, *out, *lse;
    double *right_out, *right_lse, *right_dqkv;
    double *out_bound, *lse_bound, *dqkv_bound;
};

static double *wide_zeros(int64_t n)
{
    double *p = calloc((size_t)n, sizeof *p);

    assert_non_null(p);
    return p;
}

static double *widen(const void *from, int64_t n, bool bf16)
{
    double *p = wide_zeros(n);

    for (int64_t i = 0; i < n; i++)
        p[i] = (double)(bf16 ? mu_bf16_to_f32(((const uint16_t *)from)[i])
                             : ((const float *)from)[i]);
    return p;
}

static double dot(const double *a, const double *b, int64_t n, bool absolute)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += absolute ? fabs(a[i] * b[i]) : a[i] * b[i];
    return sum;
}

/* One query of one head; h: its number among all of a sequence's rows of qkv, from where part p of
 * token k is at qkv + k * 3C + p * C. Forward: p off by `p_off`, relative, and a sum of i + 1 terms;
 * the denominator likewise. */
static void bound_row(struct wide *w, int64_t b, int64_t head, int64_t i)
{
    int64_t d = w->s.head_size, c = w->s.heads * d, t = w->s.context;
    int64_t row = (b * w->s.heads + head) * t + i, at = ((b * t + i) * 3) * c + head * d;
    int64_t at_out = (b * t + i) * c + head * d;
    const double *q = w->qkv + at, *k = w->qkv + at - i * 3 * c + c, *dout = w->dout + at_out;
    const double *v = k + c;
    double root = 1 / sqrt((double)d), sums = (double)(t + 40) * F32_ROUNDING;
    double inner = dot(dout, w->out + at_out, d, false), off = 0;
    double inner_off = (double)(d + 4) * F32_ROUNDING * dot(dout, w->out + at_out, d, true);
    double *dq_bound = w->dqkv_bound + at;

    for (int64_t j = 0; j <= i; j++, k += 3 * c, v += 3 * c) {
        double *dk_bound = w->dqkv_bound + (k - w->qkv), *dv_bound = dk_bound + c;
        double score = root * dot(q, k, d, false), p = exp(score - w->lse[row]);
        double right_p = exp(score - w->right_lse[row]), dp = dot(dout, v, d, false), ds, ds_off;
        /* the product, then scaling, top and lse in powers of two */
        double score_off = (double)(d + 8) * F32_ROUNDING * root * dot(q, k, d, true) +
                           4 * F32_ROUNDING * (fabs(score) + fabs(w->lse[row]));
        double p_off = expm1(score_off) + sums;

        off = fmax(off, p_off);
        ds = p * fabs(dp - inner) * root;
        ds_off = (p_off + w->act_rounding) * ds +
                 p * root * (inner_off + (double)(d + 4) * F32_ROUNDING * dot(dout, v, d, true));
        for (int64_t x = 0; x < d; x++) {
            w->out_bound[at_out + x] += right_p * fabs(v[x]);
            dq_bound[x] += ds_off * fabs(k[x]);
            dk_bound[x] += ds_off * fabs(q[x]);
            dv_bound[x] += (p_off + w->act_rounding) * p * fabs(dout[x]);
        }
    }
    for (int64_t x = 0; x < d; x++)
        w->out_bound[at_out + x] *= 2 * off + w->act_rounding;
    w->lse_bound[row] = off + 4 * F32_ROUNDING * fabs(w->right_lse[row]);
}

/* The largest share of its bound that an element is off by; p: products of roundings, and what is
 * too small for an f32. */
static double share_of_bound(const double *right, const double *bound, const double *got, int64_t n,
                             double rounding)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++) {
        double limit = 1.02 * (bound[i] + rounding * (fabs(right[i]) + bound[i])) + 1e-30;
        double share = fabs(got[i] - right[i]) / limit;

        if (!(share <= most)) /* a NaN too */
            most = share;
    }
    return most;
}

static void check_against_double(const struct kernel_run *r, bool bf16)
{
    struct mu_attention s = {r->shape.b, r->shape.t, r->shape.h, r->shape.d};
    int64_t rows = s.batch * s.context * s.heads, n = rows * s.head_size;
    double *dqkv = widen(r->outputs[2].data, 3 * n, bf16), shares[3];
    struct wide w = {
        .s = s,
        .act_rounding = bf16 ? BF16_ROUNDING : 0,
        .qkv = widen(r->inputs[0], 3 * n, bf16),
        .dout = widen(r->inputs[1], n, bf16),
        .out = widen(r->outputs[0].data, n, bf16),
        .lse = widen(r->outputs[1].data, rows, false),
        .right_out = wide_zeros(n),
        .right_lse = wide_zeros(rows),
        .right_dqkv = wide_zeros(3 * n),
        .out_bound = wide_zeros(n),
        .lse_bound = wide_zeros(rows),
        .dqkv_bound = wide_zeros(3 * n),
    };
    double *all[] = {w.qkv,       w.dout,       w.out,       w.lse,       w.right_out, w.right_lse,
                     w.right_dqkv, w.out_bound, w.lse_bound, w.dqkv_bound, dqkv};

    mu_reference_f64_attention(NULL, s, w.right_out, w.right_lse, w.qkv);
    mu_reference_f64_attention_backward(NULL, s, w.right_dqkv, w.dout, w.out, w.qkv, w.lse);
    for (int64_t row = 0; row < rows; row++)
        bound_row(&w, row / (s.heads * s.context), row / s.context % s.heads, row % s.context);
    shares[0] = share_of_bound(w.right_out, w.out_bound, w.out, n, w.act_rounding);
    shares[1] = share_of_bound(w.right_lse, w.lse_bound, w.lse, rows, 0);
    shares[2] = share_of_bound(w.right_dqkv, w.dqkv_bound, dqkv, 3 * n, w.act_rounding);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
    if (getenv("MUSTER_TEST_SHARES"))
    print_message("%s B %d T %d H %d D %d: %.3f %.3f %.3f\n", bf16 ? "bf16" : "fp32", (int)s.batch, (int)s.context, (int)s.heads,
     (int)s.head_size, shares[0], shares[1], shares[2]);
    for (int i = 0; i < 3; i++)
        if (!(shares[i] <= 1))
            fail_msg("%s of %s, T %d, D %d: off by %g times what is allowed", r->outputs[i].name,
                     bf16 ? "bf16" : "fp32", (int)s.context, (int)s.head_size, shares[i]);
}

static void check(enum mu_precision precision, struct kernel_shape shape, float largest)
{
    struct mu_device cuda = emulated_device(precision);
    struct kernel_run *first, *other;

    largest_qkv = largest;
    mu_emulate_clear();
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    first = run_part(run_forward_and_backward, &cuda, shape, false);
    check_against_double(first, precision == MU_PRECISION_BF16);
    for (int order = MU_EMULATE_REVERSE; order <= MU_EMULATE_SHUFFLED; order++) {
        mu_emulate_set_order((enum mu_emulate_order)order, seed);
        other = run_part(run_forward_and_backward, &cuda, shape, false);
        same_bits(first, other);
        kernel_run_free(other);
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    kernel_run_free(first);
}

static void awkward_shapes(void **state)
{
    static const struct kernel_shape shapes[] = {
        {1, 1, 1, 1, 1, 1},
        {2, 3, 3, 5, 1, 1},
        {1, 150, 1, 64, 1, 1},
        {1, 67, 2, 80, 1, 1},
        {1, 131, 1, 128, 1, 1},
        {1, 70, 1, 200, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check(MU_PRECISION_FP32, shapes[i], 2);
        check(MU_PRECISION_BF16, shapes[i], 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(awkward_shapes),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

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
        p[i] =
            (double)(bf16 ? mu_bf16_to_f32(((const uint16_t *)from)[i]) : ((const float *)from)[i]);
    return p;
}

static double dot(const double *a, const double *b, int64_t n, bool absolute)
{
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += absolute ? fabs(a[i] * b[i]) : a[i] * b[i];
    return sum;
}

/* What query i of one head may be off by, and what it adds to the bounds of keys and values. A dot
 * product of n terms in f32: n roundings of the sum of its terms' magnitudes. p = 2^(scale score -
 * lse): off by what its exponent is off by; added up t times in f32 at most, and rounded to act
 * before it is multiplied. ds likewise. */
static void bound_row(struct wide *w, int64_t b, int64_t head, int64_t i)
{
    int64_t d = w->s.head_size, c = w->s.heads * d, t = w->s.context;
    int64_t row = (b * w->s.heads + head) * t + i, at = (b * t + i) * 3 * c + head * d;
    int64_t at_out = (b * t + i) * c + head * d;
    const double *q = w->qkv + at, *dout = w->dout + at_out, *out = w->out + at_out;
    double root = 1 / sqrt((double)d), roundings = (double)(d + 8) * F32_ROUNDING;
    double sum_off = (double)(t + 40) * F32_ROUNDING, most = 0;
    double inner = dot(dout, out, d, false), inner_off = roundings * dot(dout, out, d, true);

    for (int64_t j = 0; j <= i; j++) {
        int64_t at_k = at + (j - i) * 3 * c + c, at_v = at_k + c;
        const double *k = w->qkv + at_k, *v = w->qkv + at_v;
        double score = root * dot(q, k, d, false), p = exp(score - w->lse[row]);
        double score_off = roundings * root * dot(q, k, d, true) +
                           4 * F32_ROUNDING * (fabs(score) + fabs(w->lse[row]));
        double p_off = expm1(score_off) + sum_off;
        double dp_off = inner_off + roundings * dot(dout, v, d, true);
        double ds_off =
            root * p * ((p_off + w->act_rounding) * fabs(dot(dout, v, d, false) - inner) + dp_off);

        most = fmax(most, p_off);
        for (int64_t x = 0; x < d; x++) {
            w->out_bound[at_out + x] += exp(score - w->right_lse[row]) * fabs(v[x]);
            w->dqkv_bound[at + x] += ds_off * fabs(k[x]);
            w->dqkv_bound[at_k + x] += ds_off * fabs(q[x]);
            w->dqkv_bound[at_v + x] += (p_off + w->act_rounding) * p * fabs(dout[x]);
        }
    }
    assert_true(most < 0.5);
    for (int64_t x = 0; x < d; x++) /* numerator and denominator */
        w->out_bound[at_out + x] *= 2 * most / (1 - most) + w->act_rounding;
    w->lse_bound[row] = most / (1 - most) + 4 * F32_ROUNDING * fabs(w->right_lse[row]);
}

/* The largest share of its bound that an element is off by, with the rounding of what is stored,
 * products of roundings, and what is too small for an f32. */
static double share_of_bound(const double *right, const double *bound, const double *got, int64_t n,
                             double rounding)
{
    double most = 0;

    for (int64_t i = 0; i < n; i++) {
        double limit = 1.02 * (bound[i] + rounding * (fabs(right[i]) + bound[i])) + 1e-30;
        double share = fabs(got[i] - right[i]) / limit;

        if (!(share <= most)) /* a NaN too */
            most = share;
        if (isnan(share))
            break;
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
    double *all[] = {w.qkv,        w.dout,      w.out,       w.lse,        w.right_out, w.right_lse,
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

static void check_both(struct kernel_shape shape, float largest)
{
    check(MU_PRECISION_FP32, shape, largest);
    check(MU_PRECISION_BF16, shape, largest);
}

/* One token; head sizes of one, odd, below, at and above each width that tiles have; contexts that
 * are several tiles of keys and of queries, whole and ragged. */
static void awkward_shapes(void **state)
{
    static const struct kernel_shape shapes[] = {
        {1, 1, 1, 1, 1, 1},     {2, 3, 3, 5, 1, 1},    {1, 300, 2, 7, 1, 1},
        {2, 128, 1, 64, 1, 1},  {1, 257, 1, 64, 1, 1}, {1, 67, 2, 80, 1, 1},
        {1, 131, 1, 128, 1, 1}, {1, 70, 1, 136, 1, 1}, {1, 33, 1, 256, 1, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        check_both(shapes[i], 2);
}

/* Scores of thousands: all but a few p are 0, and the largest so far changes from tile to tile. */
static void large_scores(void **state)
{
    static const struct kernel_shape shape = {1, 200, 1, 8, 1, 1};

    (void)state;
    check_both(shape, 60);
}

/* Whatever the scores, when all of a row are equal: out is the mean of the values, lse the score
 * plus log(keys). With values 0, 1, 2, ...: means i / 2. */
static void equal_scores(void **state)
{
    enum { T = 150 };
    static const float sizes[] = {0, 3, -2000};
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    struct mu_attention s = {1, T, 1, 1};
    float qkv[3 * T], out[T], lse[T];

    (void)state;
    for (int size = 0; size < 3; size++) {
        double score = -fabs((double)sizes[size]) * (double)sizes[size];

        for (int i = 0; i < T; i++) {
            qkv[3 * i] = -fabsf(sizes[size]);
            qkv[3 * i + 1] = sizes[size];
            qkv[3 * i + 2] = (float)i;
        }
        cuda.ops->attention(&cuda, s, out, lse, qkv);
        for (int i = 0; i < T; i++) {
            assert_true(fabs((double)out[i] - i / 2.0) <= i * 1e-5);
            assert_true(fabs((double)lse[i] - score - log(i + 1)) <= 1e-5 + fabs(score) * 0x1p-22);
        }
    }
}

/* A row's bits do not depend on what comes after it, in its sequence or the batch. */
static void past_alone_decides(void **state)
{
    enum { T = 150, PART = 101, H = 2, D = 16, ROW = 3 * H * D };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    static float qkv[2 * T * ROW], out[2 * T * H * D], lse[2 * H * T];
    static float part_out[PART * H * D], part_lse[H * PART];
    uint64_t random = seed;

    (void)state;
    for (int i = 0; i < 2 * T * ROW; i++)
        qkv[i] = 2 * next_random(&random);
    cuda.ops->attention(&cuda, (struct mu_attention){2, T, H, D}, out, lse, qkv);
    cuda.ops->attention(&cuda, (struct mu_attention){1, PART, H, D}, part_out, part_lse,
                        qkv + T * ROW);
    assert_memory_equal(part_out, out + T * H * D, sizeof part_out);
    for (int h = 0; h < H; h++)
        assert_memory_equal(part_lse + h * PART, lse + (H + h) * T, PART * sizeof *lse);
}

static void heads_too_wide_are_refused(void **state)
{
    struct mu_attention s = {1, 1, 1, 257};
    float none = 0;

    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        assert_int_not_equal(mu_cuda_attention(NULL, bf16, s, &none, &none, &none), 0);
        assert_int_not_equal(
            mu_cuda_attention_backward(NULL, bf16, s, &none, &none, &none, &none, &none, &none), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(awkward_shapes),
        cmocka_unit_test(large_scores),
        cmocka_unit_test(equal_scores),
        cmocka_unit_test(past_alone_decides),
        cmocka_unit_test(heads_too_wide_are_refused),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

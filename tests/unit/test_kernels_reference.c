/* The plain operations: every derivative against finite differences in double, and float against
 * double. For each operation the loss is a fixed random combination of its outputs. */
#include "tests/support/kernel_run.h"

#include "kernels/reference/reference_f32.h"
#include "kernels/reference/reference_f64.h"

enum { B = 2, T = 5, H = 2, D = 3, C = H * D, N = B * T, V = 7, OUT = 4, MOST = 4096 };

/* All buffers of one operation: what the loss is a function of, and what comes out. */
struct trial {
    double x[MOST], w[MOST], b[MOST], y[MOST], aux[MOST], aux2[MOST];
    double r[MOST]; /* the combination: d loss / d y */
    int32_t token[N];
    int64_t outputs;
    void (*forward)(struct trial *);
};

static struct trial *make_trial(void (*forward)(struct trial *), int64_t outputs)
{
    struct trial *t = calloc(1, sizeof *t);
    uint64_t state = 1;

    assert_non_null(t);
    for (int i = 0; i < MOST; i++) {
        t->x[i] = (double)next_random(&state);
        t->w[i] = (double)next_random(&state);
        t->b[i] = (double)next_random(&state);
        t->r[i] = (double)next_random(&state);
    }
    for (int i = 0; i < N; i++)
        t->token[i] = (i * 5 + 3) % V;
    t->outputs = outputs;
    t->forward = forward;
    return t;
}

static double loss_of(struct trial *t)
{
    double sum = 0;

    t->forward(t);
    for (int64_t i = 0; i < t->outputs; i++)
        sum += t->r[i] * t->y[i];
    return sum;
}

/* gradient[i] is said to be d loss / d input[i]. */
static void check_gradient(struct trial *t, const char *what, double *input, const double *gradient,
                           int64_t n)
{
    const double h = 1e-5;

    for (int64_t i = 0; i < n; i++) {
        double at = input[i], above, below, slope;

        input[i] = at + h;
        above = loss_of(t);
        input[i] = at - h;
        below = loss_of(t);
        input[i] = at;
        slope = (above - below) / (2 * h);
        if (!(fabs(slope - gradient[i]) <= 2e-8 * (1 + fabs(slope))))
            fail_msg("%s[%d]: %.12g, by differences %.12g", what, (int)i, gradient[i], slope);
    }
}

static void embed_forward(struct trial *t)
{
    mu_reference_f64_embed(NULL, t->y, t->w, t->b, t->token, N, T, C);
}

static void embed(void **state)
{
    struct trial *t = make_trial(embed_forward, N * C);
    double rows[V * C] = {0}, position[T * C];

    (void)state;
    memset(position, 0xff, sizeof position);
    mu_reference_f64_embed_backward(NULL, rows, position, t->r, t->token, N, T, C, true);
    check_gradient(t, "table", t->w, rows, V * C);
    check_gradient(t, "position", t->b, position, T * C);
    free(t);
}

static void embed_alone_forward(struct trial *t)
{
    mu_reference_f64_embed(NULL, t->y, t->w, NULL, t->token, N, T, C);
}

/* Without positions a token is its row, whose bits it has: -0 too. */
static void embed_without_positions(void **state)
{
    struct trial *t = make_trial(embed_alone_forward, N * C);
    double rows[V * C] = {0};

    (void)state;
    t->w[t->token[1] * C] = -0.0;
    embed_alone_forward(t);
    for (int i = 0; i < N; i++)
        assert_memory_equal(t->y + i * C, t->w + t->token[i] * C, C * sizeof(double));
    mu_reference_f64_embed_backward(NULL, rows, NULL, t->r, t->token, N, T, C, true);
    check_gradient(t, "table", t->w, rows, V * C);
    free(t);
}

static void layernorm_forward(struct trial *t)
{
    mu_reference_f64_layernorm(NULL, t->y, t->aux, t->aux + N, t->aux2, t->x, t->x + N * C, t->w,
                               t->b, N, C);
}

static void layernorm(void **state)
{
    struct trial *t = make_trial(layernorm_forward, N * C);
    double dx[N * C] = {0}, dw[C], db[C];

    (void)state;
    memset(dw, 0xff, sizeof dw);
    memset(db, 0xff, sizeof db);
    layernorm_forward(t);
    mu_reference_f64_layernorm_backward(NULL, dx, dw, db, t->r, t->aux2, t->w, t->aux, t->aux + N,
                                        N, C, true);
    check_gradient(t, "x", t->x, dx, N * C);
    check_gradient(t, "branch", t->x + N * C, dx, N * C);
    check_gradient(t, "weight", t->w, dw, C);
    check_gradient(t, "bias", t->b, db, C);
    free(t);
}

static void rmsnorm_forward(struct trial *t)
{
    mu_reference_f64_rmsnorm(NULL, t->y, t->aux, t->aux2, t->x, t->x + N * C, t->w, N, C);
}

static void rmsnorm(void **state)
{
    struct trial *t = make_trial(rmsnorm_forward, N * C);
    double dx[N * C] = {0}, dw[C];

    (void)state;
    memset(dw, 0xff, sizeof dw);
    rmsnorm_forward(t);
    for (int i = 0; i < N * C; i++) {
        const double *row = t->aux2 + i / C * C;
        double squares = 0;

        for (int j = 0; j < C; j++)
            squares += row[j] * row[j];
        assert_true(row[i % C] == t->x[i] + t->x[N * C + i]);
        assert_true(fabs(t->y[i] - row[i % C] / sqrt(squares / C + 1e-5) * t->w[i % C]) < 1e-14);
    }
    mu_reference_f64_rmsnorm_backward(NULL, dx, dw, t->r, t->aux2, t->w, t->aux, N, C, true);
    check_gradient(t, "x", t->x, dx, N * C);
    check_gradient(t, "branch", t->x + N * C, dx, N * C);
    check_gradient(t, "weight", t->w, dw, C);
    free(t);
}

static void swiglu_forward(struct trial *t)
{
    mu_reference_f64_swiglu(NULL, t->y, t->x, N, OUT);
}

static void swiglu(void **state)
{
    struct trial *t = make_trial(swiglu_forward, N * OUT);
    double d[N * 2 * OUT];

    (void)state;
    for (int i = 0; i < N * 2 * OUT; i++)
        t->x[i] *= 5;
    swiglu_forward(t);
    for (int i = 0; i < N * OUT; i++) {
        double gate = t->x[i / OUT * 2 * OUT + i % OUT],
               up = t->x[i / OUT * 2 * OUT + OUT + i % OUT];

        assert_true(fabs(t->y[i] - gate / (1 + exp(-gate)) * up) < 1e-14 * 25);
    }
    memset(d, 0xff, sizeof d);
    mu_reference_f64_swiglu_backward(NULL, d, t->r, t->x, N, OUT);
    check_gradient(t, "gates and ups", t->x, d, N * 2 * OUT);
    memcpy(t->y, t->x, sizeof d); /* in place */
    mu_reference_f64_swiglu_backward(NULL, t->y, t->r, t->y, N, OUT);
    assert_memory_equal(t->y, d, sizeof d);
    free(t);
}

/* Far from 0 a gate is open or closed; none overflows. */
static void swiglu_at_the_ends(void **state)
{
    const double both[] = {800, -800, 1e300, 2, 3, 5, -1e300, -1e5, 0, 2, 3, 5};
    const double right[] = {1600, 0, 5e300, 0, 0, 0}, one[] = {1, 1, 1, 1, 1, 1};
    const double slopes[] = {2, 0, 5, 800, 0, 1e300, 0, 0, 2.5, 0, 0, 0};
    double out[6], d[12];

    (void)state;
    mu_reference_f64_swiglu(NULL, out, both, 2, 3);
    mu_reference_f64_swiglu_backward(NULL, d, one, both, 2, 3);
    for (int i = 0; i < 6; i++)
        assert_true(out[i] == right[i]);
    for (int i = 0; i < 12; i++)
        assert_true(d[i] == slopes[i]);
}

enum { SIZE = 4, QKV = N * 3 * H * SIZE }; /* of a rotated head: even */

static const struct mu_attention rotate_shape = {B, T, H, SIZE};

static void rotate_forward(struct trial *t)
{
    memcpy(t->y, t->x, QKV * sizeof *t->y);
    mu_reference_f64_rotate(NULL, rotate_shape, t->y, t->w, false);
}

/* Its derivative is its transpose, whatever `turn` holds. Of what is no rotation too. */
static void rotate(void **state)
{
    struct trial *t = make_trial(rotate_forward, QKV);

    (void)state;
    memcpy(t->aux, t->r, sizeof t->aux);
    mu_reference_f64_rotate(NULL, rotate_shape, t->aux, t->w, true);
    check_gradient(t, "qkv", t->x, t->aux, QKV);
    free(t);
}

/* Where all tokens have the same query and key, the product of those at positions i and k is the
 * real part of sum_j q_j conj(k_j) e^(i angle_j (i - k)), with q_j = q[j] + i q[j + D/2]. */
static void rotate_is_relative(void **state)
{
    struct trial *t = make_trial(rotate_forward, QKV);
    const double angle[SIZE / 2] = {1, 0.03};

    (void)state;
    for (int i = 0; i < T * SIZE / 2; i++) {
        t->w[2 * i] = cos(i / (SIZE / 2) * angle[i % (SIZE / 2)]);
        t->w[2 * i + 1] = sin(i / (SIZE / 2) * angle[i % (SIZE / 2)]);
    }
    for (int i = 0; i < QKV; i++)
        t->x[i] = t->x[i % (3 * H * SIZE)];
    rotate_forward(t);
    for (int i = 0; i < N * T * H; i++) {
        int n = i / (T * H), other = n / T * T + i / H % T, h = i % H;
        const double *q = t->y + (n * 3 * H + h) * SIZE, *q0 = t->x + h * SIZE;
        const double *k = t->y + ((other * 3 + 1) * H + h) * SIZE, *k0 = q0 + H * SIZE;
        double product = 0, right = 0;

        for (int j = 0; j < SIZE; j++)
            product += q[j] * k[j];
        for (int j = 0; j < SIZE / 2; j++) {
            double by = (n - other) * angle[j], a = q0[j], b = q0[j + SIZE / 2];
            double c = k0[j], d = k0[j + SIZE / 2];

            right += (a * c + b * d) * cos(by) - (b * c - a * d) * sin(by);
        }
        assert_true(fabs(product - right) < 1e-14);
        assert_memory_equal(q + 2 * H * SIZE, q0 + 2 * H * SIZE, SIZE * sizeof *q); /* its value */
    }
    free(t);
}

static void linear_forward(struct trial *t)
{
    mu_reference_f64_linear(NULL, (struct mu_linear){N, C, OUT}, t->y, t->aux, t->x, t->w, t->b,
                            MU_EPILOGUE_GELU);
}

static void linear_with_gelu(void **state)
{
    struct trial *t = make_trial(linear_forward, N * OUT);
    struct mu_linear s = {N, C, OUT};
    double d[N * OUT], dx[N * C], dw[OUT * C], db[OUT];

    (void)state;
    memset(dx, 0xff, sizeof dx);
    memset(dw, 0xff, sizeof dw);
    memset(db, 0xff, sizeof db);
    linear_forward(t);
    memcpy(d, t->r, sizeof d);
    mu_reference_f64_gelu_backward(NULL, d, t->aux, N * OUT);
    mu_reference_f64_linear_backward_input(NULL, s, dx, d, t->w);
    mu_reference_f64_linear_backward_weight(NULL, s, dw, db, d, t->x, true);
    check_gradient(t, "x", t->x, dx, N * C);
    check_gradient(t, "w", t->w, dw, OUT * C);
    check_gradient(t, "b", t->b, db, OUT);
    mu_reference_f64_linear_backward_weight(NULL, s, dw, db, d, t->x, false);
    for (int i = 0; i < OUT * C; i++)
        dw[i] /= 2; /* it was added a second time */
    check_gradient(t, "w", t->w, dw, OUT * C);
    free(t);
}

/* GELU by its definition with tanh, from libm. */
static void gelu_value(void **state)
{
    struct mu_linear s = {1, 1, 1};

    (void)state;
    for (double x = -9; x < 9; x += 0.37) {
        double one = 1, y, before;
        double right = 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));

        mu_reference_f64_linear(NULL, s, &y, &before, &x, &one, NULL, MU_EPILOGUE_GELU);
        assert_true(fabs(y - right) < 1e-14 * (1 + fabs(x)));
        assert_true(before == x);
    }
}

static const struct mu_attention attention_shape = {B, T, H, D};

static void attention_forward(struct trial *t)
{
    mu_reference_f64_attention(NULL, attention_shape, t->y, t->aux, t->x);
}

static void attention(void **state)
{
    struct trial *t = make_trial(attention_forward, N * C);
    double dqkv[N * 3 * C], before[N * C];

    (void)state;
    memset(dqkv, 0xff, sizeof dqkv);
    attention_forward(t);
    mu_reference_f64_attention_backward(NULL, attention_shape, dqkv, t->r, t->y, t->x, t->aux);
    check_gradient(t, "qkv", t->x, dqkv, N * 3 * C);

    /* Causal: the last token's q, k, v change no earlier output. The first attends to itself. */
    attention_forward(t);
    memcpy(before, t->y, sizeof before);
    for (int i = 0; i < 3 * C; i++)
        t->x[(T - 1) * 3 * C + i] += 1;
    attention_forward(t);
    assert_memory_equal(before, t->y, (T - 1) * C * sizeof(double));
    assert_true(memcmp(before, t->y, T * C * sizeof(double)) != 0);
    for (int i = 0; i < C; i++)
        assert_true(t->y[i] == t->x[2 * C + i]);
    free(t);
}

static void classifier_forward(struct trial *t)
{
    mu_reference_f64_classifier(NULL, t->y, NULL, NULL, t->x, t->w, t->token, 1, N, C, V, true);
}

static void classifier(void **state)
{
    struct trial *t = make_trial(classifier_forward, N);
    double dx[N * C], dtable[V * C], losses[N];

    (void)state;
    memset(dx, 0xff, sizeof dx);
    memset(dtable, 0xff, sizeof dtable);
    for (int i = 0; i < N; i++)
        t->r[i] = 0.25;
    mu_reference_f64_classifier(NULL, losses, dx, dtable, t->x, t->w, t->token, 0.25, N, C, V,
                                true);
    check_gradient(t, "x", t->x, dx, N * C);
    check_gradient(t, "table", t->w, dtable, V * C);
    /* A table of zeros knows nothing: ln V. */
    memset(t->w, 0, sizeof t->w);
    classifier_forward(t);
    for (int i = 0; i < N; i++)
        assert_true(fabs(t->y[i] - log(V)) < 1e-14);
    free(t);
}

/* The first step from zero moments: m' / bias1 = g and v' / bias2 = g^2, so the weight moves by lr
 * * (sign g + decay w), up to eps. The second by hand. */
static void adamw(void **state)
{
    double w[2] = {3, -2}, m[2] = {0}, v[2] = {0}, g[2] = {0.5, -4};
    struct mu_reference_f64_adamw_args a = {
        .count = 2,
        .weight = w,
        .m = m,
        .v = v,
        .gradient = g,
        .weight_out = w,
        .m_out = m,
        .v_out = v,
        .gradient_scale = 0.5,
        .lr = 0.1,
        .beta1 = 0.9,
        .beta2 = 0.99,
        .eps = 0,
        .decay = 0.5,
        .bias1 = 1 - 0.9,
        .bias2 = 1 - 0.99,
    };

    (void)state;
    mu_reference_f64_adamw(NULL, &a);
    assert_true(fabs(w[0] - (3 - 0.1 * (1 + 1.5))) < 1e-12);
    assert_true(fabs(w[1] - (-2 - 0.1 * (-1 - 1))) < 1e-12);
    assert_true(fabs(m[0] - 0.1 * 0.25) < 1e-15 && fabs(v[1] - 0.01 * 4) < 1e-15);
    a.bias1 = 1 - 0.81;
    a.bias2 = 1 - 0.99 * 0.99;
    g[0] = 0; /* m = .9 * .025, v = .99 * .01 * .0625 */
    mu_reference_f64_adamw(NULL, &a);
    assert_true(fabs(w[0] - (2.75 - 0.1 * (0.0225 / 0.19 / sqrt(0.00061875 / 0.0199) + 1.375))) <
                1e-12);
}

/* Float against double on the same inputs: a few units in the last place of the largest value. */
static void float_agrees_with_double(void **state)
{
    struct trial *t = make_trial(attention_forward, N * C);
    float x[N * 3 * C], y[N * 3 * C], lse[B * H * T], dout[N * C], out[N * C];
    double dqkv[N * 3 * C];

    (void)state;
    for (int i = 0; i < N * 3 * C; i++)
        t->x[i] = (double)(x[i] = (float)t->x[i]);
    for (int i = 0; i < N * C; i++)
        t->r[i] = (double)(dout[i] = (float)t->r[i]);
    attention_forward(t);
    mu_reference_f64_attention_backward(NULL, attention_shape, dqkv, t->r, t->y, t->x, t->aux);
    mu_reference_f32_attention(NULL, attention_shape, out, lse, x);
    mu_reference_f32_attention_backward(NULL, attention_shape, y, dout, out, x, lse);
    for (int i = 0; i < N * C; i++)
        assert_true(fabs((double)out[i] - t->y[i]) < 5e-7);
    for (int i = 0; i < N * 3 * C; i++)
        assert_true(fabs((double)y[i] - dqkv[i]) < 2e-6);
    linear_forward(t);
    {
        float w[OUT * C], b[OUT], before[N * OUT], result[N * OUT];

        for (int i = 0; i < OUT * C; i++)
            w[i] = (float)t->w[i];
        for (int i = 0; i < OUT; i++)
            b[i] = (float)t->b[i];
        mu_reference_f32_linear(NULL, (struct mu_linear){N, C, OUT}, result, before, x, w, b,
                                MU_EPILOGUE_GELU);
        for (int i = 0; i < N * OUT; i++)
            assert_true(fabs((double)result[i] - t->y[i]) < 2e-6);
    }
    free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(embed),
        cmocka_unit_test(embed_without_positions),
        cmocka_unit_test(layernorm),
        cmocka_unit_test(rmsnorm),
        cmocka_unit_test(swiglu),
        cmocka_unit_test(swiglu_at_the_ends),
        cmocka_unit_test(rotate),
        cmocka_unit_test(rotate_is_relative),
        cmocka_unit_test(linear_with_gelu),
        cmocka_unit_test(gelu_value),
        cmocka_unit_test(attention),
        cmocka_unit_test(classifier),
        cmocka_unit_test(adamw),
        cmocka_unit_test(float_agrees_with_double),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

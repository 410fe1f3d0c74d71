/* The fused head of kernels/cuda/ on the stand-in of cuBLASLt, against the reference. */
#include "tests/support/cuda_compare.h"

#include "orchestrator/base/log.h"

#define UNIT  0x1p-24
#define SCALE 0.5 /* run_classifier's */

enum { X, TABLE }; /* run_classifier's inputs; then the targets */

static double act_at(const struct kernel_run *r, int input, int64_t i)
{
    const void *x = r->inputs[input];

    if (r->device->options.precision == MU_PRECISION_FP32)
        return (double)((const float *)x)[i];
    return (double)mu_bf16_to_f32(((const uint16_t *)x)[i]);
}

/* What two right answers may differ by, for any inputs, to first order (and a tenth more for the
 * others). Sums: Higham 2002, section 3.1, as in test_cuda_linear. */
struct bounds {
    double *loss, *dx, *dtable;
};

/* Of a row: its softmax p (V), and how far p is off, relative. The logits are off by `logit`; an
 * exponential by what its argument is off, the rounding of the subtraction, and itself (2 ulp, that
 * is 4 units); their sum of V positive terms by V + 64 units, each again as joined with others. */
static double soften(const struct kernel_run *r, int64_t row, double *p, double *loss)
{
    int64_t c = r->shape.h * r->shape.d, v = r->shape.v;
    int64_t target = ((const int32_t *)r->inputs[2])[row];
    double largest = -INFINITY, least = INFINITY, sum = 0, magnitude = 0, logit, relative;

    for (int64_t k = 0; k < v; k++) {
        double of_abs = 0;

        p[k] = 0;
        for (int64_t j = 0; j < c; j++) {
            double term = act_at(r, X, row * c + j) * act_at(r, TABLE, k * c + j);

            p[k] += term;
            of_abs += fabs(term);
        }
        magnitude = fmax(magnitude, of_abs);
        largest = fmax(largest, p[k]);
        least = fmin(least, p[k]);
    }
    logit = 2 * (double)(c + 1) * UNIT * magnitude;
    *loss = largest - p[target];
    for (int64_t k = 0; k < v; k++)
        sum += p[k] = exp(p[k] - largest);
    for (int64_t k = 0; k < v; k++)
        p[k] /= sum;
    relative = 2 * logit + 2 * UNIT * (2 * (largest - least) + 8 + (double)v + 64);
    *loss = 2 * logit + relative + 8 * UNIT * (1 + *loss + log(sum));
    return 1.1 * relative;
}

static struct bounds bounds_of(const struct kernel_run *r)
{
    int64_t n = r->shape.b * r->shape.t, c = r->shape.h * r->shape.d, v = r->shape.v;
    double to_act = r->device->options.precision == MU_PRECISION_BF16 ? 0x1.1p-8 : 0;
    struct bounds b = {calloc((size_t)n, 8), calloc((size_t)(n * c), 8),
                       calloc((size_t)(v * c), 8)};
    double *p = calloc((size_t)v, 8);

    assert_true(b.loss && b.dx && b.dtable && p);
    for (int64_t i = 0; i < v * c; i++)
        b.dtable[i] = 2.2 * (double)(n + 8) * UNIT; /* at most 1 was there */
    for (int64_t i = 0; i < n; i++) {
        double relative = soften(r, i, p, &b.loss[i]);

        for (int64_t k = 0; k < v; k++) {
            bool hit = k == ((const int32_t *)r->inputs[2])[i];
            double d = SCALE * fabs(p[k] - (hit ? 1 : 0));
            double off = SCALE * (relative * p[k] + 4 * UNIT) + to_act * d;

            for (int64_t j = 0; j < c; j++) {
                double x = fabs(act_at(r, X, i * c + j)), w = fabs(act_at(r, TABLE, k * c + j));

                b.dx[i * c + j] += 1.1 * (off + 2 * (double)(v + 4) * UNIT * d) * w;
                b.dtable[k * c + j] += 1.1 * (off + 2 * (double)(n + 8) * UNIT * d) * x;
            }
        }
    }
    free(p);
    return b;
}

static int check_output(const struct kernel_run *r, const struct kernel_output *o,
                        const struct kernel_output *right, const struct bounds *b)
{
    const double *bound = strstr(o->name, "loss") ? b->loss
                          : strstr(o->name, "dx") ? b->dx
                                                  : b->dtable;

    for (int64_t i = 0; i < o->n; i++) {
        double x = (double)output_at(o, i), y = (double)output_at(right, i);

        if (fabs(x - y) <= bound[i])
            continue;
        print_message("%s[%lld], %lld rows of %lld of %lld: %g, not %g within %g\n", o->name,
                      (long long)i, (long long)(r->shape.b * r->shape.t),
                      (long long)(r->shape.h * r->shape.d), (long long)r->shape.v, x, y, bound[i]);
        return 1;
    }
    return 0;
}

static void check_shape(enum mu_precision precision, struct kernel_shape shape, bool add)
{
    struct mu_device cuda = emulated_device(precision);
    struct mu_device *plain = open_device(MU_DEVICE_REFERENCE, precision, MU_ISA_GENERIC, 1);
    struct kernel_run *right = run_part(run_classifier, plain, shape, add), *first, *other;
    struct bounds bounds = bounds_of(right);
    int failed = 0;

    mu_emulate_clear();
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    first = run_part(run_classifier, &cuda, shape, add);
    for (int i = 0; i < right->count; i++)
        failed += check_output(right, &first->outputs[i], &right->outputs[i], &bounds);
    for (int order = MU_EMULATE_REVERSE; order <= MU_EMULATE_SHUFFLED; order++) {
        mu_emulate_set_order((enum mu_emulate_order)order, seed);
        other = run_part(run_classifier, &cuda, shape, add);
        same_bits(first, other);
        kernel_run_free(other);
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    kernel_run_free(first);
    kernel_run_free(right);
    mu_device_close(plain);
    free(bounds.loss);
    free(bounds.dx);
    free(bounds.dtable);
    assert_int_equal(failed, 0);
}

/* Vocabularies below, at and above a pack, a warp's packs and a stride; with 4,096 logits at a time
 * blocks have 128 rows of 5 words, 64 of 33, 32 of 127, 16 of 129 and more: a last block that is
 * short, one that is whole, one row more. */
static void like_the_reference(void **state)
{
    static const struct kernel_shape shapes[] = {
        {1, 1, 1, 1, 1, 1},    {1, 3, 1, 2, 2, 1},    {3, 43, 1, 3, 5, 1},
        {1, 128, 1, 8, 32, 1}, {1, 65, 1, 4, 33, 1},  {1, 33, 1, 11, 127, 1},
        {1, 32, 1, 8, 128, 1}, {5, 10, 1, 5, 129, 1}, {1, 40, 1, 24, 301, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_shape(MU_PRECISION_FP32, shapes[i], i % 2);
        check_shape(MU_PRECISION_BF16, shapes[i], i % 2);
        check_shape(MU_PRECISION_BF16, shapes[i], !(i % 2));
    }
}

/* More logits than a block reads in one round (4,096), or in one stretch (16,384), in place. */
static void long_rows(void **state)
{
    (void)state;
    check_shape(MU_PRECISION_FP32, (struct kernel_shape){1, 2, 1, 3, 4097, 1}, false);
    check_shape(MU_PRECISION_BF16, (struct kernel_shape){1, 3, 1, 4, 2 * 16384 + 50, 1}, true);
}

/* All words alike: the loss is log V, and the gradient of the table at rows x = 0 is 0. d is 1 / V
 * less 1 at the target: powers of two. */
static void all_alike(void **state)
{
    enum { N = 3, C = 2, V = 64 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float losses[N], dx[N * C], dtable[V * C], x[N * C] = {0}, table[V * C];
    int32_t target[N] = {0, 63, 5};

    (void)state;
    memset(losses, 0xff, sizeof losses);
    memset(dx, 0xff, sizeof dx);
    memset(dtable, 0xff, sizeof dtable);
    for (int i = 0; i < V * C; i++)
        table[i] = (float)(i / C);
    cuda.ops->classifier(&cuda, losses, dx, dtable, x, table, target, 2, N, C, V, true);
    for (int i = 0; i < N; i++) {
        assert_true(fabs((double)losses[i] - log(V)) < 1e-6);
        /* 2 (sum of 0..63 / 64 - target) */
        assert_true(dx[i * C] == 63 - 2 * (float)target[i] && dx[i * C + 1] == dx[i * C]);
    }
    for (int i = 0; i < V * C; i++)
        assert_true(dtable[i] == 0);
}

/* Logits 10^4 apart: e^x and e^-x are beyond floats, losses and gradients are not. */
static void far_apart(void **state)
{
    enum { N = 2, V = 5 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float losses[N], dx[N], dtable[V], x[N] = {1, 1}, table[V] = {-1e4f, 0, 1e4f, 5e3f, 0};
    int32_t target[N] = {2, 0};

    (void)state;
    memset(losses, 0xff, sizeof losses);
    memset(dx, 0xff, sizeof dx);
    memset(dtable, 0xff, sizeof dtable);
    cuda.ops->classifier(&cuda, losses, dx, dtable, x, table, target, 1, N, 1, V, true);
    assert_true(losses[0] == 0 && losses[1] == 2e4f);
    assert_true(dx[0] == 0 && dx[1] == 2e4f); /* 1e4 - -1e4 */
    assert_true(dtable[0] == -1 && dtable[1] == 0 && dtable[2] == 1);
    assert_true(dtable[3] == 0 && dtable[4] == 0);
}

/* No tokens: what overwrites becomes 0. */
static void nothing_at_all(void **state)
{
    struct mu_device cuda = emulated_device(MU_PRECISION_BF16);
    float dtable[6], none = 0;
    uint16_t table[6] = {0}, no_x = 0;
    int32_t target = 0;

    (void)state;
    memset(dtable, 0xff, sizeof dtable);
    cuda.ops->classifier(&cuda, &none, &none, dtable, &no_x, table, &target, 1, 0, 2, 3, true);
    for (int i = 0; i < 6; i++)
        assert_true(dtable[i] == 0);
    dtable[5] = 7;
    cuda.ops->classifier(&cuda, &none, &none, dtable, &no_x, table, &target, 1, 0, 2, 3, false);
    assert_true(dtable[5] == 7);
}

/* A row of logits is nobody else's: alone, and by the same algorithm, it has the same loss. */
static void rows_alone(void **state)
{
    enum { N = 70, C = 4, V = 40 };
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    float losses[N], one = NAN, x[N * C], table[V * C];
    int32_t target[N];
    uint64_t random = seed;

    (void)state;
    memset(losses, 0xff, sizeof losses);
    for (int i = 0; i < N * C; i++)
        x[i] = next_random(&random);
    for (int i = 0; i < V * C; i++)
        table[i] = next_random(&random);
    for (int i = 0; i < N; i++)
        target[i] = i % V;
    cuda.ops->classifier(&cuda, losses, NULL, NULL, x, table, target, 1, N, C, V, true);
    for (int i = 0; i < N; i++) {
        cuda.ops->classifier(&cuda, &one, NULL, NULL, x + (ptrdiff_t)i * C, table, target + i, 1, 1,
                             C, V, true);
        assert_memory_equal(&one, &losses[i], sizeof one);
    }
}

/* 2^30 rows of 2^18 words, and blocks as long: 2^50 bytes of logits. The engine lives on. */
static void no_memory(void **state)
{
    struct mu_blas_options options = {.block_logits = (int64_t)1 << 50};
    struct mu_blas *blas;
    _Alignas(16) float x[1] = {1}, table[1] = {1}, loss = NAN;
    int32_t target = 0;

    (void)state;
    assert_int_equal(mu_blas_open(&options, &blas), MU_OK);
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_cuda_classifier(blas, NULL, &loss, NULL, NULL, x, table, &target, 1,
                                        (int64_t)1 << 30, 1, 1 << 18, true),
                     MU_NO_MEMORY);
    mu_log_reset_level();
    assert_int_equal(
        mu_cuda_classifier(blas, NULL, &loss, NULL, NULL, x, table, &target, 1, 1, 1, 1, true),
        MU_OK);
    assert_true(loss == 0); /* the only word */
    mu_blas_close(blas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_reference), cmocka_unit_test(long_rows),
        cmocka_unit_test(all_alike),          cmocka_unit_test(far_apart),
        cmocka_unit_test(nothing_at_all),     cmocka_unit_test(rows_alone),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, print_seed, emulated_blas_close);
}

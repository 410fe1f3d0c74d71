/* Linear layers of kernels/cuda/ on the stand-in of cuBLASLt, against the reference. */
#include "tests/support/cuda_compare.h"

#include "kernels/emulate/blas_control.h"

/* How far an element may be off, for any inputs. A float sum of k products of one rounding each, in
 * any order, is off by (k + 1) 2^-24 of the sum of their magnitudes at most (Higham, Accuracy and
 * Stability of Numerical Algorithms, 2002, section 3.1, to first order); some more for the bias and
 * what was there before. Two such sums are compared: twice that. bf16 numbers are off by 2^-8 of
 * themselves, on both sides. */
static double sum_bound(int64_t k, double magnitude)
{
    return 2 * (double)(k + 8) * 0x1p-24 * magnitude;
}

static double stored(const struct kernel_output *o, double value, double bound)
{
    return o->act ? bound + 2 * 0x1.01p-8 * (fabs(value) + bound) : bound;
}

static double act_at(const struct kernel_run *r, int input, int64_t i)
{
    const void *x = r->inputs[input];

    if (r->device->options.precision == MU_PRECISION_FP32)
        return (double)((const float *)x)[i];
    return (double)mu_bf16_to_f32(((const uint16_t *)x)[i]);
}

enum { X, WEIGHT, DY, BIAS }; /* run_linears' inputs */

/* A product's element: rows of two inputs, or columns. */
struct line {
    int input;
    int64_t from, step;
};

static double magnitude_of(const struct kernel_run *r, struct line a, struct line b, int64_t k)
{
    double sum = 0;

    for (int64_t i = 0; i < k; i++)
        sum +=
            fabs(act_at(r, a.input, a.from + i * a.step) * act_at(r, b.input, b.from + i * b.step));
    return sum;
}

static double forward_bound(const struct kernel_run *r, const struct kernel_output *o, int64_t i,
                            double value, bool fused)
{
    int64_t in = r->shape.h * r->shape.d, out = r->shape.out;
    double b = fabs((double)((float *)r->inputs[BIAS])[i % out]);
    double sum = magnitude_of(r, (struct line){X, i / out * in, 1},
                              (struct line){WEIGHT, i % out * in, 1}, in);
    bool bf16 = r->device->options.precision == MU_PRECISION_BF16,
         gelu = !strcmp(o->name, "linear gelu");
    double bound, largest = sum + b;

    if (!strcmp(o->name, "linear act")) /* has no bias */
        return stored(o, value, sum_bound(in, sum));
    bound = sum_bound(in, largest);
    if (bf16 && o->act) /* bias in bf16; not fused: the sum before it too */
        bound += 0x1p-8 * b + (fused ? 0 : 0x1.01p-8 * largest);
    if (gelu) { /* GELU's slope is below 1.13; not fused: of a rounded number; evaluating it */
        bound = 1.13 * (bound + (fused || !bf16 ? 0 : 0x1.01p-8 * largest));
        bound += 64 * 0x1p-24 * largest;
    }
    return stored(o, value, bound);
}

static double backward_bound(const struct kernel_run *r, const struct kernel_output *o, int64_t i,
                             double value)
{
    int64_t n = r->shape.b * r->shape.t, in = r->shape.h * r->shape.d, out = r->shape.out;
    double magnitude = r->add; /* at most 1 was there */

    if (!strncmp(o->name, "linear dx", 9))
        return stored(o, value,
                      sum_bound(out, magnitude_of(r, (struct line){DY, i / in * out, 1},
                                                  (struct line){WEIGHT, i % in, in}, out)));
    if (!strncmp(o->name, "linear dw", 9))
        return sum_bound(n, magnitude + magnitude_of(r, (struct line){DY, i / in, out},
                                                     (struct line){X, i % in, in}, n));
    for (int64_t row = 0; row < n; row++)
        magnitude += fabs(act_at(r, DY, row * out + i));
    return sum_bound(n, magnitude);
}

static int check_output(const struct kernel_run *plain, const struct kernel_output *o,
                        const struct kernel_output *right, bool fused)
{
    bool backward = strstr(o->name, "linear d") != NULL;

    if (strncmp(o->name, "linear", 6) != 0) /* test_cuda_elements */
        return 0;
    for (int64_t i = 0; i < o->n; i++) {
        double x = (double)output_at(o, i), y = (double)output_at(right, i);
        double bound = backward ? backward_bound(plain, right, i, y)
                                : forward_bound(plain, right, i, y, fused);

        if (fabs(x - y) <= bound)
            continue;
        print_message("%s[%lld] of (%lld, %lld) -> %lld: %g, not %g within %g\n", o->name,
                      (long long)i, (long long)(plain->shape.b * plain->shape.t),
                      (long long)(plain->shape.h * plain->shape.d), (long long)plain->shape.out, x,
                      y, bound);
        return 1;
    }
    return 0;
}

/* In three orders of threads, with the same bits. */
static void check_shape(enum mu_precision precision, struct kernel_shape shape, bool add,
                        bool fused)
{
    struct mu_device cuda = emulated_device(precision);
    struct mu_device *plain = open_device(MU_DEVICE_REFERENCE, precision, MU_ISA_GENERIC, 1);
    struct kernel_run *right = run_part(run_linears, plain, shape, add), *first, *other;
    int failed = 0;

    mu_emulate_clear();
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    first = run_part(run_linears, &cuda, shape, add);
    assert_int_equal(first->count, right->count);
    for (int i = 0; i < right->count; i++)
        failed += check_output(right, &first->outputs[i], &right->outputs[i], fused);
    for (int order = MU_EMULATE_REVERSE; order <= MU_EMULATE_SHUFFLED; order++) {
        mu_emulate_set_order((enum mu_emulate_order)order, seed);
        other = run_part(run_linears, &cuda, shape, add);
        same_bits(first, other);
        kernel_run_free(other);
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    kernel_run_free(first);
    kernel_run_free(right);
    mu_device_close(plain);
    assert_int_equal(failed, 0);
}

/* One of everything; odd sizes; strides that GELU's epilogue takes and that it does not; more
 * columns than a block sums; rows below, at and above a slab's. */
static const struct kernel_shape shapes[] = {
    {1, 1, 1, 1, 2, 1},    {1, 3, 1, 5, 2, 7},   {1, 5, 2, 4, 2, 16},
    {3, 11, 1, 24, 2, 40}, {1, 64, 1, 3, 2, 9},  {2, 65, 1, 2, 2, 8},
    {1, 9, 1, 7, 2, 264},  {1, 4, 1, 3, 2, 133}, {10, 70, 1, 2, 2, 3},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void check_shapes(bool fused)
{
    for (int i = 0; i < SHAPES; i++) {
        bool has_epilogue = fused && shapes[i].out % 8 == 0;

        check_shape(MU_PRECISION_FP32, shapes[i], i % 2, has_epilogue);
        check_shape(MU_PRECISION_BF16, shapes[i], i % 2, has_epilogue);
        check_shape(MU_PRECISION_BF16, shapes[i], !(i % 2), has_epilogue);
    }
}

static void like_the_reference(void **state)
{
    (void)state;
    check_shapes(true);
}

/* More rows than the most slabs of the fewest rows: slabs of 65, the last one short. */
static void many_rows(void **state)
{
    (void)state;
    check_shape(MU_PRECISION_FP32, (struct kernel_shape){1, 16400, 1, 1, 2, 1}, true, false);
}

/* A library without epilogues: bias and GELU by kernels of ours. The table knows: a fused GELU is
 * one plan; here it is a note that there is none for GELU, one that there is none for a bias, and
 * the plain product. */
static void without_epilogues(void **state)
{
    static const struct mu_linear s = {4, 8, 16};
    static const int lacking[] = {36 | 128, 4}; /* GELU_AUX_BIAS; BIAS */
    struct mu_emulate_blas_faults faults = {0};
    struct mu_device cuda = emulated_device(MU_PRECISION_BF16);
    uint16_t x[4 * 8] = {0}, w[16 * 8] = {0}, y[4 * 16], before[4 * 16];
    float b[16] = {0};

    (void)state;
    memset(y, 0xff, sizeof y);
    memset(before, 0xff, sizeof before);
    for (int i = 0; i < 2; i++) {
        emulated_blas_close(NULL);
        cuda.ops->linear(&cuda, s, y, true, before, x, w, b, MU_EPILOGUE_GELU);
        assert_int_equal(mu_blas_plans_count(emulated_blas(&cuda)), 1);
        emulated_blas_close(NULL);
        faults.lacks_epilogue = lacking[i];
        mu_emulate_blas_set_faults(&faults);
        check_shapes(false);
        emulated_blas_close(NULL);
        cuda.ops->linear(&cuda, s, y, true, before, x, w, b, MU_EPILOGUE_GELU);
        assert_int_equal(mu_blas_plans_count(emulated_blas(&cuda)), i == 0 ? 2 : 1);
        faults.lacks_epilogue = 0;
        mu_emulate_blas_set_faults(&faults);
    }
    emulated_blas_close(NULL);
}

/* GELU of act into f32, and without a bias: no epilogue is asked for. Powers of two and 0, so that
 * products are exact. gelu(1) = 1 / (1 + e^(-2 sqrt(2/pi) 1.044715)). */
static void gelu_into_f32(void **state)
{
    enum { N = 2, IN = 1, OUT = 8 };
    const double at_one = 1 / (1 + exp(-2 * sqrt(2 / M_PI) * 1.044715));

    (void)state;
    for (int bf16 = 0; bf16 < 2; bf16++) {
        struct mu_device cuda = emulated_device(bf16 ? MU_PRECISION_BF16 : MU_PRECISION_FP32);
        uint16_t half_x[N] = {0x3f80, 0x0000}, half_w[OUT], half_before[N * OUT]; /* 1, 0 */
        float x[N] = {1, 0}, w[OUT], before[N * OUT], y[N * OUT];

        memset(half_before, 0xff, sizeof half_before);
        memset(before, 0xff, sizeof before);
        memset(y, 0xff, sizeof y);
        for (int i = 0; i < OUT; i++) {
            w[i] = 1;
            half_w[i] = 0x3f80;
        }
        cuda.ops->linear(&cuda, (struct mu_linear){N, IN, OUT}, y, false,
                         bf16 ? (void *)half_before : before, bf16 ? (void *)half_x : x,
                         bf16 ? (void *)half_w : w, NULL, MU_EPILOGUE_GELU);
        for (int i = 0; i < OUT; i++) {
            assert_true(fabs((double)y[i] - at_one) < 1e-6);
            assert_true(y[OUT + i] == 0);
        }
    }
}

/* TF32 has 10 bits of mantissa: it reads 1 + 2^-12 as 1, and only when asked to. */
static void tf32_when_asked(void **state)
{
    (void)state;
    for (int tf32 = 0; tf32 < 2; tf32++) {
        struct mu_blas_options options = {.tf32 = tf32};
        struct mu_blas *blas;
        _Alignas(16) float x[1] = {0x1.001p0f}, w[4] = {1, 1, 1, 1}, y[4];

        assert_int_equal(mu_blas_open(&options, &blas), MU_OK);
        assert_int_equal(mu_cuda_linear(blas, NULL, (struct mu_linear){1, 1, 4}, y, true, NULL, x,
                                        w, NULL, MU_EPILOGUE_NONE),
                         MU_OK);
        for (int i = 0; i < 4; i++)
            assert_true(y[i] == (tf32 ? 1 : 0x1.001p0f));
        mu_blas_close(blas);
    }
}

/* No rows: nothing is read or run, and what overwrites becomes 0. */
static void nothing_at_all(void **state)
{
    struct mu_device cuda = emulated_device(MU_PRECISION_FP32);
    struct mu_linear s = {0, 3, 2};
    float none = 0, w[6] = {0}, dw[6], db[2];

    (void)state;
    memset(dw, 0xff, sizeof dw);
    memset(db, 0xff, sizeof db);
    cuda.ops->linear(&cuda, s, &none, true, NULL, &none, w, db, MU_EPILOGUE_NONE);
    cuda.ops->linear_backward_input(&cuda, s, &none, true, &none, w);
    cuda.ops->linear_backward_weight(&cuda, s, dw, db, &none, &none, true);
    for (int i = 0; i < 6; i++)
        assert_true(dw[i] == 0 && db[i / 3] == 0);
    dw[5] = db[1] = 7;
    cuda.ops->linear_backward_weight(&cuda, s, dw, db, &none, &none, false);
    assert_true(dw[5] == 7 && db[1] == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(like_the_reference), cmocka_unit_test(many_rows),
        cmocka_unit_test(without_epilogues),  cmocka_unit_test(gelu_into_f32),
        cmocka_unit_test(tf32_when_asked),    cmocka_unit_test(nothing_at_all),
    };

    return cmocka_run_group_tests(tests, print_seed, emulated_blas_close);
}

/* The vector code: the same bits from every instruction set that this CPU has, and how exact its
 * exp, log, GELU and SwiGLU are against libm in double. */
#include "tests/support/kernel_run.h"

#include "kernels/cpu/isa.h"

static double units(float value, double right)
{
    int e;

    frexp(right, &e);
    return fabs((double)value - right) / ldexp(1, e - 24);
}

/* One row of attention whose first score is its largest, 0: the others become exp(score). */
static void exp_is_within_two_units(void **state)
{
    enum { N = 4096, LD = N + 16 };
    const struct mu_vector_ops *v = mu_cpu_vector(MU_ISA_GENERIC);
    static float score[LD];
    float lse, inverse, first = 0;
    double worst = 0;

    (void)state;
    for (float low = 0; low > -80; low -= 10) {
        double sum = 0;
        struct mu_vector_attention a = {.rows = 1,
                                        .first = N - 1,
                                        .keys = N,
                                        .ld = LD,
                                        .score = score,
                                        .scale = 1,
                                        .lse = &lse,
                                        .inverse_sum = &inverse};

        score[0] = first;
        for (int i = 1; i < N; i++)
            score[i] = low - (float)i * (10.0f / N);
        v->attention_softmax(&a);
        for (int i = 0; i < N; i++) {
            double x = (double)(i ? low - (float)i * (10.0f / N) : first);

            sum += exp(x);
            worst = fmax(worst, units(score[i], exp(x)));
        }
        assert_true(fabs((double)lse - log(sum)) < 1e-6 * (1 + fabs(log(sum))));
        assert_true(fabs((double)inverse * sum - 1) < 5e-6);
    }
    assert_true(worst <= 2);
}

static void exp_at_the_ends(void **state)
{
    const struct mu_vector_ops *v = mu_cpu_vector(MU_ISA_GENERIC);
    float score[32] = {0, -87.3f, -87.4f, -1000, -INFINITY, -0x1p-140f};
    float lse, inverse;
    struct mu_vector_attention a = {.rows = 1,
                                    .first = 5,
                                    .keys = 6,
                                    .ld = 32,
                                    .score = score,
                                    .scale = 1,
                                    .lse = &lse,
                                    .inverse_sum = &inverse};

    (void)state;
    v->attention_softmax(&a);
    assert_true(score[0] == 1 && score[5] == 1);
    assert_true(score[1] > 0x1p-126f && score[1] < 0x1p-125f);
    assert_true(score[2] == 0 && score[3] == 0 && score[4] == 0);
    assert_true(lse == logf(2));
    score[0] = 0;
    score[1] = NAN;
    v->attention_softmax(&a);
    assert_true(isnan(lse) && isnan(inverse) && isnan(score[1]));
}

static void gelu_is_near(void **state)
{
    enum { N = 1999 };
    const struct mu_vector_ops *v = mu_cpu_vector(MU_ISA_GENERIC);
    static float x[N], y[N], before[N], d[N];
    struct mu_vector_epilogue e = {.rows = 1,
                                   .cols = N,
                                   .acc = x,
                                   .ld_acc = N,
                                   .y = y,
                                   .ld_y = N,
                                   .before = before,
                                   .gelu = true};
    const double c = sqrt(2 / M_PI);

    (void)state;
    for (int i = 0; i < N; i++) {
        x[i] = ((float)i - N / 2) * 0.01f;
        d[i] = 2;
    }
    v->epilogue(&e);
    v->gelu_backward(d, before, false, N);
    assert_memory_equal(x, before, sizeof x);
    for (int i = 0; i < N; i++) {
        double a = (double)x[i], t = tanh(c * (a + 0.044715 * a * a * a));
        double slope = 0.5 * (1 + t) + 0.5 * a * (1 - t * t) * c * (1 + 3 * 0.044715 * a * a);

        assert_true(fabs((double)y[i] - 0.5 * a * (1 + t)) < 5e-7 * (1 + fabs(a)));
        assert_true(fabs((double)d[i] - 2 * slope) < 2e-6);
    }
    x[0] = 1e30f;
    x[1] = -1e30f;
    x[2] = NAN;
    x[3] = -INFINITY;
    v->epilogue(&e);
    assert_true(y[0] == 1e30f && fabsf(y[1]) < 1e-6f && isnan(y[2]));
}

/* With u = 2^-24: exp is off by 4 u, so a logistic, a quotient of sums with it, by 8 u, and what is
 * a product of up to four of them by 12 u of itself; in silu's slope, s (1 + x (1 - s)), of both of
 * its terms. */
static void swiglu_is_near(void **state)
{
    enum { N = 1999 };
    const struct mu_vector_ops *v = mu_cpu_vector(MU_ISA_GENERIC);
    static float both[2 * N], d[2 * N], out[N], dout[N];
    const double most = 12 * 0x1p-24;

    (void)state;
    for (int i = 0; i < N; i++) {
        both[i] = ((float)i - N / 2) * 0.08f;
        both[N + i] = 0.7f;
        dout[i] = 1.3f;
    }
    v->swiglu(out, both, false, N);
    v->swiglu_backward(d, dout, both, false, N);
    for (int i = 0; i < N; i++) {
        double x = (double)both[i], up = (double)both[N + i], s = 1 / (1 + exp(-x));
        double one_less = 1 / (1 + exp(x)), g = (double)dout[i];

        assert_true(fabs((double)out[i] - x * s * up) <= most * fabs(x * s * up));
        assert_true(fabs((double)d[N + i] - g * x * s) <= most * fabs(g * x * s));
        assert_true(fabs((double)d[i] - g * up * s * (1 + x * one_less)) <=
                    most * g * up * s * (1 + 2 * fabs(x) * one_less));
    }
}

static void swiglu_at_the_ends(void **state)
{
    const struct mu_vector_ops *v = mu_cpu_vector(MU_ISA_GENERIC);
    const float both[] = {1e30f, -1e30f, -88, 0, NAN, 2, 2, 2, 2, 2}, dout[] = {1, 1, 1, 1, 1};
    float out[5], d[10];

    (void)state;
    v->swiglu(out, both, false, 5);
    v->swiglu_backward(d, dout, both, false, 5);
    assert_true(out[0] == 2e30f && out[1] == 0 && out[2] == 0 && out[3] == 0 && isnan(out[4]));
    assert_true(d[0] == 2 && d[1] == 0 && d[2] == 0 && d[3] == 1 && isnan(d[4]));
    assert_true(d[5] == 1e30f && d[6] == 0 && d[7] == 0 && d[8] == 0 && isnan(d[9]));
}

/* Nearest by distance in double; at equal distance the even one. Beyond the largest bf16 by half a
 * step and more: Inf. */
static uint16_t round_by_distance(uint32_t bits)
{
    uint16_t low = (uint16_t)(bits >> 16), high = (uint16_t)(low + 1);
    double x, below = (double)mu_bf16_to_f32(low), above = (double)mu_bf16_to_f32(high);
    float f;

    memcpy(&f, &bits, sizeof f);
    x = fabs((double)f);
    below = fabs(below);
    above = isinf(above) ? 0x1p128 : fabs(above);
    if (x - below != above - x)
        return x - below < above - x ? low : high;
    return low % 2 ? high : low;
}

static void bf16_rounds_to_nearest_even(void **state)
{
    const struct mu_vector_ops *v = mu_cpu_vector(MU_ISA_GENERIC);
    const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};

    (void)state;
    for (uint32_t upper = 0; upper < 1 << 16; upper++) {
        float x[6];
        uint16_t out[6];

        for (int i = 0; i < 6; i++) {
            uint32_t bits = upper << 16 | lower[i];

            memcpy(&x[i], &bits, sizeof bits);
        }
        v->to_bf16(out, x, 6);
        for (int i = 0; i < 6; i++) {
            assert_int_equal(out[i], mu_bf16_from_f32(x[i]));
            if (isnan(x[i]))
                assert_true(isnan(mu_bf16_to_f32(out[i])) && out[i] >> 15 == upper >> 15);
            else if (isinf(x[i]))
                assert_int_equal(out[i], upper);
            else
                assert_int_equal(out[i], round_by_distance(upper << 16 | lower[i]));
        }
    }
}

/* oneDNN computes the products of all these devices alike: only the vector code differs. */
static void same_bits_on_every_set(void **state)
{
    const struct kernel_shape shape = {2, 70, 3, 20, 301, 130};
    const enum mu_isa sets[] = {MU_ISA_AVX2, MU_ISA_AVX512};

    (void)state;
    for (int precision = 0; precision < 2; precision++) {
        struct mu_device *plain, *other;
        struct kernel_run *a, *b;

        if (precision == MU_PRECISION_BF16 && mu_device_best_isa() < MU_ISA_AVX512)
            continue;
        plain = open_device(MU_DEVICE_CPU, (enum mu_precision)precision, MU_ISA_GENERIC, 1);
        a = kernel_run(plain, shape, true);
        for (int s = 0; s < 2; s++) {
            if (sets[s] > mu_device_best_isa()) {
                print_message("skipped: this CPU has no %s\n", mu_isa_name(sets[s]));
                continue;
            }
            other = open_device(MU_DEVICE_CPU, (enum mu_precision)precision, sets[s], 1);
            b = kernel_run(other, shape, true);
            for (int o = 0; o < a->count; o++)
                if (memcmp(a->outputs[o].data, b->outputs[o].data, a->outputs[o].bytes))
                    fail_msg("%s: %s differs from generic", mu_isa_name(sets[s]),
                             a->outputs[o].name);
            kernel_run_free(b);
            mu_device_close(other);
        }
        kernel_run_free(a);
        mu_device_close(plain);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exp_is_within_two_units),
        cmocka_unit_test(exp_at_the_ends),
        cmocka_unit_test(gelu_is_near),
        cmocka_unit_test(swiglu_is_near),
        cmocka_unit_test(swiglu_at_the_ends),
        cmocka_unit_test(bf16_rounds_to_nearest_even),
        cmocka_unit_test(same_bits_on_every_set),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* FLOPs of a token: along shapes, against counts of models that are built; as points show them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/log.h"
#include "orchestrator/fit/flops.h"

static const struct mu_shape_rule toy = {
    .known = true, .layers = 2, .head_width = 8, .width_step = 8, .context = 64, .vocab = 256};

static void check_near(double value, double expected, double tolerance)
{
    if (!(fabs(value / expected - 1) <= tolerance))
        fail_msg("%.17g, expected %.17g", value, expected);
}

static double counted(struct mu_counts n, enum mu_count_kind kind, double *flops)
{
    *flops = kind == MU_COUNT_ALL             ? n.flops_all
             : kind == MU_COUNT_NON_EMBEDDING ? n.flops_non_embedding
                                              : n.flops_non_embedding_head;
    return kind == MU_COUNT_ALL             ? (double)n.all
           : kind == MU_COUNT_NON_EMBEDDING ? (double)n.non_embedding
                                            : (double)n.non_embedding_head;
}

/* 12 L d T against 6 N where N is all matrices, the head among them: 12 L d^2 + V d. At d = 8,
 * L = 2, T = 64, V = 256: 12288 against 6 x 3584, that is 4/7; at d = 32: 49152 against 6 x 32768,
 * a quarter. Our N has the biases and norms too: (13 L + 2) d more. */
static void test_attention_of_the_toy_ladder(void **state)
{
    const struct mu_flops f = {
        .kind = MU_FLOPS_6N_ATTENTION, .count = MU_COUNT_NON_EMBEDDING_HEAD, .rule = toy};

    (void)state;
    check_near(mu_flops_per_token(&f, 3584 + 28 * 8) - 6 * (3584 + 28 * 8), 4.0 / 7 * 6 * 3584,
               1e-12);
    check_near(mu_flops_per_token(&f, 32768 + 28 * 32) - 6 * (32768 + 28 * 32), 0.25 * 6 * 32768,
               1e-12);
}

static void test_models_that_can_be_built(void **state)
{
    (void)state;
    for (int depth = 0; depth < 2; depth++)
        for (int kind = 0; kind < MU_COUNT_KINDS; kind++)
            for (uint64_t width = 64; width < 100000; width *= 2) {
                struct mu_flops f = {.kind = MU_FLOPS_6N_ATTENTION,
                                     .count = (enum mu_count_kind)kind,
                                     .rule = {true, 12, 0, 64, 64, 1024, 50257}};
                struct mu_gpt_shape shape = {12, width, 1024, 50257};
                double flops, n;

                if (depth == 1) {
                    f.rule.layers = 0;
                    f.rule.aspect = 64;
                    shape.layers = width / 64;
                }
                n = counted(mu_count_gpt(&shape), f.count, &flops);
                check_near(mu_flops_per_token(&f, n), flops, 1e-12);
            }
}

static void test_fewer_than_one_layer_is_one(void **state)
{
    const struct mu_flops f = {
        .kind = MU_FLOPS_6N_ATTENTION, .count = MU_COUNT_ALL, .rule = {true, 0, 64, 8, 8, 64, 256}};
    const struct mu_gpt_shape shape = {1, 16, 64, 256};
    double flops, n = counted(mu_count_gpt(&shape), MU_COUNT_ALL, &flops);

    (void)state;
    check_near(mu_flops_per_token(&f, n), flops, 1e-12);
}

static void test_slope_is_the_derivative(void **state)
{
    struct mu_flops f = {.rule = toy};

    (void)state;
    for (int kind = 0; kind < MU_FLOPS_KINDS; kind++)
        for (int count = 0; count < MU_COUNT_KINDS; count++)
            for (int aspect = 0; aspect < 2; aspect++)
                for (double n = 500; n < 1e13; n *= 7) {
                    const double h = 1e-4;

                    f.kind = (enum mu_flops_kind)kind;
                    f.count = (enum mu_count_kind)count;
                    f.rule.layers = aspect ? 0 : 2;
                    f.rule.aspect = 32;
                    f.knots.count = 3;
                    for (size_t k = 0; k < 3; k++) {
                        f.knots.ln_n[k] = 10 + (double)k;
                        f.knots.ln_flops[k] = 12 + 1.5 * (double)(k * k);
                    }
                    check_near(mu_flops_slope(&f, n),
                               log(mu_flops_per_token(&f, n * exp(h)) /
                                   mu_flops_per_token(&f, n * exp(-h))) /
                                   (2 * h),
                               1e-6);
                }
}

static void test_unreal_sizes_end(void **state)
{
    struct mu_flops f = {.kind = MU_FLOPS_6N_ATTENTION, .count = MU_COUNT_ALL, .rule = toy};

    (void)state;
    for (int aspect = 0; aspect < 2; aspect++) {
        f.rule.layers = aspect ? 0 : 2;
        f.rule.aspect = 64;
        assert_true(isnan(mu_flops_per_token(&f, NAN)));
        assert_true(mu_flops_per_token(&f, INFINITY) == INFINITY);
        assert_true(mu_flops_per_token(&f, 1e-300) > 0);
        assert_true(isfinite(mu_flops_per_token(&f, 1e250)));
    }
}

enum { LADDER = 12 };

/* Widths 8 to 96 of the toy, each trained on 1e6 and on 3e6 tokens; C by that count's
 * 6 N + 12 L d T times a factor. */
static void make_ladder(struct mu_fit_point points[2 * LADDER], enum mu_count_kind kind,
                        double factor)
{
    for (uint32_t i = 0; i < 2 * LADDER; i++) {
        struct mu_fit_point *p = &points[i];
        double flops;

        *p = (struct mu_fit_point){
            .d = i % 2 ? 3e6 : 1e6, .loss = 2, .end = true, .heads = i / 2 + 1};
        p->shape = (struct mu_gpt_shape){2, 8 * (i / 2 + 1), 64, 256};
        p->n = counted(mu_count_gpt(&p->shape), kind, &flops);
        p->c = flops * p->d * factor;
    }
}

static void test_points_that_count_attention(void **state)
{
    struct mu_fit_point points[2 * LADDER];
    struct mu_flops f;

    (void)state;
    for (int kind = MU_COUNT_ALL; kind < MU_COUNT_KINDS; kind++) {
        make_ladder(points, (enum mu_count_kind)kind, 1.009);
        assert_int_equal(mu_flops_of_points(points, 2 * LADDER, &f), MU_OK);
        assert_int_equal(f.kind, MU_FLOPS_6N_ATTENTION);
        assert_int_equal(f.count, kind);
        check_near(mu_flops_per_token(&f, points[5].n), points[5].c / points[5].d, 0.0091);
        make_ladder(points, (enum mu_count_kind)kind, 1.011);
        assert_int_equal(mu_flops_of_points(points, 2 * LADDER, &f), MU_OK);
        assert_int_equal(f.kind, MU_FLOPS_MEASURED);
        check_near(mu_flops_per_token(&f, points[5].n), points[5].c / points[5].d, 1e-12);
    }
}

static void test_points_of_six_n(void **state)
{
    struct mu_fit_point points[2 * LADDER];
    struct mu_flops f;

    (void)state;
    make_ladder(points, MU_COUNT_ALL, 1);
    for (size_t i = 0; i < 2 * LADDER; i++)
        points[i].c = 6 * points[i].n * points[i].d * (i % 2 ? 1.009 : 0.991);
    assert_int_equal(mu_flops_of_points(points, 2 * LADDER, &f), MU_OK);
    assert_int_equal(f.kind, MU_FLOPS_6N);
    assert_int_equal(f.count, MU_COUNT_ALL);
    assert_true(mu_flops_per_token(&f, 1e9) == 6e9);
    assert_true(mu_flops_tokens(&f, 6e20, 1e9) == 1e11);
    points[7].c *= 1.02;
    assert_int_equal(mu_flops_of_points(points, 2 * LADDER, &f), MU_OK);
    assert_int_equal(f.kind, MU_FLOPS_MEASURED);
}

/* A power law is a line in the logarithms: exact between knots and beyond them. */
static void test_measured_is_straight_in_the_logarithms(void **state)
{
    struct mu_fit_point points[9] = {{0}};
    struct mu_flops f;

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        points[i].n = pow(10, 6 + (double)(i / 3));
        points[i].d = 1e9;
        points[i].c = 40 * pow(points[i].n, 0.9) * points[i].d;
    }
    points[4].c *= 100; /* one of three: the median does not see it */
    assert_int_equal(mu_flops_of_points(points, 9, &f), MU_OK);
    assert_int_equal(f.kind, MU_FLOPS_MEASURED);
    assert_int_equal(f.knots.count, 3);
    for (double n = 1e3; n < 1e12; n *= 3) {
        check_near(mu_flops_per_token(&f, n), 40 * pow(n, 0.9), 1e-12);
        check_near(mu_flops_slope(&f, n), 0.9, 1e-12);
    }
}

static void test_measured_at_one_size_is_in_proportion(void **state)
{
    const struct mu_fit_point point = {.n = 1e6, .d = 1e8, .c = 7e14};
    struct mu_flops f;

    (void)state;
    assert_int_equal(mu_flops_of_points(&point, 1, &f), MU_OK);
    assert_int_equal(f.kind, MU_FLOPS_MEASURED);
    check_near(mu_flops_per_token(&f, 1e6), 7e6, 1e-12);
    check_near(mu_flops_per_token(&f, 1e9), 7e9, 1e-12);
}

static void test_measured_at_very_many_sizes(void **state)
{
    enum { MANY = 5000 };
    static struct mu_fit_point points[MANY];
    struct mu_flops f;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        points[i].n = 1e5 * exp((double)(i * 1237 % MANY) * 0.02); /* in no order */
        points[i].d = 1e9;
        points[i].c = 8 * points[i].n * points[i].d;
    }
    assert_int_equal(mu_flops_of_points(points, MANY, &f), MU_OK);
    assert_in_range(f.knots.count, 200, MU_FLOPS_KNOTS);
    for (size_t k = 1; k < f.knots.count; k++)
        assert_true(f.knots.ln_n[k] > f.knots.ln_n[k - 1]);
    for (size_t i = 0; i < MANY; i += 100)
        check_near(mu_flops_per_token(&f, points[i].n), 8 * points[i].n, 1e-12);
}

static void test_no_points(void **state)
{
    struct mu_flops f;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_flops_of_points(NULL, 0, &f), MU_FAILED);
    mu_log_reset_level();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attention_of_the_toy_ladder),
        cmocka_unit_test(test_models_that_can_be_built),
        cmocka_unit_test(test_fewer_than_one_layer_is_one),
        cmocka_unit_test(test_slope_is_the_derivative),
        cmocka_unit_test(test_unreal_sizes_end),
        cmocka_unit_test(test_points_that_count_attention),
        cmocka_unit_test(test_points_of_six_n),
        cmocka_unit_test(test_measured_is_straight_in_the_logarithms),
        cmocka_unit_test(test_measured_at_one_size_is_in_proportion),
        cmocka_unit_test(test_measured_at_very_many_sizes),
        cmocka_unit_test(test_no_points),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

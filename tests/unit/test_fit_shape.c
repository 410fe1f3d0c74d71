/* Shape rules: from points, from words, to models, from one count to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/log.h"
#include "orchestrator/fit/flops.h"
#include "tests/support/run_folder.h"

static const struct mu_shape_rule toy = {
    .known = true, .layers = 2, .head_width = 8, .width_step = 8, .context = 64, .vocab = 256};
static const struct mu_shape_rule gpt2 = {.known = true,
                                          .aspect = 64,
                                          .head_width = 64,
                                          .width_step = 64,
                                          .context = 1024,
                                          .vocab = 50257};

static void check_near(double value, double expected, double tolerance)
{
    if (!(fabs(value / expected - 1) <= tolerance))
        fail_msg("%.17g, expected %.17g", value, expected);
}

static void check_toy(const struct mu_shape_rule *rule)
{
    assert_true(rule->known && rule->layers == 2 && rule->aspect == 0);
    assert_int_equal(rule->head_width, 8);
    assert_int_equal(rule->width_step, 8);
    assert_int_equal(rule->context, 64);
    assert_int_equal(rule->vocab, 256);
}

/* N of width d: 24 d^2 + 28 d without embeddings, 256 d the head, 64 d the positions. */
static void test_recount_by_hand(void **state)
{
    (void)state;
    check_near(mu_shape_recount(&toy, 3808, MU_COUNT_NON_EMBEDDING_HEAD, MU_COUNT_NON_EMBEDDING),
               1760, 1e-13);
    check_near(mu_shape_recount(&toy, 1760, MU_COUNT_NON_EMBEDDING, MU_COUNT_ALL), 4320, 1e-13);
    check_near(mu_shape_recount(&toy, 3808, MU_COUNT_AS_GIVEN, MU_COUNT_ALL), 4320, 1e-13);
    assert_true(mu_shape_recount(&toy, 1e6, MU_COUNT_ALL, MU_COUNT_ALL) == 1e6);
    assert_true(mu_shape_recount(&(struct mu_shape_rule){0}, 1e6, MU_COUNT_ALL,
                                 MU_COUNT_NON_EMBEDDING) == 1e6);
}

static void test_recount_there_and_back(void **state)
{
    const struct mu_shape_rule *rules[] = {&toy, &gpt2};

    (void)state;
    for (size_t r = 0; r < 2; r++)
        for (int from = 0; from < MU_COUNT_KINDS; from++)
            for (int to = 0; to < MU_COUNT_KINDS; to++)
                for (double n = 1000; n < 1e14; n *= 11) {
                    const enum mu_count_kind a = (enum mu_count_kind)from,
                                             b = (enum mu_count_kind)to;

                    check_near(
                        mu_shape_recount(rules[r], mu_shape_recount(rules[r], n, a, b), b, a), n,
                        1e-12);
                }
}

/* Porian et al. 2024: without the head, sizes grow faster than with it, so exponents come out
 * higher. At d = 8: (48 d + 28) d / 1760 = 3296 / 1760 against (48 d + 284) d / 3808, that is
 * 5344 / 3808. */
static void test_leaving_out_the_head_steepens(void **state)
{
    const double h = 1e-5;
    const double more = mu_shape_recount(&toy, 3808 * exp(h), MU_COUNT_NON_EMBEDDING_HEAD,
                                         MU_COUNT_NON_EMBEDDING),
                 less = mu_shape_recount(&toy, 3808 * exp(-h), MU_COUNT_NON_EMBEDDING_HEAD,
                                         MU_COUNT_NON_EMBEDDING);

    (void)state;
    check_near(log(more / less) / (2 * h), (3296.0 / 1760) / (5344.0 / 3808), 1e-7);
}

static void test_what_is_built_is_the_nearest(void **state)
{
    const struct mu_shape_rule stepped = {.known = true,
                                          .aspect = 10,
                                          .head_width = 4,
                                          .width_step = 12,
                                          .context = 32,
                                          .vocab = 100};
    const struct mu_shape_rule *rules[] = {&toy, &gpt2, &stepped};

    (void)state;
    for (size_t r = 0; r < 3; r++)
        for (int kind = 0; kind < MU_COUNT_KINDS; kind++)
            for (double n = 10; n < 1e11; n *= 2.3) {
                const enum mu_count_kind count = (enum mu_count_kind)kind;
                const struct mu_built b = mu_shape_build(rules[r], n, count);
                const uint64_t step = rules[r]->width_step;

                assert_int_equal(b.shape.width % step, 0);
                assert_int_equal(b.shape.width, b.heads * rules[r]->head_width);
                assert_int_equal(b.shape.context, rules[r]->context);
                assert_int_equal(b.shape.vocab, rules[r]->vocab);
                check_near(b.n, mu_shape_size(&b.shape, count), 1e-15);
                for (uint64_t w = step; w < b.shape.width + 4 * step; w += step) {
                    struct mu_gpt_shape other = b.shape;

                    other.width = w;
                    if (!rules[r]->layers)
                        other.layers = (uint64_t)fmax(1, round((double)w / rules[r]->aspect));
                    assert_true(fabs(log(mu_shape_size(&other, count) / n)) >=
                                fabs(log(b.n / n)) - 1e-12);
                }
            }
}

/* "124M", 12 layers of 768: width / layers is 64. */
static void test_gpt2_is_built(void **state)
{
    const struct mu_built b = mu_shape_build(&gpt2, 124439808, MU_COUNT_ALL);

    (void)state;
    assert_int_equal(b.shape.width, 768);
    assert_int_equal(b.shape.layers, 12);
    assert_int_equal(b.heads, 12);
    assert_true(b.n == 124439808);
}

static void test_extreme_sizes_are_built(void **state)
{
    struct mu_built b = mu_shape_build(&gpt2, 1e-3, MU_COUNT_ALL);

    (void)state;
    assert_int_equal(b.shape.width, 64);
    assert_int_equal(b.shape.layers, 1);
    assert_int_equal(b.heads, 1);
    b = mu_shape_build(&gpt2, 1e300, MU_COUNT_NON_EMBEDDING);
    assert_true(isfinite(b.n) && b.heads > 0);
}

static void test_rule_of_a_ladder(void **state)
{
    struct mu_fit_point points[3] = {
        {.n = 3808, .shape = {2, 8, 64, 256}, .heads = 1},
        {.n = 10688, .shape = {2, 16, 64, 256}, .heads = 2},
        {.n = 20640, .shape = {2, 24, 64, 256}, .heads = 3},
    };
    struct mu_shape_rule rule = mu_shape_rule_of_points(points, 3);

    (void)state;
    check_toy(&rule);
    assert_int_equal(mu_count_of_points(points, 3), MU_COUNT_NON_EMBEDDING_HEAD);
    points[1].n *= 1 + 2e-6;
    assert_int_equal(mu_count_of_points(points, 3), MU_COUNT_AS_GIVEN);
    for (size_t i = 0; i < 3; i++)
        points[i].n = 12. * (double)points[i].shape.layers * (double)points[i].shape.width *
                      (double)points[i].shape.width;
    assert_int_equal(mu_count_of_points(points, 3), MU_COUNT_NON_EMBEDDING);
    points[2].shape.layers = 4; /* aspects 4, 8, 6 */
    rule = mu_shape_rule_of_points(points, 3);
    assert_true(rule.known && rule.layers == 0 && rule.aspect == 6);
    points[2].shape.vocab = 257;
    assert_false(mu_shape_rule_of_points(points, 3).known);
    assert_false(mu_shape_rule_of_points(points, 0).known);
    assert_int_equal(mu_count_of_points(points, 0), MU_COUNT_AS_GIVEN);
}

static void test_heads_that_are_not_told(void **state)
{
    struct mu_fit_point points[2] = {
        {.shape = {2, 512, 64, 256}},
        {.shape = {2, 640, 64, 256}},
    };

    (void)state;
    assert_int_equal(mu_shape_rule_of_points(points, 2).head_width, 128);
    points[1].shape.width = 520; /* 8 divides both, 16 does not */
    assert_int_equal(mu_shape_rule_of_points(points, 2).head_width, 8);
    points[1].shape.width = 1536; /* both divide by 512: more than a head is wide */
    assert_int_equal(mu_shape_rule_of_points(points, 2).head_width, 128);
    points[0].heads = 8;
    assert_int_equal(mu_shape_rule_of_points(points, 2).head_width, 64);
}

static void test_points_without_shapes(void **state)
{
    const struct mu_fit_point points[2] = {{.n = 3808, .shape = {2, 8, 64, 256}, .heads = 1},
                                           {.n = 10688}};

    (void)state;
    assert_false(mu_shape_rule_of_points(points, 2).known);
    assert_int_equal(mu_count_of_points(points, 2), MU_COUNT_AS_GIVEN);
}

static void test_words(void **state)
{
    struct mu_shape_rule rule;

    (void)state;
    assert_int_equal(mu_shape_rule_parse("layers=2,head=8,context=64,vocab=256", &rule), MU_OK);
    check_toy(&rule);
    assert_int_equal(
        mu_shape_rule_parse("vocab=5e4,step=128,aspect=62.5,head=64,context=1024", &rule), MU_OK);
    assert_true(rule.known && rule.aspect == 62.5);
    assert_int_equal(rule.layers, 0);
    assert_int_equal(rule.width_step, 128);
    assert_int_equal(rule.vocab, 50000);
}

static void test_wrong_words_are_told(void **state)
{
    static const struct {
        const char *text, *message;
    } wrong[] = {
        {"", "\"\" has no \"=\""},
        {"layers=2,head=8,context=64", "vocab is missing"},
        {"head=8,context=64,vocab=256", "layers or aspect is missing"},
        {"layers=2,aspect=64,head=8,context=64,vocab=256", "layers and aspect are both given"},
        {"layer=2,head=8,context=64,vocab=256", "no \"layer\"; did you mean layers?"},
        {"depthwise=2,head=8", "no \"depthwise\"; expected layers=2,"},
        {"layers=0,head=8,context=64,vocab=256", "layers=0: expected an integer from 1 to 100000"},
        {"layers=2.5,head=8,context=64,vocab=256", "layers=2.5: expected an integer"},
        {"layers=2,head=,context=64,vocab=256", "head=: expected an integer"},
        {"layers=2,head=8,context=-64,vocab=256", "context=-64: expected an integer"},
        {"aspect=0,head=8,context=64,vocab=256", "aspect=0: expected a number from 0.001"},
        {"aspect=nan,head=8,context=64,vocab=256", "aspect=nan: expected a number"},
        {"layers=2,layers=3,head=8,context=64,vocab=256", "layers is given twice"},
        {"layers=2,head=8,context=64,vocab=256,step=12", "step=12 is no multiple of head=8"},
        {"layers=2,head=8,context=64,vocab=256,", "\"\" has no \"=\""},
        {"layers=22222222222222222222222222222222222222222222222222222222222222222", "too long"},
    };

    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct mu_shape_rule rule = toy;
        char text[4096];
        enum mu_status st;

        listen_begin();
        st = mu_shape_rule_parse(wrong[i].text, &rule);
        listen_end(text, sizeof text);
        assert_int_equal(st, MU_USAGE);
        check_toy(&rule);
        if (!strstr(text, wrong[i].message) || count(text, "error:") != 1)
            fail_msg("\"%s\": \"%s\" without \"%s\"", wrong[i].text, text, wrong[i].message);
    }
    mu_log_reset_level();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recount_by_hand),
        cmocka_unit_test(test_recount_there_and_back),
        cmocka_unit_test(test_leaving_out_the_head_steepens),
        cmocka_unit_test(test_what_is_built_is_the_nearest),
        cmocka_unit_test(test_gpt2_is_built),
        cmocka_unit_test(test_extreme_sizes_are_built),
        cmocka_unit_test(test_rule_of_a_ladder),
        cmocka_unit_test(test_heads_that_are_not_told),
        cmocka_unit_test(test_points_without_shapes),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_wrong_words_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

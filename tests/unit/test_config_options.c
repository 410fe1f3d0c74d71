/* The option helper of the verbs, and "did you mean". What is printed is tested in tests/cli. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/cli/options.h"
#include "orchestrator/config/nearest.h"

struct values {
    bool quiet;
    const char *output;
    int64_t seed;
    double share;
    struct mu_words words;
};

static enum mu_status parse(struct values *v, int argc, char **argv)
{
    const struct mu_option options[] = {
        {"quiet", NULL, "print nothing", .flag = &v->quiet},
        {"output", "FILE", "where to write", .text = &v->output},
        {"seed", "N", "seed", .integer = &v->seed, .least = 0, .most = 1000},
        {"share", "PART", "part", .real = &v->share, .least = 0, .most = 1},
    };
    const struct mu_command command = {.usage = "muster count FILE...",
                                       .about = "Counts.",
                                       .options = options,
                                       .option_count = 4,
                                       .least_words = 1,
                                       .most_words = 2};

    *v = (struct values){.seed = 7, .share = 0.5};
    return mu_options_parse(&command, argc, argv, &v->words);
}

#define PARSE(v, ...)                                                        \
    parse(v, (int)(sizeof(char *[]){"count", __VA_ARGS__} / sizeof(char *)), \
          (char *[]){"count", __VA_ARGS__, NULL})

static void options_and_words_in_any_order(void **state)
{
    struct values v;
    char *argv[] = {"count", "a", "--seed=12", "--output", "-", "--share", "0.25", "b", "--quiet"};

    (void)state;
    assert_int_equal(parse(&v, 9, argv), MU_OK);
    assert_true(v.quiet);
    assert_string_equal(v.output, "-");
    assert_int_equal(v.seed, 12);
    assert_true(v.share == 0.25);
    assert_int_equal(v.words.count, 2);
    assert_string_equal(v.words.word[0], "a");
    assert_string_equal(v.words.word[1], "b");
    assert_false(v.words.help_shown);
}

static void what_is_not_given_stays(void **state)
{
    struct values v;

    (void)state;
    assert_int_equal(PARSE(&v, "a"), MU_OK);
    assert_int_equal(v.seed, 7);
    assert_true(v.share == 0.5);
    assert_null(v.output);
    assert_false(v.quiet);
}

static void two_dashes_end_the_options(void **state)
{
    struct values v;
    char *argv[] = {"count", "--", "--quiet", "--seed=2"};

    (void)state;
    assert_int_equal(parse(&v, 4, argv), MU_OK);
    assert_false(v.quiet);
    assert_int_equal(v.words.count, 2);
    assert_string_equal(v.words.word[0], "--quiet");
}

static void mistakes_are_usage_errors(void **state)
{
    struct values v;

    (void)state;
    assert_int_equal(PARSE(&v, "a", "--sed=1"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "-q"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--seed"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--seed="), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--seed=12x"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--seed=1001"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--seed=99999999999999999999"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--share=nan"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--share=1.5"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--quiet=1"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "--qui"), MU_USAGE);
    assert_int_equal(PARSE(&v, "--quiet"), MU_USAGE);
    assert_int_equal(PARSE(&v, "a", "b", "c"), MU_USAGE);
}

static void distances(void **state)
{
    (void)state;
    assert_int_equal(mu_edit_distance("", ""), 0);
    assert_int_equal(mu_edit_distance("", "abc"), 3);
    assert_int_equal(mu_edit_distance("kitten", "sitting"), 3); /* Levenshtein's example */
    assert_int_equal(mu_edit_distance("sitting", "kitten"), 3);
    assert_int_equal(mu_edit_distance("stesp", "steps"), 1); /* a swap is one mistake */
    assert_int_equal(mu_edit_distance("Steps", "steps"), 0);
}

static const char *nearest_key(const char *word)
{
    static const char *const keys[] = {"run.steps", "model.layers", "optim.lr", "optim.betas",
                                       "optim.schedule.warmup"};
    struct mu_nearest n = mu_nearest_to(word);

    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        mu_nearest_offer_key(&n, keys[i]);
    return mu_nearest_answer(&n);
}

static void nearest_keys(void **state)
{
    (void)state;
    assert_string_equal(nearest_key("run.step"), "run.steps");
    assert_string_equal(nearest_key("rum.setps"), "run.steps");
    assert_string_equal(nearest_key("lr"), "optim.lr");
    assert_string_equal(nearest_key("train.lr"), "optim.lr");
    assert_string_equal(nearest_key("optim.warmup"), "optim.schedule.warmup");
    assert_string_equal(nearest_key("model.layer"), "model.layers");
    assert_null(nearest_key("quux"));
    assert_null(nearest_key("x"));
    assert_null(nearest_key(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_words_in_any_order),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(mistakes_are_usage_errors),
        cmocka_unit_test(distances),
        cmocka_unit_test(nearest_keys),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

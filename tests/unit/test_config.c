/* Configurations: what is accepted, the exact text of what is refused, and where values come from.
 * Files and what is printed: test_config_files.c; numbers: test_config_number.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "orchestrator/config/config.h"

/* Settings that need no file and no data. */
#define SYNTHETIC "run = { steps = 100; }; model = { kind = \"synthetic\"; };"

struct reading {
    struct mu_settings settings;
    struct mu_mistakes mistakes;
};

static void read_source(struct reading *r, const struct mu_config_source *source)
{
    memset(r, 0, sizeof *r);
    assert_int_equal(mu_config_collect(source, &r->settings, &r->mistakes), MU_OK);
}

static void read_text(struct reading *r, const char *text)
{
    const struct mu_config_source source = {
        .text = text, .text_size = strlen(text), .text_name = "test.cfg"};

    read_source(r, &source);
}

/* The text is wrong in exactly these ways, told in this order. NULL ends them. */
static void expect_mistakes(const char *text, const char *const *lines)
{
    struct reading r;
    int count = 0;

    read_text(&r, text);
    for (; lines[count]; count++) {
        assert_true(count < r.mistakes.count);
        assert_string_equal(r.mistakes.line[count], lines[count]);
    }
    if (r.mistakes.count > count)
        fail_msg("not expected: %s", r.mistakes.line[count]);
    mu_mistakes_deinit(&r.mistakes);
}
#define EXPECT(text, ...) expect_mistakes(text, (const char *const[]){__VA_ARGS__, NULL})

static void expect_fine(struct reading *r, const char *text)
{
    read_text(r, text);
    if (r->mistakes.count)
        fail_msg("%s", r->mistakes.line[0]);
}

static void defaults_and_values(void **state)
{
    struct reading r;

    (void)state;
    expect_fine(&r, "run = { steps = 4e2; name = \"a b\"; seed = 0x10L };\n"
                    "model : { kind = \"synthetic\" vocab = 300, width = 64L };\n"
                    "optim = { lr = 3; betas = [0, .5]; schedule = { kind = \"linear\" } }\n"
                    "batch = { shards = 2; };");
    assert_int_equal(r.settings.run_steps, 400);
    assert_string_equal(r.settings.run_name, "a b");
    assert_int_equal(r.settings.run_seed, 16);
    assert_int_equal(r.settings.model_kind, MU_MODEL_SYNTHETIC);
    assert_int_equal(r.settings.model_vocab, 300);
    assert_int_equal(r.settings.model_width, 64);
    assert_true(r.settings.optim_lr == 3.0);
    assert_true(r.settings.optim_betas[0] == 0.0 && r.settings.optim_betas[1] == 0.5);
    assert_int_equal(r.settings.schedule_kind, MU_SCHEDULE_LINEAR);
    assert_int_equal(r.settings.batch_shards, 2);
    assert_int_equal(r.settings.batch_micro, MU_AUTO);
    assert_int_equal(r.settings.batch_sequences, 32);
    assert_true(r.settings.optim_eps == 1e-8);
    assert_string_equal(r.settings.data_valid, "");
}

/* What libconfig 1.5 takes modulo 2^32: the literal is what counts. */
static void large_literals_do_not_wrap(void **state)
{
    struct reading r;

    (void)state;
    expect_fine(&r, SYNTHETIC "eval = { tokens = 39000000000; };");
    assert_true(r.settings.eval_tokens == 39000000000);
    EXPECT("run = { steps = 4294967297; }; model = { kind = \"synthetic\"; };",
           "test.cfg:1: run.steps: 4294967297 is out of range; expected an integer from 1 to "
           "1000000000");
    EXPECT(SYNTHETIC "batch = { sequences = 99999999999999999999; };",
           "test.cfg:1: batch.sequences: 99999999999999999999 is too large; expected an integer "
           "from 1 to 16777216");
}

static void mixed_arrays(void **state)
{
    struct reading r;

    (void)state;
    expect_fine(&r, SYNTHETIC "optim = { betas = [0, 0.5]; };");
    expect_fine(&r, SYNTHETIC "optim = { betas = (0.25, 0); };");
    assert_true(r.settings.optim_betas[0] == 0.25 && r.settings.optim_betas[1] == 0);
    EXPECT(SYNTHETIC "optim = { betas = [0.5]; };",
           "test.cfg:1: optim.betas: an array of 1 values; expected two numbers from 0 to "
           "0.999999, as in [0.9, 0.95]");
    EXPECT(SYNTHETIC "optim = { betas = (0.5, [1]); };",
           "test.cfg:1: optim.betas: an array of 2 values; expected two numbers from 0 to "
           "0.999999, as in [0.9, 0.95]");
    EXPECT(SYNTHETIC "optim = { betas = [0.5, 1]; };",
           "test.cfg:1: optim.betas: 1 is out of range; expected two numbers from 0 to 0.999999, "
           "as in [0.9, 0.95]");
}

static void wrong_types(void **state)
{
    (void)state;
    EXPECT("run = {\n steps = \"100\";\n name = 3; };\n model = { kind = synthetic; layers = 2.5; "
           "width = true;\n heads = 1_000; vocab = \"aut\"; context = [1, 2]; };\n"
           "optim = { lr = {}; betas = 0.5; schedule = 3; };",
           "test.cfg:2: run.steps: \"100\" is text; expected an integer from 1 to 1000000000",
           "test.cfg:3: run.name: 3 is a number; expected text of 1 to 128 bytes in double quotes",
           "test.cfg:4: model.kind: synthetic stands without quotes; expected \"gpt2\", "
           "\"llama\" or \"synthetic\"",
           "test.cfg:4: model.layers: 2.5 is not an integer; expected an integer from 1 to 1000",
           "test.cfg:4: model.width: true is a boolean; expected an integer from 1 to 65536",
           "test.cfg:5: model.heads: 1_000 is not a number; expected an integer from 1 to 1000",
           "test.cfg:5: model.vocab: \"aut\" is text; expected an integer from 2 to 4194304, or "
           "\"auto\"",
           "test.cfg:5: model.context: is one value, not an array; expected an integer from 1 to "
           "65536",
           "test.cfg:6: optim.lr: is not a group; expected a number from 0 to 1000",
           "test.cfg:6: optim.betas: 0.5 is one value; expected two numbers from 0 to 0.999999, as "
           "in [0.9, 0.95]",
           "test.cfg:6: optim.schedule: is a group; expected optim.schedule = { ... };");
}

static void unknown_and_missing_keys(void **state)
{
    (void)state;
    EXPECT("model = { kind = \"synthetic\"; layer = 3; };\nquux = 3; lr = 1; foo = {};\n"
           "optim = { warmup = 3; qqqqqqqq = 1; };",
           "test.cfg:1: model.layer: unknown key; did you mean 'model.layers'?",
           "test.cfg:2: quux: unknown key; 'muster config' lists those that exist",
           "test.cfg:2: lr: unknown key; did you mean 'optim.lr'?",
           "test.cfg:2: foo: unknown key; 'muster config' lists those that exist",
           "test.cfg:3: optim.warmup: unknown key; did you mean 'optim.schedule.warmup'?",
           "test.cfg:3: optim.qqqqqqqq: unknown key; expected one of optim: name, lr, betas, eps, "
           "weight_decay, clip, shard, schedule.kind, schedule.warmup, schedule.cooldown, "
           "schedule.floor",
           "test.cfg: run.steps: missing; expected an integer from 1 to 1000000000");
    EXPECT("run = { steps = 10; }; model = { kind = \"sinthetic\"; };",
           "test.cfg:1: model.kind: unknown word \"sinthetic\"; expected \"gpt2\", "
           "\"llama\" or \"synthetic\"; did you mean \"synthetic\"?");
}

/* Where the collective is left open it follows from what else is said. */
static void state_in_parts_is_for_nccl(void **state)
{
    static const char *const fine[] = {
        "device = { kind = \"cuda\"; };",
        "device = { kind = \"cuda\"; collective = \"nccl\"; };",
        "device = { kind = \"cuda\"; collective = \"mpi\"; }; optim = { shard = \"off\"; };",
    };
    static const char *const wrong[] = {
        "",
        "device = { kind = \"cuda\"; collective = \"mpi\"; };",
        "device = { kind = \"cuda\"; }; batch = { reduce = \"fast\"; };",
        "device = { kind = \"cuda\"; }; run = { audit_every = 5; };",
        "device = { kind = \"reference\"; };",
    };
    struct reading r;
    char text[512];

    (void)state;
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        snprintf(text, sizeof text, "%s%s%s", SYNTHETIC, fine[i],
                 i < 2 ? "optim = { shard = \"on\"; };" : "");
        expect_fine(&r, text);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        snprintf(text, sizeof text, "%s%s\noptim = { shard = \"on\"; };", SYNTHETIC, wrong[i]);
        EXPECT(text,
               "test.cfg:2: optim.shard: \"on\" divides the state of GPUs that add up by NCCL; "
               "with device.collective = \"mpi\" the ranks of a host share one state already; "
               "expected \"off\", or device.kind = \"cuda\" and device.collective = \"nccl\"");
    }
}

static void keys_given_twice(void **state)
{
    struct reading r;

    (void)state;
    EXPECT(SYNTHETIC "\nrun = {\n steps = 5; };",
           "test.cfg:3: run.steps: given twice, first in line 1 of test.cfg; expected once");
    /* a group may be continued, as after an @include */
    expect_fine(&r, SYNTHETIC "model = { layers = 7; };");
    assert_int_equal(r.settings.model_layers, 7);
    assert_int_equal(r.settings.model_kind, MU_MODEL_SYNTHETIC);
}

static void syntax(void **state)
{
    (void)state;
    EXPECT("run = {\n steps = = 3; };",
           "test.cfg:2: syntax error here or just before; expected NAME = VALUE; or NAME = { ... "
           "};");
    EXPECT("run = { steps = 3 4; };",
           "test.cfg:1: syntax error here or just before; expected NAME = VALUE; or NAME = { ... "
           "};");
    EXPECT("run = {\n\n name = \"x; };\n",
           "test.cfg:3: this text is not closed; expected a second \"");
    EXPECT("\n/* run\n", "test.cfg:2: this comment is not closed; expected */");
    EXPECT("\nrun = {\n steps = 3;\n", "test.cfg:2: this bracket is not closed; expected a '}'");
    EXPECT("run = { optim = [1 } ;\n};", "test.cfg:1: '}' where the bracket of line 1 wants a ']'");
    EXPECT("};", "test.cfg:1: '}' closes nothing");
    EXPECT(SYNTHETIC "\n$;", "test.cfg:2: '$' means nothing here");
    EXPECT(SYNTHETIC "\nmodel.layers = 3;",
           "test.cfg:2: model.layers: a file has groups instead of dots; expected model = { layers "
           "= ...; }");
    EXPECT(SYNTHETIC "\n@include \"other.cfg\"\n", "test.cfg:2: '@' means nothing here");
}

static void comments_strings_and_line_ends(void **state)
{
    struct reading r;

    (void)state;
    expect_fine(&r, "# a\r\nrun /* two\nlines */ = { // steps = 3;\n steps = 7;\r\n"
                    " name = \"a\\\\b\\\"\" \"c\" # more\n };\n"
                    "model = { kind = \"synthetic\"; };");
    assert_int_equal(r.settings.run_steps, 7);
    assert_string_equal(r.settings.run_name, "a\\b\"c");
    expect_fine(&r, "\xef\xbb\xbf" SYNTHETIC);
    EXPECT("/*\n\n*/ run = {\n steps = 0; };\n" SYNTHETIC,
           "test.cfg:4: run.steps: 0 is out of range; expected an integer from 1 to 1000000000",
           "test.cfg:5: run.steps: given twice, first in line 4 of test.cfg; expected once");
    EXPECT(SYNTHETIC "data = { valid = \"a\\x00b\"; };",
           "test.cfg:1: text cannot hold a zero byte");
}

#define TRAINS(model) "run = { steps = 10; }; data = { train = \"x\"; };\nmodel = { " model " };"

static void kinds_have_their_own_keys(void **state)
{
    struct reading r;

    (void)state;
    EXPECT(TRAINS("hidden = 300;"),
           "test.cfg:2: model.hidden: 300 is for model.kind = \"llama\": gpt2 has four times "
           "model.width; expected 512, or \"auto\"");
    EXPECT(TRAINS("rope_theta = 500000;"),
           "test.cfg:2: model.rope_theta: 500000 is for model.kind = \"llama\": gpt2 learns its "
           "positions; expected it left out");
    EXPECT(TRAINS("kind = \"llama\"; width = 36;"),
           "test.cfg: model.heads: 4 heads of size 9; rotary positions turn pairs of elements: "
           "expected heads of even size, such as 3 of them");
    EXPECT(TRAINS("kind = \"llama\"; width = 35;\n heads = 5;"),
           "test.cfg:2: model.width: 35 is odd, and so is the size of every head; rotary positions "
           "turn pairs of elements: expected an even one");
    EXPECT(TRAINS("kind = \"llama\"; heads = 5;"),
           "test.cfg:2: model.heads: 5 does not divide model.width = 128; expected a divisor, such "
           "as 4 or 8");
    EXPECT(TRAINS("kind = \"llama\"; rope_theta = 0.5;"),
           "test.cfg:2: model.rope_theta: 0.5 is out of range; expected a number from 1 to 1e+12");
    expect_fine(&r, TRAINS("hidden = 512; rope_theta = 1e4;"));
    expect_fine(&r, TRAINS("kind = \"llama\"; hidden = 300; rope_theta = 500000;"));
    assert_int_equal(r.settings.model_hidden, 300);
    assert_true(r.settings.model_rope_theta == 500000);
}

static void values_that_do_not_go_together(void **state)
{
    struct reading r;

    (void)state;
    EXPECT("run = { steps = 10; };\nmodel = { heads = 5; };\ndata = { train = \"x\"; };",
           "test.cfg:2: model.heads: 5 does not divide model.width = 128; expected a divisor, such "
           "as 4 or 8");
    EXPECT("run = { steps = 10; };",
           "test.cfg: data.train: missing; expected the token file to train on, which 'muster "
           "tokenize' makes");
    EXPECT(SYNTHETIC "batch = { sequences = 12; shards = 5; };",
           "test.cfg:1: batch.shards: 5 does not divide batch.sequences = 12; expected a divisor, "
           "such as 4 or 6, or \"auto\"");
    EXPECT(SYNTHETIC "batch = { sequences = 12; shards = 2;\n micro = 4; };",
           "test.cfg:2: batch.micro: 4 does not divide the 6 sequences of a shard (batch.sequences "
           "= 12 in 2 shards); expected a divisor, such as 3 or 6, or \"auto\"");
    EXPECT(SYNTHETIC "optim = { schedule = { warmup = 81; }; };",
           "test.cfg:1: optim.schedule.warmup: 81 steps of warm-up and 20 of cooldown (0.2 of the "
           "run) do not fit in run.steps = 100; expected a warm-up of at most 80, or a smaller "
           "optim.schedule.cooldown");
    expect_fine(&r, SYNTHETIC "optim = { schedule = { warmup = 80; }; };");
    expect_fine(&r, SYNTHETIC "optim = { schedule = { kind = \"cosine\"; warmup = 100; }; };");
    EXPECT(SYNTHETIC "optim = { schedule = { kind = \"cosine\"; warmup = 101; }; };",
           "test.cfg:1: optim.schedule.warmup: 101 steps of warm-up do not fit in a run of 100 "
           "steps; expected at most that many, or a larger run.steps");
    EXPECT(
        "run = { steps = 1; name = \"a/b\"; }; model = { kind = \"synthetic\"; };",
        "test.cfg:1: run.name: \"a/b\" is not a plain folder name; expected one without '/', and "
        "without '.' or '-' in front (its folder is run.dir)");
    /* a key that is wrong by itself is not compared with others */
    EXPECT("run = { steps = 10; };\nmodel = { heads = 5000; };\ndata = { train = \"x\"; };",
           "test.cfg:2: model.heads: 5000 is out of range; expected an integer from 1 to 1000");
}

static void precedence_and_places(void **state)
{
    char *overrides[] = {"run.log_every=4", "optim.betas=[0.5, 0.25]", "batch.shards=auto",
                         "run.name=\"x y\"", "optim.schedule.kind=linear"};
    char *environment[] = {
        "PATH=/bin",     "MUSTER_RUN_LOG_EVERY=3", "MUSTER_RUN_HASH_EVERY=30", "MUSTER_LOG=debug",
        "MUSTER_FAULT=", "MUSTER_HOSTS=3",         "MUSTER_EVAL_EVERY=",       NULL};
    const char *text = SYNTHETIC "run = { log_every = 2; hash_every = 20; name = \"f\"; };"
                                 "checkpoint = { every = 7; }; batch = { shards = 2; };";
    struct mu_config_source source = {.text = text,
                                      .text_size = strlen(text),
                                      .text_name = "test.cfg",
                                      .overrides = overrides,
                                      .override_count = 5,
                                      .environment = environment};
    struct reading r;

    (void)state;
    read_source(&r, &source);
    assert_int_equal(r.mistakes.count, 0);
    assert_int_equal(r.settings.run_log_every, 4);   /* command line */
    assert_int_equal(r.settings.run_hash_every, 30); /* environment */
    assert_int_equal(r.settings.checkpoint_every, 7);
    assert_int_equal(r.settings.eval_every, 100); /* an empty variable is none */
    assert_int_equal(r.settings.batch_shards, MU_AUTO);
    assert_true(r.settings.optim_betas[0] == 0.5 && r.settings.optim_betas[1] == 0.25);
    assert_string_equal(r.settings.run_name, "x y");
    assert_int_equal(r.settings.schedule_kind, MU_SCHEDULE_LINEAR);
}

static void mistakes_outside_of_files(void **state)
{
    char *overrides[] = {"run.steps=0",     "optim.lr",         "=3",
                         "run.stepps=4",    "run.seed=1",       "run.seed=1",
                         "optim.betas=0.5", "batch.shards=many"};
    char *environment[] = {"MUSTER_RUN_STEPS=3", "MUSTER_RUN_LOG_EVERY=x", NULL};
    static const char *const expected[] = {
        "environment MUSTER_RUN_STEPS: run.steps: this key may not come from the environment, "
        "since "
        "it changes what a run computes, and that is to be seen in its configuration; set it in "
        "the file or on the command line",
        "environment MUSTER_RUN_LOG_EVERY: run.log_every: x is not a number; expected an integer "
        "from 1 to 1000000",
        "command line: run.steps: 0 is out of range; expected an integer from 1 to 1000000000",
        "command line: 'optim.lr' is not KEY=VALUE",
        "command line: '=3' is not KEY=VALUE",
        "command line: run.stepps: unknown key; did you mean 'run.steps'?",
        "command line: run.seed: given twice; expected once",
        "command line: optim.betas: 0.5 is one value; expected two numbers from 0 to 0.999999, as "
        "in [0.9, 0.95]",
        "command line: batch.shards: many is not a number; expected an integer from 1 to 256, or "
        "\"auto\"",
    };
    struct mu_config_source source = {.text = SYNTHETIC,
                                      .text_size = strlen(SYNTHETIC),
                                      .text_name = "test.cfg",
                                      .overrides = overrides,
                                      .override_count = 8,
                                      .environment = environment};
    struct reading r;

    (void)state;
    read_source(&r, &source);
    assert_int_equal(r.mistakes.count, 9);
    for (int i = 0; i < 9; i++)
        assert_string_equal(r.mistakes.line[i], expected[i]);
    mu_mistakes_deinit(&r.mistakes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_and_values),
        cmocka_unit_test(large_literals_do_not_wrap),
        cmocka_unit_test(mixed_arrays),
        cmocka_unit_test(wrong_types),
        cmocka_unit_test(unknown_and_missing_keys),
        cmocka_unit_test(state_in_parts_is_for_nccl),
        cmocka_unit_test(keys_given_twice),
        cmocka_unit_test(syntax),
        cmocka_unit_test(comments_strings_and_line_ends),
        cmocka_unit_test(kinds_have_their_own_keys),
        cmocka_unit_test(values_that_do_not_go_together),
        cmocka_unit_test(precedence_and_places),
        cmocka_unit_test(mistakes_outside_of_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

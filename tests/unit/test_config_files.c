/* Configurations in files: includes, paths; and the resolved text: print, read back, compare, hash,
 * resolve. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libconfig.h>

#include "orchestrator/base/file.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "tests/support/run_folder.h"

#define SYNTHETIC "run = { steps = 100; };\nmodel = { kind = \"synthetic\"; };\n"

static char folder[] = "/tmp/muster-test-config-XXXXXX";

static const char *path_of(const char *name)
{
    static char path[4][MU_PATH_MAX]; /* some calls in one expression */
    static int turn;

    turn = (turn + 1) % 4;
    assert_int_equal(mu_path_format(path[turn], "%s/%s", folder, name), MU_OK);
    return path[turn];
}

static void write_file(const char *name, const char *text)
{
    assert_int_equal(mu_file_write_atomically(path_of(name), text, strlen(text)), MU_OK);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder) || chdir(folder) != 0)
        return -1;
    return mu_file_make_folders(path_of("base/deep")) == MU_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* Reads main.cfg; the mistakes found must be `expected` (NULL: none). */
static struct mu_settings read_main(char *const *overrides, int count, const char *expected)
{
    const struct mu_config_source source = {
        .path = path_of("main.cfg"), .overrides = overrides, .override_count = count};
    struct mu_mistakes mistakes = {.count = 0};
    struct mu_settings settings;

    assert_int_equal(mu_config_collect(&source, &settings, &mistakes), MU_OK);
    if (!expected && mistakes.count)
        fail_msg("%s", mistakes.line[0]);
    if (expected) {
        assert_int_equal(mistakes.count, 1);
        assert_string_equal(mistakes.line[0], expected);
    }
    mu_mistakes_deinit(&mistakes);
    return settings;
}

static void paths_are_relative_to_where_they_are_written(void **state)
{
    char *overrides[] = {"run.dir=./here"};
    struct mu_settings s;

    (void)state;
    write_file("main.cfg", SYNTHETIC "@include \"base/data.cfg\"\n");
    write_file("base/data.cfg", "data = { train = \"t.bin\";\n @include \"deep/valid.cfg\" \n };");
    write_file("base/deep/valid.cfg", "valid = \"..//v.bin\";");
    assert_int_equal(chdir("base"), 0);
    s = read_main(overrides, 1, NULL);
    assert_string_equal(s.data_train, path_of("base/t.bin"));
    assert_string_equal(s.data_valid, path_of("base/v.bin"));
    assert_string_equal(s.run_dir, path_of("base/here"));
    s = read_main(NULL, 0, NULL);
    assert_string_equal(s.run_dir, path_of("base/runs")); /* a default: the working directory */
    assert_int_equal(chdir(folder), 0);
    write_file("main.cfg", SYNTHETIC "data = { train = \"/a/./b\"; };");
    s = read_main(NULL, 0, NULL);
    assert_string_equal(s.data_train, "/a/b");
}

/* ".." leads up from where a link points to, and from what is not there nobody knows. */
static void only_plain_folders_are_left_out_of_paths(void **state)
{
    char *overrides[] = {"run.dir=link/../base/../runs", "data.train=none/../t.bin",
                         "data.valid=base/deep/../../../../../v.bin"};
    struct mu_settings s;

    (void)state;
    assert_int_equal(chdir(folder), 0);
    assert_int_equal(symlink("base/deep", path_of("link")), 0);
    write_file("main.cfg", SYNTHETIC);
    s = read_main(overrides, 3, NULL);
    assert_string_equal(s.run_dir, path_of("link/../base/../runs"));
    assert_string_equal(s.data_train, path_of("none/../t.bin"));
    assert_string_equal(s.data_valid, "/v.bin");
}

static void mistakes_in_included_files(void **state)
{
    char expected[2 * MU_PATH_MAX];

    (void)state;
    write_file("main.cfg", "# main\n" SYNTHETIC "@include \"base/batch.cfg\"\n");
    write_file("base/batch.cfg", "batch = {\n\n shards = 0; };\n");
    snprintf(expected, sizeof expected,
             "%s:3: batch.shards: 0 is out of range; expected an integer from 1 to 256, or "
             "\"auto\"",
             path_of("base/batch.cfg"));
    (void)read_main(NULL, 0, expected);

    /* after an include the lines are the including file's again */
    write_file("base/batch.cfg", "batch = {\n\n shards = 1; };\n");
    write_file("main.cfg", "@include \"base/batch.cfg\"\n\n" SYNTHETIC "optim = { lr = -1; };\n");
    snprintf(expected, sizeof expected,
             "%s:5: optim.lr: -1 is out of range; expected a number from 0 to 1000",
             path_of("main.cfg"));
    (void)read_main(NULL, 0, expected);
}

static void includes_that_lead_nowhere(void **state)
{
    char expected[2 * MU_PATH_MAX];

    (void)state;
    write_file("main.cfg", SYNTHETIC "@include \"base/none.cfg\"\n");
    snprintf(expected, sizeof expected, "%s:3: there is no file %s", path_of("main.cfg"),
             path_of("base/none.cfg"));
    (void)read_main(NULL, 0, expected);
    write_file("main.cfg", SYNTHETIC "@include \"main.cfg\"\n");
    snprintf(expected, sizeof expected, "%s:3: files include each other more than 10 deep",
             path_of("main.cfg"));
    (void)read_main(NULL, 0, expected);
    assert_int_equal(unlink(path_of("main.cfg")), 0);
    snprintf(expected, sizeof expected, "%s: no such file", path_of("main.cfg"));
    (void)read_main(NULL, 0, expected);
}

static struct mu_settings synthetic(const char *more)
{
    struct mu_settings s;
    char text[1024];

    snprintf(text, sizeof text, "%s%s", SYNTHETIC, more);
    assert_int_equal(mu_config_parse_text(text, strlen(text), "test", &s), MU_OK);
    return s;
}

/* What Muster prints is a libconfig file for everybody else, too. */
static void printed_text_is_libconfig(void **state)
{
    struct mu_settings s = synthetic("run = { name = \"a \\\"b\\\" \\\\ c\"; seed = 5000000000; };"
                                     "optim = { lr = 0.30000000000000004; betas = [0, 0.5]; };"
                                     "data = { valid = \"/x/y z\"; };");
    char *text;
    config_t config;
    const char *word;
    long long large;
    double real;
    int integer;

    (void)state;
    assert_int_equal(mu_config_print(&s, &text), MU_OK);
    config_init(&config);
    assert_int_equal(config_read_string(&config, text), CONFIG_TRUE);
    assert_int_equal(config_lookup_string(&config, "run.name", &word), CONFIG_TRUE);
    assert_string_equal(word, "a \"b\" \\ c");
    assert_int_equal(config_lookup_int64(&config, "run.seed", &large), CONFIG_TRUE);
    assert_int_equal(large, 5000000000);
    assert_int_equal(config_lookup_float(&config, "optim.lr", &real), CONFIG_TRUE);
    assert_true(real == 0.1 + 0.2);
    assert_int_equal(config_lookup_float(&config, "optim.betas.[0]", &real), CONFIG_TRUE);
    assert_true(real == 0);
    assert_int_equal(config_lookup_float(&config, "optim.betas.[1]", &real), CONFIG_TRUE);
    assert_true(real == 0.5);
    assert_int_equal(config_lookup_int(&config, "model.width", &integer), CONFIG_TRUE);
    assert_int_equal(integer, 128);
    assert_int_equal(config_lookup_string(&config, "batch.shards", &word), CONFIG_TRUE);
    assert_string_equal(word, "auto");
    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        if (!config_lookup(&config, mu_keys[i].name))
            fail_msg("%s is not printed", mu_keys[i].name);
    config_destroy(&config);
    free(text);
}

static void comparing_for_a_resume(void **state)
{
    struct mu_settings old = synthetic("data = { train = \"/a\"; };");
    struct mu_settings now = old;

    (void)state;
    assert_int_equal(mu_config_compare(&old, &now), MU_OK);
    now.eval_every = 7;           /* operational */
    strcpy(now.data_train, "/b"); /* content: the file may move */
    assert_int_equal(mu_config_compare(&old, &now), MU_OK);
    now.optim_lr = 1; /* fork */
    assert_int_equal(mu_config_compare(&old, &now), MU_CONFIG);
    now.optim_lr = old.optim_lr;
    now.model_width = 256; /* identity */
    assert_int_equal(mu_config_compare(&old, &now), MU_CONFIG);
}

/* What follows from a key that was changed is not told; what was typed is, also where nothing else
 * is. */
static void only_what_was_typed_is_refused(void **state)
{
    struct mu_settings old = synthetic("batch = { sequences = 16; };"), now;
    char text[4096];

    (void)state;
    now = synthetic("batch = { sequences = 64; };");
    assert_int_equal(mu_settings_resolve(&old, 256), MU_OK);
    assert_int_equal(mu_settings_resolve(&now, 256), MU_OK);
    assert_int_not_equal(now.batch_micro * now.batch_shards, old.batch_micro * old.batch_shards);
    listen_begin();
    assert_int_equal(mu_config_compare(&old, &now), MU_CONFIG);
    listen_end(text, sizeof text);
    assert_non_null(strstr(text, "batch.sequences: the run has 16"));
    assert_null(strstr(text, "batch.shards"));
    assert_null(strstr(text, "batch.micro"));
    now = old;
    now.batch_shards = old.batch_shards * 2;
    now.batch_micro = 1;
    listen_begin();
    assert_int_equal(mu_config_compare(&old, &now), MU_CONFIG);
    listen_end(text, sizeof text);
    assert_non_null(strstr(text, "batch.shards: the run has"));
    assert_non_null(strstr(text, "batch.micro: the run has"));
}

static void identity_is_of_identity_keys(void **state)
{
    struct mu_settings s = synthetic("data = { train = \"/a\"; };");
    struct mu_hash first, second;

    (void)state;
    assert_int_equal(mu_config_identity(&s, &first), MU_OK);
    strcpy(s.data_train, "/b");
    s.eval_every = 3;
    s.run_steps = 7;
    assert_int_equal(mu_config_identity(&s, &second), MU_OK);
    assert_true(mu_hash_equal(first, second));
    s.run_seed++;
    assert_int_equal(mu_config_identity(&s, &second), MU_OK);
    assert_false(mu_hash_equal(first, second));
}

static void resolving(void **state)
{
    struct mu_settings s = synthetic("batch = { sequences = 96; }; model = { context = 64; };");

    (void)state;
    /* 96 sequences of 64 tokens: 2^3 shards of 12 have 768 tokens, 2^4 of 6 would have 384 */
    assert_int_equal(mu_settings_resolve(&s, 256), MU_OK);
    assert_int_equal(s.model_vocab, 256);
    assert_int_equal(s.batch_shards, 8);
    assert_int_equal(s.batch_micro, 12); /* 768 tokens of at most 2048 */

    s = synthetic("batch = { sequences = 8; shards = 1; }; model = { context = 500; vocab = 9; };");
    assert_int_equal(mu_settings_resolve(&s, 0), MU_OK);
    assert_int_equal(s.model_vocab, 9);
    assert_int_equal(s.batch_shards, 1);
    assert_int_equal(s.batch_micro, 4); /* 2000 tokens of at most 2048 */

    s = synthetic("model = { vocab = 9; };");
    assert_int_equal(mu_settings_resolve(&s, 10), MU_CONFIG);
    s = synthetic("");
    assert_int_equal(mu_settings_resolve(&s, 1), MU_CONFIG);
    s = synthetic("");
    s.batch_shards = 5; /* 32 sequences */
    assert_int_equal(mu_settings_resolve(&s, 256), MU_CONFIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_relative_to_where_they_are_written),
        cmocka_unit_test(only_plain_folders_are_left_out_of_paths),
        cmocka_unit_test(mistakes_in_included_files),
        cmocka_unit_test(includes_that_lead_nowhere),
        cmocka_unit_test(printed_text_is_libconfig),
        cmocka_unit_test(comparing_for_a_resume),
        cmocka_unit_test(only_what_was_typed_is_refused),
        cmocka_unit_test(identity_is_of_identity_keys),
        cmocka_unit_test(resolving),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}

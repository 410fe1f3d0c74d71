/* Requests and answers as bytes: what is written is read again, and whatever else lies there is
 * refused with a reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/steer/request.h"
#include "tests/support/seed.h"

static char run[64];

static int make_run(void **state)
{
    char path[128];

    (void)state;
    strcpy(run, "/tmp/muster-steer-XXXXXX");
    if (!mkdtemp(run))
        return -1;
    snprintf(path, sizeof path, "%s/control", run);
    if (mkdir(path, 0777) != 0)
        return -1;
    snprintf(path, sizeof path, "%s/journal", run);
    return mkdir(path, 0777);
}

static int remove_run(void **state)
{
    (void)state;
    return mu_file_remove_tree(run) == MU_OK ? 0 : -1;
}

static void put(const char *name, const void *bytes, size_t size)
{
    char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/control/%s", run, name), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, bytes, size), MU_OK);
}

static void test_what_is_written_is_read(void **state)
{
    struct mu_steer_request one, two, got;
    char names[MU_STEER_MOST][MU_STEER_NAME_MAX], why[MU_STEER_WHY_MAX];

    (void)state;
    setenv("USER", "a\033[31mb", 1); /* a terminal shall not obey it */
    assert_int_equal(mu_steer_write(run, MU_STEER_STOP, &one), MU_OK);
    assert_int_equal(mu_steer_write(run, MU_STEER_CHECKPOINT, &two), MU_OK);
    put("stop", "", 0);
    put("resize", "3\n", 2);
    put("relaunch", "", 0);
    put(".hidden", "", 0);
    put("x.request.tmp.17", "", 0);
    put("x.request.refused", "", 0);
    assert_int_equal(mu_steer_names(run, names, MU_STEER_MOST), 2);
    assert_string_equal(names[0], two.name); /* sorted */
    assert_string_equal(names[1], one.name);
    assert_int_equal(mu_steer_names(run, names, 1), 1);
    assert_true(mu_steer_read(run, one.name, &got, why));
    assert_int_equal(got.kind, MU_STEER_STOP);
    assert_false(got.is_plain);
    assert_null(strchr(got.by, '\033'));
    assert_int_equal(strncmp(got.by, "a?[31mb on ", 11), 0);
    assert_true(mu_steer_remove(run, one.name));
    assert_false(mu_steer_is_there(run, one.name));
    assert_true(mu_steer_remove(run, one.name)); /* gone is gone */
    assert_false(mu_steer_read(run, one.name, &got, why));
    assert_string_equal(why, "");
    assert_true(mu_steer_set_aside(run, two.name));
    assert_int_equal(mu_steer_names(run, names, MU_STEER_MOST), 0);
    put("checkpoint", "", 0);
    assert_true(mu_steer_read(run, "checkpoint", &got, why));
    assert_true(got.is_plain);
    assert_int_equal(got.kind, MU_STEER_CHECKPOINT);
}

static void test_whatever_else_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"{\"version\":1,\"what\":\"dance\"}", "it asks for 'dance'; expected stop or checkpoint"},
        {"{\"version\":1}", "it asks for ''; expected stop or checkpoint"},
        {"{\"version\":2,\"what\":\"stop\"}", "its version is 2, and this program knows 1"},
        {"{\"what\":\"stop\"}", "its version is 0, and this program knows 1"},
        {"[1]", "it is not a JSON object"},
        {"{\"version\":1,\"what\":\"stop\"} more", "end of file expected near 'more'"},
        {"{\"version\":1,\"what\":\"stop\",\"what\":\"stop\"}",
         "duplicate object key near '\"what\"'"},
    };
    struct mu_steer_request got;
    char why[MU_STEER_WHY_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_false(mu_steer_parse(cases[i].text, strlen(cases[i].text), &got, why));
        assert_string_equal(why, cases[i].why);
    }
    assert_false(mu_steer_parse("", 0, &got, why));
    assert_string_not_equal(why, "");
}

static uint64_t next(void)
{
    static uint64_t count;
    const struct mu_rng_words w = mu_rng_draw(seed, MU_RNG_INIT, 0, count++);

    return (uint64_t)w.w[0] << 32 | w.w[1];
}

static void test_any_bytes_will_do(void **state)
{
    static const char good[] = "{\"version\":1,\"what\":\"stop\",\"by\":\"a\",\"date\":\"b\"}";
    struct mu_steer_request got;
    char bytes[sizeof good], why[MU_STEER_WHY_MAX];

    (void)state;
    for (int i = 0; i < 20000; i++) {
        const size_t size = (size_t)(next() % sizeof good);
        bool ok;

        memcpy(bytes, good, sizeof good);
        for (uint64_t n = 1 + next() % 3; n > 0; n--)
            bytes[next() % sizeof bytes] = (char)next();
        ok = mu_steer_parse(bytes, size, &got, why);
        assert_true(ok == (why[0] == 0)); /* either it is a request, or there is a reason */
        assert_true(!ok || got.kind < MU_STEER_KINDS);
        for (const char *c = why; *c; c++)
            assert_true(*c >= ' ' && *c <= '~');
    }
}

static void test_answers_are_found(void **state)
{
    struct mu_steer_request a, b;
    const struct mu_steer_answer given = {
        .result = MU_STEER_DONE, .step = 812, .saved = 812, .seconds = 0.25};
    struct mu_steer_answer got;
    struct mu_journal *j;
    uint32_t generation;
    char folder[80], *text;

    (void)state;
    snprintf(folder, sizeof folder, "%s/journal", run);
    assert_int_equal(mu_steer_write(run, MU_STEER_CHECKPOINT, &a), MU_OK);
    assert_int_equal(mu_steer_write(run, MU_STEER_STOP, &b), MU_OK);
    assert_false(mu_steer_answer_find(run, &a, &got));
    text = mu_steer_answer_format(&a, &given);
    assert_non_null(text);
    assert_int_equal(mu_journal_open(folder, &j, &generation), MU_OK);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_EVENT, "{\"request\":\"x\"}"), MU_OK);
    assert_int_equal(mu_journal_append(j, MU_JOURNAL_ANSWER, text), MU_OK);
    free(text);
    mu_journal_close(j);
    assert_true(mu_steer_answer_find(run, &a, &got));
    assert_int_equal(got.result, given.result);
    assert_int_equal(got.step, 812);
    assert_int_equal(got.saved, 812);
    assert_true(got.seconds == given.seconds);
    assert_false(mu_steer_answer_find(run, &b, &got));
    a.is_plain = true; /* its name is anybody's */
    assert_false(mu_steer_answer_find(run, &a, &got));
    assert_string_equal(mu_steer_answer_tell("runs/x", MU_STEER_STOP, &given).text,
                        "stopped after step 812; checkpoint runs/x/checkpoints/step-00000812; the "
                        "same command goes on");
    assert_string_equal(mu_steer_answer_tell("runs/x", MU_STEER_CHECKPOINT, &given).text,
                        "checkpoint step-00000812 written in 0.25 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_what_is_written_is_read, make_run, remove_run),
        cmocka_unit_test(test_whatever_else_is_refused),
        cmocka_unit_test(test_any_bytes_will_do),
        cmocka_unit_test_setup_teardown(test_answers_are_found, make_run, remove_run),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

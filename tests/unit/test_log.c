/* base/log: what a line looks like, which levels are shown, that lines of several threads stay
 * whole, and that nothing is too long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "orchestrator/base/log.h"
#include "tests/support/run_folder.h"

static char text[65536];

static int reset(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    mu_log_set_rank(-1);
    mu_log_set_where(NULL);
    mu_log_set_guard(NULL, NULL);
    return 0;
}

/* Runs before anybody sets a level. */
static void the_environment_sets_the_level(void **state)
{
    (void)state;
    setenv("MUSTER_LOG", "warning", 1);
    assert_true(mu_log_shows(MU_LOG_WARN));
    assert_false(mu_log_shows(MU_LOG_INFO));
    mu_log_set_level(MU_LOG_DEBUG); /* goes before it */
    assert_true(mu_log_shows(MU_LOG_DEBUG));
}

static void lines_say_who_speaks(void **state)
{
    (void)state;
    listen_begin();
    mu_log(MU_LOG_INFO, "step %d", 3);
    mu_log(MU_LOG_WARN, "slow");
    mu_log(MU_LOG_ERROR, "gone");
    mu_log(MU_LOG_DEBUG, "not shown");
    mu_log_set_rank(3);
    mu_log_set_where("rank 3 step 8");
    mu_log(MU_LOG_INFO, "on");
    mu_log(MU_LOG_ERROR, "off");
    listen_end(text, sizeof text);
    assert_string_equal(text, "muster: step 3\n"
                              "muster: warning: slow\n"
                              "muster: error: gone\n"
                              "muster[3]: on\n"
                              "muster[3]: error: [rank 3 step 8] off\n");
}

static void levels_show_themselves_and_what_is_graver(void **state)
{
    static const enum mu_log_level all[] = {MU_LOG_ERROR, MU_LOG_WARN, MU_LOG_INFO, MU_LOG_DEBUG};

    (void)state;
    for (int set = 0; set < 4; set++) {
        mu_log_set_level(all[set]);
        for (int asked = 0; asked < 4; asked++)
            assert_int_equal(mu_log_shows(all[asked]), asked <= set);
    }
    mu_log_set_level(MU_LOG_SILENT);
    listen_begin();
    mu_log(MU_LOG_ERROR, "unheard");
    listen_end(text, sizeof text);
    assert_string_equal(text, "");
}

static void take(void *context, enum mu_log_level level, const char *line)
{
    const size_t used = strlen(context);

    snprintf((char *)context + used, 200 - used, "%d %s\n", (int)level, line);
}

static void errors_and_warnings_may_be_taken(void **state)
{
    char taken[200] = "";

    (void)state;
    mu_log_set_level(MU_LOG_ERROR);
    mu_log_set_rank(3);
    listen_begin();
    mu_log_set_taker(take, taken);
    mu_log(MU_LOG_ERROR, "gone %d", 5);
    mu_log(MU_LOG_WARN, "slow");
    mu_log_set_taker(NULL, NULL);
    mu_log(MU_LOG_ERROR, "again");
    listen_end(text, sizeof text);
    assert_string_equal(taken, "0 gone 5\n1 slow\n");
    assert_string_equal(text, "muster[3]: error: again\n");
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_int_equal(mu_log_level_from_name("error"), MU_LOG_ERROR);
    assert_int_equal(mu_log_level_from_name("warning"), MU_LOG_WARN);
    assert_int_equal(mu_log_level_from_name("info"), MU_LOG_INFO);
    assert_int_equal(mu_log_level_from_name("debug"), MU_LOG_DEBUG);
    assert_int_equal(mu_log_level_from_name("warn"), -1);
    assert_int_equal(mu_log_level_from_name("INFO"), -1);
    assert_int_equal(mu_log_level_from_name(""), -1);
}

static void a_line_that_is_too_long_is_cut(void **state)
{
    static char shout[9000];

    (void)state;
    memset(shout, 'A', sizeof shout - 1);
    listen_begin();
    mu_log(MU_LOG_INFO, "%s", shout);
    mu_log(MU_LOG_INFO, "after it");
    listen_end(text, sizeof text);
    assert_in_range(strlen(text), 4000, 4200);
    assert_int_equal(count(text, "\n"), 2);
    assert_string_equal(strchr(text, '\n') + 1, "muster: after it\n");
}

static void a_place_that_is_too_long_is_cut(void **state)
{
    static char where[9000];

    (void)state;
    memset(where, 'A', sizeof where - 1);
    mu_log_set_where(where);
    listen_begin();
    mu_log(MU_LOG_ERROR, "seen");
    listen_end(text, sizeof text);
    assert_in_range(strlen(text), 200, 400);
    assert_string_equal(strchr(text, ']'), "] seen\n");
}

static void note(void *context, int begin)
{
    strcat(context, begin ? "(" : ")");
}

static void the_guard_stands_round_each_line(void **state)
{
    char notes[16] = "";

    (void)state;
    mu_log_set_guard(note, notes);
    listen_begin();
    mu_log(MU_LOG_INFO, "one");
    mu_log(MU_LOG_DEBUG, "not shown");
    mu_log(MU_LOG_INFO, "two");
    listen_end(text, sizeof text);
    assert_string_equal(notes, "()()");
}

static void *speak(void *name)
{
    for (int i = 0; i < 100; i++)
        mu_log(MU_LOG_INFO, "%s says %d things", (const char *)name, 12345);
    return NULL;
}

static void lines_of_threads_stay_whole(void **state)
{
    static char names[4][2] = {"a", "b", "c", "d"};
    pthread_t thread[4];

    (void)state;
    listen_begin();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, speak, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    listen_end(text, sizeof text);
    for (int i = 0; i < 4; i++) {
        char line[64];

        snprintf(line, sizeof line, "muster: %s says 12345 things\n", names[i]);
        assert_int_equal(count(text, line), 100);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_sets_the_level),
        cmocka_unit_test_setup(lines_say_who_speaks, reset),
        cmocka_unit_test_setup(levels_show_themselves_and_what_is_graver, reset),
        cmocka_unit_test_setup(errors_and_warnings_may_be_taken, reset),
        cmocka_unit_test_setup(levels_have_names, reset),
        cmocka_unit_test_setup(a_line_that_is_too_long_is_cut, reset),
        cmocka_unit_test_setup(a_place_that_is_too_long_is_cut, reset),
        cmocka_unit_test_setup(the_guard_stands_round_each_line, reset),
        cmocka_unit_test_setup(lines_of_threads_stay_whole, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* base/status: names, meanings, exit codes; what is reported at the origin and on the way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/wait.h>

#include "orchestrator/base/log.h"
#include "orchestrator/base/status.h"
#include "tests/support/run_folder.h"

static void every_status_has_its_row(void **state)
{
    (void)state;
    for (int st = 0; st < MU_STATUS_COUNT; st++) {
        assert_true(strlen(mu_status_name((enum mu_status)st)) > 0);
        assert_true(strlen(mu_status_meaning((enum mu_status)st)) > 0);
        assert_int_equal(mu_status_exit_code((enum mu_status)st) == 0, st == MU_OK);
    }
    assert_string_equal(mu_status_name(MU_PEER_LOST), "PEER_LOST");
    assert_string_equal(mu_status_meaning(MU_PEER_LOST), "a rank died");
}

static void a_repaired_death_is_none(void **state)
{
    (void)state;
    for (int st = 0; st < MU_STATUS_COUNT; st++)
        assert_int_equal(mu_status_is_death((enum mu_status)st),
                         st == MU_PEER_LOST || st == MU_REVOKED);
}

/* sysexits.h: EX_USAGE, EX_SOFTWARE, EX_TEMPFAIL, EX_CONFIG */
static void exit_codes_are_those_of_the_manual(void **state)
{
    (void)state;
    assert_int_equal(mu_status_exit_code(MU_FAILED), 1);
    assert_int_equal(mu_status_exit_code(MU_USAGE), 64);
    assert_int_equal(mu_status_exit_code(MU_INTERNAL), 70);
    assert_int_equal(mu_status_exit_code(MU_REQUEUE), 75);
    assert_int_equal(mu_status_exit_code(MU_CONFIG), 78);
    assert_int_equal(mu_status_exit_code(MU_TIMEOUT), 1);
}

static enum mu_status origin(int *calls)
{
    (*calls)++;
    return MU_FAIL(MU_CORRUPT, "block %d is damaged", 17);
}

static enum mu_status passes_on(int *calls)
{
    enum mu_status st = MU_OK;

    MU_TRY(origin(calls), st, done);
    *calls = 100; /* not reached */
done:
    return st;
}

static void a_failure_is_told_once(void **state)
{
    char text[4096];
    int calls = 0;

    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    listen_begin();
    assert_int_equal(passes_on(&calls), MU_CORRUPT);
    listen_end(text, sizeof text);
    assert_int_equal(calls, 1);
    assert_string_equal(text, "muster: error: block 17 is damaged\n");
}

static void debug_shows_the_way_it_took(void **state)
{
    char text[4096];
    int calls = 0;

    (void)state;
    mu_log_set_level(MU_LOG_DEBUG);
    listen_begin();
    assert_int_equal(passes_on(&calls), MU_CORRUPT);
    listen_end(text, sizeof text);
    assert_int_equal(count(text, "CORRUPT raised at "), 1);
    assert_int_equal(count(text, "CORRUPT passed on at "), 1);
    assert_int_equal(count(text, "test_status.c:"), 2);
    assert_int_equal(count(text, "origin(calls)"), 1);
}

static void a_long_report_is_cut(void **state)
{
    char text[8192], shout[6000];

    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    memset(shout, 'A', sizeof shout - 1);
    shout[sizeof shout - 1] = 0;
    listen_begin();
    assert_int_equal(MU_FAIL(MU_FAILED, "%s", shout), MU_FAILED);
    listen_end(text, sizeof text);
    assert_in_range(strlen(text), 2000, 2100);
    assert_int_equal(text[strlen(text) - 1], '\n');
}

static void a_broken_assertion_is_a_death(void **state)
{
    int status = 0;
    char text[4096];
    pid_t pid;

    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    listen_begin();
    pid = fork();
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        mu_log_set_where("rank 3 backward step 812");
        MU_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    listen_end(text, sizeof text);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    assert_int_equal(count(text, "1 + 1 == 3"), 1);
    assert_int_equal(count(text, "[rank 3 backward step 812]"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_row),
        cmocka_unit_test(a_repaired_death_is_none),
        cmocka_unit_test(exit_codes_are_those_of_the_manual),
        cmocka_unit_test(a_failure_is_told_once),
        cmocka_unit_test(debug_shows_the_way_it_took),
        cmocka_unit_test(a_long_report_is_cut),
        cmocka_unit_test(a_broken_assertion_is_a_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* base/fault: what MUSTER_FAULT may say, mistakes in it, and that a fault strikes where, when and
 * whom it names, and nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/fault_gpu.h"
#include "orchestrator/base/log.h"

static enum mu_status set(const char *text)
{
    setenv("MUSTER_FAULT", text, 1);
    return mu_fault_init();
}

static int clear(void **state)
{
    (void)state;
    unsetenv("MUSTER_FAULT");
    mu_fault_set_rank(0);
    return mu_fault_init() == MU_OK ? 0 : -1;
}

static void nothing_asked_for_is_no_fault(void **state)
{
    (void)state;
    assert_int_equal(mu_fault_init(), MU_OK);
    assert_int_equal(set(""), MU_OK);
    for (int p = 0; p < MU_FAULT_COUNT; p++)
        assert_false(mu_fault((enum mu_fault_point)p, 0));
}

static void every_point_has_a_name_that_is_read(void **state)
{
    char text[64];

    (void)state;
    for (int p = 0; p < MU_FAULT_COUNT; p++) {
        strcpy(text, "do:fail,at:");
        strcat(text, mu_fault_point_name((enum mu_fault_point)p));
        assert_int_equal(set(text), MU_OK);
        for (int other = 0; other < MU_FAULT_COUNT; other++)
            assert_int_equal(mu_fault((enum mu_fault_point)other, 3), other == p);
    }
    assert_string_equal(mu_fault_point_name(MU_FAULT_COUNT), "?");
}

static void rank_and_step_choose(void **state)
{
    (void)state;
    assert_int_equal(set("rank:2,at:backward,step:30,do:fail"), MU_OK);
    assert_false(mu_fault(MU_FAULT_BACKWARD, 30)); /* rank 0 */
    mu_fault_set_rank(2);
    assert_false(mu_fault(MU_FAULT_BACKWARD, 29));
    assert_true(mu_fault(MU_FAULT_BACKWARD, 30));
    assert_true(mu_fault(MU_FAULT_BACKWARD, 30));
    assert_int_equal(set("rank:*,step:*,at:backward,do:fail"), MU_OK);
    assert_true(mu_fault(MU_FAULT_BACKWARD, 29));
    assert_int_equal(set("step:9223372036854775807,rank:2147483647,at:load,do:fail"), MU_OK);
    assert_false(mu_fault(MU_FAULT_LOAD, 1));
}

static void a_gpu_fails_once_at_its_next_call(void **state)
{
    (void)state;
    assert_int_equal(set("step:4,at:update,do:gpu-700"), MU_OK);
    assert_false(mu_fault(MU_FAULT_UPDATE, 3));
    assert_int_equal(mu_fault_take_gpu_error(), 0);
    assert_false(mu_fault(MU_FAULT_UPDATE, 4)); /* the point itself does not fail */
    assert_int_equal(mu_fault_take_gpu_error(), 700);
    assert_int_equal(mu_fault_take_gpu_error(), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(set(((const char *[]){"at:update,do:gpu", "at:update,do:gpu-0",
                                               "at:update,do:gpu-x", "at:update,do:gpu-10000"})[i]),
                         MU_USAGE);
}

static void count_lets_passages_through(void **state)
{
    (void)state;
    assert_int_equal(set("at:save,do:fail,count:2"), MU_OK);
    assert_false(mu_fault(MU_FAULT_SAVE, 1));
    assert_false(mu_fault(MU_FAULT_PUBLISH, 1)); /* another point does not count */
    assert_false(mu_fault(MU_FAULT_SAVE, 1));
    assert_true(mu_fault(MU_FAULT_SAVE, 1));
}

static void several_faults_stand_side_by_side(void **state)
{
    (void)state;
    assert_int_equal(set("at:save,step:1,do:fail;at:load,do:fail;"), MU_OK);
    assert_true(mu_fault(MU_FAULT_SAVE, 1));
    assert_false(mu_fault(MU_FAULT_SAVE, 2));
    assert_true(mu_fault(MU_FAULT_LOAD, 2));
}

static void mistakes_are_refused(void **state)
{
    static const char *const wrong[] = {
        "rank:x,at:save,do:kill",
        "rank:,at:save,do:kill",
        "rank:-1,at:save,do:kill",
        "rank:+1,at:save,do:kill",
        "rank: 1,at:save,do:kill",
        "rank:1x,at:save,do:kill",
        "rank:2147483648,at:save,do:kill",
        "step:x,at:save,do:kill",
        "step:-5,at:save,do:kill",
        "step:1.5,at:save,do:kill",
        "step:9223372036854775808,at:save,do:kill",
        "step:99999999999999999999,at:save,do:kill",
        "count:x,at:save,do:kill",
        "count:*,at:save,do:kill",
        "count:-1,at:save,do:kill",
        "at:saving,do:kill",
        "at:,do:kill",
        "at:save,do:sing",
        "at:save,do:",
        "at:save,do:sleep",
        "at:save,do:sleep-",
        "at:save,do:sleep-x",
        "at:save,do:sleep-5ms",
        "at:save,do:sleep--5",
        "at:save,do:sleep-3600001",
        "at:save",
        "do:kill",
        "rank:1",
        "kill",
        "at=save,do=kill",
        "worker:1,at:save,do:kill",
        "at:save,do:kill;at:load",
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (set(wrong[i]) != MU_USAGE)
            fail_msg("taken: %s", wrong[i]);
}

static void too_many_and_too_long_are_refused(void **state)
{
    char text[2000] = "";

    (void)state;
    for (int i = 0; i < 16; i++)
        strcat(text, "at:save,do:fail;");
    assert_int_equal(set(text), MU_OK);
    strcat(text, "at:save,do:fail");
    assert_int_equal(set(text), MU_USAGE);
    memset(text, ';', 1500);
    text[1500] = 0;
    assert_int_equal(set(text), MU_USAGE);
}

static void the_last_point_is_noted(void **state)
{
    struct mu_fault_mark mark = {0, 0};

    (void)state;
    mu_fault_set_mark(&mark);
    mu_fault(MU_FAULT_UPDATE, 812);
    mu_fault_set_mark(NULL);
    mu_fault(MU_FAULT_LEAVE, 900);
    assert_int_equal(mark.point, MU_FAULT_UPDATE);
    assert_int_equal(mark.step, 812);
}

static void sleeping_takes_its_time(void **state)
{
    uint64_t before = mu_clock_ns();

    (void)state;
    assert_int_equal(set("at:forward,do:sleep-20"), MU_OK);
    assert_false(mu_fault(MU_FAULT_FORWARD, 0));
    assert_true(mu_clock_ns() - before >= 20000000);
}

/* How a child that passes the point ends, as waitpid says. */
static int end_of_child(const char *text, int options)
{
    int status = 0;
    pid_t pid;

    assert_int_equal(set(text), MU_OK);
    pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer would turn it into an exit code */
        mu_fault(MU_FAULT_ADDED, 4);
        _exit(0);
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, options), pid);
    if (WIFSTOPPED(status)) {
        int after;

        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &after, 0), pid);
    }
    return status;
}

static void deaths_are_of_the_kind_asked_for(void **state)
{
    int status = end_of_child("at:added,do:kill", 0);

    (void)state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    status = end_of_child("at:added,do:segv", 0);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
    status = end_of_child("at:added,do:exit", 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    status = end_of_child("at:added,do:stop", WUNTRACED);
    assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    status = end_of_child("at:adding,do:kill", 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int quiet(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nothing_asked_for_is_no_fault, clear),
        cmocka_unit_test_setup(every_point_has_a_name_that_is_read, clear),
        cmocka_unit_test_setup(rank_and_step_choose, clear),
        cmocka_unit_test_setup(a_gpu_fails_once_at_its_next_call, clear),
        cmocka_unit_test_setup(count_lets_passages_through, clear),
        cmocka_unit_test_setup(several_faults_stand_side_by_side, clear),
        cmocka_unit_test_setup(mistakes_are_refused, clear),
        cmocka_unit_test_setup(too_many_and_too_long_are_refused, clear),
        cmocka_unit_test_setup(the_last_point_is_noted, clear),
        cmocka_unit_test_setup(sleeping_takes_its_time, clear),
        cmocka_unit_test_setup(deaths_are_of_the_kind_asked_for, clear),
    };

    return cmocka_run_group_tests(tests, quiet, NULL);
}

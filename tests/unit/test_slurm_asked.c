/* What is asked of Slurm's programs, which are made up here: that a job is queued again, though the
 * controller is away for some time; and a sbatch that never answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/slurm/allocation.h"
#include "orchestrator/slurm/submit.h"
#include "tests/support/run_folder.h"

static struct mu_slurm_allocation allocation;
static char said[4096];

static void put_program(const char *name, const char *text)
{
    char path[160];

    snprintf(path, sizeof path, "%s/%s", root, name);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
    assert_int_equal(chmod(path, 0700), 0);
}

static int make_programs(void **state)
{
    const char *path = getenv("PATH");
    char text[8192];

    if (make_root(state) != 0)
        return -1;
    snprintf(text, sizeof text, "%s:%s", root, path);
    return setenv("PATH", text, 1) || setenv("FOLDER", root, 1);
}

/* Each call is a line in FOLDER/calls; `show` and `requeue` are commands of the shell. */
static void put_scontrol(const char *show, const char *requeue)
{
    char text[1024];

    snprintf(text, sizeof text,
             "#!/bin/sh\necho \"$*\" >>$FOLDER/calls\nn=$(wc -l <$FOLDER/calls)\n"
             "case $1 in\nshow) %s ;;\n*) %s ;;\nesac\n",
             show, requeue);
    put_program("scontrol", text);
}

static void forget_calls(void)
{
    char path[160];

    snprintf(path, sizeof path, "%s/calls", root);
    unlink(path);
}

static size_t calls(const char *needle)
{
    char path[160], *text = NULL;
    size_t size, n;

    snprintf(path, sizeof path, "%s/calls", root);
    assert_int_equal(mu_file_read(path, 1 << 16, &text, &size), MU_OK);
    n = count(text, needle);
    free(text);
    return n;
}

static void ask_for_requeue(uint64_t left_ms)
{
    allocation = (struct mu_slurm_allocation){.is_there = true, .job = "7", .again = "5_2"};
    forget_calls();
    allocation.end_ns = mu_clock_ns() + left_ms * 1000000u;
    mu_log_set_level(MU_LOG_INFO);
    listen_begin();
    mu_slurm_requeue(&allocation);
    listen_end(said, sizeof said);
}

static void check_said(const char *text)
{
    if (!strstr(said, text))
        fail_msg("said: %s", said);
}

static void a_controller_that_is_away_is_waited_for(void **state)
{
    (void)state;
    put_scontrol("[ $n -gt 2 ] || { echo 'Unable to contact slurm controller' >&2; exit 1; }\n"
                 "echo 'JobId=7 JobState=RUNNING Reason=None'",
                 "true");
    ask_for_requeue(600000);
    check_said("Slurm's controller does not answer: job 5_2 waits for it, to be queued again, for "
               "up to 10 min");
    check_said("Slurm job 5_2 is queued again, and goes on when it starts");
    assert_int_equal(count(said, "scontrol show"), 1); /* told once */
    assert_int_equal(calls("requeue 5_2"), 1);
}

static void not_beyond_the_end_of_the_job(void **state)
{
    (void)state;
    put_scontrol("exit 1", "exit 1");
    ask_for_requeue(1500);
    check_said("Slurm did not queue job 5_2 again; to go on, submit the same script again");
    assert_in_range(calls("show job 7"), 2, 3);
}

static void a_refusal_is_believed_when_it_comes_twice(void **state)
{
    (void)state;
    put_scontrol("echo 'JobId=7 JobState=RUNNING Reason=None'",
                 "echo 'Requested operation is presently disabled' >&2; exit 1");
    ask_for_requeue(600000);
    check_said("Slurm did not queue job 5_2 again (was it submitted with --requeue?)");
    assert_int_equal(calls("requeue 5_2"), 2);
    put_scontrol("echo 'JobId=7 JobState=RUNNING Reason=None'", "[ $n -gt 2 ]");
    ask_for_requeue(600000);
    check_said("Slurm job 5_2 is queued again");
}

static void what_is_cancelled_stays_so(void **state)
{
    (void)state;
    put_scontrol("echo 'JobId=7 JobState=CANCELLED Reason=None'", "true");
    ask_for_requeue(600000);
    check_said("Slurm job 5_2 is not queued again from here: it is CANCELLED");
    assert_int_equal(calls("requeue"), 0);
}

static void nobody_knows_of_a_job_whose_sbatch_hangs(void **state)
{
    char config[160], dir[160], script[200], train[] = "train", name[] = "run.name=hung";
    char *words[] = {train, config, dir, name};
    struct mu_submit_request request = {.words = words, .word_count = 4, .deadline_ms = 1000};
    static const char text[] = "run = { steps = 200; };\nmodel = { kind = \"synthetic\"; };\n";

    (void)state;
    snprintf(config, sizeof config, "%s/c.cfg", root);
    snprintf(dir, sizeof dir, "run.dir=%s/runs", root);
    snprintf(script, sizeof script, "%s/runs/hung/job.sbatch", root);
    assert_int_equal(mu_file_write_atomically(config, text, sizeof text - 1), MU_OK);
    put_program("sbatch", "#!/bin/sh\nexec sleep 60\n");
    listen_begin();
    assert_int_equal(mu_submit_run(&request), MU_FAILED);
    listen_end(said, sizeof said);
    check_said("sbatch has not answered for 1 s: whether the job is queued is not known; look at "
               "squeue before you submit");
    assert_true(mu_file_exists(script));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_controller_that_is_away_is_waited_for),
        cmocka_unit_test(not_beyond_the_end_of_the_job),
        cmocka_unit_test(a_refusal_is_believed_when_it_comes_twice),
        cmocka_unit_test(what_is_cancelled_stays_so),
        cmocka_unit_test(nobody_knows_of_a_job_whose_sbatch_hangs),
    };

    return cmocka_run_group_tests(tests, make_programs, remove_root);
}

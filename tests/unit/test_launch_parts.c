/* launch/hosts: lists and files of hosts, and their mistakes. launch/outcome: what counts of
 * status.json (of sweep.json: test_launch_trials.c). launch/probe: which hosts answer. launch/remains: what is removed, and what is not.
 * launch/ranks: the board as the launcher sees it. launch/tell: what is said of a relaunch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/launch/outcome.h"
#include "orchestrator/launch/parts.h"
#include "orchestrator/launch/probe.h"
#include "orchestrator/launch/ranks.h"
#include "orchestrator/launch/remains.h"
#include "orchestrator/launch/resize.h"
#include "tests/support/run_folder.h"

static struct mu_ladder_host host[MU_LADDER_HOSTS];

static void check_hosts(uint32_t count, const char *const names[], const uint32_t slots[],
                        uint32_t expected)
{
    assert_int_equal(count, expected);
    for (uint32_t i = 0; i < count; i++) {
        assert_string_equal(host[i].name, names[i]);
        assert_int_equal(host[i].slots, slots[i]);
    }
}

static void a_list_names_hosts_and_slots(void **state)
{
    uint32_t count;

    (void)state;
    assert_int_equal(mu_hosts_parse_list("a:4,node-2.example.org,a:2", host, &count), MU_OK);
    check_hosts(count, (const char *const[]){"a", "node-2.example.org"}, (const uint32_t[]){6, 1},
                2);
    assert_int_equal(mu_hosts_slots(host, count), 7);
}

static void a_file_names_them_in_the_manners_of_mpirun(void **state)
{
    static const char text[] = "# all of them\n"
                               "a slots=4 max_slots=8 # the big one\n"
                               "\n"
                               "\tb:3\r\n"
                               "c";
    uint32_t count;
    char path[128];

    (void)state;
    snprintf(path, sizeof path, "%s/hosts", root);
    assert_int_equal(mu_file_write_atomically(path, text, sizeof text - 1), MU_OK);
    assert_int_equal(mu_hosts_read_file(path, host, &count), MU_OK);
    check_hosts(count, (const char *const[]){"a", "b", "c"}, (const uint32_t[]){4, 3, 1}, 3);
}

static void mistakes_in_hosts_are_refused(void **state)
{
    static const char *const lists[] = {"",     "a,",     ":4",    "a:0",     "a:-1",
                                        "a:x",  "a:4x",   "a:",    "a:99999", ",a",
                                        "a:+ ", "a,,b:2", "a:2:3", "a:4,b:0"};
    static const char *const files[] = {"",          "# nobody\n", "a slots=\n", "a slots=x\n",
                                        "a 4\n",     "a:0\n",      "a slots=0",  "slots=4 a\n",
                                        "a slot=4\n"};
    uint32_t count;
    char path[128];

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        if (mu_hosts_parse_list(lists[i], host, &count) != MU_USAGE)
            fail_msg("'%s' was understood", lists[i]);
    snprintf(path, sizeof path, "%s/hosts", root);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        assert_int_equal(mu_file_write_atomically(path, files[i], strlen(files[i])), MU_OK);
        if (mu_hosts_read_file(path, host, &count) != MU_USAGE)
            fail_msg("'%s' was understood", files[i]);
    }
    assert_int_equal(mu_hosts_read_file("/no/such/file", host, &count), MU_USAGE);
    mu_log_set_level(MU_LOG_INFO);
}

static void this_machine_is_known_by_its_names(void **state)
{
    char own[256] = "";

    (void)state;
    gethostname(own, sizeof own - 1);
    assert_true(mu_host_is_here(own));
    assert_true(mu_host_is_here("localhost"));
    assert_false(mu_host_is_here("another.example.org"));
    assert_false(mu_host_is_here(""));
}

/* ---- status.json ---- */
/* The start of an mpirun may hang without any fault of the host. */
static void a_host_that_does_not_answer_is_asked_once_more(void **state)
{
    static const char script[] = "#!/bin/sh\n"
                                 "case $4 in\n"
                                 "well:1) exit 0 ;;\n"
                                 "ill:1) exit 1 ;;\n"
                                 "once:1) if [ -e \"$0.asked\" ]; then exit 0; fi ;;\n"
                                 "esac\n"
                                 "touch \"$0.asked\"\n"
                                 "exec sleep 100\n";
    static struct mu_ladder l;
    static struct mu_ladder_plan plan = {.use = {true, true, true, true, false}};
    const char *const names[] = {"well", "ill", "once", "never", "unused"};
    bool answers[MU_LADDER_HOSTS];
    char path[128];
    struct mu_launch_request request = {.mpirun = path};

    (void)state;
    snprintf(path, sizeof path, "%s/mpirun", root);
    assert_int_equal(mu_file_write_atomically(path, script, sizeof script - 1), MU_OK);
    assert_int_equal(chmod(path, 0700), 0);
    for (l.hosts = 0; l.hosts < 5; l.hosts++)
        snprintf(l.host[l.hosts].name, sizeof l.host[0].name, "%s", names[l.hosts]);
    mu_probe_hosts(&request, &l, &plan, answers);
    assert_true(answers[0]);
    assert_false(answers[1]);
    assert_true(answers[2]);
    assert_false(answers[3]);
    assert_true(answers[4]);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing of it is left */
}

static void put_status(const char *text)
{
    char path[128];

    snprintf(path, sizeof path, "%s/status.json", root);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

static void only_what_this_generation_wrote_is_believed(void **state)
{
    struct mu_outcome o;

    (void)state;
    o = mu_outcome_read(root, "job");
    assert_false(o.is_there);
    assert_int_equal(o.step, -1);
    put_status("{\"state\": \"ended\", \"outcome\": \"complete\", \"step\": 7, \"steps\": 9, "
               "\"launch\": \"other\"}");
    o = mu_outcome_read(root, "job");
    assert_true(o.is_there && !o.is_of_job && !o.is_running);
    assert_int_equal(o.outcome, MU_LADDER_NOTHING);
    assert_int_equal(o.step, 7);
    o = mu_outcome_read(root, "other");
    assert_true(o.is_of_job && o.is_running && !o.agreed);
    assert_int_equal(o.outcome, MU_LADDER_COMPLETE);
    put_status("{\"state\": \"ended\", \"outcome\": \"failed\", \"agreed\": true, \"launch\": "
               "\"job\", \"dead_rank\": 12, \"message\": \"rank 3 died (pid 1)\"}");
    o = mu_outcome_read(root, "job");
    assert_true(o.agreed);
    assert_int_equal(o.dead_rank, 12);
    assert_int_equal(o.outcome, MU_LADDER_FAILED);
    assert_int_equal(o.step, -1);
    put_status("{\"state\": \"ended\", \"outcome\": \"requeue\", \"stopped_by\": \"request\", "
               "\"dead_rank\": null, \"launch\": \"job\"}");
    o = mu_outcome_read(root, "job");
    assert_true(o.was_stopped && o.dead_rank == -1);
    put_status("{\"state\": \"ended\", \"outcome\": \"requeue\", \"stopped_by\": \"signal\", "
               "\"launch\": \"job\", \"message\": \"stopped (muster stop)\"}");
    assert_false(mu_outcome_read(root, "job").was_stopped);
    put_status("{\"state\": \"ended\", \"outc");
    assert_false(mu_outcome_read(root, "job").is_there);
    put_status("[1, 2]");
    assert_int_equal(mu_outcome_read(root, "job").outcome, MU_LADDER_NOTHING);
}

static void a_request_for_ranks_is_read_and_taken_away(void **state)
{
    static const char *const wrong[] = {"", "x", "0", "-3", "4 or 5", "99999", "4.5"};
    char folder[128], path[160];

    (void)state;
    snprintf(folder, sizeof folder, "%s/control", root);
    snprintf(path, sizeof path, "%s/resize", folder);
    assert_int_equal(mu_file_make_folders(folder), MU_OK);
    assert_int_equal(mu_resize_read(root), 0);
    assert_int_equal(mu_resize_write(root, 12), MU_OK);
    assert_int_equal(mu_resize_read(root), 12);
    mu_resize_clear(root);
    assert_int_equal(mu_resize_read(root), 0);
    mu_log_set_level(MU_LOG_SILENT);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(mu_file_write_atomically(path, wrong[i], strlen(wrong[i])), MU_OK);
        assert_int_equal(mu_resize_read(root), 0);
        assert_false(mu_file_exists(path));
    }
    mu_log_set_level(MU_LOG_INFO);
}

/* ---- remains ---- */
static void folders_are_made_short_and_only_ours_are_removed(void **state)
{
    char folder[64], deep[128], file[96];

    (void)state;
    setenv("TMPDIR", root, 1);
    assert_int_equal(mu_remains_make_folder(folder), MU_OK);
    assert_memory_equal(folder, root, strlen(root));
    assert_true(strlen(folder) <= 40);
    snprintf(file, sizeof file, "%s/x", folder);
    assert_int_equal(mu_file_write_atomically(file, "x", 1), MU_OK);
    mu_remains_remove_folder(root); /* not made by it */
    assert_true(mu_file_exists(file));
    mu_remains_remove_folder("");
    mu_remains_remove_folder(folder);
    assert_false(mu_file_exists(folder));
    snprintf(deep, sizeof deep, "%s/a-folder-whose-path-is-too-long", root);
    assert_int_equal(mu_file_make_folders(deep), MU_OK);
    setenv("TMPDIR", deep, 1);
    assert_int_equal(mu_remains_make_folder(folder), MU_OK);
    assert_memory_equal(folder, "/tmp/mu-", 8);
    mu_remains_remove_folder(folder);
    unsetenv("TMPDIR");
}

static void files_of_that_job_are_removed_and_no_others(void **state)
{
    char ours[80], others[80], prefix[64];

    (void)state;
    snprintf(prefix, sizeof prefix, "/dev/shm/sm_segment.test%d.1.", getpid());
    snprintf(ours, sizeof ours, "%s0", prefix);
    snprintf(others, sizeof others, "/dev/shm/sm_segment.test%d.2.0", getpid());
    assert_int_equal(mu_file_write_atomically(ours, "x", 1), MU_OK);
    assert_int_equal(mu_file_write_atomically(others, "x", 1), MU_OK);
    mu_remains_remove_mpi_files("");
    mu_remains_remove_mpi_files("/tmp/");
    assert_true(mu_file_exists(ours));
    mu_remains_remove_mpi_files(prefix);
    assert_false(mu_file_exists(ours));
    assert_true(mu_file_exists(others));
    unlink(others);
}

/* ---- ranks ---- */
/* A process that is rank 0 of the job and waits. */
static pid_t start_rank(const char *job)
{
    struct mu_board *board;
    int ready[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        setenv("MUSTER_JOB", job, 1);
        setenv("PMIX_NAMESPACE", "another-name", 1); /* the launcher's goes before mpirun's */
        setenv("PMIX_RANK", "1", 1);
        if (mu_board_open(&board) == MU_OK && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void ranks_are_seen_and_ended(void **state)
{
    struct mu_ranks ranks;
    struct mu_ranks_view v;
    char job[64], dead[200];
    pid_t pid;

    (void)state;
    snprintf(job, sizeof job, "test-%d", getpid());
    assert_int_equal(mu_ranks_open(&ranks, job, 3), MU_OK);
    v = mu_ranks_look(&ranks);
    assert_int_equal(v.seen, 0);
    pid = start_rank(job);
    v = mu_ranks_look(&ranks);
    assert_true(v.seen == 1 && v.living == 1 && v.dead == 0 && v.left == 0 && v.started == 0);
    assert_int_equal(mu_ranks_signal(&ranks, SIGCONT), 1);
    assert_int_equal(mu_ranks_end(&ranks, 0, 5000), MU_OK);
    v = mu_ranks_look(&ranks);
    assert_true(v.seen == 1 && v.living == 0 && v.dead == 1);
    mu_ranks_describe_dead(&ranks, dead, sizeof dead);
    assert_memory_equal(dead, "rank 1 (pid ", 12);
    assert_non_null(strstr(dead, "last seen at: start)"));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    mu_ranks_close(&ranks);
}

static void ranks_of_a_dead_launcher_are_fenced(void **state)
{
    char job[64], name[MU_BOARD_NAME_MAX], path[128];
    int status;
    pid_t pid;

    (void)state;
    snprintf(job, sizeof job, "left-%d", getpid());
    pid = start_rank(job);
    assert_int_equal(mu_ranks_fence(job, 0, 0, 5000), MU_OK);
    assert_int_equal(waitpid(pid, &status, WNOHANG), pid); /* it is gone already */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    mu_board_name(job, name);
    snprintf(path, sizeof path, "/dev/shm%s", name);
    assert_false(mu_file_exists(path));
}

static void a_session_that_is_another_ones_is_left_alone(void **state)
{
    char job[64];
    pid_t pid = fork();

    (void)state;
    if (pid == 0) {
        setsid();
        pause();
        _exit(1);
    }
    while (getsid(pid) != pid)
        usleep(1000);
    snprintf(job, sizeof job, "session-%d", getpid());
    assert_int_equal(mu_ranks_fence(job, pid, mu_board_process_start((uint32_t)pid) + 1, 5000),
                     MU_OK);
    assert_int_equal(kill(pid, 0), 0);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* a pid that was used again */
    assert_int_equal(mu_ranks_fence(job, pid, mu_board_process_start((uint32_t)pid), 5000), MU_OK);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void who_starts_again_is_told(void **state)
{
    static struct mu_launch l = {.memory_step = -1};
    struct mu_ladder_plan some = {.ranks = 4, .hosts = 2}, none = {.ranks = 0};
    char message[1024];

    (void)state;
    mu_log_set_level(MU_LOG_INFO);
    snprintf(l.run, sizeof l.run, "%s", run);
    strcpy(l.story[MU_LADDER_STILL - 1], "generation 1: ranks died at step 20");
    listen_begin();
    mu_launch_tell_relaunch(&l, &some, 6000);
    mu_launch_tell_relaunch(&l, &none, 300000);
    listen_end(message, sizeof message);
    assert_non_null(strstr(message, "ranks died at step 20; starting again in 6 s with 4 ranks on "
                                    "2 hosts, from the beginning ("));
    assert_non_null(strstr(message, "ranks died at step 20; starting again in 300 s when a host is "
                                    "tried again, since none is left now, from the beginning ("));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_names_hosts_and_slots),
        cmocka_unit_test_setup_teardown(a_file_names_them_in_the_manners_of_mpirun, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(mistakes_in_hosts_are_refused, make_root, remove_root),
        cmocka_unit_test(this_machine_is_known_by_its_names),
        cmocka_unit_test_setup_teardown(only_what_this_generation_wrote_is_believed, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(a_request_for_ranks_is_read_and_taken_away, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(folders_are_made_short_and_only_ours_are_removed, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(a_host_that_does_not_answer_is_asked_once_more, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(who_starts_again_is_told, make_root, remove_root),
        cmocka_unit_test(files_of_that_job_are_removed_and_no_others),
        cmocka_unit_test(ranks_are_seen_and_ended),
        cmocka_unit_test(ranks_of_a_dead_launcher_are_fenced),
        cmocka_unit_test(a_session_that_is_another_ones_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

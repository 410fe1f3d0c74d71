/* What runs apart (base/apart.h), and what doctor makes of answers and of the kernel's files. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/base/file.h"
#include "orchestrator/doctor/facts.h"

enum { LONG_MS = 20000, SHORT_MS = 150 };

static struct mu_apart run(const char *script, unsigned deadline_ms)
{
    static struct mu_apart a;
    struct mu_apart *const list[] = {&a};

    mu_apart_start(&a, (const char *const[]){"sh", "-c", script, NULL}, deadline_ms);
    mu_apart_wait(list, 1, NULL);
    assert_int_equal(a.pid, 0);
    assert_int_equal(a.output, -1);
    return a;
}

static void explains(const struct mu_apart *a, const char *expected)
{
    char text[300];

    assert_false(mu_apart_succeeded(a));
    mu_apart_explain(a, text, sizeof text);
    assert_string_equal(text, expected);
}

static void what_is_said_is_kept(void **state)
{
    struct mu_apart a = run("echo one; echo two >&2; read x || echo no stdin", LONG_MS);

    (void)state;
    assert_true(mu_apart_succeeded(&a));
    assert_string_equal(a.text, "one\ntwo\nno stdin\n");
    a = run("head -c 1000000 /dev/zero | tr '\\0' x; exit 0", LONG_MS);
    assert_true(mu_apart_succeeded(&a));
    assert_int_equal(a.length, MU_APART_TEXT);
    a = run("sleep 30 & echo early", LONG_MS); /* what it leaves is not waited for */
    assert_true(mu_apart_succeeded(&a));
    assert_string_equal(a.text, "early\n");
}

static void why_it_failed_is_told(void **state)
{
    struct mu_apart a =
        run("echo; echo ----; echo usage; echo 'x: Error: no \001disk'; exit 3", LONG_MS);
    struct mu_apart *const list[] = {&a};

    (void)state;
    explains(&a, "ended with 3: x: Error: no ?disk");
    a = run("echo ----; echo first; echo second; exit 4", LONG_MS);
    explains(&a, "ended with 4: first");
    a = run("exit 5", LONG_MS);
    explains(&a, "ended with 5");
    a = run("kill -KILL $$", LONG_MS);
    explains(&a, "ended by signal 9");
    mu_apart_start(&a, (const char *const[]){"/nowhere/at-all", NULL}, LONG_MS);
    mu_apart_wait(list, 1, NULL);
    assert_int_equal(a.error, ENOENT);
    explains(&a, "there is no such program");
    mu_apart_start(&a, (const char *const[]){"/", NULL}, LONG_MS);
    mu_apart_wait(list, 1, NULL);
    explains(&a, "it cannot be started: Permission denied");
}

/* Five that hang, in several ways, are over soon after their deadline: together, not one by one. */
static void what_hangs_is_ended(void **state)
{
    static struct mu_apart a[5];
    struct mu_apart *const list[] = {&a[0], &a[1], &a[2], &a[3], &a[4]};
    static const char *const scripts[] = {"echo said; sleep 60", "trap '' TERM; sleep 60; sleep 60",
                                          "kill -STOP $$", "exec sleep 60",
                                          "trap '' TERM; while :; do echo y; done"};
    double began = mu_clock_s();

    (void)state;
    for (int i = 0; i < 5; i++)
        mu_apart_start(&a[i], (const char *const[]){"sh", "-c", scripts[i], NULL}, SHORT_MS);
    mu_apart_wait(list, 5, NULL);
    assert_true(mu_clock_s() - began < 10); /* not 60 */
    for (int i = 0; i < 5; i++) {
        assert_true(a[i].late);
        assert_int_equal(a[i].pid, 0);
        explains(&a[i], "no answer in time");
    }
    assert_string_equal(a[0].text, "said\n");
}

static volatile sig_atomic_t stop;

static void on_alarm(int number)
{
    stop = number;
}

static void a_signal_ends_them(void **state)
{
    struct mu_apart a;
    struct mu_apart *const list[] = {&a};
    double began = mu_clock_s();

    (void)state;
    signal(SIGALRM, on_alarm);
    mu_apart_start(&a, (const char *const[]){"sh", "-c", "trap '' TERM; sleep 60", NULL}, 60000);
    alarm(1);
    mu_apart_wait(list, 1, &stop);
    signal(SIGALRM, SIG_DFL);
    assert_true(a.late);
    assert_true(mu_clock_s() - began < 20);
}

static void work(void *context, int out)
{
    const int *number = context;

    puts("nobody hears this");
    dprintf(out, "%d", *number + 1);
    if (*number == 13)
        raise(SIGSEGV);
    if (*number == 14)
        pause();
}

static void a_function_runs_apart(void **state)
{
    struct mu_apart a;
    struct mu_apart *const list[] = {&a};
    int number = 12;

    (void)state;
    mu_apart_call(&a, work, &number, LONG_MS);
    mu_apart_wait(list, 1, NULL);
    assert_true(mu_apart_succeeded(&a));
    assert_string_equal(a.text, "13");
    number = 13;
    mu_apart_call(&a, work, &number, LONG_MS);
    mu_apart_wait(list, 1, NULL);
    assert_false(mu_apart_succeeded(&a));
    assert_string_equal(a.text, "14");
    number = 14;
    mu_apart_call(&a, work, &number, SHORT_MS);
    mu_apart_wait(list, 1, NULL);
    explains(&a, "no answer in time");
    assert_string_equal(a.text, "15");
}

static void versions_are_found(void **state)
{
    static const struct {
        const char *text, *version;
    } cases[] = {
        {"mpirun (Open MPI) 5.0.11\n\nReport bugs to x", "5.0.11"},
        {"mpirun.real (OpenRTE) 4.1.4", "4.1.4"},
        {"slurm 23.11.4", "23.11.4"},
        {"gnuplot 5.4 patchlevel 4", "5.4"},
        {"version 7, of 2023.", ""},
        {"no number", ""},
        {"", ""},
        {"1.", ""},
        {"99999999999999999999999999999999999999999999.1", "99999999999999999999999999999999"},
    };
    char out[40];
    (void)state;

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        out[0] = 0;
        assert_int_equal(mu_doctor_version(cases[i].text, out, sizeof out),
                         cases[i].version[0] != 0);
        assert_string_equal(out, cases[i].version);
    }
    assert_true(mu_doctor_has_word("types are...\n\tnone\n\tpmix\n", "pmix"));
    assert_true(mu_doctor_has_word("pmix", "pmix"));
    assert_false(mu_doctor_has_word("pmix_v4 xpmix pmi2", "pmix"));
}

static void ranks_are_understood(void **state)
{
    static const char *const files[] = {"/dev/shm/sm_segment.host.0.3fe30001.",
                                        "/dev/shm/",
                                        "/dev/shm/sm_segment.",
                                        "/dev/shm/sm_segment.host.0.3fe30001",
                                        "/dev/shm/sm_segment./../../etc/passwd.",
                                        "/home/user/everything.is.mine."};
    struct mu_doctor_ranks r =
        mu_doctor_read_ranks("noise\nmuster-rank-check met 3 1 1 2 4 avx2 Open MPI v5.0.11\nx\n"
                             "muster-rank-check survived 2 12.5\n");

    (void)state;
    assert_int_equal(r.ranks, 3);
    assert_true(r.fault_tolerant);
    assert_int_equal(r.least_cores, 2);
    assert_int_equal(r.most_cores, 4);
    assert_string_equal(r.isa, "avx2");
    assert_string_equal(r.mpi, "Open MPI v5.0.11");
    assert_int_equal(r.survivors, 2);
    assert_true(r.survived_ms == 12.5);
    assert_string_equal(r.files, "");
    assert_int_equal(mu_doctor_read_ranks("").ranks, 0);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char text[300];

        snprintf(text, sizeof text,
                 "muster-rank-check met 3 1 1 2 4 avx2 a b\nmuster-rank-check files %s\n",
                 files[i]);
        assert_string_equal(mu_doctor_read_ranks(text).files, i == 0 ? files[i] : "");
    }
    assert_int_equal(mu_doctor_read_ranks("muster-rank-check met 3 1").ranks, 0);
    assert_int_equal(mu_doctor_read_ranks("muster-rank-check survived 2 1").survivors, 0);
    assert_int_equal(mu_doctor_read_ranks("muster-rank-check met 3 1 0 1 1 a b\n"
                                          "muster-rank-check survived x")
                         .survivors,
                     0);
}

static void put(const char *root, const char *name, const char *text)
{
    char path[MU_PATH_MAX], *slash;

    snprintf(path, sizeof path, "%s%s", root, name);
    slash = strrchr(path, '/');
    *slash = 0;
    assert_int_equal(mu_file_make_folders(path), MU_OK);
    *slash = '/';
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

static void control_groups_are_read(void **state)
{
    char root[] = "/tmp/muster-doctor-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(root));
    assert_true(mu_doctor_group_cores(root) == 0);
    put(root, "/sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_true(mu_doctor_group_cores(root) == 0);
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_true(mu_doctor_group_cores(root) == 0);
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n");
    assert_true(mu_doctor_group_cores(root) == 2.5);
    put(root, "/sys/fs/cgroup/cpu.max", "150000 100000\n");
    assert_true(mu_doctor_group_cores(root) == 1.5);
    assert_int_equal(mu_file_remove_tree(root), MU_OK);
}

static void names_are_for_people(void **state)
{
    (void)state;
    assert_string_equal(mu_doctor_file_system(0x6969).text, "NFS");
    assert_true(mu_doctor_is_network(0x6969));
    assert_false(mu_doctor_is_network(0xef53));
    assert_false(mu_doctor_is_network(1));
    assert_string_equal(mu_doctor_file_system(0xabc).text, "unknown file system (0xabc)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_is_kept),  cmocka_unit_test(why_it_failed_is_told),
        cmocka_unit_test(what_hangs_is_ended),   cmocka_unit_test(a_signal_ends_them),
        cmocka_unit_test(a_function_runs_apart), cmocka_unit_test(versions_are_found),
        cmocka_unit_test(ranks_are_understood),  cmocka_unit_test(control_groups_are_read),
        cmocka_unit_test(names_are_for_people),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

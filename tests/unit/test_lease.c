/* worker/lease: the record survives its file, half of one is none, and a count that stands still is
 * timed by the looker's own clock. launch/hold: one launcher a run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hold.h"
#include "tests/support/run_folder.h"
#include "worker/board.h"

static const struct mu_lease_record sample = {
    .count = 17,
    .pid = 4711,
    .start_time = 123456789,
    .host = "a host/12345678",
    .launcher = "0123456789abcdef0123456789abcdef",
    .job = "fedcba9876543210fedcba9876543210",
    .mpirun = 4712,
    .mpirun_start = 123456790,
    .mpi_files = "/dev/shm/sm_segment.host.0.4c6e0001.",
    .folder = "/tmp/mu-abcdef",
};

static const char *path_of(const char *name)
{
    static char path[MU_PATH_MAX];

    assert_int_equal(mu_path_format(path, "%s/%s", root, name), MU_OK);
    return path;
}

static int open_file(void)
{
    int fd = open(path_of("lease"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);

    assert_true(fd >= 0);
    return fd;
}

static void a_record_is_read_as_it_was_written(void **state)
{
    struct mu_lease_record r, none = {.count = 1};
    int fd = open_file();

    (void)state;
    assert_int_equal(mu_lease_write(fd, &sample), 0);
    assert_int_equal(mu_lease_read(path_of("lease"), &r), MU_OK);
    assert_memory_equal(&r, &sample, sizeof r);
    assert_int_equal(mu_lease_write(fd, &none), 0); /* shorter texts, in the same place */
    assert_int_equal(mu_lease_read(path_of("lease"), &r), MU_OK);
    assert_memory_equal(&r, &none, sizeof r);
    assert_int_equal(lseek(fd, 0, SEEK_END), MU_LEASE_BYTES);
    close(fd);
}

static void half_a_record_is_none(void **state)
{
    struct mu_lease_record later = sample, r;
    char before[MU_LEASE_BYTES], after[MU_LEASE_BYTES];
    int fd = open_file();

    (void)state;
    later.count = 18;
    assert_int_equal(mu_lease_write(fd, &sample), 0);
    assert_int_equal(pread(fd, before, sizeof before, 0), MU_LEASE_BYTES);
    assert_int_equal(mu_lease_write(fd, &later), 0);
    assert_int_equal(pread(fd, after, sizeof after, 0), MU_LEASE_BYTES);
    for (int cut = 16; cut < 40; cut++) { /* where the two differ */
        assert_int_equal(pwrite(fd, after, MU_LEASE_BYTES, 0), MU_LEASE_BYTES);
        assert_int_equal(pwrite(fd, before, (size_t)cut, 0), cut);
        if (mu_lease_read(path_of("lease"), &r) == MU_OK)
            assert_true(r.count == 18 || r.count == 17);
    }
    assert_int_equal(pwrite(fd, after, MU_LEASE_BYTES, 0), MU_LEASE_BYTES);
    assert_int_equal(pwrite(fd, "x", 1, 300), 1);
    assert_int_equal(mu_lease_read(path_of("lease"), &r), MU_NOT_FOUND);
    assert_int_equal(ftruncate(fd, MU_LEASE_BYTES - 1), 0);
    assert_int_equal(mu_lease_read(path_of("lease"), &r), MU_NOT_FOUND);
    close(fd);
    assert_int_equal(mu_lease_read(path_of("no such file"), &r), MU_NOT_FOUND);
}

static void a_count_stands_still_by_the_lookers_clock(void **state)
{
    const uint64_t ms = 1000000, begin = 77777 * ms;
    struct mu_lease_watch w = {.begun = false};
    struct mu_lease_record r = sample;

    (void)state;
    assert_int_equal(mu_lease_still_ms(&w, &r, begin), 0);
    assert_int_equal(mu_lease_still_ms(&w, &r, begin + 4000 * ms), 4000);
    assert_int_equal(mu_lease_still_ms(&w, NULL, begin + 4500 * ms), 4500); /* no sign of life */
    r.count++;
    assert_int_equal(mu_lease_still_ms(&w, &r, begin + 5000 * ms), 0);
    r.count--; /* another launcher may count from elsewhere */
    assert_int_equal(mu_lease_still_ms(&w, &r, begin + 6000 * ms), 0);
    strcpy(r.launcher, "another");
    assert_int_equal(mu_lease_still_ms(&w, &r, begin + 9000 * ms), 0);
    assert_int_equal(mu_lease_still_ms(&w, &r, begin + 19000 * ms), 10000);

    w = (struct mu_lease_watch){.begun = false};
    assert_int_equal(mu_lease_still_ms(&w, NULL, begin), 0); /* never read: counted from here */
    assert_int_equal(mu_lease_still_ms(&w, NULL, begin + 5000 * ms), 5000);
}

/* ---- hold ---- */
static bool never(void *context)
{
    (void)context;
    return false;
}

static void a_run_is_held_by_one(void **state)
{
    struct mu_lease_record before, r;
    struct mu_hold *first, *second;
    char message[4096], path[MU_PATH_MAX];

    (void)state;
    assert_false(mu_hold_is_taken(root));
    assert_int_equal(mu_hold_take(root, never, NULL, &before, &first), MU_OK);
    assert_int_equal(before.pid, 0);
    assert_true(mu_hold_is_taken(root));
    assert_true(mu_hold_is_good(first));
    listen_begin();
    assert_int_equal(mu_hold_take(root, never, NULL, &before, &second), MU_FAILED);
    listen_end(message, sizeof message);
    assert_non_null(strstr(message, "another launcher has this run: pid "));
    assert_null(second);

    mu_hold_describe(first, &sample);
    assert_int_equal(mu_path_format(path, "%s/%s", root, MU_LEASE_FILE), MU_OK);
    assert_int_equal(mu_lease_read(path, &r), MU_OK);
    assert_int_equal(r.pid, getpid());
    assert_string_equal(r.job, sample.job);
    assert_string_equal(r.folder, sample.folder);
    mu_hold_release(first);
    assert_false(mu_hold_is_taken(root));
    assert_int_equal(mu_hold_take(root, never, NULL, &before, &second), MU_OK);
    assert_string_equal(before.job, ""); /* nothing to clear away */
    mu_hold_release(second);
}

/* Instead of the C library's: a file server that does not answer. */
static atomic_bool server_is_stuck;

int fdatasync(int fd)
{
    while (atomic_load(&server_is_stuck))
        mu_clock_sleep_us(1000);
    return fsync(fd);
}

/* The thread of a hold that was given up ends by itself, some time after its file server answers. The
 * next test forks, and what such a thread holds locked at that moment (in the sanitizers' runtime)
 * stays locked in the child. */
static void wait_until_alone(void)
{
    const struct mu_deadline end = mu_deadline_in_ms(5000);
    int threads = 2;

    while (threads > 1 && !mu_deadline_passed(end)) {
        DIR *tasks = opendir("/proc/self/task");

        assert_non_null(tasks);
        for (threads = -2; readdir(tasks); threads++) /* . and .. */
            ;
        closedir(tasks);
        mu_clock_sleep_us(1000);
    }
    assert_int_equal(threads, 1);
}

/* Other machines may take the run while nothing can be written: the launcher must not wait for
 * that, since it has ranks to end. */
static void a_stuck_file_server_costs_the_run_and_holds_up_nobody(void **state)
{
    struct mu_lease_record before, r;
    char path[MU_PATH_MAX], message[4096];
    struct mu_hold *hold;

    (void)state;
    setenv("MUSTER_FAULT", "at:lock,do:fail", 1);
    assert_int_equal(mu_fault_init(), MU_OK);
    assert_int_equal(mu_hold_take(root, never, NULL, &before, &hold), MU_OK);
    assert_true(mu_hold_is_shared(hold) && mu_hold_is_good(hold));
    atomic_store(&server_is_stuck, true);
    mu_hold_describe(hold, &sample);
    assert_false(mu_hold_is_good(hold));
    atomic_store(&server_is_stuck, false);
    mu_hold_describe(hold, &sample);
    assert_true(mu_hold_is_good(hold)); /* nobody has taken it */
    assert_int_equal(mu_path_format(path, "%s/%s", root, MU_LEASE_FILE), MU_OK);
    assert_int_equal(mu_lease_read(path, &r), MU_OK);
    assert_string_equal(r.job, sample.job);
    atomic_store(&server_is_stuck, true);
    listen_begin();
    mu_hold_release(hold);
    listen_end(message, sizeof message);
    assert_non_null(strstr(message, "could not be written for 5 s"));
    atomic_store(&server_is_stuck, false);
    unsetenv("MUSTER_FAULT");
    assert_int_equal(mu_fault_init(), MU_OK);
    wait_until_alone();
}

static void what_a_killed_holder_left_is_handed_on_at_once(void **state)
{
    struct mu_lease_record before;
    struct mu_hold *hold;
    int ready[2], status;
    uint64_t begin;
    char byte;
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid = fork();
    if (pid == 0) {
        close(ready[0]);
        if (mu_hold_take(root, never, NULL, &before, &hold) == MU_OK) {
            mu_hold_describe(hold, &sample);
            if (write(ready[1], "x", 1) == 1)
                pause();
        }
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    kill(pid, SIGKILL);
    begin = mu_clock_ns();
    assert_int_equal(mu_hold_take(root, never, NULL, &before, &hold), MU_OK);
    assert_true(mu_clock_ns() - begin < 2000000000u);
    waitpid(pid, &status, 0);
    assert_int_equal(before.pid, pid);
    assert_string_equal(before.job, sample.job);
    assert_int_equal(before.mpirun, sample.mpirun);
    assert_string_equal(before.mpi_files, sample.mpi_files);
    mu_hold_release(hold);
}

static bool at_once(void *context)
{
    (*(int *)context)++;
    return true;
}

static void waiting_for_another_machines_lease_can_be_given_up(void **state)
{
    struct mu_lease_record before;
    struct mu_hold *hold;
    char path[MU_PATH_MAX], message[4096];
    int asked = 0, fd;

    (void)state;
    assert_int_equal(mu_path_format(path, "%s/%s", root, MU_LEASE_FILE), MU_OK);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(mu_lease_write(fd, &sample), 0); /* of "a host", which is not this one */
    close(fd);
    listen_begin();
    assert_int_equal(mu_hold_take(root, at_once, &asked, &before, &hold), MU_REQUEUE);
    listen_end(message, sizeof message);
    assert_int_equal(asked, 1);
    assert_null(hold);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_record_is_read_as_it_was_written, make_root, remove_root),
        cmocka_unit_test_setup_teardown(half_a_record_is_none, make_root, remove_root),
        cmocka_unit_test(a_count_stands_still_by_the_lookers_clock),
        cmocka_unit_test_setup_teardown(a_run_is_held_by_one, make_root, remove_root),
        cmocka_unit_test_setup_teardown(a_stuck_file_server_costs_the_run_and_holds_up_nobody,
                                        make_root, remove_root),
        cmocka_unit_test_setup_teardown(what_a_killed_holder_left_is_handed_on_at_once, make_root,
                                        remove_root),
        cmocka_unit_test_setup_teardown(waiting_for_another_machines_lease_can_be_given_up,
                                        make_root, remove_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

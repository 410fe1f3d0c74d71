/* worker/shm_file: what is held stays, what nobody holds goes, and a name is only taken from the
 * file that is meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "worker/shm_file.h"

static char name[64]; /* of this test alone */

static int set_up(void **state)
{
    (void)state;
    snprintf(name, sizeof name, "/muster-%u-test-%ld", (unsigned)geteuid(), (long)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    shm_unlink(name);
    return 0;
}

static bool exists(void)
{
    struct stat s;
    char path[96];

    snprintf(path, sizeof path, "/dev/shm%s", name);
    return lstat(path, &s) == 0;
}

/* Also one that has no size yet. */
static void what_is_held_is_kept(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(mu_shm_file_open(name, O_CREAT | O_EXCL, &fd), 0);
    mu_shm_file_remove_stale("", "", NULL);
    assert_true(exists());
    assert_int_equal(mu_shm_file_reserve(fd, 10000), 0);
    mu_shm_file_remove_stale("", "", NULL);
    assert_true(exists());
    close(fd);
    mu_shm_file_remove_stale("", "", NULL);
    assert_false(exists());
}

static void a_second_holder_keeps_it_too(void **state)
{
    int first, second;

    (void)state;
    assert_int_equal(mu_shm_file_open(name, O_CREAT, &first), 0);
    assert_int_equal(mu_shm_file_open(name, O_CREAT, &second), 0);
    mu_shm_file_unlink_unheld(name, first);
    assert_true(exists());
    mu_shm_file_unlink_unheld(name, second);
    assert_false(exists());
    close(first);
    close(second);
}

static void an_existing_one_is_not_made(void **state)
{
    int fd, none;

    (void)state;
    assert_int_equal(mu_shm_file_open(name, 0, &none), ENOENT);
    assert_int_equal(mu_shm_file_open(name, O_CREAT | O_EXCL, &fd), 0);
    assert_int_equal(mu_shm_file_open(name, O_CREAT | O_EXCL, &none), EEXIST);
    close(fd);
}

/* Somebody removes a stale file just when another has opened and not yet locked it: that one must
 * end with a file that has the name. */
static void a_file_removed_before_the_lock_is_made_again(void **state)
{
    int status, stale = shm_open(name, O_RDWR | O_CREAT, 0600);
    pid_t pid;

    (void)state;
    assert_true(stale >= 0);
    assert_int_equal(flock(stale, LOCK_EX), 0);
    pid = fork();
    if (pid == 0) {
        int fd;

        _exit(mu_shm_file_open(name, O_CREAT, &fd) != 0 || !mu_shm_file_is_named(name, fd));
    }
    mu_clock_sleep_us(50000); /* it waits for the lock now */
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_int_equal(shm_unlink(name), 0);
    assert_int_equal(flock(stale, LOCK_UN), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(exists());
    close(stale);
}

static void anothers_name_is_left_alone(void **state)
{
    int old, new;

    (void)state;
    assert_int_equal(mu_shm_file_open(name, O_CREAT | O_EXCL, &old), 0);
    assert_int_equal(shm_unlink(name), 0);
    assert_int_equal(mu_shm_file_open(name, O_CREAT | O_EXCL, &new), 0);
    mu_shm_file_unlink(name, old);
    mu_shm_file_unlink_unheld(name, old);
    assert_true(exists());
    mu_shm_file_unlink(name, new);
    assert_false(exists());
    close(old);
    close(new);
}

static void too_little_room_is_told_by_its_number(void **state)
{
    struct rlimit before, small;
    int fd;

    (void)state;
    assert_int_equal(mu_shm_file_open(name, O_CREAT | O_EXCL, &fd), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    assert_int_equal(mu_shm_file_reserve(fd, 100000), EFBIG);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    close(fd);
}

#define UNDER_A_NAME(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNDER_A_NAME(what_is_held_is_kept),
        UNDER_A_NAME(a_second_holder_keeps_it_too),
        UNDER_A_NAME(an_existing_one_is_not_made),
        UNDER_A_NAME(a_file_removed_before_the_lock_is_made_again),
        UNDER_A_NAME(anothers_name_is_left_alone),
        UNDER_A_NAME(too_little_room_is_told_by_its_number),
    };

    mu_log_set_level(MU_LOG_SILENT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* worker/watchdog: a rank that waits in MPI_Init for one that is dead is ended; one whose peers
 * live is left alone. In forked children, since it ends the process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "tests/support/fake_comm.h"
#include "tests/support/run_folder.h"
#include "worker/watchdog.h"

enum { STARTED = 50, NOT_OPENED = 51 };

static char job[64], text[4096];

static struct mu_board *open_board_as(const char *rank)
{
    struct mu_board *b;

    setenv("PMIX_NAMESPACE", job, 1);
    setenv("PMIX_RANK", rank, 1);
    if (mu_board_open(&b) != MU_OK)
        _exit(NOT_OPENED);
    return b;
}

/* Exit code of rank 0 that stays in "MPI_Init" for init_ms, and what it says. */
static int code_of_start(unsigned init_ms)
{
    struct mu_watchdog *watch;
    int status;
    pid_t pid;

    listen_begin();
    pid = fork();
    if (pid == 0) {
        struct mu_board *b = open_board_as("0");

        mu_log_set_level(MU_LOG_ERROR);
        if (mu_watchdog_begin(&watch, b) != MU_OK)
            _exit(NOT_OPENED);
        mu_clock_sleep_us(1000 * init_ms);
        mu_watchdog_met(watch);
        mu_board_close(b);
        _exit(STARTED);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    listen_end(text, sizeof text);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Rank 1 on the board, in a process of its own, until the pipe closes. */
static pid_t start_peer(int *go)
{
    int ready[2], wait_for[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(wait_for), 0);
    pid = fork();
    if (pid == 0) {
        close(ready[0]);
        close(wait_for[1]);
        open_board_as("1");
        if (write(ready[1], "r", 1) != 1 || read(wait_for[0], &byte, 1) != 0)
            _exit(1);
        _exit(0); /* its entry stays */
    }
    close(ready[1]);
    close(wait_for[0]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    *go = wait_for[1];
    return pid;
}

static void a_start_with_living_peers_goes_on(void **state)
{
    int go;
    pid_t peer = start_peer(&go);

    (void)state;
    assert_int_equal(code_of_start(100), STARTED);
    assert_string_equal(text, "");
    close(go);
    waitpid(peer, NULL, 0);
}

static void a_dead_peer_ends_the_start(void **state)
{
    struct mu_deadline patience = mu_deadline_in_ms(20000);
    struct mu_board *alive = open_board_as("2"); /* else any start might remove it as stale */
    int go;
    pid_t peer = start_peer(&go);
    siginfo_t info;

    (void)state;
    close(go);
    /* a zombie is dead too */
    assert_int_equal(waitid(P_PID, (id_t)peer, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(code_of_start(30000), mu_status_exit_code(MU_PEER_LOST));
    assert_false(mu_deadline_passed(patience));
    assert_int_equal(count(text, "rank 1 died at the start"), 1);
    waitpid(peer, NULL, 0);
    mu_board_close(alive);
}

static int name_job(void **state)
{
    (void)state;
    snprintf(job, sizeof job, "test-start-%ld", (long)getpid());
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_with_living_peers_goes_on),
        cmocka_unit_test(a_dead_peer_ends_the_start),
    };

    return cmocka_run_group_tests(tests, name_job, NULL);
}

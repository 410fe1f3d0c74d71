/* worker/watchdog: a rank that waits in MPI_Init for one that is dead is ended; one whose peers
 * live is left alone. Ranks that stand still or are stopped are killed, whoever moves is not. In
 * forked children, since it ends processes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/prctl.h>
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
        mu_watchdog_met(watch, NULL);
        mu_watchdog_end(watch);
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
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "3", 1); /* nobody is out of MPI_Init, here or elsewhere */
    setenv("OMPI_COMM_WORLD_SIZE", "3", 1);
    close(go);
    /* a zombie is dead too */
    assert_int_equal(waitid(P_PID, (id_t)peer, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(code_of_start(30000), mu_status_exit_code(MU_PEER_LOST));
    assert_false(mu_deadline_passed(patience));
    assert_int_equal(count(text, "rank 1 died at the start"), 1);
    waitpid(peer, NULL, 0);
    mu_board_close(alive);
    unsetenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    unsetenv("OMPI_COMM_WORLD_SIZE");
}

/* ---- ranks that stand still ---- */
enum manner {
    MOVES, /* polls */
    HANGS, /* does not; its watchdog runs */
    STOPS, /* stops itself, whole; when it is continued it writes to `wrote` */
    WAITS, /* in a repair, where nobody polls */
    LIES,  /* hangs, and its entry names another process than it is */
};

struct peer {
    pid_t pid;
    int wrote; /* what it writes, and the end of file when it is dead */
};

static _Noreturn void live(struct mu_board *b, enum manner manner, int wrote)
{
    struct mu_watchdog *w;

    if (mu_watchdog_begin(&w, b) != MU_OK)
        _exit(NOT_OPENED);
    mu_watchdog_met(w, NULL);
    mu_watchdog_set_timeout(w, 1);
    mu_board_set_phase(b, MU_PHASE_RUNNING);
    mu_fault(MU_FAULT_BACKWARD, 41);
    if (manner == WAITS)
        mu_board_enter_repair(b, 1);
    if (manner == LIES)
        atomic_fetch_add(&mu_board_own(b)->start_time, 1);
    if (write(wrote, "r", 1) != 1)
        _exit(1);
    if (manner == STOPS) {
        raise(SIGSTOP);
        for (;;)
            if (write(wrote, "w", 1) != 1)
                _exit(1);
    }
    for (;;) {
        if (manner == MOVES)
            atomic_fetch_add(&mu_board_own(b)->polls, 1);
        mu_clock_sleep_us(10000);
    }
}

static struct peer start_rank(const char *rank, enum manner manner)
{
    int ends[2];
    char byte;
    struct peer p;

    assert_int_equal(pipe(ends), 0);
    p.pid = fork();
    if (p.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody lives on when an assertion fails */
        close(ends[0]);
        mu_log_set_level(MU_LOG_SILENT);
        live(open_board_as(rank), manner, ends[1]);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 1);
    p.wrote = ends[0];
    return p;
}

static bool is_alive(struct peer p)
{
    return waitpid(p.pid, NULL, WNOHANG) == 0;
}

/* Killed by somebody else, within this time; in ms when. */
static uint64_t killed_within(struct peer p, uint64_t most_ms)
{
    uint64_t began_ns = mu_clock_ns();
    struct mu_deadline deadline = mu_deadline_in_ms(most_ms);
    int status = 0;
    pid_t got = 0;

    while (got == 0 && !mu_deadline_passed(deadline)) {
        got = waitpid(p.pid, &status, WNOHANG);
        mu_clock_sleep_us(5000);
    }
    assert_int_equal(got, p.pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    return (mu_clock_ns() - began_ns) / 1000000;
}

static void end_rank(struct peer p)
{
    kill(p.pid, SIGKILL);
    waitpid(p.pid, NULL, 0);
    close(p.wrote);
}

static void assert_told(const struct mu_board *b, int rank, const char *from, const char *to)
{
    const struct mu_board_entry *e = mu_board_entry(b, rank);

    assert_non_null(e);
    assert_true(mu_board_tell_fence(e, rank, text, sizeof text));
    assert_memory_equal(text, from, strlen(from));
    assert_string_equal(text + strlen(text) - strlen(to), to);
}

static void who_hangs_is_killed_and_who_moves_is_not(void **state)
{
    struct mu_board *b = open_board_as("4"); /* looks on */
    struct peer p[4] = {start_rank("0", MOVES), start_rank("1", HANGS), start_rank("2", MOVES),
                        start_rank("3", LIES)};

    (void)state;
    assert_in_range(killed_within(p[1], 20000), 900, 20000);
    assert_told(b, 1, "rank 1 stood still for 1.",
                " s in backward of step 42 and was ended by rank 0");
    mu_clock_sleep_us(1500000);
    assert_true(is_alive(p[0]));
    assert_true(is_alive(p[2]));
    assert_true(is_alive(p[3])); /* not the process that its entry tells of */
    assert_false(mu_board_tell_fence(mu_board_entry(b, 3), 3, text, sizeof text));
    close(p[1].wrote);
    end_rank(p[0]);
    end_rank(p[2]);
    end_rank(p[3]);
    mu_board_close(b);
}

static void a_stopped_fencer_is_killed_by_the_next(void **state)
{
    struct mu_board *b = open_board_as("4");
    struct peer p[2] = {start_rank("0", STOPS), start_rank("1", MOVES)};

    (void)state;
    killed_within(p[0], 20000);
    assert_told(b, 0, "rank 0 was stopped by a signal for ",
                " s in backward of step 42 and was ended by rank 1");
    assert_true(is_alive(p[1]));
    close(p[0].wrote);
    end_rank(p[1]);
    mu_board_close(b);
}

/* As the shrink after another's death: all wait for the one that is stopped, longer than the
 * deadline of those who stand still. */
static void who_waits_in_a_repair_is_not_killed_for_a_stopped_one(void **state)
{
    struct mu_board *b = open_board_as("4");
    struct peer p[3] = {start_rank("0", WAITS), start_rank("1", STOPS), start_rank("2", WAITS)};

    (void)state;
    killed_within(p[1], 20000);
    assert_told(b, 1, "rank 1 was stopped by a signal for ",
                " s in backward of step 42 and was ended by rank 0");
    mu_clock_sleep_us(1500000);
    assert_true(is_alive(p[0]));
    assert_true(is_alive(p[2]));
    close(p[1].wrote);
    end_rank(p[0]);
    end_rank(p[2]);
    mu_board_close(b);
}

/* Rank 0 ends the other one, and itself with a code, which mpirun passes on. */
static void a_repair_that_hangs_ends_all_of_the_host(void **state)
{
    struct mu_board *b = open_board_as("4");
    struct peer p[2];
    int code;

    (void)state;
    setenv("OMPI_COMM_WORLD_LOCAL_SIZE", "2", 1);
    setenv("OMPI_COMM_WORLD_SIZE", "2", 1);
    p[0] = start_rank("0", WAITS);
    p[1] = start_rank("1", WAITS);
    assert_in_range(killed_within(p[1], 20000), MU_WATCH_REPAIR_MS - 500, 20000);
    assert_int_equal(waitpid(p[0].pid, &code, 0), p[0].pid);
    assert_true(WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), mu_status_exit_code(MU_PEER_LOST));
    close(p[0].wrote);
    close(p[1].wrote);
    mu_board_close(b);
    unsetenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    unsetenv("OMPI_COMM_WORLD_SIZE");
}

/* It is continued as soon as it is told to be ended: not a byte more comes from it. */
static void a_late_continuation_writes_nothing(void **state)
{
    struct mu_board *b = open_board_as("4");
    struct peer p[2] = {start_rank("0", MOVES), start_rank("1", STOPS)};
    struct mu_deadline patience = mu_deadline_in_ms(20000);
    siginfo_t info = {0};
    char byte;

    (void)state;
    while (waitid(P_PID, (id_t)p[1].pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0 && !mu_deadline_passed(patience)) {
    }
    assert_int_equal(kill(p[1].pid, SIGCONT), 0); /* it is not reaped yet */
    assert_int_equal(read(p[1].wrote, &byte, 1), 0);
    killed_within(p[1], 1000);
    close(p[1].wrote);
    end_rank(p[0]);
    mu_board_close(b);
}

static void it_ends_without_delay(void **state)
{
    struct mu_board *b = open_board_as("0");
    struct mu_watchdog *w;
    uint64_t began_ns;
    int slow = 0; /* sleeping out the 100 ms would take 20 ms and more four times of five */

    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mu_watchdog_begin(&w, b), MU_OK);
        mu_watchdog_met(w, NULL);
        mu_clock_sleep_us(7000 * (unsigned)i);
        began_ns = mu_clock_ns();
        mu_watchdog_end(w);
        slow += mu_clock_ns() - began_ns > 20000000;
    }
    assert_true(mu_board_own(b)->beats >= 20);
    assert_in_range(slow, 0, 8);
    mu_watchdog_end(NULL);
    mu_board_close(b);
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
        cmocka_unit_test(who_hangs_is_killed_and_who_moves_is_not),
        cmocka_unit_test(a_stopped_fencer_is_killed_by_the_next),
        cmocka_unit_test(who_waits_in_a_repair_is_not_killed_for_a_stopped_one),
        cmocka_unit_test(a_repair_that_hangs_ends_all_of_the_host),
        cmocka_unit_test(a_late_continuation_writes_nothing),
        cmocka_unit_test(it_ends_without_delay),
    };

    return cmocka_run_group_tests(tests, name_job, NULL);
}

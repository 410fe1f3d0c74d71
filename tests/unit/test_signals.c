/* worker/signals: what each signal asks for; the second TERM or INT ends the process; and a process
 * of mpirun's dies with its parent. All in forked children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "worker/signals.h"
#include "worker/worker.h"

/* How a child ends that has installed the handlers and does `what`; its exit code is what it
 * says. */
static int end_of(int (*what)(void))
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        mu_signals_install();
        _exit(what());
    }
    assert_true(pid > 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void assert_exit(int status, int code)
{
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
}

static void assert_death(int status, int number)
{
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), number);
}

static int nothing(void)
{
    return (int)mu_signals_requests();
}

static int term(void)
{
    raise(SIGTERM);
    return (int)mu_signals_requests();
}

static int interrupt(void)
{
    raise(SIGINT);
    return (int)mu_signals_requests();
}

static int usr1_many_times(void)
{
    for (int i = 0; i < 5; i++)
        raise(SIGUSR1);
    return (int)mu_signals_requests();
}

static int usr2_many_times(void)
{
    for (int i = 0; i < 5; i++)
        raise(SIGUSR2);
    return (int)mu_signals_requests();
}

static int term_and_usr2(void)
{
    raise(SIGUSR2);
    raise(SIGTERM);
    return (int)mu_signals_requests();
}

static int second_term(void)
{
    raise(SIGTERM);
    mu_signals_clear(MU_REQUEST_STOP); /* whatever has been taken of the first */
    raise(SIGTERM);
    return 0;
}

static int second_interrupt(void)
{
    raise(SIGINT);
    raise(SIGINT);
    return 0;
}

static int usr1_then_term(void)
{
    raise(SIGUSR1);
    raise(SIGTERM);
    return (int)mu_signals_requests();
}

static int broken_pipe(void)
{
    int ends[2];

    if (pipe(ends) != 0)
        return 1;
    close(ends[0]);
    return write(ends[1], "x", 1) < 0 ? 40 : 41;
}

static int cleared(void)
{
    raise(SIGUSR2);
    raise(SIGUSR1);
    mu_signals_clear(MU_REQUEST_CHECKPOINT);
    return (int)mu_signals_requests();
}

/* A slow system call goes on after the handler. */
static int interrupted_read(void)
{
    int ends[2];
    char byte = 0;
    pid_t parent = getpid(), pid;

    if (pipe(ends) != 0)
        return 1;
    pid = fork();
    if (pid == 0) {
        mu_clock_sleep_us(20000);
        kill(parent, SIGUSR1);
        mu_clock_sleep_us(20000);
        _exit(write(ends[1], "y", 1) != 1);
    }
    if (read(ends[0], &byte, 1) != 1)
        return 2;
    waitpid(pid, NULL, 0);
    return byte == 'y' ? (int)mu_signals_requests() : 3;
}

static void signals_ask(void **state)
{
    (void)state;
    assert_exit(end_of(nothing), 0);
    assert_exit(end_of(term), MU_REQUEST_STOP);
    assert_exit(end_of(interrupt), MU_REQUEST_STOP);
    assert_exit(end_of(usr1_many_times), MU_REQUEST_STOP);
    assert_exit(end_of(usr2_many_times), MU_REQUEST_CHECKPOINT);
    assert_exit(end_of(term_and_usr2), MU_REQUEST_STOP | MU_REQUEST_CHECKPOINT);
    assert_exit(end_of(cleared), MU_REQUEST_STOP);
}

static void the_second_ends_at_once(void **state)
{
    (void)state;
    assert_death(end_of(second_term), SIGTERM);
    assert_death(end_of(second_interrupt), SIGINT);
    assert_exit(end_of(usr1_then_term), MU_REQUEST_STOP); /* USR1 is none of those */
}

static void a_broken_pipe_is_an_error_of_write(void **state)
{
    (void)state;
    assert_exit(end_of(broken_pipe), 40);
}

static void a_read_goes_on(void **state)
{
    (void)state;
    assert_exit(end_of(interrupted_read), MU_REQUEST_STOP);
}

/* A middle process (mpirun) starts one that asks to die with it, and is killed. The pipe's other
 * end closes when the last of them is gone. */
static bool dies_with_its_parent(void)
{
    int alive[2], status;
    char byte;
    struct mu_deadline patience;
    pid_t middle;
    bool gone;

    assert_int_equal(pipe(alive), 0);
    middle = fork();
    if (middle == 0) {
        if (fork() == 0) {
            close(alive[0]);
            if (mu_signals_die_with_parent() != MU_OK || write(alive[1], "r", 1) != 1)
                _exit(1);
            for (patience = mu_deadline_in_ms(1000); !mu_deadline_passed(patience);)
                mu_clock_sleep_us(1000);
            _exit(write(alive[1], "l", 1) != 1);
        }
        close(alive[1]);
        pause();
        _exit(0);
    }
    close(alive[1]);
    assert_int_equal(read(alive[0], &byte, 1), 1);
    kill(middle, SIGKILL);
    assert_int_equal(waitpid(middle, &status, 0), middle);
    gone = read(alive[0], &byte, 1) == 0; /* the end of file, or "l": it lives */
    close(alive[0]);
    return gone;
}

static void ranks_die_with_mpirun_and_others_do_not(void **state)
{
    (void)state;
    unsetenv("PMIX_RANK");
    unsetenv("OMPI_COMM_WORLD_RANK");
    assert_false(dies_with_its_parent());
    setenv("PMIX_RANK", "0", 1);
    assert_true(dies_with_its_parent());
    unsetenv("PMIX_RANK");
}

/* A product of oneDNN keeps data below the stack pointer: here 1 to 4 kB below this function's
 * frame are its. The handler's frame alone, with all vector registers, would be there otherwise. */
__attribute__((noinline, no_sanitize("address", "undefined"))) static int watch_below_the_stack(
    void)
{
    volatile uint8_t *below = (volatile uint8_t *)__builtin_frame_address(0) - 4096;
    pid_t other;
    int changed = 0;

    other = fork();
    if (other == 0) {
        mu_clock_sleep_us(50000);
        kill(getppid(), SIGUSR1);
        _exit(0);
    }
    for (int i = 0; i < 3072; i++)
        below[i] = (uint8_t)(i * 7 + 1);
    while (mu_signals_requests() == 0) {
    }
    for (int i = 0; i < 3072; i++)
        changed += below[i] != (uint8_t)(i * 7 + 1);
    return changed > 0 ? 1 : 0;
}

static void a_handler_leaves_the_stack_alone(void **state)
{
    (void)state;
    assert_exit(end_of(watch_below_the_stack), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_ask),
        cmocka_unit_test(the_second_ends_at_once),
        cmocka_unit_test(a_broken_pipe_is_an_error_of_write),
        cmocka_unit_test(a_read_goes_on),
        cmocka_unit_test(a_handler_leaves_the_stack_alone),
        cmocka_unit_test(ranks_die_with_mpirun_and_others_do_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

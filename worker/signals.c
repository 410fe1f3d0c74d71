/* The handler sets bits of one atomic word, and gives TERM or INT its usual effect back, which is
 * what makes the second one end the process. With SA_RESTART no read or write of a checkpoint is
 * torn by a request; the step's end looks at the word. It runs on a stack of its own (SA_ONSTACK):
 * matrix products of oneDNN 2.6 keep data below the stack pointer, beyond the 128 bytes that a
 * signal leaves alone, and crashed.
 *
 * A TERM that comes from mpirun is no wish to stop the run but the end of that mpirun, which kills
 * its ranks half a second later. A launcher then goes on with the state in memory, and a rank that
 * hurried to save and leave would only be caught half way. */
#include "worker/signals.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "orchestrator/base/started_by.h"
#include "worker/worker.h"

enum { STACK_BYTES = 65536 }; /* the registers of AMX alone take 11 kB */

static _Atomic uint32_t requests;

static pid_t launched_by; /* this mpirun; 0: none, or no launcher goes on after it */

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (number == SIGTERM && launched_by != 0 && info->si_pid == launched_by)
        return;
    if (number == SIGUSR2) {
        atomic_fetch_or(&requests, MU_REQUEST_CHECKPOINT);
        return;
    }
    if (number != SIGUSR1) {
        struct sigaction standard = {.sa_handler = SIG_DFL};

        sigaction(number, &standard, NULL); /* the second one ends at once */
    }
    atomic_fetch_or(&requests, MU_REQUEST_STOP);
}

void mu_signals_install(void)
{
    static const int numbers[] = {SIGUSR1, SIGUSR2, SIGTERM, SIGINT};
    static char stack[STACK_BYTES];
    const stack_t own = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_sigaction = on_signal,
                               .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK};

    sigaltstack(&own, NULL); /* of this thread; all others block signals */

    launched_by = mu_started_by_launch() && !mu_started_by_srun() ? getppid() : 0;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a closed terminal is an error of write, not a death */
    signal(SIGXFSZ, SIG_IGN);
}

uint32_t mu_signals_requests(void)
{
    return atomic_load(&requests);
}

void mu_signals_clear(uint32_t which)
{
    atomic_fetch_and(&requests, ~which);
}

enum mu_status mu_signals_die_with_parent(void)
{
    pid_t parent = getppid();

    if (!mu_started_by_mpirun())
        return MU_OK;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return MU_FAIL(MU_FAILED, "cannot ask to die with mpirun");
    if (getppid() != parent)
        raise(SIGKILL); /* it died in between */
    return MU_OK;
}

#include "orchestrator/plan/load.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

__attribute__((noreturn)) static void serve(pid_t parent, void (*work)(void *context),
                                            void *context)
{
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (nowhere < 0 || dup2(nowhere, STDOUT_FILENO) < 0 || dup2(nowhere, STDERR_FILENO) < 0)
        _exit(1);
    while (getppid() == parent) /* it may have ended before the signal was asked for */
        work(context);
    _exit(0);
}

enum mu_status mu_load_open(struct mu_load *load, uint32_t count, void (*work)(void *context),
                            void *context)
{
    const pid_t parent = getpid();

    memset(load, 0, sizeof *load);
    count = count < MU_LOAD_MAX ? count : MU_LOAD_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const pid_t pid = fork();

        if (pid == 0)
            serve(parent, work, context);
        if (pid < 0) {
            const int error = errno;

            mu_load_close(load);
            return MU_FAIL(MU_FAILED, "no process could be started to measure beside: %s",
                           strerror(error));
        }
        load->pid[load->count++] = pid;
    }
    return MU_OK;
}

void mu_load_close(struct mu_load *load)
{
    for (uint32_t i = 0; i < load->count; i++)
        kill(load->pid[i], SIGKILL);
    for (uint32_t i = 0; i < load->count; i++)
        while (waitpid(load->pid[i], NULL, 0) < 0 && errno == EINTR)
            ;
    load->count = 0;
}

#include "orchestrator/launch/probe.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/launch/mpirun.h"
#include "orchestrator/launch/remains.h"

enum { DEADLINE_MS = 5000, END_MS = 1000, LOOK_MS = 5 };

static pid_t ask(const struct mu_launch_request *r, const char *name, const char *folder)
{
    char host[300];
    struct mu_mpirun_request request = {
        .mpirun = r->mpirun,
        .extra = r->mpirun_args,
        .hosts = host,
        .ranks = 1,
        .program = "true",
        .job = "",
        .folder = folder,
    };
    pid_t pid = -1;

    snprintf(host, sizeof host, "%s:1", name);
    return mu_mpirun_start(&request, &pid) == MU_OK ? pid : -1;
}

/* Gives back whether any is still under way. */
static bool collect(pid_t pid[MU_LADDER_HOSTS], uint32_t hosts, bool *answers)
{
    bool under_way = false;
    int status;

    for (uint32_t i = 0; i < hosts; i++)
        if (pid[i] > 0 && waitpid(pid[i], &status, WNOHANG) == pid[i]) {
            answers[i] = WIFEXITED(status) && WEXITSTATUS(status) == 0;
            pid[i] = 0;
        } else {
            under_way |= pid[i] > 0;
        }
    return under_way;
}

static void collect_until(struct mu_deadline end, pid_t pid[MU_LADDER_HOSTS], uint32_t hosts,
                          bool *answers)
{
    while (collect(pid, hosts, answers) && !mu_deadline_passed(end))
        mu_clock_sleep_us(1000 * LOOK_MS);
}

void mu_probe_hosts(const struct mu_launch_request *r, const struct mu_ladder *l,
                    const struct mu_ladder_plan *plan, bool answers[MU_LADDER_HOSTS])
{
    pid_t pid[MU_LADDER_HOSTS] = {0};
    bool any = false;
    char folder[64];

    for (uint32_t i = 0; i < l->hosts; i++)
        answers[i] = true;
    if (mu_remains_make_folder(folder) != MU_OK)
        return;
    for (uint32_t i = 0; i < l->hosts; i++)
        if (plan->use[i] && !mu_host_is_here(l->host[i].name)) {
            answers[i] = false;
            pid[i] = ask(r, l->host[i].name, folder);
        }
    collect_until(mu_deadline_in_ms(DEADLINE_MS), pid, l->hosts, answers);
    for (uint32_t i = 0; i < l->hosts; i++)
        if (pid[i] > 0)
            kill(pid[i], SIGKILL);
    collect_until(mu_deadline_in_ms(END_MS), pid, l->hosts, answers);
    for (uint32_t i = 0; i < l->hosts; i++)
        any |= answers[i];
    for (uint32_t i = 0; !any && i < l->hosts; i++)
        answers[i] = true;
    mu_remains_remove_folder(folder);
}

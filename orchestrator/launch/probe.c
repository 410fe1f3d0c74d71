/* A start of mpirun hangs now and then, one in about fifty on a loaded machine: whoever has not
 * answered after a while is asked once more, beside the first question. */
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
#include "orchestrator/slurm/agent.h"

enum { DEADLINE_MS = 5000, AGAIN_MS = 1500, END_MS = 1000, LOOK_MS = 5, TIMES = 2 };

/* Questions under way, 0 where none is. */
struct questions {
    pid_t pid[TIMES][MU_LADDER_HOSTS];
    uint32_t hosts;
};

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

/* Gives back whether any answer may still come. */
static bool collect(struct questions *q, bool *answers)
{
    bool under_way = false;
    int status;

    for (int k = 0; k < TIMES; k++)
        for (uint32_t i = 0; i < q->hosts; i++) {
            pid_t *pid = &q->pid[k][i];

            if (*pid > 0 && waitpid(*pid, &status, WNOHANG) == *pid) {
                answers[i] |= WIFEXITED(status) && WEXITSTATUS(status) == 0;
                *pid = 0;
            }
            under_way |= *pid > 0 && !answers[i];
        }
    return under_way;
}

static void wait_for_answers(struct questions *q, bool *answers, uint64_t most_ms)
{
    struct mu_deadline deadline = mu_deadline_in_ms(most_ms);

    while (collect(q, answers) && !mu_deadline_passed(deadline))
        mu_clock_sleep_us(1000 * LOOK_MS);
}

static bool reap(struct questions *q)
{
    bool under_way = false;

    for (int k = 0; k < TIMES; k++)
        for (uint32_t i = 0; i < q->hosts; i++) {
            pid_t *pid = &q->pid[k][i];

            if (*pid > 0 && waitpid(*pid, NULL, WNOHANG) == *pid)
                *pid = 0;
            under_way |= *pid > 0;
        }
    return under_way;
}

/* One that does not end even so is left behind. */
static void end(struct questions *q)
{
    struct mu_deadline deadline = mu_deadline_in_ms(END_MS);

    for (int k = 0; k < TIMES; k++)
        for (uint32_t i = 0; i < q->hosts; i++)
            if (q->pid[k][i] > 0)
                kill(q->pid[k][i], SIGKILL);
    while (reap(q) && !mu_deadline_passed(deadline))
        mu_clock_sleep_us(1000 * LOOK_MS);
}

static void ask_by_mpirun(const struct mu_launch_request *r, const struct mu_ladder *l,
                          const bool *ask_it, const char *folder, bool *answers)
{
    static struct questions q;

    memset(&q, 0, sizeof q);
    q.hosts = l->hosts;
    for (uint32_t i = 0; i < l->hosts; i++)
        if (ask_it[i])
            q.pid[0][i] = ask(r, l->host[i].name, folder);
    wait_for_answers(&q, answers, AGAIN_MS);
    for (uint32_t i = 0; i < l->hosts; i++)
        if (!answers[i] && q.pid[0][i] > 0)
            q.pid[1][i] = ask(r, l->host[i].name, folder);
    wait_for_answers(&q, answers, DEADLINE_MS - AGAIN_MS);
    end(&q);
}

void mu_probe_hosts(const struct mu_launch_request *r, const struct mu_ladder *l,
                    const struct mu_ladder_plan *plan, bool answers[MU_LADDER_HOSTS])
{
    bool asked[MU_LADDER_HOSTS] = {false}, any = false;
    char folder[64];

    for (uint32_t i = 0; i < l->hosts; i++)
        answers[i] = true;
    if (mu_remains_make_folder(folder) != MU_OK)
        return;
    for (uint32_t i = 0; i < l->hosts; i++)
        if (plan->use[i] && !mu_host_is_here(l->host[i].name)) {
            answers[i] = false;
            asked[i] = true;
        }
    if (mu_launch_is_by_slurm(r))
        mu_slurm_probe(folder, r->allocation, asked, answers);
    else
        ask_by_mpirun(r, l, asked, folder, answers);
    for (uint32_t i = 0; i < l->hosts; i++)
        any |= answers[i];
    for (uint32_t i = 0; !any && i < l->hosts; i++)
        answers[i] = true;
    mu_remains_remove_folder(folder);
}

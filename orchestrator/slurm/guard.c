#include "orchestrator/slurm/guard.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/launch/remains.h"
#include "orchestrator/slurm/agent.h"

enum { AGAIN_MS = 10000 };

/* Words: the node; the lease; the job's number; what is to be tried first. A lease that cannot be
 * read tells nothing. What is said goes to the job's output, since srun went with the launcher. */
static const char script[] =
    "here=%s lease=%s job=%s try='%s'; trap '' PIPE; exec >/dev/null 2>&1; last= still=0\n"
    "while sleep 1; do\n"
    "    now=$(sed -n '/^count /p;/^pid /p;/^launcher /p' \"$lease\")\n"
    "    case $now in\n"
    "    '') continue ;;\n"
    "    *'pid 0 '*) exit 0 ;;\n"
    "    \"$last\") still=$((still + 1)) ;;\n"
    "    *) last=$now still=0 ;;\n"
    "    esac\n"
    "    [ $still -lt 15 ] || break\n"
    "done\n"
    "out=$(timeout 20 scontrol show job \"$job\" | sed -n 's/^ *StdOut=//p')\n"
    "[ ! -f \"$out\" ] || echo \"muster: $here: nothing was heard of the launcher for 15 s, its "
    "node "
    "seems to be lost: $try $job\" >>\"$out\"\n"
    "for i in 1 2 3 4 5 6; do\n"
    "    timeout 60 $try \"$job\" && exit\n"
    "    sleep 10\n"
    "done\n"
    "exec scancel \"$job\"\n";

/* As a word for a shell. */
static enum mu_status quote(char out[MU_PATH_MAX], const char *text)
{
    size_t n = 0;

    out[n++] = '\'';
    for (; *text && n < MU_PATH_MAX - 6; text++) {
        if (*text == '\'')
            n += (size_t)sprintf(out + n, "'\\'");
        out[n++] = *text;
    }
    out[n++] = '\'';
    out[n] = 0;
    return *text ? MU_FAIL(MU_FAILED, "the path of the lease is too long") : MU_OK;
}

static enum mu_status start(struct mu_slurm_guard *g, const struct mu_slurm_allocation *a,
                            const char *lease, bool requeue)
{
    const char *host = a->host[g->host].name;
    char words[MU_PATH_MAX + sizeof script + 512], path[MU_PATH_MAX], quoted[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(quote(quoted, lease), st, failed);
    snprintf(words, sizeof words, script, host, quoted, a->job,
             requeue ? "scontrol requeue" : "scancel");
    mu_remains_remove_folder(g->folder);
    MU_TRY(mu_remains_make_folder(g->folder), st, failed);
    MU_TRY(mu_slurm_agent_write(g->folder), st, failed);
    MU_TRY(mu_path_format(path, "%s/" MU_SLURM_AGENT_FILE, g->folder), st, failed);
    mu_apart_start(g->step, (const char *const[]){"sh", path, host, words, NULL}, UINT_MAX);
failed:
    return st;
}

/* The next one that may be used, after the one that it was tried on last. */
static bool choose_host(struct mu_slurm_guard *g, const struct mu_slurm_allocation *a,
                        const bool *use)
{
    for (uint32_t k = 1; k <= a->hosts; k++) {
        const uint32_t i = (g->host + k) % a->hosts;

        if (use[i] && !mu_host_is_here(a->host[i].name)) {
            g->host = i;
            return true;
        }
    }
    return false;
}

void mu_slurm_guard_keep(struct mu_slurm_guard *g, const struct mu_slurm_allocation *a,
                         const bool *use, const char *lease, bool requeue)
{
    char why[300];

    if (g->step && mu_apart_look(g->step))
        return;
    if (g->step && !mu_deadline_passed(g->next))
        return;
    if (g->step && !mu_apart_succeeded(g->step)) {
        mu_apart_explain(g->step, why, sizeof why);
        mu_log(MU_LOG_DEBUG, "the guard of this launcher on %s: %s", a->host[g->host].name, why);
    }
    if (!g->step)
        g->step = calloc(1, sizeof *g->step);
    g->next = mu_deadline_in_ms(AGAIN_MS);
    if (g->step && choose_host(g, a, use) && start(g, a, lease, requeue) != MU_OK)
        mu_log(MU_LOG_WARN, "nobody watches this launcher from another node");
}

void mu_slurm_guard_end(struct mu_slurm_guard *g)
{
    static const volatile sig_atomic_t now = 1;

    if (g->step)
        mu_apart_wait(&g->step, 1, &now);
    free(g->step);
    mu_remains_remove_folder(g->folder);
    *g = (struct mu_slurm_guard){.step = NULL};
}

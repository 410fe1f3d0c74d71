#include "orchestrator/slurm/agent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/apart.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/slurm/slurmd.h"

enum { PROBE_MS = 5000 };

/* mpirun gives a host and words for its shell. What the job wants for its tasks is not meant for a
 * daemon, whose ranks use all that the job has there. A second quoting is spared: the remote shell
 * reads its words from a variable. Left to itself such a step would get the GPUs that the job has in
 * all, or none. */
static const char script[] =
    "host=$1\n"
    "shift\n"
    "unset SLURM_NTASKS SLURM_NPROCS SLURM_NTASKS_PER_NODE SLURM_TASKS_PER_NODE SLURM_NNODES \\\n"
    "    SLURM_JOB_NUM_NODES SLURM_CPUS_PER_TASK SLURM_TRES_PER_TASK SLURM_GPUS_PER_TASK \\\n"
    "    SLURM_GPUS SLURM_GPUS_PER_NODE SLURM_GPUS_PER_SOCKET \\\n"
    "    SLURM_NTASKS_PER_GPU SLURM_NTASKS_PER_SOCKET SLURM_NTASKS_PER_CORE SLURM_DISTRIBUTION \\\n"
    "    SLURM_CPU_BIND SLURM_GPU_BIND SLURM_MEM_BIND SLURM_HOSTFILE SLURM_EXCLUSIVE\n"
    "MUSTER_AGENT_RUNS=$* MUSTER_AGENT_HERE=$TMPDIR MUSTER_AGENT_THERE=%s\n"
    "export MUSTER_AGENT_RUNS MUSTER_AGENT_HERE MUSTER_AGENT_THERE\n"
    "gpus=\n"
    "for node in $MUSTER_SLURM_GPUS; do\n"
    "    case $node in \"$host=\"*[1-9]*) gpus=--gpus=${node##*=} ;; esac\n"
    "done\n"
    "exec srun --jobid=\"$SLURM_JOB_ID\" --overlap --no-kill --kill-on-bad-exit=0 --mpi=none \\\n"
    "    --nodes=1 --ntasks=1 --nodelist=\"$host\" --input=none --quiet $gpus sh -c '\n"
    "        [ \"$TMPDIR\" != \"$MUSTER_AGENT_HERE\" ] || TMPDIR=$MUSTER_AGENT_THERE\n"
    "        [ -d \"$TMPDIR\" ] && [ -w \"$TMPDIR\" ] || unset TMPDIR\n"
    "        eval \"$MUSTER_AGENT_RUNS\"'\n";

enum mu_status mu_slurm_agent_write(const char *folder)
{
    const char *outer = getenv("TMPDIR");
    char path[MU_PATH_MAX], text[sizeof script + MU_PATH_MAX];
    FILE *f;
    enum mu_status st = mu_path_format(path, "%s/" MU_SLURM_AGENT_FILE, folder);

    if (st != MU_OK)
        return st;
    if (!outer || strlen(outer) >= MU_PATH_MAX || outer[strcspn(outer, " \t\n'\"\\$`&|;()<>*?[#~")])
        outer = "/tmp";
    f = fopen(path, "wxe");
    snprintf(text, sizeof text, script, outer);
    if (!f)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", path, strerror(errno));
    fputs(text, f);
    if (fclose(f) != 0)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", path, strerror(errno));
    return MU_OK;
}

void mu_slurm_probe(const char *folder, const struct mu_slurm_allocation *a, const bool *ask,
                    bool *answers)
{
    struct mu_apart *all = calloc(a->hosts, sizeof *all), *list[MU_LADDER_HOSTS];
    bool is_gone[MU_LADDER_HOSTS];
    char path[MU_PATH_MAX];
    size_t asked = 0;

    mu_slurmd_knock(a, ask, is_gone);
    if (all && mu_slurm_agent_write(folder) == MU_OK &&
        mu_path_format(path, "%s/" MU_SLURM_AGENT_FILE, folder) == MU_OK) {
        for (uint32_t i = 0; i < a->hosts; i++)
            if (ask[i] && !is_gone[i]) {
                mu_apart_start(&all[i],
                               (const char *const[]){"sh", path, a->host[i].name, "true", NULL},
                               PROBE_MS);
                list[asked++] = &all[i];
            }
        mu_apart_wait(list, asked, NULL);
        for (uint32_t i = 0; i < a->hosts; i++)
            if (ask[i])
                answers[i] = !is_gone[i] && mu_apart_succeeded(&all[i]);
    }
    free(all);
}

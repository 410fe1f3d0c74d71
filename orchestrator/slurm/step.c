#include "orchestrator/slurm/step.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"
#include "orchestrator/slurm/gpus.h"

const char *const mu_slurm_of_tasks[] = {"SLURM_NTASKS",
                                         "SLURM_NPROCS",
                                         "SLURM_NTASKS_PER_NODE",
                                         "SLURM_TASKS_PER_NODE",
                                         "SLURM_NNODES",
                                         "SLURM_JOB_NUM_NODES",
                                         "SLURM_CPUS_PER_TASK",
                                         "SLURM_TRES_PER_TASK",
                                         "SLURM_GPUS",
                                         "SLURM_GPUS_PER_NODE",
                                         "SLURM_GPUS_PER_SOCKET",
                                         "SLURM_GPUS_PER_TASK",
                                         "SLURM_NTASKS_PER_GPU",
                                         "SLURM_NTASKS_PER_SOCKET",
                                         "SLURM_NTASKS_PER_CORE",
                                         "SLURM_DISTRIBUTION",
                                         "SLURM_CPU_BIND",
                                         "SLURM_GPU_BIND",
                                         "SLURM_MEM_BIND",
                                         "SLURM_HOSTFILE",
                                         "SLURM_EXCLUSIVE",
                                         NULL};

const char *const mu_slurm_step_words[] = {"--mpi=pmix",
                                           "--export=ALL",
                                           "--overlap",
                                           "--overcommit",
                                           "--kill-on-bad-exit=1",
                                           "--quit-on-interrupt",
                                           "--input=none",
                                           "--quiet",
                                           "--distribution=arbitrary",
                                           NULL};

bool mu_slurm_is_srun(const char *program)
{
    const char *slash = program ? strrchr(program, '/') : NULL;

    return program && strcmp(slash ? slash + 1 : program, "srun") == 0;
}

uint32_t mu_slurm_step_ranks(const struct mu_ladder_host *host, uint32_t count, uint32_t ranks,
                             uint32_t *out)
{
    uint32_t used = 0;

    for (uint32_t i = 0; i < count; i++) {
        out[i] = host[i].slots < ranks ? host[i].slots : ranks;
        ranks -= out[i];
        used += out[i] > 0;
    }
    for (uint32_t i = 0; count > 0 && ranks > 0; ranks--, i = (i + 1) % count)
        out[i]++;
    return used;
}

/* All that each node has, where that is one number; else one a rank, which srun deals by itself. */
static void ask_for_gpus(const struct mu_ladder_host *host, uint32_t count, const uint32_t *ranks,
                         struct mu_slurm_step *step)
{
    uint32_t least = UINT32_MAX, most = 0;
    bool one_each = true;

    for (uint32_t i = 0; i < count; i++) {
        const uint32_t gpus = ranks[i] > 0 ? mu_slurm_gpus_of(host[i].name) : 0;

        if (ranks[i] == 0)
            continue;
        least = gpus < least ? gpus : least;
        most = gpus > most ? gpus : most;
        one_each = one_each && gpus >= ranks[i];
    }
    step->gpus[0] = 0;
    if (most > 0 && least == most)
        snprintf(step->gpus, sizeof step->gpus, "--gres=gpu:%u", most);
    else if (most > 0 && one_each)
        snprintf(step->gpus, sizeof step->gpus, "--gpus-per-task=1");
}

enum mu_status mu_slurm_step_write(const char *folder, const char *hosts, uint32_t ranks,
                                   struct mu_slurm_step *step)
{
    static struct mu_ladder_host host[MU_LADDER_HOSTS];
    uint32_t count, ranks_of[MU_LADDER_HOSTS];
    FILE *f;
    enum mu_status st;

    MU_TRY(mu_hosts_parse_list(hosts, host, &count), st, failed);
    MU_TRY(mu_path_format(step->hosts, "%s/srun-hosts", folder), st, failed);
    f = fopen(step->hosts, "we");
    if (!f)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", step->hosts, strerror(errno));
    step->nodes = mu_slurm_step_ranks(host, count, ranks, ranks_of);
    ask_for_gpus(host, count, ranks_of, step);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < ranks_of[i]; k++)
            fprintf(f, "%s\n", host[i].name);
    if (fclose(f) != 0)
        st = MU_FAIL(MU_FAILED, "cannot write %s: %s", step->hosts, strerror(errno));
failed:
    return st;
}

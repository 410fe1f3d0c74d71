#include "orchestrator/slurm/step.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/launch/hosts.h"

const char *const mu_slurm_of_tasks[] = {"SLURM_NTASKS",
                                         "SLURM_NPROCS",
                                         "SLURM_NTASKS_PER_NODE",
                                         "SLURM_TASKS_PER_NODE",
                                         "SLURM_NNODES",
                                         "SLURM_JOB_NUM_NODES",
                                         "SLURM_CPUS_PER_TASK",
                                         "SLURM_TRES_PER_TASK",
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

enum mu_status mu_slurm_step_write(const char *folder, const char *hosts, uint32_t ranks,
                                   uint32_t *nodes, char *out, size_t capacity)
{
    struct mu_ladder_host host[MU_LADDER_HOSTS];
    uint32_t count, ranks_of[MU_LADDER_HOSTS];
    FILE *f;
    enum mu_status st = mu_hosts_parse_list(hosts, host, &count);

    if (st != MU_OK)
        return st;
    snprintf(out, capacity, "%s/srun-hosts", folder);
    f = fopen(out, "we");
    if (!f)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", out, strerror(errno));
    *nodes = mu_slurm_step_ranks(host, count, ranks, ranks_of);
    for (uint32_t i = 0; i < count; i++)
        for (uint32_t k = 0; k < ranks_of[i]; k++)
            fprintf(f, "%s\n", host[i].name);
    if (fclose(f) != 0)
        return MU_FAIL(MU_FAILED, "cannot write %s: %s", out, strerror(errno));
    return MU_OK;
}

/* How many GPUs a job has on each of its nodes. The environment tells it of the node that it is read
 * on alone (SLURM_GPUS_ON_NODE), and with `sbatch --gpus=12` nodes may have different numbers. */
#ifndef MUSTER_SLURM_GPUS_H
#define MUSTER_SLURM_GPUS_H

#include "orchestrator/slurm/allocation.h"

/* Of the nodes of a job, "n1=4 n2=2": in the environment of a launcher and of what it starts. */
#define MU_SLURM_GPUS "MUSTER_SLURM_GPUS"
enum { MU_SLURM_GPUS_MAX = 1 << 16 };

/* Asks scontrol, where the job has GPUs on several nodes, and sets MUSTER_SLURM_GPUS; takes some
 * hundredths of a second, and seconds at most. Where no answer comes all nodes have as many as this
 * one. */
void mu_slurm_gpus_ask(struct mu_slurm_allocation *a);

/* By the lines "Nodes=n[1-2] CPU_IDs=0-1 Mem=0 GRES=gpu:a100:4(IDX:0-3)" of scontrol show job -d;
 * into out, as above. Where slots are GPUs nodes that have none are left out. */
void mu_slurm_gpus_read(struct mu_slurm_allocation *a, const char *text,
                        char out[MU_SLURM_GPUS_MAX]);

/* As MUSTER_SLURM_GPUS tells; 0: it does not. */
uint32_t mu_slurm_gpus_of(const char *host);

#endif

/* How mpirun starts its daemons on the nodes of an allocation: one `srun` a node, by a script that
 * mpirun takes for ssh. Its own way is one srun for all nodes; when one of them dies, Slurm still
 * counts that step among what runs there, and the next srun waits for it for ever (tried: Slurm
 * 22.05 with Open MPI 5.0, with and without --overlap). */
#ifndef MUSTER_SLURM_AGENT_H
#define MUSTER_SLURM_AGENT_H

#include <stdbool.h>

#include "orchestrator/slurm/allocation.h"

#define MU_SLURM_AGENT_FILE "srun-agent"

/* Writes FOLDER/srun-agent; folder is mpirun's TMPDIR, which the daemons must not take for theirs:
 * they are on other machines. */
enum mu_status mu_slurm_agent_write(const char *folder) MU_CHECKED;

/* Which of the nodes that have `ask` set start a program: all at the same time, for some seconds at
 * most. Of the others answers[] stays as it is. */
void mu_slurm_probe(const char *folder, const struct mu_slurm_allocation *a, const bool *ask,
                    bool *answers);

#endif

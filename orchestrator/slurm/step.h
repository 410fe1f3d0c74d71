/* Ranks as a step of a Slurm job, `srun --mpi=pmix`, where there is no mpirun to start them: sites
 * whose Open MPI was built without its own. Slurm ends all of a step when one of it dies, so that
 * every death is mended by another step. */
#ifndef MUSTER_SLURM_STEP_H
#define MUSTER_SLURM_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/core/ladder.h"

/* By --mpirun, a path or a name: Slurm's own. */
bool mu_slurm_is_srun(const char *program);

/* Ranks of each host: as many as it has slots, in order; what is more, one by one over all. Gives
 * back how many hosts have any. Pure. */
uint32_t mu_slurm_step_ranks(const struct mu_ladder_host *host, uint32_t count, uint32_t ranks,
                             uint32_t *out);

/* What the job's own tasks were given is not for a step; no variable of that name may reach srun. */
extern const char *const mu_slurm_of_tasks[]; /* ends with NULL */

struct mu_slurm_step {
    uint32_t nodes;
    char hosts[MU_PATH_MAX]; /* FOLDER/srun-hosts: for SLURM_HOSTFILE */
    char gpus[40]; /* an option more, or "": its nodes' GPUs, not those of the whole job */
};

/* Writes FOLDER/srun-hosts, a line for each rank; hosts: "a:4,b:4". */
enum mu_status mu_slurm_step_write(const char *folder, const char *hosts, uint32_t ranks,
                                   struct mu_slurm_step *step) MU_CHECKED;

/* How srun is to start the step, but for --ntasks and --nodes. SIGINT to it then ends the step at
 * once; other signals go on to the ranks. */
extern const char *const mu_slurm_step_words[]; /* ends with NULL */

#endif

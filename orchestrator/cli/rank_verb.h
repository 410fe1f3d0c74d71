/* What the verbs have in common that run as MPI ranks, each of which reads the command line: train,
 * profile, sweep. */
#ifndef MUSTER_CLI_RANK_VERB_H
#define MUSTER_CLI_RANK_VERB_H

#include "orchestrator/cli/options.h"

/* Words are a file, which the usage calls `what`, and then KEY=VALUE. A mistake is told by rank 0
 * alone: on the others it is MU_OK, since when several fail mpirun may end rank 0 unheard, or hang.
 * Where mpirun was given several command lines the first rank of each tells its own, and it fails
 * on all ranks of that one.
 * *begins: whether there is anything to run; if not, the verb ends with what this gives back. Binds
 * the process to its launcher (worker/lease.h, worker/heartbeat.h). */
enum mu_status mu_rank_verb_parse(const struct mu_command *command, const char *what, int argc,
                                  char **argv, struct mu_words *words, bool *begins) MU_CHECKED;

/* Whether mpirun was given several command lines, with ":" between them. */
bool mu_rank_verb_has_parts(void);

#endif

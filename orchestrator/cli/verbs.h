/* The commands of `muster`. A verb gets its own words only (argv[0] is the verb) and gives back
 * what the process should exit with, as a status. Each prints its own --help (options.h). */
#ifndef MUSTER_CLI_VERBS_H
#define MUSTER_CLI_VERBS_H

#include "orchestrator/base/status.h"

/* X(function suffix, word, one line of help) */
#define MU_VERB_TABLE(X)                                                                \
    X(train, "train", "train a model; run it alone or under mpirun")                    \
    X(launch, "launch", "train under mpirun, and start again what dies")                \
    X(resize, "resize", "change the number of ranks of a launched run")                 \
    X(drill, "drill", "kill ranks of short runs of a config, and compare the results")  \
    X(tokenize, "tokenize", "make token files from text")                               \
    X(inspect, "inspect", "show what a checkpoint, run directory or token file holds")  \
    X(status, "status", "show how far a run or a sweep has come, once or live")         \
    X(plan, "plan", "list what a sweep would train, and what it takes")                 \
    X(sweep, "sweep", "train all trials of a sweep; run it alone or under mpirun")      \
    X(fit, "fit", "fit scaling laws to losses of training runs, and recommend a model") \
    X(config, "config", "explain configuration keys, check a file, print it resolved")

#define MU_VERB_DECLARE(suffix, word, help) enum mu_status mu_cli_##suffix(int argc, char **argv);
MU_VERB_TABLE(MU_VERB_DECLARE)
#undef MU_VERB_DECLARE

/* Finds the verb in argv[1] and runs it; answers --help and --version; an unknown verb is MU_USAGE
 * with the nearest one. MU_FAILED when stdout could not be written (a full disk, a closed pipe). */
enum mu_status mu_cli_run(int argc, char **argv);

/* Muster, what it was compiled with, every library, and what this CPU can do: on stdout. */
void mu_cli_print_versions(void);

#endif

/* The commands of `muster`. A verb gets its own words only (argv[0] is the verb) and gives back
 * what the process should exit with, as a status. Each prints its own --help. */
#ifndef MUSTER_CLI_VERBS_H
#define MUSTER_CLI_VERBS_H

#include "orchestrator/base/status.h"

/* X(function suffix, word, one line of help) */
#define MU_VERB_TABLE(X)                                                               \
    X(train, "train", "train a model; run it alone or under mpirun")                   \
    X(tokenize, "tokenize", "make token files from text")                              \
    X(inspect, "inspect", "show what a checkpoint, run directory or token file holds") \
    X(config, "config", "explain configuration keys, check a file, print it resolved")

#define MU_VERB_DECLARE(suffix, word, help) enum mu_status mu_cli_##suffix(int argc, char **argv);
MU_VERB_TABLE(MU_VERB_DECLARE)
#undef MU_VERB_DECLARE

#endif

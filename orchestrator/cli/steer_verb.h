/* What the verbs have in common that ask something of a run: stop, checkpoint, resize. */
#ifndef MUSTER_CLI_STEER_VERB_H
#define MUSTER_CLI_STEER_VERB_H

#include "orchestrator/cli/options.h"
#include "orchestrator/steer/steer.h"

/* Of the command usage, about and most_words are given: its options are the same for all, and its
 * first word is the run. MU_USAGE, reported. */
enum mu_status mu_steer_verb_parse(const struct mu_command *command, int argc, char **argv,
                                   struct mu_words *words, struct mu_steer_order *order) MU_CHECKED;

#endif

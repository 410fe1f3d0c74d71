/* muster checkpoint: thin; what it does is in orchestrator/steer/. */
#include "orchestrator/cli/steer_verb.h"
#include "orchestrator/cli/verbs.h"

enum mu_status mu_cli_checkpoint(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster checkpoint RUN [options]",
        .about = "Has the run in the folder RUN write a checkpoint after the step under way, and "
                 "go on. Waits until it is written. Nothing is written when nobody trains it (exit "
                 "code 1).",
        .most_words = 1,
    };
    struct mu_steer_order order;
    struct mu_words words;
    enum mu_status st = mu_steer_verb_parse(&command, argc, argv, &words, &order);

    return st != MU_OK || words.help_shown ? st : mu_steer_ask(&order, MU_STEER_CHECKPOINT);
}

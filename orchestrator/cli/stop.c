/* muster stop: thin; what it does is in orchestrator/steer/. */
#include "orchestrator/cli/steer_verb.h"
#include "orchestrator/cli/verbs.h"

enum mu_status mu_cli_stop(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster stop RUN [options]",
        .about = "Ends the run in the folder RUN after the step under way, with a checkpoint: its "
                 "ranks end with exit code 75, and the same command goes on later. A launcher of "
                 "it ends, too. RUN may also be a sweep: then every trial stops with a checkpoint. "
                 "Waits until that is done and the run is free to be started again. Nothing is "
                 "written when nobody trains it (exit code 1).",
        .most_words = 1,
    };
    struct mu_steer_order order;
    struct mu_words words;
    enum mu_status st = mu_steer_verb_parse(&command, argc, argv, &words, &order);

    return st != MU_OK || words.help_shown ? st : mu_steer_ask(&order, MU_STEER_STOP);
}

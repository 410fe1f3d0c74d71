/* muster stop: thin; what it does is in orchestrator/steer/. */
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/steer/steer.h"

enum mu_status mu_cli_stop(int argc, char **argv)
{
    struct mu_steer_order order = {.timeout_s = MU_STEER_WAIT_S};
    const struct mu_option options[] = {
        MU_STEER_OPTIONS(order),
    };
    const struct mu_command command = {
        .usage = "muster stop RUN [options]",
        .about = "Ends the run in the folder RUN after the step under way, with a checkpoint: its "
                 "ranks end with exit code 75, and the same command goes on later. A launcher of "
                 "it ends, too. RUN may also be a sweep: then every trial stops with a checkpoint. "
                 "Waits until that is done and the run is free to be started again. Nothing is "
                 "written when nobody trains it (exit code 1).",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = 1,
    };
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    order.run = words.word[0];
    return mu_steer_ask(&order, MU_STEER_STOP);
}

/* muster checkpoint: thin; what it does is in orchestrator/steer/. */
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/steer/steer.h"

enum mu_status mu_cli_checkpoint(int argc, char **argv)
{
    struct mu_steer_order order = {.timeout_s = MU_STEER_WAIT_S};
    const struct mu_option options[] = {
        MU_STEER_OPTIONS(order),
    };
    const struct mu_command command = {
        .usage = "muster checkpoint RUN [options]",
        .about = "Has the run in the folder RUN write a checkpoint after the step under way, and "
                 "go on. Waits until it is written. Nothing is written when nobody trains it (exit "
                 "code 1).",
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
    return mu_steer_ask(&order, MU_STEER_CHECKPOINT);
}

#include "orchestrator/cli/steer_verb.h"

enum { WAIT_S = 60 };

enum mu_status mu_steer_verb_parse(const struct mu_command *command, int argc, char **argv,
                                   struct mu_words *words, struct mu_steer_order *order)
{
    const struct mu_option options[] = {
        {"timeout", "S", "wait at most S seconds for the answer (60)", .integer = &order->timeout_s,
         .least = 0, .most = 1e6},
        {"no-wait", NULL, "ask, and do not wait", .flag = &order->no_wait},
    };
    struct mu_command whole = *command;
    enum mu_status st;

    *order = (struct mu_steer_order){.timeout_s = WAIT_S};
    whole.options = options;
    whole.option_count = sizeof options / sizeof *options;
    whole.least_words = 1;
    st = mu_options_parse(&whole, argc, argv, words);
    if (st == MU_OK && !words->help_shown)
        order->run = words->word[0];
    return st;
}

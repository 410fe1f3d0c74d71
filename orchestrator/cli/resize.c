/* muster resize: thin; what it does is in orchestrator/steer/ and orchestrator/launch/resize.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "orchestrator/cli/steer_verb.h"
#include "orchestrator/cli/verbs.h"
#include "worker/board.h"

static enum mu_status refuse_without_number(const struct mu_command *command, const char *run)
{
    const int64_t ranks = mu_steer_ranks(run);

    if (ranks <= 0)
        return mu_options_refuse(command, "how many ranks? 'muster resize %s N'", run);
    return mu_options_refuse(
        command, "how many ranks? 'muster resize %s N'; it has %" PRId64 " now", run, ranks);
}

enum mu_status mu_cli_resize(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster resize RUN N [options]",
        .about =
            "Asks the launcher (`muster launch`) of the run or sweep in the directory RUN to go "
            "on with N ranks. At the next step boundary the ranks make way, and N go on from "
            "there: from the state in memory on one machine, else from a checkpoint. The result is "
            "the same, bit for bit. Waits until they train.",
        .most_words = 2,
    };
    struct mu_steer_order order;
    struct mu_words words;
    enum mu_status st = mu_steer_verb_parse(&command, argc, argv, &words, &order);
    long ranks;
    char *end;

    if (st != MU_OK || words.help_shown)
        return st;
    if (words.count == 1)
        return refuse_without_number(&command, order.run);
    ranks = strtol(words.word[1], &end, 10);
    if (end == words.word[1] || *end || ranks < 1 || ranks > MU_BOARD_RANKS)
        return mu_options_refuse(&command, "'%s' is not a number of ranks from 1 to %d",
                                 words.word[1], MU_BOARD_RANKS);
    return mu_steer_resize(&order, (uint32_t)ranks);
}

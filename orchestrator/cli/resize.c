#include <stdlib.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/launch/hold.h"
#include "orchestrator/launch/outcome.h"
#include "worker/board.h"

enum mu_status mu_cli_resize(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster resize RUN N",
        .about =
            "Asks the launcher (`muster launch`) of the run or sweep in the directory RUN to go on "
            "with N ranks. At the next step boundary the ranks make way, and N go on from there: "
            "from the state in memory on one machine, else from a checkpoint. The result is the "
            "same, bit for bit.",
        .least_words = 2,
        .most_words = 2,
    };
    char control[MU_PATH_MAX], *end;
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);
    bool is_sweep;
    long ranks;

    if (st != MU_OK || words.help_shown)
        return st;
    ranks = strtol(words.word[1], &end, 10);
    if (end == words.word[1] || *end || ranks < 1 || ranks > MU_BOARD_RANKS)
        return mu_options_refuse(&command, "'%s' is not a number of ranks from 1 to %d",
                                 words.word[1], MU_BOARD_RANKS);
    MU_TRY(mu_path_format(control, "%s/control", words.word[0]), st, failed);
    if (!mu_file_exists(control))
        return MU_FAIL(MU_NOT_FOUND,
                       "%s is not a run directory; expected its path, such as runs/NAME",
                       words.word[0]);
    is_sweep = mu_file_exists_in(words.word[0], "sweep.json");
    if (!mu_hold_is_taken(words.word[0]))
        return MU_FAIL(MU_FAILED,
                       "nobody would obey: no launcher has the %s %s. Start it with `muster launch "
                       "-n %ld %s ...`",
                       is_sweep ? "sweep" : "run", words.word[0], ranks,
                       is_sweep ? "sweep" : "train");
    MU_TRY(mu_resize_write(words.word[0], (uint32_t)ranks), st, failed);
    mu_log(MU_LOG_INFO, "asked for %ld ranks", ranks);
failed:
    return st;
}

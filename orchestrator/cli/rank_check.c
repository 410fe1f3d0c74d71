/* `muster rank-check`: for the ranks that `muster doctor` starts; not in --help. */
#include "orchestrator/doctor/rank_check.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"

enum mu_status mu_cli_rank_check(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster rank-check",
        .about = "Run by `muster doctor` under mpirun: the ranks meet, and one of them dies.",
    };
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    return st != MU_OK || words.help_shown ? st : mu_rank_check();
}

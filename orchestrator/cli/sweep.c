#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/sweep_run/sweep.h"
#include "worker/lease.h"

enum mu_status mu_cli_sweep(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster sweep SWEEP [KEY=VALUE]...\n"
                 "mpirun -n N muster sweep SWEEP [KEY=VALUE]...",
        .about =
            "Trains all trials of a sweep (`muster plan SWEEP` lists them) on the ranks of one "
            "job, several at a time, each as `muster train` would, with the same bits. Results are "
            "in run.dir/sweep.name: results.csv, report.html, trials/NAME. The same command again "
            "goes on where it was; what was added to the file since is trained as well. USR1, "
            "TERM, Ctrl-C or a file control/stop there: every trial stops with a checkpoint, exit "
            "code 75. Exit code 1: some trial has failed; one that diverged, or had not enough "
            "memory, is a result.",
        .least_words = 1,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    struct mu_sweep_request request;
    const char *rank = getenv("PMIX_RANK"); /* of mpirun */
    const bool is_silent = rank && strcmp(rank, "0") != 0;
    enum mu_status st;

    if (is_silent)
        mu_log_set_level(MU_LOG_SILENT); /* a mistake of the command line is told once */
    st = mu_options_parse(&command, argc, argv, &words);
    if (st == MU_OK)
        st = mu_fault_init();
    if (st == MU_OK && !words.help_shown && strchr(words.word[0], '=') &&
        !mu_file_exists(words.word[0]))
        st = mu_options_refuse(&command, "SWEEP is missing: the first word is %s", words.word[0]);
    mu_log_reset_level();
    if (st != MU_OK && is_silent)
        return MU_OK; /* rank 0 tells; when several fail, mpirun may end it unheard, or hang */
    if (st != MU_OK || words.help_shown)
        return st;
    MU_TRY(mu_lease_bind_process(), st, failed);
    request = (struct mu_sweep_request){words.word[0], words.word + 1, words.count - 1};
    st = mu_sweep_run(&request);
failed:
    return st;
}

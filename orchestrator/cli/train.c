#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/master/job.h"
#include "worker/lease.h"

enum mu_status mu_cli_train(int argc, char **argv)
{
    const struct mu_command command = {
        .usage = "muster train CONFIG [key=value...]\n"
                 "mpirun -n N muster train CONFIG [key=value...]",
        .about =
            "Trains what CONFIG describes; any key can be overridden (`muster config` lists "
            "them). The same command again goes on "
            "from the newest checkpoint, on any number of ranks, with the same bits. USR1, "
            "TERM, Ctrl-C or a file "
            "control/stop in the run directory: checkpoint at the next step, exit code 75. "
            "USR2: checkpoint and go on. Under mpirun give signals to it, which passes USR1 and "
            "USR2 on; Ctrl-C and TERM make it end the ranks half a second later.",
        .least_words = 1,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    struct mu_job_request request;
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
        st = mu_options_refuse(&command, "CONFIG is missing: the first word is %s", words.word[0]);
    mu_log_reset_level();
    if (st != MU_OK && is_silent)
        return MU_OK; /* rank 0 tells; when several fail, mpirun may end it unheard, or hang */
    if (st != MU_OK || words.help_shown)
        return st;
    MU_TRY(mu_lease_bind_process(), st, failed);
    request = (struct mu_job_request){words.word[0], words.word + 1, words.count - 1};
    st = mu_job_run(&request);
failed:
    return st;
}

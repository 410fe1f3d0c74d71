#include "orchestrator/cli/rank_verb.h"
#include "orchestrator/cli/train_options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/master/job.h"

enum mu_status mu_cli_train(int argc, char **argv)
{
    struct mu_job_request request = {0};
    const struct mu_option options[] = {MU_TRAIN_OPTIONS(request)};
    const struct mu_command command = {
        .usage = "muster train [options] CONFIG [key=value...]\n"
                 "mpirun -n N muster train [options] CONFIG [key=value...]",
        .about =
            "Trains what CONFIG describes; any key can be overridden (`muster config` lists "
            "them). The same command again goes on "
            "from the newest checkpoint, on any number of ranks, with the same bits. USR1, "
            "TERM, Ctrl-C or a file "
            "control/stop in the run directory: checkpoint at the next step, exit code 75. "
            "USR2: checkpoint and go on. Under mpirun give signals to it, which passes USR1 and "
            "USR2 on; Ctrl-C and TERM make it end the ranks half a second later.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    bool begins;
    enum mu_status st = mu_rank_verb_parse(&command, "CONFIG", argc, argv, &words, &begins);

    if (!begins && (st == MU_OK || !mu_rank_verb_has_parts()))
        return st;
    request.refused = st; /* the ranks of other parts wait in MPI_Init, and mpirun with them */
    if (begins) {
        request.config_path = words.word[0];
        request.overrides = words.word + 1;
        request.override_count = words.count - 1;
    }
    return mu_job_run(&request);
}

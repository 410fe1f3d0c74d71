#include "orchestrator/sweep_run/sweep.h"
#include "orchestrator/cli/rank_verb.h"
#include "orchestrator/cli/verbs.h"

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
    bool begins;
    enum mu_status st = mu_rank_verb_parse(&command, "SWEEP", argc, argv, &words, &begins);

    if (!begins)
        return st;
    request = (struct mu_sweep_request){words.word[0], words.word + 1, words.count - 1};
    return mu_sweep_run(&request);
}

#include "orchestrator/profile/profile.h"
#include "orchestrator/cli/rank_verb.h"
#include "orchestrator/cli/verbs.h"

enum mu_status mu_cli_profile(int argc, char **argv)
{
    struct mu_profile_request request = {.steps = 10, .warm_up = 3};
    const struct mu_option options[] = {
        {"steps", "N", "steps to time (10); as many are taken in between without timing",
         .integer = &request.steps, .least = 1, .most = 100000},
        {"warm-up", "N", "steps before (3)", .integer = &request.warm_up, .least = 1,
         .most = 100000},
        {"json", NULL, "print JSON", .flag = &request.json},
        {"trace", "FILE", "write the last timed step for ui.perfetto.dev, all ranks",
         .text = &request.trace_path},
    };
    const struct mu_command command = {
        .usage = "muster profile CONFIG [key=value...] [options]\n"
                 "mpirun -n N muster profile CONFIG [key=value...] [options]",
        .about =
            "Tells where the time of a step goes: each operation's ms, and its rate as a share of "
            "what the matrix products and the memory of this machine reach, measured at the "
            "start. Takes steps of the run that CONFIG describes, without evaluations and "
            "checkpoints, in a folder of its own under TMPDIR (/tmp) that is removed: nothing is "
            "written into the run's. The bits are the run's.\n\n"
            "FLOPs are those of matrix products; bytes are each operand's, once, also where they "
            "come from a cache: then it may be more than 100 %. An operation is "
            "near \"compute\" or \"memory\" from half of that rate on, else \"overhead\". What "
            "nothing accounts for has its own line: the lines add up to the step.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = INT_MAX,
    };
    struct mu_words words;
    bool begins;
    enum mu_status st = mu_rank_verb_parse(&command, "CONFIG", argc, argv, &words, &begins);

    if (!begins)
        return st;
    request.config_path = words.word[0];
    request.overrides = words.word + 1;
    request.override_count = words.count - 1;
    return mu_profile_run(&request);
}

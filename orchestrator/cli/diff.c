/* muster diff: where two runs or checkpoints part. Reads only. */
#include <stdio.h>

#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/compare/compare.h"
#include "orchestrator/run/json_values.h"

enum mu_status mu_cli_diff(int argc, char **argv)
{
    bool json = false, all = false;
    const struct mu_option options[] = {
        {"all", NULL, "every tensor that differs, with its moments and predictions", .flag = &all},
        {"json", NULL, "one JSON object instead of text", .flag = &json},
    };
    const struct mu_command command = {
        .usage = "muster diff [options] A B",
        .about =
            "Tells where two runs or checkpoints part. Of two runs: the first recorded step at "
            "which a state hash or a loss differs, then, in the checkpoints that both have, which "
            "tensors differ and how far, which configuration keys, and whether both were computed "
            "under one fingerprint. Of a run and a checkpoint: the run's checkpoint of that step, "
            "or its newest. A step that a run recorded again after a restart counts as it was "
            "recorded last.\n\n"
            "Bits are compared: a NaN is equal to itself, -0 is not 0. Keys and fingerprints that "
            "differ are shown, and are no difference.\n\n"
            "Ends with 0 when both have the same bits, as far as they tell; 1 when they differ, or "
            "when one run ends before the other; 2 when they could not be compared: one is missing "
            "or damaged ('muster verify' tells), or they have no step in common; 64 for a wrong "
            "command line.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 2,
        .most_words = 2};
    struct mu_compared compared;
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    st = mu_compare(words.word[0], words.word[1], &compared);
    if (st == MU_USAGE || st == MU_INTERNAL)
        return st;
    if (st != MU_OK)
        return MU_UNCOMPARED;
    if (json)
        st = mu_json_write(stdout, mu_compared_json(&compared), "both");
    else
        mu_compared_print(&compared, all, stdout);
    if (st != MU_OK)
        st = MU_UNCOMPARED;
    else if (compared.result == MU_DIFFERENT)
        st = MU_DIFFER;
    mu_compared_deinit(&compared);
    return st;
}

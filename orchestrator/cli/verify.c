/* muster verify: whether what a run left is whole. Reads only. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#include "orchestrator/cli/options.h"
#include "orchestrator/cli/verbs.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/verify/verify.h"

static enum mu_status print_json(const struct mu_verify *v, const char *path)
{
    json_t *object =
        json_pack("{s:s, s:s, s:b, s:b, s:I, s:I, s:O}", "kind", "verify", "path", path, "deep",
                  v->deep, "good", v->damaged == 0, "damaged", (json_int_t)v->damaged, "notes",
                  (json_int_t)v->notes, "findings", v->findings);

    return mu_json_write(stdout, object, path);
}

enum mu_status mu_cli_verify(int argc, char **argv)
{
    struct mu_verify v = {.out = stdout};
    bool json = false;
    const struct mu_option options[] = {
        {"deep", NULL,
         "read every number: verify each block's checksum, compute each state hash again",
         .flag = &v.deep},
        {"json", NULL, "one JSON object instead of lines", .flag = &json},
    };
    const struct mu_command command = {
        .usage = "muster verify [options] PATH",
        .about =
            "Checks whether the files of a checkpoint, a run, a sweep with all its trials, or a "
            "folder of runs are whole and fit together: configuration, status, metrics, journal, "
            "and the parts of each checkpoint. A line a thing: good; a note, which is no damage "
            "(what a crash left, and the next start clears away); or DAMAGED, with what to do.\n\n"
            "Reads a megabyte at a time, however large the model is, and changes nothing. Ends "
            "with 0 when all is good, 1 when something is damaged or missing.",
        .options = options,
        .option_count = sizeof options / sizeof *options,
        .least_words = 1,
        .most_words = 1};
    struct mu_words words;
    enum mu_status st = mu_options_parse(&command, argc, argv, &words);

    if (st != MU_OK || words.help_shown)
        return st;
    if (json) {
        v.out = NULL;
        v.findings = json_array();
    }
    st = mu_verify_path(&v, words.word[0]);
    if (st == MU_OK && json)
        st = print_json(&v, words.word[0]);
    else if (st == MU_OK && v.damaged == 0)
        printf("%s: all good\n", words.word[0]);
    if (st == MU_OK && v.damaged > 0)
        st = MU_FAIL(MU_CORRUPT, "%s: %" PRIu64 " finding%s of damage", words.word[0], v.damaged,
                     v.damaged == 1 ? "" : "s");
    json_decref(v.findings);
    return st;
}

#include "orchestrator/launch/outcome.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/run_dir.h"
#include "worker/checkpoint/checkpoint.h"

static int64_t number_of(const json_t *status, const char *key)
{
    const json_t *value = json_object_get(status, key);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}

struct mu_outcome mu_outcome_read(const char *run, const char *job)
{
    struct mu_outcome out = {.step = -1, .steps = -1, .dead_rank = -1};
    const char *word;
    json_t *status;

    if (mu_run_dir_read_status(run, &status, &out.signs) != MU_OK || !status)
        return out;
    word = mu_json_get_text(status, "outcome");
    out.is_there = true;
    out.step = number_of(status, "step");
    out.steps = number_of(status, "steps");
    out.is_of_job = strcmp(mu_json_get_text(status, "launch"), job) == 0;
    if (out.is_of_job) {
        const char *message = mu_json_get_text(status, "message");

        out.is_running = strcmp(mu_json_get_text(status, "state"), "starting") != 0;
        out.was_stopped = strcmp(word, "requeue") == 0 &&
                          (strstr(message, "(muster stop") || strstr(message, "(control/stop"));
        out.agreed = json_is_true(json_object_get(status, "agreed"));
        if (sscanf(message, "rank %d died", &out.dead_rank) != 1)
            out.dead_rank = -1;
        out.outcome = strcmp(word, "complete") == 0  ? MU_LADDER_COMPLETE
                      : strcmp(word, "requeue") == 0 ? MU_LADDER_REQUEUE
                      : strcmp(word, "failed") == 0  ? MU_LADDER_FAILED
                                                     : MU_LADDER_NOTHING;
    }
    json_decref(status);
    return out;
}

int64_t mu_outcome_saved(const char *run)
{
    char path[MU_PATH_MAX];
    int64_t *steps = NULL, newest = 0;
    uint32_t count = 0;

    if (mu_path_format(path, "%s/checkpoints", run) == MU_OK &&
        mu_checkpoint_list(path, &steps, &count) == MU_OK && count > 0)
        newest = steps[count - 1];
    free(steps);
    return newest;
}

#include "orchestrator/launch/outcome.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "worker/checkpoint/checkpoint.h"

enum { STATUS_MAX = 1 << 20 };

static json_t *read_json(const char *run, uint64_t *signs)
{
    char path[MU_PATH_MAX], *text = NULL;
    json_t *status = NULL;
    size_t size = 0;

    if (mu_path_format(path, "%s/status.json", run) == MU_OK &&
        mu_file_read(path, STATUS_MAX, &text, &size) == MU_OK)
        status = json_loads(text, 0, NULL);
    *signs = mu_hash_bytes(text ? text : "", size, 0).low;
    free(text);
    return status;
}

static const char *text_of(const json_t *status, const char *key)
{
    const char *text = json_string_value(json_object_get(status, key));

    return text ? text : "";
}

static int64_t number_of(const json_t *status, const char *key)
{
    const json_t *value = json_object_get(status, key);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}

struct mu_outcome mu_outcome_read(const char *run, const char *job)
{
    struct mu_outcome out = {.step = -1, .steps = -1, .dead_rank = -1};
    json_t *status = read_json(run, &out.signs);
    const char *word = text_of(status, "outcome");

    if (!status)
        return out;
    out.is_there = true;
    out.step = number_of(status, "step");
    out.steps = number_of(status, "steps");
    out.is_of_job = strcmp(text_of(status, "launch"), job) == 0;
    if (out.is_of_job) {
        out.is_running = strcmp(text_of(status, "state"), "starting") != 0;
        out.was_stopped =
            strcmp(word, "requeue") == 0 && (strstr(text_of(status, "message"), "(muster stop") ||
                                             strstr(text_of(status, "message"), "(control/stop"));
        out.agreed = json_is_true(json_object_get(status, "agreed"));
        if (sscanf(text_of(status, "message"), "rank %d died", &out.dead_rank) != 1)
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

#include "orchestrator/launch/outcome.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/sweep_run/records.h"
#include "worker/checkpoint/checkpoint.h"

static int64_t number_of(const json_t *status, const char *key)
{
    const json_t *value = json_object_get(status, key);

    return json_is_integer(value) ? json_integer_value(value) : -1;
}

static enum mu_ladder_outcome outcome_of(const json_t *status)
{
    const char *word = mu_json_get_text(status, "outcome");

    return strcmp(word, "complete") == 0  ? MU_LADDER_COMPLETE
           : strcmp(word, "requeue") == 0 ? MU_LADDER_REQUEUE
           : strcmp(word, "failed") == 0  ? MU_LADDER_FAILED
                                          : MU_LADDER_NOTHING;
}

static bool is_stopped_by_request(const json_t *status)
{
    return outcome_of(status) == MU_LADDER_REQUEUE &&
           strcmp(mu_json_get_text(status, "stopped_by"),
                  mu_run_stopper_word(MU_STOPPED_BY_REQUEST)) == 0;
}

/* It is written again every second, whatever happens: times are no sign of life of the trials. */
static uint64_t signs_of_sweep(const json_t *status)
{
    const json_t *one;
    uint64_t signs = 1;
    const char *key;
    size_t i;

    json_object_foreach((json_t *)(uintptr_t)json_object_get(status, "phases"), key, one) signs =
        signs * 31 + (uint64_t)json_integer_value(one);
    json_array_foreach(json_object_get(status, "live"), i, one) signs =
        signs * 31 + (uint64_t)mu_json_get_integer(one, "step");
    return signs;
}

static struct mu_outcome read_sweep(const char *path, const char *job)
{
    struct mu_outcome out = {.step = -1, .steps = -1, .dead_rank = -1, .left_s = NAN};
    json_t *status = NULL;

    if (!mu_file_exists_in(path, "sweep.json") || mu_sweep_read_status(path, &status) != MU_OK)
        return out;
    out.is_there = true;
    out.left_s = mu_json_get_real(status, "eta");
    out.signs = signs_of_sweep(status);
    out.is_of_job = strcmp(mu_json_get_text(status, "launch"), job) == 0;
    if (out.is_of_job) {
        out.is_running = true; /* it is not written before the ranks have met */
        out.outcome = outcome_of(status);
        out.agreed = out.outcome == MU_LADDER_FAILED;
        out.was_stopped = is_stopped_by_request(status);
    }
    json_decref(status);
    return out;
}

struct mu_outcome mu_outcome_read(const char *run, const char *job)
{
    struct mu_outcome out = {.step = -1, .steps = -1, .dead_rank = -1, .left_s = NAN};
    json_t *status;

    if (mu_run_dir_read_status(run, &status, &out.signs) != MU_OK || !status)
        return read_sweep(run, job);
    out.is_there = true;
    out.step = number_of(status, "step");
    out.steps = number_of(status, "steps");
    out.is_of_job = strcmp(mu_json_get_text(status, "launch"), job) == 0;
    if (out.is_of_job) {
        out.is_running = strcmp(mu_json_get_text(status, "state"), "starting") != 0;
        out.was_stopped = is_stopped_by_request(status);
        out.agreed = json_is_true(json_object_get(status, "agreed"));
        out.dead_rank = (int)number_of(status, "dead_rank");
        out.outcome = outcome_of(status);
    }
    json_decref(status);
    return out;
}

int64_t mu_outcome_saved(const char *run)
{
    char path[MU_PATH_MAX];
    int64_t *steps = NULL, newest = 0;
    uint32_t count = 0;

    if (mu_path_format(path, "%s/checkpoints", run) == MU_OK && mu_file_exists(path) &&
        mu_checkpoint_list(path, &steps, &count) == MU_OK && count > 0)
        newest = steps[count - 1];
    free(steps);
    return newest;
}

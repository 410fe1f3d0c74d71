#include "orchestrator/launch/outcome.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/sweep_run/records.h"
#include "worker/board.h"
#include "worker/checkpoint/checkpoint.h"

enum { STATUS_MAX = 1 << 20, RESIZE_MAX = 64 };

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
        signs * 31 + (uint64_t)json_integer_value(json_object_get(one, "step"));
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
    }
    json_decref(status);
    return out;
}

struct mu_outcome mu_outcome_read(const char *run, const char *job)
{
    struct mu_outcome out = {.step = -1, .steps = -1, .dead_rank = -1, .left_s = NAN};
    json_t *status = read_json(run, &out.signs);

    if (!status)
        return read_sweep(run, job);
    out.is_there = true;
    out.step = number_of(status, "step");
    out.steps = number_of(status, "steps");
    out.is_of_job = strcmp(mu_json_get_text(status, "launch"), job) == 0;
    if (out.is_of_job) {
        out.is_running = strcmp(mu_json_get_text(status, "state"), "starting") != 0;
        out.agreed = json_is_true(json_object_get(status, "agreed"));
        if (sscanf(mu_json_get_text(status, "message"), "rank %d died", &out.dead_rank) != 1)
            out.dead_rank = -1;
        out.outcome = outcome_of(status);
    }
    json_decref(status);
    return out;
}

static enum mu_status request_path(const char *run, const char *what, char out[MU_PATH_MAX])
{
    return mu_path_format(out, "%s/control/%s", run, what);
}

static void clear(const char *run, const char *what)
{
    char path[MU_PATH_MAX];

    if (request_path(run, what, path) == MU_OK && unlink(path) != 0 && errno != ENOENT)
        mu_log(MU_LOG_WARN, "cannot remove %s: %s; remove it, or it is obeyed again", path,
               strerror(errno));
}

uint32_t mu_resize_read(const char *run)
{
    char path[MU_PATH_MAX], *text = NULL, *end;
    unsigned long ranks = 0;
    size_t size;

    if (request_path(run, MU_REQUEST_RESIZE, path) != MU_OK || access(path, F_OK) != 0 ||
        mu_file_read(path, RESIZE_MAX, &text, &size) != MU_OK)
        return 0;
    ranks = strtoul(text, &end, 10);
    if (end == text || (*end && *end != '\n') || ranks == 0 || ranks > MU_BOARD_RANKS) {
        mu_log(MU_LOG_WARN, "%s does not hold a number of ranks from 1 to %d: removed", path,
               MU_BOARD_RANKS);
        unlink(path);
        ranks = 0;
    }
    free(text);
    return (uint32_t)ranks;
}

void mu_resize_clear(const char *run)
{
    clear(run, MU_REQUEST_RESIZE);
}

enum mu_status mu_resize_write(const char *run, uint32_t ranks)
{
    char path[MU_PATH_MAX], text[16];
    enum mu_status st = request_path(run, MU_REQUEST_RESIZE, path);
    int n = snprintf(text, sizeof text, "%u\n", ranks);

    return st == MU_OK ? mu_file_write_atomically(path, text, (size_t)n) : st;
}

enum mu_status mu_relaunch_ask(const char *run)
{
    char path[MU_PATH_MAX];
    enum mu_status st = request_path(run, MU_REQUEST_RELAUNCH, path);

    return st == MU_OK ? mu_file_write_atomically(path, "", 0) : st;
}

void mu_relaunch_clear(const char *run)
{
    clear(run, MU_REQUEST_RELAUNCH);
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

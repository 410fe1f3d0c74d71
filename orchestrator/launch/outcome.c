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
#include "orchestrator/run/run_dir.h"
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

    if (mu_path_format(path, "%s/checkpoints", run) == MU_OK &&
        mu_checkpoint_list(path, &steps, &count) == MU_OK && count > 0)
        newest = steps[count - 1];
    free(steps);
    return newest;
}

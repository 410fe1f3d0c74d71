#include "orchestrator/launch/resize.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/steer/request.h"
#include "worker/board.h"

enum { RESIZE_MAX = 64 };

static enum mu_status request_path(const char *run, const char *what, char out[MU_PATH_MAX])
{
    return mu_path_format(out, "%s/control/%s", run, what);
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
    mu_run_dir_unask(run, MU_REQUEST_RESIZE);
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
    mu_run_dir_unask(run, MU_REQUEST_RELAUNCH);
}

void mu_requests_drop(const char *run)
{
    char names[MU_STEER_MOST][MU_STEER_NAME_MAX], why[MU_STEER_WHY_MAX];
    const uint32_t count = mu_steer_names(run, names, MU_STEER_MOST);
    struct mu_steer_request r;

    for (uint32_t i = 0; i < count; i++) {
        if (!mu_steer_read(run, names[i], &r, why) || (double)r.made_s > mu_clock_date_s() - 2)
            continue; /* asked of this one, as soon as it had the run; or for the ranks to name */
        mu_log(MU_LOG_WARN, "%s was asked for by %s before this launch: not done",
               mu_steer_word(r.kind), r.by[0] ? r.by : "a file in control");
        mu_run_dir_unask(run, r.name);
    }
}

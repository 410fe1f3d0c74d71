#include "orchestrator/inspect/found.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/run/no_path.h"
#include "orchestrator/run/which_checkpoint.h"
#include "worker/checkpoint/checkpoint.h"

bool mu_found_is_run(const char *folder)
{
    return mu_file_exists_in(folder, "checkpoints") || mu_file_exists_in(folder, "status.json");
}

static bool is_checkpoint(const char *folder)
{
    return mu_checkpoint_is_published(folder) || mu_file_exists_in(folder, "part-00000.h5");
}

/* A folder of which one is a run or a sweep. */
static enum mu_status holds_runs(const char *path, bool *out)
{
    enum mu_status st = MU_OK;
    struct dirent *entry;
    DIR *dir = opendir(path);

    *out = false;
    if (!dir)
        return MU_FAIL(MU_FAILED, "cannot read %s: %s", path, strerror(errno));
    while (st == MU_OK && !*out && (entry = readdir(dir))) {
        char inside[MU_PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        st = mu_path_format(inside, "%s/%s", path, entry->d_name);
        *out = st == MU_OK && (mu_file_exists_in(inside, "status.json") ||
                               mu_file_exists_in(inside, "sweep.json"));
    }
    closedir(dir);
    return st;
}

static enum mu_status look_into(const char *folder, enum mu_found *out)
{
    int64_t *steps = NULL;
    uint32_t count = 0;
    bool runs = false;
    enum mu_status st = MU_OK;

    if (is_checkpoint(folder))
        *out = MU_FOUND_CHECKPOINT;
    else if (mu_file_exists_in(folder, "sweep.json"))
        *out = MU_FOUND_SWEEP;
    else if (mu_found_is_run(folder))
        *out = MU_FOUND_RUN;
    else {
        MU_TRY(mu_checkpoint_list(folder, &steps, &count), st, done);
        MU_TRY(holds_runs(folder, &runs), st, done);
        *out = count > 0 ? MU_FOUND_CHECKPOINTS : runs ? MU_FOUND_RUNS : MU_FOUND_OTHER;
    }
done:
    free(steps);
    return st;
}

enum mu_status mu_found_at(const char *path, enum mu_found *out, char folder[MU_PATH_MAX])
{
    char step[MU_PATH_MAX];
    const char *name;
    struct stat s;
    enum mu_status st;

    if (mu_which_step(path, step))
        path = step;
    name = strrchr(path, '/');
    name = name ? name + 1 : path;
    st = mu_path_format(folder, "%s", path);
    *out = MU_FOUND_NOTHING;
    if (st != MU_OK || stat(path, &s) != 0)
        return st;
    if (S_ISDIR(s.st_mode)) {
        mu_path_trim(folder);
        return look_into(folder, out);
    }
    *out = MU_FOUND_FILE;
    if (strcmp(name, "checkpoint.h5") != 0 && strncmp(name, "part-", 5) != 0)
        return MU_OK;
    mu_path_go_up(folder);
    if (strcmp(name, "checkpoint.h5") == 0)
        *out = MU_FOUND_CHECKPOINT;
    else if (is_checkpoint(folder))
        *out = MU_FOUND_PART;
    return MU_OK;
}

enum mu_status mu_found_nothing(const char *path)
{
    struct mu_checkpoint_info info = {0};
    char folder[MU_PATH_MAX];
    enum mu_status st =
        mu_which_step(path, folder) ? mu_which_checkpoint(path, folder, &info) : MU_OK;

    mu_checkpoint_info_deinit(&info);
    return st == MU_OK ? mu_no_path(path, "") : st;
}

enum mu_status mu_found_no_checkpoint(const char *folder)
{
    return MU_FAIL(MU_NOT_FOUND,
                   "%s has no checkpoint.h5: it is not a checkpoint, or was never finished",
                   folder);
}

const char *mu_found_expected(void)
{
    return "expected a checkpoint (checkpoint.h5), a run directory (checkpoints/, status.json), a "
           "folder of them, a sweep's (sweep.json), or checkpoints (step-...)";
}

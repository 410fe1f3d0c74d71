#include "orchestrator/run/aside.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/run_dir.h"
#include "worker/checkpoint/checkpoint.h"

enum { MOST_NAMES = 10000, COPY_MAX = 1 << 30 };

static enum mu_status move_whole(const char *path, char aside[MU_PATH_MAX])
{
    enum mu_status st = MU_OK;

    for (int number = 1; number < MOST_NAMES; number++) {
        MU_TRY(mu_path_format(aside, "%s.%d", path, number), st, failed);
        if (mu_file_exists(aside))
            continue;
        return mu_file_rename_durably(path, aside);
    }
    st = MU_FAIL(MU_FAILED, "%s.1 to .%d are all there: remove some", path, MOST_NAMES - 1);
failed:
    return st;
}

static bool is_restarted_by_slurm(void)
{
    const char *count = getenv("SLURM_RESTART_COUNT");

    return count && atoi(count) > 0;
}

enum mu_status mu_run_aside_for_fresh(const char *path)
{
    char plain[MU_PATH_MAX], aside[MU_PATH_MAX];
    struct mu_run_dir *dir = NULL;
    enum mu_status st = mu_path_format(plain, "%s", path);

    if (st != MU_OK || !mu_file_exists_in(path, "config.cfg"))
        return st;
    if (is_restarted_by_slurm()) {
        mu_log(MU_LOG_INFO, "--fresh: Slurm has started this job again: going on with %s", path);
        return MU_OK;
    }
    mu_path_trim(plain);
    MU_TRY(mu_run_dir_lock(plain, &dir), st, failed);
    st = move_whole(plain, aside);
    mu_run_dir_close(dir);
    if (st == MU_OK)
        mu_log(MU_LOG_INFO, "--fresh: the run that was in %s is in %s now", plain, aside);
failed:
    return st;
}

/* ---- an end ---------------------------------------------------------------------------------- */

static const char *const files[] = {"config.cfg",  "status.json", "metrics.jsonl",
                                    "metrics.csv", "loss.svg",    "parent.json"};
static const char *const folders[] = {"journal", "tb"};

/* What is not there is not copied. */
static enum mu_status copy_file(const char *from, const char *to)
{
    char *data = NULL;
    size_t size = 0;
    enum mu_status st = mu_file_read(from, COPY_MAX, &data, &size);

    if (st == MU_NOT_FOUND)
        return MU_OK;
    if (st == MU_OK)
        st = mu_file_write_durably(to, data, size);
    free(data);
    return st;
}

static enum mu_status copy_in(const char *from, const char *to, const char *name)
{
    char source[MU_PATH_MAX], target[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(mu_path_format(source, "%s/%s", from, name), st, failed);
    MU_TRY(mu_path_format(target, "%s/%s", to, name), st, failed);
    st = copy_file(source, target);
failed:
    return st;
}

static enum mu_status copy_folder(const char *from, const char *to, const char *name)
{
    char source[MU_PATH_MAX], target[MU_PATH_MAX];
    struct dirent *entry;
    DIR *dir = NULL;
    enum mu_status st;

    MU_TRY(mu_path_format(source, "%s/%s", from, name), st, failed);
    MU_TRY(mu_path_format(target, "%s/%s", to, name), st, failed);
    MU_TRY(mu_file_make_folders(target), st, failed);
    dir = opendir(source);
    while (dir && st == MU_OK && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            st = copy_in(source, target, entry->d_name);
failed:
    if (dir)
        closedir(dir);
    return st;
}

static enum mu_status fill(const char *path, const char *into)
{
    char checkpoints[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", into), st, failed);
    MU_TRY(mu_file_make_folders(checkpoints), st, failed);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        MU_TRY(copy_in(path, into, files[i]), st, failed);
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        MU_TRY(copy_folder(path, into, folders[i]), st, failed);
failed:
    return st;
}

static bool holds_same(const char *a, const char *b, const char *name)
{
    char path[2][MU_PATH_MAX], *data[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    bool same = mu_path_format(path[0], "%s/%s", a, name) == MU_OK &&
                mu_path_format(path[1], "%s/%s", b, name) == MU_OK &&
                mu_file_read(path[0], COPY_MAX, &data[0], &size[0]) == MU_OK &&
                mu_file_read(path[1], COPY_MAX, &data[1], &size[1]) == MU_OK &&
                size[0] == size[1] && memcmp(data[0], data[1], size[0]) == 0;

    free(data[0]);
    free(data[1]);
    return same;
}

/* The name of this end: one that is free, or that of an attempt which did not come further. */
static enum mu_status name_end(const char *path, int64_t last, char aside[MU_PATH_MAX],
                               bool *is_filled)
{
    enum mu_status st = MU_OK;

    for (int number = 1; number < MOST_NAMES; number++) {
        if (number == 1)
            MU_TRY(mu_path_format(aside, "%s/ended-%08" PRId64, path, last), st, failed);
        else
            MU_TRY(mu_path_format(aside, "%s/ended-%08" PRId64 ".%d", path, last, number), st,
                   failed);
        *is_filled = mu_file_exists(aside);
        if (!*is_filled ||
            (holds_same(path, aside, "config.cfg") && holds_same(path, aside, "metrics.jsonl")))
            return MU_OK;
    }
    st = MU_FAIL(MU_FAILED, "%s is there already, and so are %d more: remove some", aside,
                 MOST_NAMES - 2);
failed:
    return st;
}

static enum mu_status move_checkpoints(const char *path, const char *into, int64_t step)
{
    char own[MU_PATH_MAX], theirs[MU_PATH_MAX], from[MU_PATH_MAX], to[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st;

    MU_TRY(mu_path_format(own, "%s/checkpoints", path), st, done);
    MU_TRY(mu_path_format(theirs, "%s/checkpoints", into), st, done);
    MU_TRY(mu_checkpoint_list(own, &steps, &count), st, done);
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i] <= step)
            continue;
        MU_TRY(mu_checkpoint_folder(from, own, steps[i]), st, done);
        MU_TRY(mu_checkpoint_folder(to, theirs, steps[i]), st, done);
        MU_TRY(mu_file_rename_durably(from, to), st, done);
    }
done:
    free(steps);
    return st;
}

enum mu_status mu_run_aside_end(const char *path, int64_t step, int64_t last,
                                char aside[MU_PATH_MAX])
{
    char unfinished[MU_PATH_MAX];
    bool is_filled;
    enum mu_status st;

    MU_TRY(name_end(path, last, aside, &is_filled), st, failed);
    if (!is_filled) {
        MU_TRY(mu_path_format(unfinished, "%s/.ended.tmp", path), st, failed);
        MU_TRY(mu_file_remove_tree(unfinished), st, failed);
        MU_TRY(fill(path, unfinished), st, failed);
        MU_TRY(mu_file_rename_durably(unfinished, aside), st, failed);
    }
    st = move_checkpoints(path, aside, step);
failed:
    return st;
}

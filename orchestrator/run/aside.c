#include "orchestrator/run/aside.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

bool mu_run_aside_was_done(void)
{
    const char *count = getenv("SLURM_RESTART_COUNT");

    return count && atoi(count) > 0;
}

enum mu_status mu_run_aside_leaves(const char *path, const char *checkpoint)
{
    char *run = realpath(path, NULL);
    const size_t n = run ? strlen(run) : 0;
    const bool is_within = n > 0 && strncmp(checkpoint, run, n) == 0 && checkpoint[n] == '/' &&
                           !mu_run_aside_was_done();

    free(run);
    return !is_within ? MU_OK
                      : MU_FAIL(MU_CONFIG,
                                "--fresh would put aside %s, and with it %s, which --from names: "
                                "give the new run another run.name",
                                path, checkpoint);
}

enum mu_status mu_run_aside_for_fresh(const char *path)
{
    char plain[MU_PATH_MAX], aside[MU_PATH_MAX];
    struct mu_run_dir *dir = NULL;
    bool is_there;
    enum mu_status st = mu_path_format(plain, "%s", path);

    if (st != MU_OK || !mu_file_exists_in(path, "config.cfg"))
        return st;
    if (mu_run_aside_was_done()) {
        mu_log(MU_LOG_INFO, "--fresh: Slurm has started this job again: going on with %s", path);
        return MU_OK;
    }
    mu_path_trim(plain);
    MU_TRY(mu_run_dir_lock(plain, &dir), st, failed);
    is_there = mu_file_exists_in(plain, "config.cfg"); /* or somebody else was quicker */
    if (is_there)
        st = move_whole(plain, aside);
    mu_run_dir_close(dir);
    if (st == MU_OK && is_there)
        mu_log(MU_LOG_INFO, "--fresh: the run that was in %s is in %s now", plain, aside);
failed:
    return st;
}

/* ---- an end ---------------------------------------------------------------------------------- */

static const char *const files[] = {"config.cfg",  "status.json", "metrics.jsonl",
                                    "metrics.csv", "loss.svg",    "parent.json"};
static const char *const folders[] = {"journal", "tb"};
static const char unfinished_end[] = ".ended.tmp";

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

/* NAME.tmp.PID (base/file.h), of a file that only the run's master writes. */
static bool is_half(const char *name)
{
    static const char *const own[] = {"config.cfg", "parent.json", ".id",
                                      "choices",    "ranks.json",  ".parent"};
    static const char tmp[] = ".tmp.";

    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        const size_t n = strlen(own[i]);

        if (strncmp(name, own[i], n) == 0 && strncmp(name + n, tmp, sizeof tmp - 1) == 0)
            return true;
    }
    return strcmp(name, unfinished_end) == 0;
}

enum mu_status mu_run_aside_tidy(const char *path)
{
    char half[MU_PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(path);
    enum mu_status st = MU_OK;

    while (dir && st == MU_OK && (entry = readdir(dir))) {
        if (!is_half(entry->d_name))
            continue;
        MU_TRY(mu_path_format(half, "%s/%s", path, entry->d_name), st, failed);
        st = mu_file_remove_tree(half);
    }
failed:
    if (dir)
        closedir(dir);
    return st;
}

enum mu_status mu_run_aside_end(const char *path, int64_t step, int64_t last,
                                char aside[MU_PATH_MAX])
{
    char unfinished[MU_PATH_MAX];
    bool is_filled;
    enum mu_status st;

    MU_TRY(name_end(path, last, aside, &is_filled), st, failed);
    MU_TRY(mu_run_aside_tidy(path), st, failed);
    if (!is_filled) {
        MU_TRY(mu_path_format(unfinished, "%s/%s", path, unfinished_end), st, failed);
        st = fill(path, unfinished);
        if (st == MU_OK)
            st = mu_file_rename_durably(unfinished, aside);
    }
    if (st == MU_OK)
        return move_checkpoints(path, aside, step);
    if (mu_run_aside_tidy(path) != MU_OK) /* the first error is the one to keep */
        mu_log(MU_LOG_WARN, "%s/%s is of no use: it may be removed", path, unfinished_end);
failed:
    return st;
}

/* ---- a start that failed --------------------------------------------------------------------- */

static void remove_in(const char *path, const char *name, int (*how)(const char *))
{
    char full[MU_PATH_MAX];

    if (mu_path_format(full, "%s/%s", path, name) == MU_OK && how(full) != 0 && errno != ENOENT)
        mu_log(MU_LOG_DEBUG, "cannot remove %s: %s", full, strerror(errno));
}

static bool is_empty(const char *path, const char *name)
{
    char full[MU_PATH_MAX];
    struct dirent *entry;
    DIR *dir = mu_path_format(full, "%s/%s", path, name) == MU_OK ? opendir(full) : NULL;
    bool empty = true;

    while (dir && (entry = readdir(dir)))
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    if (dir)
        closedir(dir);
    return empty;
}

void mu_run_aside_forget(const char *path)
{
    static const char *const made[] = {"parent.json", "status.json", "prometheus.prom",
                                       "choices",     ".id",         ".lock"};
    static const char *const empty[] = {"journal", "control", "checkpoints", "tb"};
    char held[MU_PATH_MAX];
    struct mu_run_dir *dir = NULL;
    bool is_whole = mu_run_dir_lock(path, &dir) == MU_OK &&
                    !mu_file_exists_in(path, "config.cfg") &&
                    !mu_file_exists_in(path, "launch.lock");

    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        is_whole = is_whole && is_empty(path, empty[i]);
    for (size_t i = 0; is_whole && i < sizeof empty / sizeof *empty; i++)
        remove_in(path, empty[i], rmdir);
    for (size_t i = 0; is_whole && i < sizeof made / sizeof *made; i++)
        remove_in(path, made[i], unlink);
    if (is_whole && mu_path_format(held, "%s/parent", path) == MU_OK &&
        mu_file_remove_tree(held) != MU_OK)
        mu_log(MU_LOG_DEBUG, "cannot remove %s", held);
    if (is_whole)
        (void)rmdir(path); /* not when somebody has put something there */
    mu_run_dir_close(dir);
}

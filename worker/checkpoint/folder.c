/* The folder of checkpoints: names, which one is the newest good one, and what may go.
 *
 * A checkpoint is removed so that at no moment a folder looks whole that is not: checkpoint.h5
 * first, durably, then the rest. Only folders whose names are exactly those that
 * mu_checkpoint_folder gives are ever touched. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/disk.h"
#include "orchestrator/base/log.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/checkpoint/format.h"

static void folder_name(char out[32], int64_t step)
{
    snprintf(out, 32, "step-%08" PRId64, step);
}

enum mu_status mu_checkpoint_folder(char out[MU_PATH_MAX], const char *checkpoints, int64_t step)
{
    char name[32];

    folder_name(name, step);
    return mu_path_format(out, "%s/%s", checkpoints, name);
}

uint64_t mu_checkpoint_bytes(const struct mu_layout *layout)
{
    uint64_t bytes = 1 << 16;

    for (uint32_t i = 0; i < layout->tensor_count; i++)
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
            bytes += layout->tensors[i].spec.rows * mu_array_row_bytes(a, &layout->tensors[i]);
    return bytes;
}

enum mu_status mu_checkpoint_check_space(const char *folder, const struct mu_layout *layout)
{
    const uint64_t need = mu_checkpoint_bytes(layout);
    struct mu_disk disk;
    const int error = mu_disk_look(folder, &disk);

    if (error != 0)
        return MU_FAIL(MU_FAILED, "cannot write a checkpoint to %s: %s", folder, strerror(error));
    if (disk.total_bytes > 0 && disk.free_bytes < need)
        return MU_FAIL(MU_FAILED, "%s: a checkpoint needs %.1f MB and the disk has %.1f MB left",
                       folder, (double)need * 1e-6, (double)disk.free_bytes * 1e-6);
    return MU_OK;
}

enum mu_status mu_checkpoint_sync(const char *path, const struct mu_checkpoint_poll *poll)
{
    return poll ? mu_file_sync_polling(path, poll->poll, poll->context) : mu_file_sync(path);
}

enum mu_status mu_checkpoint_rename(const char *from, const char *to, const char *folder,
                                    const struct mu_checkpoint_poll *poll)
{
    if (rename(from, to) != 0)
        return MU_FAIL(MU_FAILED, "cannot rename %s to %s: %s", from, to, strerror(errno));
    return mu_checkpoint_sync(folder, poll);
}

/* -1: not the name of a checkpoint. */
static int64_t step_of_name(const char *name)
{
    char again[32];
    long long step = -1;

    if (sscanf(name, "step-%lld", &step) != 1 || step < 0)
        return -1;
    folder_name(again, step);
    return strcmp(name, again) == 0 ? step : -1;
}

static int compare_steps(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return x < y ? -1 : x > y;
}

bool mu_checkpoint_is_published(const char *folder)
{
    return mu_file_exists_in(folder, "checkpoint.h5");
}

static bool is_published(const char *checkpoints, int64_t step)
{
    char folder[MU_PATH_MAX];

    return mu_checkpoint_folder(folder, checkpoints, step) == MU_OK &&
           mu_checkpoint_is_published(folder);
}

/* Steps of all folders with such a name, published or not, ascending. No folder: none. */
static enum mu_status list_all(const char *checkpoints, int64_t **steps, uint32_t *count)
{
    enum mu_status st = MU_OK;
    uint32_t room = 0;
    struct dirent *entry;
    DIR *dir = opendir(checkpoints);

    *steps = NULL;
    *count = 0;
    if (!dir)
        return errno == ENOENT
                   ? MU_OK
                   : MU_FAIL(MU_FAILED, "cannot read folder %s: %s", checkpoints, strerror(errno));
    while (st == MU_OK && (entry = readdir(dir))) {
        int64_t step = step_of_name(entry->d_name);

        if (step < 0)
            continue;
        if (*count == room) {
            int64_t *more = realloc(*steps, (room = 2 * room + 16) * sizeof *more);

            if (!more) {
                st = MU_FAIL(MU_NO_MEMORY, "no memory to list %s", checkpoints);
                break;
            }
            *steps = more;
        }
        (*steps)[(*count)++] = step;
    }
    closedir(dir);
    if (st != MU_OK) {
        free(*steps);
        *steps = NULL;
        *count = 0;
    } else if (*count > 0)
        qsort(*steps, *count, sizeof **steps, compare_steps);
    return st;
}

enum mu_status mu_checkpoint_list(const char *checkpoints, int64_t **steps, uint32_t *count)
{
    enum mu_status st = list_all(checkpoints, steps, count);
    uint32_t kept = 0;

    for (uint32_t i = 0; st == MU_OK && i < *count; i++)
        if (is_published(checkpoints, (*steps)[i]))
            (*steps)[kept++] = (*steps)[i];
    *count = kept;
    return st;
}

enum mu_status mu_checkpoint_find_newest(const char *checkpoints, struct mu_checkpoint_info *info)
{
    int64_t *steps;
    uint32_t count;
    char folder[MU_PATH_MAX];
    enum mu_status st = mu_checkpoint_list(checkpoints, &steps, &count), found = MU_NOT_FOUND;

    memset(info, 0, sizeof *info);
    while (st == MU_OK && found != MU_OK && count > 0) {
        st = mu_checkpoint_folder(folder, checkpoints, steps[--count]);
        if (st != MU_OK)
            break;
        found = mu_checkpoint_read_info(folder, info);
        if (found == MU_OK && info->step != steps[count]) {
            mu_log(MU_LOG_WARN, "checkpoint %s says that it is of step %" PRId64, folder,
                   info->step);
            mu_checkpoint_info_deinit(info);
            found = MU_CORRUPT;
        }
        if (found == MU_CORRUPT)
            mu_log(MU_LOG_WARN, "checkpoint %s is damaged: it is passed over", folder);
        else if (found != MU_NOT_FOUND) /* found it, or a failure that says nothing of the folder */
            st = found;
    }
    free(steps);
    if (st != MU_OK)
        return st;
    return found == MU_OK ? MU_OK : MU_NOT_FOUND;
}

/* A folder that is not, or no more, a checkpoint; its parts may be large. */
static enum mu_status remove_folder(const char *folder)
{
    enum mu_status st = MU_OK;
    char path[MU_PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(folder);

    while (dir && st == MU_OK && (entry = readdir(dir)))
        if (entry->d_type == DT_REG) {
            st = mu_path_format(path, "%s/%s", folder, entry->d_name);
            if (st == MU_OK)
                st = mu_file_remove(path);
        }
    if (dir)
        closedir(dir);
    return st == MU_OK ? mu_file_remove_tree(folder) : st;
}

enum mu_status mu_checkpoint_remove(const char *folder)
{
    enum mu_status st = MU_OK;
    char published[MU_PATH_MAX];

    MU_TRY(mu_path_format(published, "%s/checkpoint.h5", folder), st, done);
    if (unlink(published) == 0)
        MU_TRY(mu_file_sync_folder(folder), st, done);
    else if (errno != ENOENT) {
        st = MU_FAIL(MU_FAILED, "cannot remove %s: %s", published, strerror(errno));
        goto done;
    }
    MU_TRY(remove_folder(folder), st, done);
done:
    return st;
}

enum mu_status mu_checkpoint_remove_unfinished(const char *folder)
{
    char published[MU_PATH_MAX];
    enum mu_status st = mu_path_format(published, "%s/checkpoint.h5", folder);

    if (st != MU_OK || access(published, F_OK) == 0)
        return st;
    if (errno != ENOENT)
        return MU_FAIL(MU_FAILED, "cannot look for %s: %s", published, strerror(errno));
    return remove_folder(folder);
}

/* Files that a save left beside their final names. */
static enum mu_status remove_leavings(const char *folder)
{
    enum mu_status st = MU_OK;
    char path[MU_PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(folder);

    if (!dir)
        return MU_FAIL(MU_FAILED, "cannot read folder %s: %s", folder, strerror(errno));
    while (st == MU_OK && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);

        if (n < 4 || strcmp(entry->d_name + n - 4, ".tmp") != 0)
            continue;
        st = mu_path_format(path, "%s/%s", folder, entry->d_name);
        if (st == MU_OK && unlink(path) != 0 && errno != ENOENT)
            st = MU_FAIL(MU_FAILED, "cannot remove %s: %s", path, strerror(errno));
    }
    closedir(dir);
    return st;
}

static bool is_kept(const struct mu_checkpoint_keep *keep, int64_t step, uint32_t newer)
{
    return newer < keep->last || (keep->every > 0 && step % keep->every == 0) ||
           (keep->at > 0 && step == keep->at);
}

enum mu_status mu_checkpoint_retain(const char *checkpoints, struct mu_checkpoint_keep keep,
                                    int64_t saved)
{
    enum mu_status st = MU_OK;
    int64_t *steps = NULL;
    uint32_t count = 0, newer = 0;
    char folder[MU_PATH_MAX];

    MU_TRY(list_all(checkpoints, &steps, &count), st, done);
    for (uint32_t i = count; i-- > 0;) { /* newest first */
        bool counts = steps[i] <= saved && is_published(checkpoints, steps[i]);
        bool kept = counts && (steps[i] == saved || is_kept(&keep, steps[i], newer));

        newer += counts;
        MU_TRY(mu_checkpoint_folder(folder, checkpoints, steps[i]), st, done);
        MU_TRY(kept ? remove_leavings(folder) : mu_checkpoint_remove(folder), st, done);
    }
done:
    free(steps);
    return st;
}

#include "orchestrator/run/which_checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/no_path.h"

static const char index_file[] = "checkpoint.h5";

/* RUN@STEP, unless there is a folder of that very name. */
static bool split_step(const char *named, char run[MU_PATH_MAX], int64_t *step)
{
    const char *at = strrchr(named, '@');
    char *end;

    if (!at || at == named || at[1] < '0' || at[1] > '9' || mu_file_exists(named))
        return false;
    *step = strtoll(at + 1, &end, 10);
    snprintf(run, MU_PATH_MAX, "%.*s", (int)(at - named), named);
    return *end == 0;
}

bool mu_which_step(const char *named, char folder[MU_PATH_MAX])
{
    char run[MU_PATH_MAX], checkpoints[MU_PATH_MAX];
    int64_t step;

    return split_step(named, run, &step) &&
           mu_path_format(checkpoints, "%s/checkpoints", run) == MU_OK &&
           mu_checkpoint_folder(folder, checkpoints, step) == MU_OK;
}

/* "steps 100, 200 and 300"; of many the last ones. */
static void list_steps(const int64_t *steps, uint32_t count, char *text, size_t capacity)
{
    enum { MOST = 8 };
    uint32_t first = count > MOST ? count - MOST : 0;
    size_t n = (size_t)snprintf(text, capacity, "%s", count == 1 ? "step " : "steps ");

    if (first > 0)
        n += (size_t)snprintf(text + n, capacity - n, "..., ");
    for (uint32_t i = first; i < count && n < capacity; i++)
        n += (size_t)snprintf(text + n, capacity - n, "%s%" PRId64,
                              i == first       ? ""
                              : i + 1 == count ? " and "
                                               : ", ",
                              steps[i]);
}

static enum mu_status refuse_step(const char *run, const char *checkpoints, int64_t step)
{
    int64_t *steps = NULL;
    uint32_t count = 0;
    char text[256] = "none";
    enum mu_status st = mu_checkpoint_list(checkpoints, &steps, &count);

    if (st == MU_OK && count > 0)
        list_steps(steps, count, text, sizeof text);
    free(steps);
    return st != MU_OK
               ? st
               : MU_FAIL(MU_NOT_FOUND, "%s has no checkpoint of step %" PRId64 "; it has %s%s", run,
                         step, count > 0 ? "those of " : "", text);
}

static enum mu_status find_step(const char *run, int64_t step, char folder[MU_PATH_MAX],
                                struct mu_checkpoint_info *info)
{
    char checkpoints[MU_PATH_MAX];
    enum mu_status st;

    if (!mu_file_exists(run))
        return mu_no_path(run, "");
    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", run), st, failed);
    MU_TRY(mu_checkpoint_folder(folder, checkpoints, step), st, failed);
    st = mu_checkpoint_read_info(folder, info);
    if (st == MU_NOT_FOUND)
        st = refuse_step(run, checkpoints, step);
failed:
    return st;
}

static enum mu_status find_newest(const char *run, char folder[MU_PATH_MAX],
                                  struct mu_checkpoint_info *info)
{
    char checkpoints[MU_PATH_MAX];
    enum mu_status st;

    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", run), st, failed);
    st = mu_checkpoint_find_newest(checkpoints, info);
    if (st == MU_NOT_FOUND)
        return MU_FAIL(MU_NOT_FOUND, "%s has no checkpoint that can be used%s", run,
                       mu_file_exists_in(run, "sweep.json")
                           ? "; it is a sweep: name one of its trials (trials/NAME)"
                           : "");
    if (st == MU_OK)
        st = mu_checkpoint_folder(folder, checkpoints, info->step);
failed:
    return st;
}

static enum mu_status find(const char *named, char folder[MU_PATH_MAX],
                           struct mu_checkpoint_info *info)
{
    char run[MU_PATH_MAX], *slash;
    int64_t step;
    enum mu_status st;

    if (split_step(named, run, &step))
        return find_step(run, step, folder, info);
    if (!mu_file_exists(named))
        return mu_no_path(named, "; expected a checkpoint's folder, a run's, or RUN@STEP");
    st = mu_path_format(folder, "%s", named);
    if (st != MU_OK)
        return st;
    slash = strrchr(folder, '/');
    if (strcmp(slash ? slash + 1 : folder, index_file) == 0)
        snprintf(slash ? slash : folder, 2, "%s", slash ? "" : ".");
    if (mu_checkpoint_is_published(folder))
        return mu_checkpoint_read_info(folder, info);
    if (mu_file_exists_in(folder, "checkpoints") || mu_file_exists_in(folder, "sweep.json"))
        return find_newest(named, folder, info);
    return MU_FAIL(MU_NOT_FOUND,
                   "%s is neither a checkpoint (it has no checkpoint.h5) nor a run (no "
                   "checkpoints/)",
                   named);
}

enum mu_status mu_which_checkpoint(const char *named, char folder[MU_PATH_MAX],
                                   struct mu_checkpoint_info *info)
{
    char *plain = NULL;
    enum mu_status st = find(named, folder, info);

    if (st == MU_OK)
        plain = realpath(folder, NULL);
    if (plain)
        st = mu_path_format(folder, "%s", plain);
    free(plain);
    return st;
}

enum mu_status mu_which_checkpoint_older(const char *run, char folder[MU_PATH_MAX],
                                         struct mu_checkpoint_info *info)
{
    const int64_t before = info->step;
    char checkpoints[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st;

    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", run), st, done);
    MU_TRY(mu_checkpoint_list(checkpoints, &steps, &count), st, done);
    st = MU_NOT_FOUND;
    while (count > 0 && (st == MU_NOT_FOUND || st == MU_CORRUPT)) {
        if (steps[--count] >= before)
            continue;
        mu_checkpoint_info_deinit(info);
        MU_TRY(mu_checkpoint_folder(folder, checkpoints, steps[count]), st, done);
        st = mu_checkpoint_read_info(folder, info);
    }
done:
    free(steps);
    return st == MU_CORRUPT ? MU_NOT_FOUND : st;
}

#include "orchestrator/generate/find.h"

#include <stdlib.h>
#include <string.h>

#include "worker/checkpoint/checkpoint.h"

/* RUN@STEP: cuts the step off. -1: there is none. */
static int64_t take_step(char *name)
{
    char *at = strrchr(name, '@'), *end;
    long long step;

    if (!at || at[1] < '0' || at[1] > '9')
        return -1;
    step = strtoll(at + 1, &end, 10);
    if (*end)
        return -1;
    *at = 0;
    return step;
}

static enum mu_status list(const char *checkpoints, struct mu_found *found)
{
    enum mu_status st = mu_path_format(found->folder, "%s", checkpoints);

    if (st == MU_OK)
        st = mu_checkpoint_list(checkpoints, &found->steps, &found->left);
    if (st == MU_OK && found->left == 0)
        st = MU_NOT_FOUND;
    return st;
}

/* Steps of a run are listed in the order of time, and numbered in the message. */
static enum mu_status keep_step(struct mu_found *found, const char *name, int64_t step)
{
    for (uint32_t i = 0; i < found->left; i++)
        if (found->steps[i] == step) {
            found->steps[0] = step;
            found->left = 1;
            return MU_OK;
        }
    return MU_FAIL(MU_NOT_FOUND,
                   "%s has no checkpoint of step %lld; it has %u, the first of step %lld and the "
                   "last of step %lld",
                   name, (long long)step, found->left, (long long)found->steps[0],
                   (long long)found->steps[found->left - 1]);
}

enum mu_status mu_find_checkpoints(const char *word, struct mu_found *found)
{
    char name[MU_PATH_MAX], inside[MU_PATH_MAX];
    struct stat s;
    int64_t step = -1;
    enum mu_status st;

    memset(found, 0, sizeof *found);
    MU_TRY(mu_path_format(name, "%s", word), st, done);
    if (stat(name, &s) != 0)
        step = take_step(name);
    if (stat(name, &s) != 0)
        return MU_FAIL(MU_NOT_FOUND, "there is no %s", name);
    if (!S_ISDIR(s.st_mode)) {
        char *slash = strrchr(name, '/');

        if (strcmp(slash ? slash + 1 : name, "checkpoint.h5") != 0)
            return MU_FAIL(MU_NOT_FOUND,
                           "%s is no checkpoint; expected the folder of one (step-...), or a run "
                           "directory",
                           name);
        strcpy(slash ? slash + 1 : name, ".");
    }
    if (step < 0 && mu_file_exists_in(name, "checkpoint.h5")) {
        found->left = 1;
        return mu_path_format(found->folder, "%s", name);
    }
    MU_TRY(mu_path_format(inside, "%s/checkpoints", name), st, done);
    st = list(mu_file_exists(inside) ? inside : name, found);
    if (st == MU_NOT_FOUND)
        st = MU_FAIL(MU_NOT_FOUND,
                     "%s holds no checkpoint; expected the folder of one (step-..., with "
                     "checkpoint.h5), or a run directory with checkpoints/",
                     name);
    if (st == MU_OK && step >= 0)
        st = keep_step(found, name, step);
done:
    return st;
}

enum mu_status mu_found_next(struct mu_found *found, char folder[MU_PATH_MAX])
{
    MU_ASSERT(found->left > 0);
    found->left--;
    if (found->steps)
        return mu_checkpoint_folder(folder, found->folder, found->steps[found->left]);
    return mu_path_format(folder, "%s", found->folder);
}

void mu_found_deinit(struct mu_found *found)
{
    free(found->steps);
    found->steps = NULL;
}

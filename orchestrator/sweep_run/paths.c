#include "orchestrator/sweep_run/paths.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/run_dir.h"
#include "orchestrator/sweep_run/part_folder.h"
#include "worker/checkpoint/checkpoint.h"

enum mu_status mu_sweep_trial_path(char out[MU_PATH_MAX], const char *sweep_path, const char *name)
{
    char whole[MU_PATH_MAX];

    mu_sweep_part_of_path(whole, sweep_path);
    return mu_path_format(out, "%s/trials/%s", whole, name);
}

/* With SWEEPDIR/trials/NAME as its run directory. */
static enum mu_status settings_of(const struct mu_sweep_trial *trial, const char *sweep_path,
                                  struct mu_settings *out)
{
    char whole[MU_PATH_MAX];
    int n;

    mu_sweep_part_of_path(whole, sweep_path);
    *out = trial->settings;
    n = snprintf(out->run_dir, sizeof out->run_dir, "%s/trials", whole);
    snprintf(out->run_name, sizeof out->run_name, "%s", trial->name);
    if (n < 0 || (size_t)n >= sizeof out->run_dir)
        return MU_FAIL(MU_CONFIG, "run.dir: the path of the sweep's folder is too long");
    /* What a trial came to is known by its last step's evaluation. */
    if (out->eval_every == 0)
        out->eval_every = out->run_steps;
    return MU_OK;
}

enum mu_status mu_sweep_trial_config(const struct mu_sweep_trial *trial, const char *sweep_path,
                                     char **text)
{
    struct mu_settings *settings = malloc(sizeof *settings);
    enum mu_status st = MU_NO_MEMORY;

    *text = NULL;
    if (settings)
        st = settings_of(trial, sweep_path, settings);
    if (st == MU_OK)
        st = mu_config_print(settings, text);
    free(settings);
    return st;
}

static enum mu_status name_checkpoints(char out[MU_PATH_MAX], const char *sweep_path,
                                       const char *name)
{
    char run[MU_PATH_MAX];
    enum mu_status st = mu_sweep_trial_path(run, sweep_path, name);

    return st == MU_OK ? mu_path_format(out, "%s/checkpoints", run) : st;
}

void mu_sweep_trial_drop(const char *sweep_path, const char *name, int64_t step)
{
    char checkpoints[MU_PATH_MAX], folder[MU_PATH_MAX];

    if (name_checkpoints(checkpoints, sweep_path, name) != MU_OK ||
        mu_checkpoint_folder(folder, checkpoints, step) != MU_OK ||
        mu_checkpoint_remove(folder) != MU_OK)
        mu_log(MU_LOG_WARN, "what trial %s began from takes room still", name);
}

bool mu_sweep_trial_has(const char *sweep_path, const char *name, int64_t step)
{
    char checkpoints[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    bool has;

    if (name_checkpoints(checkpoints, sweep_path, name) != MU_OK || !mu_file_exists(checkpoints) ||
        mu_checkpoint_list(checkpoints, &steps, &count) != MU_OK)
        return false;
    has = count > 0 && steps[count - 1] >= step;
    free(steps);
    return has;
}

enum mu_status mu_sweep_trial_compare(const struct mu_sweep_trial *trial, const char *sweep_path)
{
    struct mu_settings *now = malloc(sizeof *now), *before = NULL;
    char path[MU_PATH_MAX], config[MU_PATH_MAX], *text = NULL;
    enum mu_status st = now ? MU_OK : MU_NO_MEMORY;

    if (st == MU_OK)
        st = mu_sweep_trial_path(path, sweep_path, trial->name);
    if (st == MU_OK)
        st = mu_run_dir_read_config(path, &text);
    if (st == MU_NOT_FOUND) {
        st = MU_OK;
        goto done;
    }
    if (st != MU_OK)
        goto done;
    MU_TRY(mu_path_format(config, "%s/config.cfg", path), st, done);
    MU_TRY(mu_config_recall(text, config, &before), st, done);
    MU_TRY(settings_of(trial, sweep_path, now), st, done);
    mu_log_set_level(mu_log_shows(MU_LOG_INFO) ? MU_LOG_WARN : MU_LOG_ERROR); /* what may change */
    st = mu_config_compare(before, now);
    if (st == MU_OK && before->eval_tokens != now->eval_tokens)
        st =
            MU_FAIL(MU_CONFIG,
                    "eval.tokens: %" PRId64 " here, %" PRId64
                    " when trials of this sweep were evaluated: their losses could not be compared",
                    now->eval_tokens, before->eval_tokens);
    mu_log_reset_level();
    if (st != MU_OK)
        mu_log(MU_LOG_ERROR,
               "trial %s of this sweep was begun with other values: give the sweep another name "
               "(sweep.name), or undo the change; %s holds what is there",
               trial->name, path);
done:
    free(text);
    free(before);
    free(now);
    return st;
}

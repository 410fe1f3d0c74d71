#include "orchestrator/master/go_on.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/master/origin.h"
#include "orchestrator/run/run_dir.h"
#include "worker/checkpoint/checkpoint.h"

enum mu_status mu_go_on_read(const char *run_path, struct mu_settings **before)
{
    char *text = NULL;
    enum mu_status st = mu_run_dir_read_config(run_path, &text);

    *before = NULL;
    if (st == MU_OK)
        st = mu_config_recall(text, "config.cfg of the run directory", before);
    free(text);
    return st;
}

enum mu_status mu_go_on_reach(const char *run_path, int64_t limit, int64_t *newest_step,
                              int64_t *last_step)
{
    struct mu_origin origin;
    char checkpoints[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st;

    *newest_step = 0;
    *last_step = mu_run_dir_last_step(run_path);
    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", run_path), st, done);
    MU_TRY(mu_checkpoint_list(checkpoints, &steps, &count), st, done);
    MU_TRY(mu_origin_read(run_path, &origin), st, done);
    if (mu_origin_begins_at(&origin) <= limit)
        *newest_step = mu_origin_begins_at(&origin);
    for (uint32_t i = 0; i < count; i++) {
        *newest_step = steps[i] <= limit ? steps[i] : *newest_step;
        *last_step = steps[i] > *last_step ? steps[i] : *last_step;
    }
done:
    free(steps);
    return st;
}

static void tell_schedule(const struct mu_go_on *g, const struct mu_settings *now)
{
    mu_log(
        MU_LOG_ERROR,
        "run.steps or optim.schedule is not what it was: the learning rate is the same up to step "
        "%" PRId64 " only, the run has come to step %" PRId64
        ", and none of its checkpoints is that old%s",
        g->common_steps, g->last_step,
        now->checkpoint_every > 0 ? ""
                                  : " (with checkpoint.every = 0 none is kept from before the "
                                    "cooldown)");
}

static enum mu_status reschedule(const char *run_path, const struct mu_settings *before,
                                 const struct mu_settings *now, struct mu_go_on *g)
{
    const struct mu_schedule old = mu_settings_schedule(before), new = mu_settings_schedule(now);
    enum mu_status st;

    g->common_steps = mu_schedule_common(&old, &new);
    st = mu_go_on_reach(run_path, g->common_steps, &g->from_step, &g->last_step);
    if (st != MU_OK || g->last_step <= g->common_steps)
        return st;
    g->kind = g->from_step > 0 ? MU_GO_ON_FROM : MU_GO_ON_REFUSED;
    if (g->kind == MU_GO_ON_REFUSED)
        tell_schedule(g, now);
    return MU_OK;
}

enum mu_status mu_go_on_decide(const char *run_path, bool is_trial,
                               const struct mu_settings *before, const struct mu_settings *now,
                               struct mu_go_on *g)
{
    enum mu_config_relation relation;
    enum mu_status st;

    *g = (struct mu_go_on){.kind = MU_GO_ON_AS_IT_IS, .common_steps = INT64_MAX};
    MU_TRY(mu_config_relate(before, now, &relation), st, failed);
    if (relation == MU_CONFIG_OTHER_SCHEDULE && !is_trial)
        MU_TRY(reschedule(run_path, before, now, g), st, failed);
    else
        st = mu_config_compare(before, now);
    if (st == MU_CONFIG) {
        g->kind = MU_GO_ON_REFUSED;
        st = MU_OK;
    }
    if (st == MU_OK && g->kind == MU_GO_ON_REFUSED)
        mu_log(MU_LOG_INFO,
               "%s holds a run that was begun with other values: undo the change, give this one "
               "another run.name (with --from %s to go on from its state), or begin anew beside "
               "it with --fresh",
               run_path, run_path);
failed:
    return st;
}

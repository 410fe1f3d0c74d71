/* What stands in the run directory already, and what the run would do with it: as
 * orchestrator/master/job_config.c decides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/master/origin.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/run/run_dir.h"
#include "worker/checkpoint/checkpoint.h"

/* Steps of the checkpoint that a run at most `limit` steps long goes on from: its own newest one,
 * or the one that it forked from. 0: none. */
static enum mu_status find_newest(struct mu_plan *p, int64_t limit)
{
    struct mu_origin *origin = calloc(1, sizeof *origin);
    char folder[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st = origin ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory to look at a run");

    p->done_steps = 0;
    if (st != MU_OK)
        goto done;
    MU_TRY(mu_origin_read(p->path, origin), st, done);
    if (mu_origin_begins_at(origin) <= limit)
        p->done_steps = mu_origin_begins_at(origin);
    MU_TRY(mu_path_format(folder, "%s/checkpoints", p->path), st, done);
    if (mu_file_exists(folder))
        MU_TRY(mu_checkpoint_list(folder, &steps, &count), st, done);
    for (uint32_t i = 0; i < count; i++) {
        p->done_steps = steps[i] <= limit ? steps[i] : p->done_steps;
        p->last_step = steps[i] > p->last_step ? steps[i] : p->last_step;
    }
done:
    free(steps);
    free(origin);
    return st;
}

static void name_key(void *context, const struct mu_key *key, const char *before, const char *now)
{
    struct mu_plan *p = context;
    const size_t used = strlen(p->differs);

    (void)before;
    (void)now;
    if (key->class == MU_CLASS_IDENTITY || key->class == MU_CLASS_FORK)
        snprintf(p->differs + used, sizeof p->differs - used, "%s%s", used ? ", " : "", key->name);
}

static enum mu_status reschedule(struct mu_plan *p, const struct mu_settings *before)
{
    const struct mu_schedule old = mu_settings_schedule(before),
                             now = mu_settings_schedule(&p->settings);
    const int64_t common = mu_schedule_common(&old, &now);
    enum mu_status st;

    if (p->last_step <= common)
        return MU_OK;
    st = find_newest(p, common);
    if (st != MU_OK)
        return st;
    p->standing = p->done_steps > 0 ? MU_PLAN_GOES_BACK : MU_PLAN_REFUSED;
    if (p->standing == MU_PLAN_GOES_BACK)
        return MU_OK;
    st = MU_FAIL(MU_CONFIG,
                 "run.steps or optim.schedule is not what it was: the learning rate is the same up "
                 "to step %lld only, the run has come to step %lld, and none of its checkpoints is "
                 "that old: undo the change, give this one another run.name, or begin anew beside "
                 "it with `muster train --fresh`",
                 (long long)common, (long long)p->last_step);
    return st == MU_CONFIG ? MU_OK : st;
}

/* Tells what differs. */
static enum mu_status compare(struct mu_plan *p, const char *text)
{
    struct mu_settings *before = malloc(sizeof *before);
    enum mu_config_relation relation;
    enum mu_status st;

    if (!before)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the configuration of %s", p->path);
    MU_TRY(mu_config_parse_text(text, strlen(text), "config.cfg of the run directory", before), st,
           done);
    MU_TRY(mu_settings_resolve(before, 0), st, done);
    MU_TRY(mu_config_relate(before, &p->settings, &relation), st, done);
    if (relation == MU_CONFIG_OTHER_SCHEDULE) {
        st = reschedule(p, before);
        goto done;
    }
    st = mu_config_compare(before, &p->settings);
    if (st == MU_CONFIG) {
        p->standing = MU_PLAN_REFUSED;
        st = MU_OK;
    }
done:
    if (st == MU_OK && p->standing == MU_PLAN_REFUSED)
        st = mu_config_each_difference(before, &p->settings, name_key, p);
    free(before);
    return st;
}

enum mu_status mu_plan_find_standing(struct mu_plan *p)
{
    char *text = NULL;
    enum mu_status st = mu_run_dir_read_config(p->path, &text);

    p->standing = MU_PLAN_NEW;
    if (st == MU_NOT_FOUND)
        return MU_OK;
    if (st != MU_OK)
        return st;
    p->is_locked = mu_run_dir_is_locked(p->path);
    p->last_step = mu_run_dir_last_step(p->path);
    MU_TRY(find_newest(p, INT64_MAX), st, done);
    p->standing = p->done_steps >= p->settings.run_steps ? MU_PLAN_COMPLETE : MU_PLAN_GOES_ON;
    st = compare(p, text);
done:
    free(text);
    return st;
}

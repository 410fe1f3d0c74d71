/* What stands in the run directory already, and what the run would do with it: as
 * orchestrator/master/go_on.h decides. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/master/go_on.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/run/run_dir.h"

static void name_key(void *context, const struct mu_key *key, const char *before, const char *now)
{
    struct mu_plan *p = context;
    const size_t used = strlen(p->differs);

    (void)before;
    (void)now;
    if (key->class == MU_CLASS_IDENTITY || key->class == MU_CLASS_FORK)
        snprintf(p->differs + used, sizeof p->differs - used, "%s%s", used ? ", " : "", key->name);
}

enum mu_status mu_plan_find_standing(struct mu_plan *p)
{
    struct mu_settings *before = NULL;
    struct mu_go_on g;
    enum mu_status st = mu_go_on_read(p->path, &before);

    p->standing = MU_PLAN_NEW;
    if (st == MU_NOT_FOUND)
        return MU_OK;
    if (st != MU_OK)
        return st;
    p->is_locked = mu_run_dir_is_locked(p->path);
    MU_TRY(mu_go_on_reach(p->path, INT64_MAX, &p->done_steps, &p->last_step), st, done);
    MU_TRY(mu_go_on_decide(p->path, false, before, &p->settings, &g), st, done);
    if (g.kind == MU_GO_ON_AS_IT_IS) {
        p->standing = p->done_steps >= p->settings.run_steps ? MU_PLAN_COMPLETE : MU_PLAN_GOES_ON;
    } else if (g.kind == MU_GO_ON_FROM) {
        p->standing = MU_PLAN_GOES_BACK;
        p->done_steps = g.from_step;
    } else {
        p->standing = MU_PLAN_REFUSED;
        st = mu_config_each_difference(before, &p->settings, name_key, p);
    }
done:
    free(before);
    return st;
}

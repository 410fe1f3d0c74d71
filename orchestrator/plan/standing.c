/* What stands in the run directory already, and what the run would do with it. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/config/config.h"
#include "orchestrator/plan/plan.h"
#include "orchestrator/run/run_dir.h"
#include "worker/checkpoint/checkpoint.h"

/* Tells what differs. */
static enum mu_status compare(struct mu_plan *p, const char *text)
{
    struct mu_settings *before = malloc(sizeof *before);
    enum mu_status st;

    if (!before)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the configuration of %s", p->path);
    MU_TRY(mu_config_parse_text(text, strlen(text), "config.cfg of the run directory", before), st,
           done);
    MU_TRY(mu_settings_resolve(before, 0), st, done);
    st = mu_config_compare(before, &p->settings);
    if (st == MU_CONFIG) {
        p->standing = MU_PLAN_REFUSED;
        st = MU_OK;
    }
done:
    free(before);
    return st;
}

static enum mu_status find_newest(struct mu_plan *p)
{
    char folder[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st;

    MU_TRY(mu_path_format(folder, "%s/checkpoints", p->path), st, done);
    if (!mu_file_exists(folder))
        return MU_OK;
    MU_TRY(mu_checkpoint_list(folder, &steps, &count), st, done);
    p->done_steps = count > 0 ? steps[count - 1] : 0;
done:
    free(steps);
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
    MU_TRY(find_newest(p), st, done);
    p->standing = p->done_steps >= p->settings.run_steps ? MU_PLAN_COMPLETE : MU_PLAN_GOES_ON;
    st = compare(p, text);
done:
    free(text);
    return st;
}

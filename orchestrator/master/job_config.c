/* What is to be trained, as the master finds it out, and whether that is what stands in the run
 * directory. There it may be
 *
 *   nothing              a new run, or a fork (--from) of another one
 *   the same run         it goes on; a fork from its own checkpoint, else from its parent's
 *   the same run with    it goes on from a checkpoint that both schedules reach with the same rates;
 *   another schedule     the end that it had is put aside (run/aside.h)
 *   anything else        refused; with --fresh, put aside as a whole
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/master/go_on.h"
#include "orchestrator/master/job.h"
#include "orchestrator/run/aside.h"
#include "worker/data/tokens.h"

extern char **environ;

/* Data that the configuration names and that cannot be used are mistakes of the configuration: both
 * files are looked at, before anything is made. */
static enum mu_status check_data(struct mu_settings *settings)
{
    struct mu_workload *workload = NULL;
    enum mu_status st = mu_workload_resolve(settings);
    struct mu_tokens valid;

    if (st == MU_OK)
        st = mu_job_check_host(settings);
    if (st == MU_OK)
        st = mu_workload_open(settings, NULL, &workload);
    else if (settings->data_valid[0] && mu_tokens_open(&valid, settings->data_valid) == MU_OK)
        mu_tokens_close(&valid);
    mu_workload_close(workload);
    return mu_workload_blame_data(st, settings);
}

struct mu_device_options mu_job_device_options(const struct mu_job *job)
{
    return (struct mu_device_options){
        .kind = (enum mu_device_kind)job->settings.device_kind,
        .precision = (enum mu_precision)job->settings.device_precision,
        .threads = (int)job->settings.device_threads,
        .tf32 = job->settings.device_tf32 == MU_SWITCH_ON,
        .stall_timeout_ms = (unsigned)(1000 * job->settings.run_hang_timeout),
    };
}

static enum mu_status check_device(const struct mu_job *job)
{
    struct mu_device_options device = mu_job_device_options(job);

    return mu_device_check(&device);
}

/* Of a trial: as it was ordered. Else file, overrides and environment. */
static enum mu_status take_config(struct mu_job *job, const struct mu_job_request *request)
{
    struct mu_config_source source = {.path = request->config_path,
                                      .overrides = request->overrides,
                                      .override_count = request->override_count,
                                      .environment = environ};

    if (!job->trial)
        return mu_config_load(&source, &job->settings);
    return mu_config_parse_text(job->trial->config, strlen(job->trial->config),
                                "configuration of the trial", &job->settings);
}

static enum mu_status name_run_dir(struct mu_job *job)
{
    if (job->trial)
        return mu_path_format(job->run_path, "%s", job->trial->run_path);
    return mu_path_format(job->run_path, "%s/%s", job->settings.run_dir, job->settings.run_name);
}

/* ---- a run that goes on ---------------------------------------------------------------------- */

static enum mu_status compare_with_run(struct mu_job *job, const struct mu_settings *before)
{
    struct mu_go_on g;
    enum mu_status st = mu_go_on_decide(job->run_path, job->trial, before, &job->settings, &g);

    if (st != MU_OK)
        return st;
    job->common_steps = g.common_steps;
    if (g.kind == MU_GO_ON_FROM) {
        job->goes_back_to = g.from_step;
        job->went_to = g.last_step;
    }
    return g.kind == MU_GO_ON_REFUSED ? MU_CONFIG : MU_OK;
}

/* ---- a fork ---------------------------------------------------------------------------------- */

static enum mu_status check_fork(struct mu_job *job, const struct mu_settings *parent)
{
    const int64_t begins_at = mu_origin_begins_at(&job->origin);
    enum mu_status st = mu_config_compare_fork(parent, &job->settings);

    if (st == MU_OK && job->settings.run_steps <= begins_at)
        st = MU_FAIL(MU_CONFIG,
                     "run.steps: %" PRId64 " is not beyond step %" PRId64
                     " of the checkpoint: steps are counted from the beginning of the run that "
                     "it is of; for 1000 steps more, run.steps = %" PRId64,
                     job->settings.run_steps, begins_at, begins_at + 1000);
    return st;
}

/* `stands`: a run is in the directory, which must have come from there then. */
static enum mu_status take_origin(struct mu_job *job, const struct mu_job_request *request,
                                  bool stands)
{
    struct mu_origin named;
    char *text = NULL;
    enum mu_status st = mu_origin_find(request->from, request->weights_only, &named, &text);

    if (st == MU_OK && stands)
        st = mu_origin_read(job->run_path, &job->origin);
    if (st == MU_OK && stands && !mu_origin_is(&job->origin, request->from, &named)) {
        mu_log(MU_LOG_ERROR, "%s holds a run already, which does not come from %s (%s)",
               job->run_path, request->from,
               job->origin.checkpoint[0] ? job->origin.checkpoint : "it began by itself");
        mu_log(MU_LOG_INFO, "give this one another run.name, or begin anew beside it with --fresh");
        st = MU_CONFIG;
    } else if (st == MU_OK && !stands) {
        job->origin = named;
        st = mu_config_recall(text, "configuration in the checkpoint", &job->parent);
        if (st == MU_OK)
            st = check_fork(job, job->parent);
    }
    free(text);
    return st;
}

enum mu_status mu_job_read_config(struct mu_job *job, const struct mu_job_request *request)
{
    struct mu_settings *before = NULL;
    bool stands;
    enum mu_status st;

    MU_TRY(take_config(job, request), st, done);
    MU_TRY(check_device(job), st, done);
    MU_TRY(check_data(&job->settings), st, done);
    MU_TRY(mu_config_print(&job->settings, &job->config_text), st, done);
    MU_TRY(name_run_dir(job), st, done);
    st = request->fresh ? MU_NOT_FOUND : mu_go_on_read(job->run_path, &before);
    stands = st == MU_OK;
    if (st != MU_OK && st != MU_NOT_FOUND)
        goto done;
    st = MU_OK;
    if (request->from)
        MU_TRY(take_origin(job, request, stands), st, done);
    if (stands)
        st = compare_with_run(job, before);
done:
    free(before);
    return st;
}

/* ---- the run directory ----------------------------------------------------------------------- */

static enum mu_status go_back(const struct mu_job *job)
{
    char aside[MU_PATH_MAX];
    enum mu_status st = mu_run_aside_end(job->run_path, job->goes_back_to, job->went_to, aside);

    if (st == MU_OK)
        mu_log(MU_LOG_INFO,
               "another end of the run: up to step %" PRId64
               " its learning rate is what it was, so it goes on from step %" PRId64
               "; what it was up to step %" PRId64 " is in %s",
               job->common_steps, job->goes_back_to, job->went_to, aside);
    return st;
}

/* Of a fork that begins: kept before anything is computed. Else what was kept. */
static enum mu_status settle_origin(struct mu_job *job)
{
    char path[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    if (job->trial)
        return MU_OK;
    if (job->parent)
        return mu_origin_write(job->run_path, &job->origin, job->parent, &job->settings);
    if (mu_file_exists_in(job->run_path, "config.cfg"))
        return mu_origin_read(job->run_path, &job->origin);
    MU_TRY(mu_path_format(path, "%s/parent.json", job->run_path), st, failed);
    st = mu_file_remove(path); /* of a start that was given up */
failed:
    return st;
}

/* From here on the path is the plain one, without symbolic links and "..": it names the segments,
 * and people read it. */
enum mu_status mu_job_take_run_dir(struct mu_job *job, const struct mu_job_request *request)
{
    char *plain = NULL;
    enum mu_status st = request->fresh ? mu_run_aside_for_fresh(job->run_path) : MU_OK;

    if (st == MU_OK)
        st = mu_run_dir_lock(job->run_path, &job->run);
    if (st == MU_OK)
        plain = realpath(job->run_path, NULL);
    else
        mu_log(MU_LOG_INFO, "the run directory is run.dir (%s) / run.name (%s)",
               job->settings.run_dir, job->settings.run_name);
    if (plain)
        st = mu_path_format(job->run_path, "%s", plain);
    free(plain);
    if (st == MU_OK)
        st = mu_run_dir_identity(job->run, &job->run_id);
    if (st == MU_OK && job->goes_back_to > 0)
        st = go_back(job);
    if (st == MU_OK)
        st = settle_origin(job);
    if (st == MU_OK)
        mu_run_dir_clear_requests(job->run); /* those of an earlier run; from now on they count */
    return st;
}

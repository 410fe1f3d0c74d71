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
#include "orchestrator/base/wire.h"
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

/* What stands in the sweep's results would be another run's then. */
static enum mu_status refuse_for_trial(const struct mu_job *job)
{
    char above[MU_PATH_MAX];
    enum mu_status st = mu_path_format(above, "%s/../..", job->run_path);

    if (st != MU_OK || !mu_run_dir_trial(job->run_path) || !mu_file_exists_in(above, "sweep.json"))
        return st;
    return MU_FAIL(MU_CONFIG,
                   "%s is a trial of a sweep, and stays as the sweep has it: go on in a run of "
                   "its own (another run.dir and run.name, with --from %s)",
                   job->run_path, job->run_path);
}

static enum mu_status compare_with_run(struct mu_job *job, const struct mu_settings *before)
{
    struct mu_go_on g;
    enum mu_status st = mu_go_on_decide(job->run_path, job->trial, before, &job->settings, &g);

    if (st != MU_OK)
        return st;
    job->common_steps = g.common_steps;
    if (g.common_steps < INT64_MAX && g.kind != MU_GO_ON_REFUSED && !job->trial)
        st = refuse_for_trial(job);
    if (g.kind == MU_GO_ON_FROM) {
        job->goes_back_to = g.from_step;
        job->went_to = g.last_step;
    }
    return g.kind == MU_GO_ON_REFUSED ? MU_CONFIG : st;
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
    enum mu_status st = stands ? mu_origin_read(job->run_path, &job->origin) : MU_OK;

    if (st == MU_OK && mu_origin_was_named(&job->origin, request->from, request->weights_only))
        return MU_OK;
    if (st != MU_OK)
        return st;
    st = mu_origin_find(request->from, request->weights_only, &named, &text);
    if (st == MU_OK && request->fresh)
        st = mu_run_aside_leaves(job->run_path, named.checkpoint);
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

/* What stands in the run directory, as far as it was looked at: another process may change it until
 * this one has the lock. `text`: of config.cfg; NULL: there is no run, or it is to be put aside. */
static enum mu_status look_what_stands(const struct mu_job *job, bool is_aside, char **text,
                                       struct mu_hash *seen)
{
    int64_t newest = 0, last = 0;
    uint8_t bytes[64];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    struct mu_hash config = {0};
    enum mu_status st = is_aside ? MU_NOT_FOUND : mu_run_dir_read_config(job->run_path, text);

    if (st == MU_OK) {
        config = mu_hash_bytes(*text, strlen(*text), 0);
        st = mu_go_on_reach(job->run_path, INT64_MAX, &newest, &last);
    } else if (st == MU_NOT_FOUND) {
        st = MU_OK;
    }
    mu_wire_put_u64(&w, config.high);
    mu_wire_put_u64(&w, config.low);
    mu_wire_put_u64(&w, (uint64_t)last);
    mu_wire_put_u64(&w, (uint64_t)newest);
    *seen = mu_hash_bytes(bytes, w.size, 0);
    return st;
}

static enum mu_status compare_with_what_stands(struct mu_job *job,
                                               const struct mu_job_request *request,
                                               const char *text)
{
    struct mu_settings *before = NULL;
    enum mu_status st = MU_OK;

    if (request->from)
        MU_TRY(take_origin(job, request, text), st, done);
    if (text) {
        MU_TRY(mu_config_recall(text, "config.cfg of the run directory", &before), st, done);
        st = compare_with_run(job, before);
    }
done:
    free(before);
    return st;
}

enum mu_status mu_job_read_config(struct mu_job *job, const struct mu_job_request *request)
{
    const bool is_aside = request->fresh && !mu_run_aside_was_done();
    char *text = NULL;
    enum mu_status st;

    MU_TRY(take_config(job, request), st, done);
    MU_TRY(check_device(job), st, done);
    MU_TRY(check_data(&job->settings), st, done);
    MU_TRY(mu_config_print(&job->settings, &job->config_text), st, done);
    MU_TRY(name_run_dir(job), st, done);
    MU_TRY(look_what_stands(job, is_aside, &text, &job->stood), st, done);
    if (is_aside)
        MU_TRY(refuse_for_trial(job), st, done);
    st = compare_with_what_stands(job, request, text);
done:
    free(text);
    return st;
}

/* Under the lock: where another process was there since, everything is found out again. */
static enum mu_status look_again(struct mu_job *job, const struct mu_job_request *request)
{
    struct mu_hash seen;
    char *text = NULL;
    enum mu_status st;

    MU_TRY(look_what_stands(job, false, &text, &seen), st, done);
    if (mu_hash_equal(seen, job->stood))
        goto done;
    mu_log(MU_LOG_INFO, "another process has trained the run in %s meanwhile", job->run_path);
    free(job->parent);
    job->parent = NULL;
    job->origin = (struct mu_origin){0};
    job->common_steps = INT64_MAX;
    job->goes_back_to = job->went_to = 0;
    st = compare_with_what_stands(job, request, text);
done:
    free(text);
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
    if (job->parent) {
        MU_TRY(mu_origin_hold(job->run_path, &job->origin), st, failed);
        return mu_origin_write(job->run_path, &job->origin, job->parent, &job->settings);
    }
    if (mu_file_exists_in(job->run_path, "config.cfg"))
        return mu_origin_read(job->run_path, &job->origin);
    MU_TRY(mu_path_format(path, "%s/parent.json", job->run_path), st, failed);
    st = mu_file_remove(path); /* of a start that was given up */
    if (st == MU_OK)
        st = mu_origin_release(job->run_path);
failed:
    return st;
}

/* What memory holds of a fork that was not begun yet, maybe of another state, or of another end, also
 * on a host that has no part in this start, is none of what the run is from now on. */
static enum mu_status identify(struct mu_job *job)
{
    const bool is_begun = mu_file_exists_in(job->run_path, "config.cfg");
    enum mu_status st = MU_OK;

    if (!job->trial && (!is_begun || job->goes_back_to > 0))
        st = mu_run_dir_forget_identity(job->run);
    return st == MU_OK ? mu_run_dir_identity(job->run, &job->run_id) : st;
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
    if (st == MU_OK && !job->trial)
        st = look_again(job, request);
    if (st == MU_OK)
        st = identify(job);
    if (st == MU_OK)
        st = mu_run_aside_tidy(job->run_path);
    if (st == MU_OK && job->goes_back_to > 0)
        st = go_back(job);
    if (st == MU_OK)
        st = settle_origin(job);
    if (st == MU_OK)
        mu_run_dir_clear_requests(job->run); /* those of an earlier run; from now on they count */
    return st;
}

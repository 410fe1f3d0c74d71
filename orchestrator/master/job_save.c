/* Three steps, each closed by an agreement before anybody begins the next:
 *
 *   folder           made by the master
 *   parts            written by every rank
 *   checkpoint.h5    by the master; from here on it is a checkpoint
 *
 * What follows (the journal's record, retention) cannot undo it, so its failures are warnings, and
 * a master that dies right then leaves it to the next one (mu_job_complete_save). A failure before
 * leaves a folder that is none, which the master removes. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"
#include "orchestrator/master/resume.h"
#include "orchestrator/run/json_values.h"

/* A roll that is void has no use for this rank's part: the new one begins the save again. */
static enum mu_status poll_save(void *job)
{
    return mu_poll(((struct mu_job *)job)->poller);
}

/* Checked by all: the master alone makes the folder, before anybody writes into it. What another
 * roll has begun there goes: it had other parts. */
static enum mu_status make_folder(struct mu_job *job, const char *folder)
{
    enum mu_status st = MU_OK;

    if (job->is_master && job->worker.plan)
        st = mu_checkpoint_remove_unfinished(folder);
    if (job->is_master && st == MU_OK)
        st = mu_file_make_folders(folder);
    if (job->is_master && st == MU_OK)
        st = mu_checkpoint_check_space(folder, &job->workload->layout);
    return mu_control_agree(&job->control, st);
}

/* took_s: how long it was saved; 0: not known. */
static void record_checkpoint(struct mu_job *job, int64_t step, struct mu_hash state_hash,
                              double took_s)
{
    char record[256], took[48] = "";

    if (took_s > 0)
        snprintf(took, sizeof took, ",\"save_s\":%.6f", took_s);
    snprintf(record, sizeof record,
             "{\"date\":\"%s\",\"step\":%" PRId64 ",\"state_hash\":\"%s\"%s}", mu_clock_date().text,
             step, mu_hash_print(state_hash).text, took);
    if (mu_journal_append(job->journal, MU_JOURNAL_CHECKPOINT, record) != MU_OK)
        mu_log(MU_LOG_WARN,
               "the checkpoint of step %" PRId64 " is saved, but the journal lacks its record",
               step);
}

static void remove_older(const struct mu_job *job, int64_t step)
{
    const struct mu_checkpoint_keep keep = {(uint32_t)job->settings.checkpoint_keep,
                                            job->settings.checkpoint_keep_every, job->plan.save_at};

    if (mu_checkpoint_retain(job->checkpoints, keep, step) != MU_OK)
        mu_log(MU_LOG_WARN,
               "the checkpoint of step %" PRId64
               " is saved, but older ones could not be removed: the next save tries again",
               step);
    if (!job->trial && mu_origin_release(job->run_path) != MU_OK)
        mu_log(MU_LOG_WARN, "%s/parent is of no use any more: it may be removed", job->run_path);
}

/* ---- what a master that died had no time for ---- */
struct record_search {
    int64_t step;
    bool found;
};

static void look_for_record(void *context, uint32_t generation, enum mu_journal_type type,
                            const char *text, size_t size)
{
    struct record_search *s = context;
    json_t *record = type == MU_JOURNAL_CHECKPOINT ? json_loadb(text, size, 0, NULL) : NULL;

    (void)generation;
    s->found |= record && mu_json_get_integer(record, "step") == s->step;
    json_decref(record);
}

static void take_duration(void *context, uint32_t generation, enum mu_journal_type type,
                          const char *text, size_t size)
{
    double *newest = context;
    json_t *record = type == MU_JOURNAL_CHECKPOINT ? json_loadb(text, size, 0, NULL) : NULL;
    const double took = mu_json_get_real(record, "save_s");

    (void)generation;
    if (took > 0)
        *newest = took;
    json_decref(record);
}

double mu_job_known_save_s(const struct mu_job *job)
{
    char journal[MU_PATH_MAX];
    double took = 0;

    if (mu_path_format(journal, "%s/journal", job->run_path) != MU_OK ||
        mu_journal_replay(journal, take_duration, &took) != MU_OK)
        return 0; /* told; what it is for can do without */
    return took;
}

/* Unknown counts as recorded: an error has been told. */
static bool is_recorded(const struct mu_job *job, int64_t step)
{
    struct record_search s = {.step = step};
    char journal[MU_PATH_MAX];

    return mu_path_format(journal, "%s/journal", job->run_path) != MU_OK ||
           mu_journal_replay(journal, look_for_record, &s) != MU_OK || s.found;
}

/* saved_step is not, where a newer one is damaged. */
static bool is_newest(const struct mu_job *job, int64_t step)
{
    int64_t *steps = NULL;
    uint32_t count = 0;
    bool newest = mu_checkpoint_list(job->checkpoints, &steps, &count) == MU_OK && count > 0 &&
                  steps[count - 1] == step;

    free(steps);
    return newest;
}

void mu_job_complete_save(struct mu_job *job)
{
    struct mu_checkpoint_info info = {0};
    char folder[MU_PATH_MAX];

    if (job->saved_step <= 0 || !is_newest(job, job->saved_step))
        return;
    if (!is_recorded(job, job->saved_step) &&
        mu_checkpoint_folder(folder, job->checkpoints, job->saved_step) == MU_OK &&
        mu_checkpoint_read_info(folder, &info) == MU_OK)
        record_checkpoint(job, job->saved_step, info.state_hash, 0);
    mu_checkpoint_info_deinit(&info);
    remove_older(job, job->saved_step);
}

/* ---- a save ---- */
static enum mu_status publish(struct mu_job *job, const char *folder, struct mu_hash state_hash)
{
    struct mu_checkpoint_info info = {
        .step = job->life.step,
        .parts = job->roll.size,
        .layout_identity = mu_layout_identity(&job->workload->layout),
        .state_hash = state_hash,
        .config = job->config_text,
    };
    const struct mu_checkpoint_poll poll = {poll_save, job};
    enum mu_status st;

    snprintf(info.fingerprint, sizeof info.fingerprint, "%s", job->fingerprint);
    MU_TRY(mu_resume_note_write(job, &info.journal), st, done);
    MU_TRY(mu_checkpoint_publish(folder, &job->workload->layout, &info, &poll), st, done);
    mu_fault(MU_FAULT_PUBLISHED, job->life.step);
done:
    free(info.journal);
    return st;
}

/* What a failed save has written would fill the disk further. Only while all ranks are known to be
 * here, so that none of them writes still. */
static void clean_up(const struct mu_job *job, const char *folder, enum mu_status st)
{
    if (!job->is_master || st == MU_OK || mu_control_is_broken(st))
        return;
    if (mu_checkpoint_remove_unfinished(folder) != MU_OK)
        mu_log(MU_LOG_WARN, "what the failed save has left in %s could not be removed", folder);
}

static enum mu_status save(struct mu_job *job, const char *folder, struct mu_hash state_hash)
{
    const struct mu_checkpoint_poll poll = {poll_save, job};
    struct mu_state_view view;
    enum mu_status st;

    MU_TRY(make_folder(job, folder), st, done);
    st = mu_worker_state(&job->worker, (uint64_t)mu_comm_rank(job->comm), job->roll.size, &view);
    if (mu_device_status(job->device) != MU_OK)
        return mu_device_status(job->device); /* it leaves, and the others go on without it */
    MU_TRY(mu_control_agree(&job->control, st), st, done);
    st = mu_checkpoint_write_part(folder, &view, job->life.step, (uint32_t)mu_comm_rank(job->comm),
                                  job->roll.size, &poll);
    mu_worker_release_state(&job->worker);
    mu_poller_forgive_gap(job->poller);
    MU_TRY(mu_control_agree(&job->control, st), st, done);
    st = mu_control_agree(&job->control, job->is_master ? publish(job, folder, state_hash) : MU_OK);
done:
    return st;
}

/* The run's own. */
static enum mu_status save_own(struct mu_job *job, const char *folder, struct mu_hash state_hash)
{
    const uint64_t began_ns = mu_clock_ns();
    enum mu_status st = save(job, folder, state_hash);

    if (st != MU_OK)
        return st;
    job->saved_step = job->life.step;
    if (job->is_master) {
        record_checkpoint(job, job->life.step, state_hash,
                          1e-9 * (double)(mu_clock_ns() - began_ns));
        remove_older(job, job->life.step);
    }
    return MU_OK;
}

enum mu_status mu_job_save(struct mu_job *job, struct mu_hash state_hash)
{
    char folder[MU_PATH_MAX];
    enum mu_status st = mu_checkpoint_folder(folder, job->checkpoints, job->life.step);

    mu_job_move(job, MU_LIFE_ON_SAVE);
    if (st == MU_OK) {
        st = save_own(job, folder, state_hash);
        clean_up(job, folder, st);
    }
    mu_poller_forgive_gap(job->poller);
    mu_job_move(job, MU_LIFE_ON_RUN);
    return st;
}

/* ---- what other runs begin from ---- */
bool mu_job_has_branches(const struct mu_job *job)
{
    for (uint32_t i = 0; job->trial && i < job->trial->branch_count; i++)
        if (job->trial->branches[i].step == job->life.step)
            return true;
    return false;
}

/* The master looks whether it is there already, and tells all. */
static enum mu_status ask_whether_saved(struct mu_job *job, const char *folder, bool *saved)
{
    struct mu_checkpoint_info info = {0};
    uint32_t done = job->is_master && mu_checkpoint_read_info(folder, &info) == MU_OK;
    enum mu_status st = mu_job_hear_done(job, &done);

    mu_checkpoint_info_deinit(&info);
    *saved = done;
    return st;
}

static enum mu_status save_branch(struct mu_job *job, const struct mu_trial_branch *branch,
                                  struct mu_hash state_hash)
{
    char checkpoints[MU_PATH_MAX], folder[MU_PATH_MAX];
    bool saved;
    enum mu_status st;

    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", branch->run_path), st, failed);
    MU_TRY(mu_checkpoint_folder(folder, checkpoints, job->life.step), st, failed);
    MU_TRY(ask_whether_saved(job, folder, &saved), st, failed);
    if (saved)
        return MU_OK;
    mu_fault(MU_FAULT_BRANCH, job->life.step);
    st = save(job, folder, state_hash);
    clean_up(job, folder, st);
failed:
    return st;
}

enum mu_status mu_job_save_branches(struct mu_job *job, struct mu_hash state_hash)
{
    enum mu_status st = MU_OK;

    mu_job_move(job, MU_LIFE_ON_SAVE);
    for (uint32_t i = 0; i < job->trial->branch_count && !mu_control_is_broken(st); i++) {
        const struct mu_trial_branch *branch = &job->trial->branches[i];

        if (branch->step != job->life.step)
            continue;
        st = save_branch(job, branch, state_hash);
        if (st != MU_OK && !mu_control_is_broken(st) && job->is_master)
            mu_log(MU_LOG_WARN,
                   "the state of step %" PRId64 " could not be left to %s: it will run alone",
                   job->life.step, branch->run_path);
    }
    mu_poller_forgive_gap(job->poller);
    mu_job_move(job, MU_LIFE_ON_RUN);
    if (mu_control_is_broken(st))
        return st;
    job->control.verdict = MU_OK; /* known, and lived with */
    return mu_device_status(job->device);
}

/* Three steps, each closed by an agreement before anybody begins the next:
 *
 *   folder           made by the master
 *   parts            written by every rank
 *   checkpoint.h5    by the master; from here on it is a checkpoint
 *
 * What follows (the journal's record, retention) cannot undo it, so its failures are warnings. A
 * failure before leaves a folder that is none, which the master removes. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"
#include "orchestrator/master/resume.h"

/* A roll that is void has no use for this rank's part: the new one begins the save again. */
static enum mu_status poll_save(void *job)
{
    return mu_poll(&((struct mu_job *)job)->poller);
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

/* The checkpoint is there, whatever fails here. */
static void after_publishing(struct mu_job *job, struct mu_hash state_hash)
{
    char record[256];

    snprintf(record, sizeof record, "{\"date\":\"%s\",\"step\":%" PRId64 ",\"state_hash\":\"%s\"}",
             mu_clock_date().text, job->life.step, mu_hash_print(state_hash).text);
    if (mu_journal_append(job->journal, MU_JOURNAL_CHECKPOINT, record) != MU_OK)
        mu_log(MU_LOG_WARN,
               "the checkpoint of step %" PRId64 " is saved, but the journal lacks its record",
               job->life.step);
    if (mu_checkpoint_retain(job->checkpoints, (uint32_t)job->settings.checkpoint_keep,
                             job->settings.checkpoint_keep_every, job->life.step) != MU_OK)
        mu_log(MU_LOG_WARN,
               "the checkpoint of step %" PRId64
               " is saved, but older ones could not be removed: the next save tries again",
               job->life.step);
}

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
    after_publishing(job, state_hash);
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
    const struct mu_state_view *view = &job->segment.half[mu_segment_half(&job->segment)];
    const struct mu_checkpoint_poll poll = {poll_save, job};
    enum mu_status st;

    MU_TRY(make_folder(job, folder), st, done);
    st = mu_checkpoint_write_part(folder, view, job->life.step, (uint32_t)mu_comm_rank(job->comm),
                                  job->roll.size, &poll);
    mu_poller_forgive_gap(&job->poller);
    MU_TRY(mu_control_agree(&job->control, st), st, done);
    MU_TRY(
        mu_control_agree(&job->control, job->is_master ? publish(job, folder, state_hash) : MU_OK),
        st, done);
    job->saved_step = job->life.step;
done:
    return st;
}

enum mu_status mu_job_save(struct mu_job *job, struct mu_hash state_hash)
{
    char folder[MU_PATH_MAX];
    enum mu_status st = mu_checkpoint_folder(folder, job->checkpoints, job->life.step);

    mu_job_move(job, MU_LIFE_ON_SAVE);
    if (st == MU_OK) {
        st = save(job, folder, state_hash);
        clean_up(job, folder, st);
    }
    mu_poller_forgive_gap(&job->poller);
    mu_job_move(job, MU_LIFE_ON_RUN);
    return st;
}

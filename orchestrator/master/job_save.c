#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/base/log.h"
#include "orchestrator/master/job.h"
#include "orchestrator/master/resume.h"

/* Checked by all: the master alone makes the folder, before anybody writes into it. */
static enum mu_status make_folder(struct mu_job *job, const char *folder)
{
    return mu_control_agree(&job->control, job->is_master ? mu_file_make_folders(folder) : MU_OK);
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
    char record[256];
    enum mu_status st;

    snprintf(info.fingerprint, sizeof info.fingerprint, "%s", job->fingerprint);
    MU_TRY(mu_resume_note_write(job, &info.journal), st, done);
    MU_TRY(mu_checkpoint_publish(folder, &job->workload->layout, &info), st, done);
    snprintf(record, sizeof record, "{\"step\":%" PRId64 ",\"state_hash\":\"%s\"}", job->life.step,
             mu_hash_print(state_hash).text);
    MU_TRY(mu_journal_append(job->journal, MU_JOURNAL_CHECKPOINT, record), st, done);
    st = mu_checkpoint_retain(job->checkpoints, (uint32_t)job->settings.checkpoint_keep,
                              job->settings.checkpoint_keep_every, -1);
done:
    free(info.journal);
    return st;
}

enum mu_status mu_job_save(struct mu_job *job, struct mu_hash state_hash)
{
    const struct mu_state_view *view = &job->segment.half[mu_segment_half(&job->segment)];
    char folder[MU_PATH_MAX];
    enum mu_status st;

    mu_life_move(&job->life, MU_LIFE_ON_SAVE);
    MU_TRY(mu_checkpoint_folder(folder, job->checkpoints, job->life.step), st, done);
    MU_TRY(make_folder(job, folder), st, done);
    st = mu_checkpoint_write_part(folder, view, job->life.step, (uint32_t)mu_comm_rank(job->comm),
                                  job->roll.size);
    mu_poller_forgive_gap(&job->poller);
    MU_TRY(mu_control_agree(&job->control, st), st, done);
    MU_TRY(
        mu_control_agree(&job->control, job->is_master ? publish(job, folder, state_hash) : MU_OK),
        st, done);
    job->saved_step = job->life.step;
done:
    mu_poller_forgive_gap(&job->poller);
    mu_life_move(&job->life, MU_LIFE_ON_RUN);
    return st;
}

/* A candidate is judged by what checkpoint.h5 says; its contents are checked by all ranks as they
 * load it, and job_load.c asks for the next one when they turn out damaged. `left` only falls, so
 * nothing is tried twice. Damage passes a candidate over; other data than before ends the search,
 * since older ones would say the same. Data are known by their content, wherever they lie. */
#include "orchestrator/master/resume.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "worker/data/tokens.h"

enum mu_status mu_resume_candidates_find(struct mu_resume_candidates *c, const char *checkpoints)
{
    enum mu_status st = mu_checkpoint_list(checkpoints, &c->steps, &c->count);

    c->left = c->count;
    return st;
}

void mu_resume_candidates_free(struct mu_resume_candidates *c)
{
    free(c->steps);
    c->steps = NULL;
    c->left = c->count = 0;
}

enum mu_status mu_resume_identify_data(struct mu_job *job)
{
    if (job->data_identity.text[0] || job->settings.model_kind == MU_MODEL_SYNTHETIC)
        return MU_OK;
    /* Not found or damaged would be taken for a word on a checkpoint: MU_CONFIG is not. */
    return mu_tokens_identify(job->settings.data_train, &job->data_identity);
}

enum mu_status mu_resume_note_write(const struct mu_job *job, char **json)
{
    json_t *note = json_pack("{s:I, s:s}", "tokens", (json_int_t)job->tokens, "data_train",
                             job->data_identity.text);

    *json = NULL;
    if (note)
        *json = json_dumps(note, JSON_COMPACT);
    json_decref(note);
    return *json ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for a checkpoint's note");
}

enum mu_status mu_resume_note_read(const char *folder, const struct mu_checkpoint_info *info,
                                   uint64_t *tokens, char *data, size_t capacity)
{
    json_t *note = json_loads(info->journal, 0, NULL);
    json_int_t seen = 0;
    const char *trained_on = "";
    enum mu_status st = MU_OK;

    if (!note || json_unpack(note, "{s:I, s:s}", "tokens", &seen, "data_train", &trained_on) != 0 ||
        seen < 0 || strlen(trained_on) >= capacity)
        st = MU_FAIL(MU_CORRUPT, "%s: its note of tokens and data cannot be read", folder);
    else
        snprintf(data, capacity, "%s", trained_on);
    *tokens = (uint64_t)seen;
    json_decref(note);
    return st;
}

/* And that the data are today's. */
static enum mu_status check_note(const struct mu_job *job, const char *folder,
                                 const struct mu_checkpoint_info *info, uint64_t *tokens)
{
    struct mu_hash_text data;
    enum mu_status st = mu_resume_note_read(folder, info, tokens, data.text, sizeof data.text);

    if (st == MU_OK && strcmp(data.text, job->data_identity.text) != 0)
        st = MU_FAIL(MU_CONFIG,
                     "data.train: %s does not hold what this run was trained on so far (%s): give "
                     "the old file, or another run.name (--from goes on with other data)",
                     job->settings.data_train, folder);
    return st;
}

/* Fills `info` with what the folder says, whatever comes of it. */
static enum mu_status read_candidate(const struct mu_job *job, const char *folder, int64_t step,
                                     struct mu_checkpoint_info *info, uint64_t *tokens)
{
    enum mu_status st = mu_checkpoint_read_info(folder, info);

    if (st != MU_OK)
        return st;
    if (info->step != step)
        return MU_FAIL(MU_CORRUPT, "%s says that it is of step %" PRId64, folder, info->step);
    return check_note(job, folder, info, tokens);
}

enum mu_status mu_resume_candidates_next(struct mu_resume_candidates *c, struct mu_job *job,
                                         int64_t *step, char folder[MU_PATH_MAX],
                                         struct mu_hash *state_hash)
{
    enum mu_status st = mu_resume_identify_data(job), found = MU_NOT_FOUND;

    c->tokens = 0;
    while (st == MU_OK && found != MU_OK && c->left > 0) {
        struct mu_checkpoint_info info = {0};
        uint64_t tokens = 0;

        *step = c->steps[--c->left];
        MU_TRY(mu_checkpoint_folder(folder, job->checkpoints, *step), st, done);
        found = read_candidate(job, folder, *step, &info, &tokens);
        if (found == MU_CORRUPT || found == MU_NOT_FOUND)
            mu_log(MU_LOG_WARN, "%s cannot be used: it is passed over", folder);
        else
            st = found; /* found it, or a failure that says nothing of the folder */
        if (found == MU_OK && strcmp(info.fingerprint, job->fingerprint) != 0)
            mu_log(MU_LOG_WARN,
                   "the checkpoint of step %" PRId64
                   " was computed by %s; this is %s: bits may differ from here on from those of an "
                   "undisturbed run",
                   *step, info.fingerprint, job->fingerprint);
        if (found == MU_OK) {
            *state_hash = info.state_hash;
            c->tokens = tokens;
        }
        mu_checkpoint_info_deinit(&info);
    }
done:
    /* Nobody looks after each trial of a sweep, and what it takes is computed again. */
    if (st == MU_OK && found != MU_OK && c->count > 0 && job->trial)
        mu_log(MU_LOG_WARN, "%s: none of the %u checkpoints can be used: the trial begins again",
               job->checkpoints, c->count);
    else if (st == MU_OK && found != MU_OK && c->count > 0)
        return MU_FAIL(MU_FAILED,
                       "%s: none of the %u checkpoints can be used, and beginning again would "
                       "remove them. Move the run's folder away to begin again",
                       job->checkpoints, c->count);
    return st != MU_OK ? st : found == MU_OK ? MU_OK : MU_NOT_FOUND;
}

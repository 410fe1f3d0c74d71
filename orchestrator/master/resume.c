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
    return mu_checkpoint_list(checkpoints, &c->steps, &c->left);
}

void mu_resume_candidates_free(struct mu_resume_candidates *c)
{
    free(c->steps);
    c->steps = NULL;
    c->left = 0;
}

/* What the training data are, by content: "" when there are none. */
static enum mu_status data_identity(const struct mu_job *job, struct mu_hash_text *out)
{
    struct mu_tokens tokens;
    enum mu_status st;

    out->text[0] = 0;
    if (!job->settings.data_train[0] || job->settings.model_kind == MU_MODEL_SYNTHETIC)
        return MU_OK;
    st = mu_tokens_open(&tokens, job->settings.data_train);
    if (st != MU_OK)
        return st;
    *out = mu_hash_print(tokens.identity);
    mu_tokens_close(&tokens);
    return MU_OK;
}

enum mu_status mu_resume_note_write(const struct mu_job *job, char **json)
{
    struct mu_hash_text data;
    enum mu_status st = data_identity(job, &data);
    json_t *note;

    *json = NULL;
    if (st != MU_OK)
        return st;
    note = json_pack("{s:I, s:s}", "tokens", (json_int_t)job->tokens, "data_train", data.text);
    if (note)
        *json = json_dumps(note, JSON_COMPACT);
    json_decref(note);
    return *json ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for a checkpoint's note");
}

static enum mu_status note_read(struct mu_job *job, const char *folder,
                                const struct mu_checkpoint_info *info)
{
    struct mu_hash_text data;
    json_t *note = json_loads(info->journal ? info->journal : "{}", 0, NULL);
    json_int_t tokens = 0;
    const char *trained_on = "";
    enum mu_status st = data_identity(job, &data);

    if (st != MU_OK)
        goto done;
    if (!note || json_unpack(note, "{s:I, s:s}", "tokens", &tokens, "data_train", &trained_on) != 0)
        st = MU_FAIL(MU_CORRUPT, "%s: its note of tokens and data cannot be read", folder);
    else if (strcmp(trained_on, data.text) != 0)
        st = MU_FAIL(MU_CONFIG,
                     "data.train: %s does not hold what this run was trained on so far (%s): give "
                     "the old file, or another run.name",
                     job->settings.data_train, folder);
    else
        job->tokens = (uint64_t)tokens;
done:
    json_decref(note);
    return st;
}

enum mu_status mu_resume_candidates_next(struct mu_resume_candidates *c, struct mu_job *job,
                                         int64_t *step, char folder[MU_PATH_MAX],
                                         struct mu_hash *state_hash)
{
    while (c->left > 0) {
        struct mu_checkpoint_info info = {0};
        enum mu_status st;

        *step = c->steps[--c->left];
        st = mu_checkpoint_folder(folder, job->checkpoints, *step);
        if (st != MU_OK)
            return st;
        st = mu_checkpoint_read_info(folder, &info);
        if (st == MU_CORRUPT || st == MU_NOT_FOUND) {
            mu_log(MU_LOG_WARN, "%s cannot be used: going on from the one before it", folder);
            continue;
        }
        if (st == MU_OK)
            st = note_read(job, folder, &info);
        if (st == MU_OK && strcmp(info.fingerprint, job->fingerprint) != 0)
            mu_log(MU_LOG_WARN,
                   "the checkpoint of step %" PRId64
                   " was computed by %s; this is %s: bits may differ from here on from those of an "
                   "undisturbed run",
                   *step, info.fingerprint, job->fingerprint);
        *state_hash = info.state_hash;
        mu_checkpoint_info_deinit(&info);
        return st;
    }
    return MU_NOT_FOUND;
}

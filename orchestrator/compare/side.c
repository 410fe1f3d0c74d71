/* Four witnesses of a run's states: where it comes from when it is a fork, metrics.jsonl, the
 * journal's word of each checkpoint, and the checkpoints. They are read in this order, and the later
 * one counts. */
#include "orchestrator/compare/side.h"

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/inspect/found.h"
#include "orchestrator/master/origin.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/metrics.h"
#include "worker/checkpoint/checkpoint.h"

/* ---- the list of steps ----------------------------------------------------------------------- */

/* Number of the first record of a step >= `step`. */
static size_t place_of(const struct mu_side *s, int64_t step)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (s->record[middle].step < step)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

const struct mu_side_record *mu_side_find(const struct mu_side *s, int64_t step)
{
    const size_t at = place_of(s, step);

    return at < s->count && s->record[at].step == step ? &s->record[at] : NULL;
}

const struct mu_side_checkpoint *mu_side_find_checkpoint(const struct mu_side *s, int64_t step)
{
    for (uint32_t i = 0; i < s->checkpoints; i++)
        if (s->checkpoint[i].step == step)
            return &s->checkpoint[i];
    return NULL;
}

/* The record of a step, made when there is none; NULL: no memory. */
static struct mu_side_record *record_of(struct mu_side *s, int64_t step)
{
    const size_t at = place_of(s, step);

    if (at < s->count && s->record[at].step == step)
        return &s->record[at];
    if (s->count == s->room) {
        const size_t room = 2 * s->room + 64;
        struct mu_side_record *more = realloc(s->record, room * sizeof *more);

        if (!more)
            return NULL;
        s->record = more;
        s->room = room;
    }
    memmove(&s->record[at + 1], &s->record[at], (s->count - at) * sizeof *s->record);
    s->count++;
    s->record[at] =
        (struct mu_side_record){.step = step, .loss = NAN, .gradient_norm = NAN, .valid_loss = NAN};
    s->end = s->record[s->count - 1].step;
    return &s->record[at];
}

/* ---- a run's witnesses ----------------------------------------------------------------------- */

struct taking {
    struct mu_side *side;
    struct mu_side hashes; /* the journal's: what is passed over goes */
    bool failed;           /* no memory */
};

static void take_metrics(void *context, const struct mu_metrics *m)
{
    struct taking *t = context;
    struct mu_side_record *r = record_of(t->side, m->step);

    if (!r) {
        t->failed = true;
        return;
    }
    *r = (struct mu_side_record){.step = m->step,
                                 .loss = m->loss,
                                 .gradient_norm = m->gradient_norm,
                                 .valid_loss = m->valid_loss,
                                 .has_metrics = true,
                                 .has_hash = m->has_hash,
                                 .hash = m->hash};
}

static void set_hash(struct mu_side *s, int64_t step, struct mu_hash hash, bool *failed)
{
    struct mu_side_record *r = record_of(s, step);

    if (!r) {
        *failed = true;
        return;
    }
    r->has_hash = true;
    r->hash = hash;
}

static void take_journal(void *context, uint32_t generation, enum mu_journal_type type,
                         const char *text, size_t size)
{
    struct taking *t = context;
    json_t *record = json_loadb(text, size, 0, NULL);
    const int64_t step = mu_json_get_integer(record, "step");
    struct mu_hash hash;

    (void)generation;
    if (type == MU_JOURNAL_GENERATION) {
        t->hashes.count = place_of(&t->hashes, step + 1);
        mu_json_copy_text(t->side->fingerprint, sizeof t->side->fingerprint, record, "fingerprint");
    } else if (type == MU_JOURNAL_CHECKPOINT &&
               mu_hash_parse(mu_json_get_text(record, "state_hash"), &hash))
        set_hash(&t->hashes, step, hash, &t->failed);
    json_decref(record);
}

enum mu_status mu_side_read_records(struct mu_side *s)
{
    struct taking t = {.side = s};
    struct mu_metrics_damage damage;
    char journal[MU_PATH_MAX];
    enum mu_status st = MU_OK;

    MU_TRY(mu_metrics_read(s->path, take_metrics, &t, &damage), st, done);
    if (damage.lines > 0)
        mu_log(MU_LOG_WARN, "%s/metrics.jsonl: %" PRIu64 " damaged line%s left out", s->path,
               damage.lines, damage.lines == 1 ? " is" : "s are");
    MU_TRY(mu_path_format(journal, "%s/journal", s->path), st, done);
    MU_TRY(mu_journal_replay(journal, take_journal, &t), st, done);
    for (size_t i = 0; i < t.hashes.count; i++)
        set_hash(s, t.hashes.record[i].step, t.hashes.record[i].hash, &t.failed);
    s->saved = t.hashes.count > 0 ? t.hashes.record[t.hashes.count - 1].step : 0;
    if (t.failed)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the records of %s", s->path);
done:
    free(t.hashes.record);
    return st;
}

/* A fork begins with the state of its parent's checkpoint. */
static enum mu_status read_origin(struct mu_side *s)
{
    struct mu_origin origin;
    bool failed = false;
    enum mu_status st = mu_origin_read(s->path, &origin);

    if (st == MU_CORRUPT)
        return MU_OK; /* the reason has been told, and the rest can be compared */
    if (st == MU_OK && origin.checkpoint[0] && !origin.weights_only)
        set_hash(s, origin.step, origin.state_hash, &failed);
    return failed ? MU_FAIL(MU_NO_MEMORY, "no memory for the records of %s", s->path) : st;
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

static void take_info(struct mu_side *s, const struct mu_checkpoint_info *info)
{
    json_t *note = json_loads(info->journal, 0, NULL);

    mu_json_copy_text(s->data, sizeof s->data, note, "data_train");
    json_decref(note);
    if (!s->fingerprint[0])
        snprintf(s->fingerprint, sizeof s->fingerprint, "%s", info->fingerprint);
    if (!s->config)
        s->config = strdup(info->config);
}

/* MU_CORRUPT, reported, when the folder's checkpoint is not whole. */
static enum mu_status add_checkpoint(struct mu_side *s, const char *folder)
{
    struct mu_side_checkpoint *c = &s->checkpoint[s->checkpoints];
    struct mu_checkpoint_info info;
    bool failed = false;
    enum mu_status st = mu_checkpoint_read_info(folder, &info);

    if (st == MU_NOT_FOUND)
        st = mu_found_no_checkpoint(folder);
    if (st != MU_OK)
        return st;
    *c = (struct mu_side_checkpoint){info.step, info.state_hash, strdup(folder)};
    set_hash(s, info.step, info.state_hash, &failed);
    take_info(s, &info);
    mu_checkpoint_info_deinit(&info);
    if (failed || !c->folder)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the checkpoints of %s", s->path);
    s->checkpoints++;
    return MU_OK;
}

static enum mu_status make_room(struct mu_side *s, uint32_t count)
{
    s->checkpoint = calloc(count + 1, sizeof *s->checkpoint);
    return s->checkpoint ? MU_OK
                         : MU_FAIL(MU_NO_MEMORY, "no memory for the checkpoints of %s", s->path);
}

/* A damaged one is named and passed over, as the run itself does. */
static enum mu_status read_checkpoints(struct mu_side *s)
{
    char checkpoints[MU_PATH_MAX], folder[MU_PATH_MAX];
    int64_t *steps = NULL;
    uint32_t count = 0;
    enum mu_status st = MU_OK;

    MU_TRY(mu_path_format(checkpoints, "%s/checkpoints", s->path), st, done);
    MU_TRY(mu_checkpoint_list(checkpoints, &steps, &count), st, done);
    MU_TRY(make_room(s, count), st, done);
    for (uint32_t i = 0; i < count; i++) {
        MU_TRY(mu_checkpoint_folder(folder, checkpoints, steps[i]), st, done);
        st = add_checkpoint(s, folder);
        if (st == MU_CORRUPT || st == MU_NOT_FOUND)
            mu_log(MU_LOG_WARN, "checkpoint %s is damaged: it is passed over", folder);
        else if (st != MU_OK)
            goto done;
        st = MU_OK;
    }
done:
    free(steps);
    return st;
}

/* ---- as a whole ------------------------------------------------------------------------------ */

static enum mu_status read_run(struct mu_side *s)
{
    enum mu_status st = MU_OK;

    s->is_run = true;
    st = mu_run_dir_read_config(s->path, &s->config);
    if (st != MU_OK && st != MU_NOT_FOUND)
        goto done;
    MU_TRY(read_origin(s), st, done);
    MU_TRY(mu_side_read_records(s), st, done);
    MU_TRY(read_checkpoints(s), st, done);
done:
    return st;
}

static enum mu_status refuse(const char *path, enum mu_found found)
{
    switch (found) {
    case MU_FOUND_NOTHING:
        return mu_found_nothing(path);
    case MU_FOUND_SWEEP:
        return MU_FAIL(MU_USAGE, "%s is a sweep; compare its runs, one by one: %s/trials/NAME",
                       path, path);
    case MU_FOUND_CHECKPOINTS:
        return MU_FAIL(MU_USAGE, "%s is a folder of checkpoints; give one of them, or their run",
                       path);
    case MU_FOUND_RUNS:
        return MU_FAIL(MU_USAGE, "%s is a folder of runs; give one of them", path);
    case MU_FOUND_PART:
        return MU_FAIL(MU_USAGE, "%s is one part of a checkpoint; give the folder that it lies in",
                       path);
    case MU_FOUND_FILE:
    case MU_FOUND_OTHER:
    case MU_FOUND_CHECKPOINT:
    case MU_FOUND_RUN:
        break;
    }
    return MU_FAIL(MU_NOT_FOUND,
                   "%s is neither a run nor a checkpoint; expected a run directory "
                   "(checkpoints/, status.json) or a checkpoint's folder (checkpoint.h5)",
                   path);
}

enum mu_status mu_side_read(const char *path, struct mu_side *s)
{
    enum mu_found found;
    enum mu_status st = MU_OK;

    *s = (struct mu_side){.is_run = false};
    MU_TRY(mu_found_at(path, &found, s->path), st, failed);
    if (found == MU_FOUND_RUN) {
        MU_TRY(read_run(s), st, failed);
    } else if (found == MU_FOUND_CHECKPOINT) {
        MU_TRY(make_room(s, 1), st, failed);
        MU_TRY(add_checkpoint(s, s->path), st, failed);
    } else {
        st = refuse(path, found);
        goto failed;
    }
    return MU_OK;
failed:
    mu_side_deinit(s);
    return st;
}

void mu_side_deinit(struct mu_side *s)
{
    for (uint32_t i = 0; i < s->checkpoints; i++)
        free(s->checkpoint[i].folder);
    free(s->checkpoint);
    free(s->record);
    free(s->config);
    *s = (struct mu_side){.is_run = false};
}

#include "orchestrator/master/origin.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/master/resume.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/which_checkpoint.h"

enum { PARENT_MAX = 1 << 20 };

int64_t mu_origin_begins_at(const struct mu_origin *origin)
{
    return origin->weights_only ? 0 : origin->step;
}

static bool name_absolutely(const char *from, char out[MU_PATH_MAX])
{
    char folder[MU_PATH_MAX];

    return from[0] == '/' ? mu_path_format(out, "%s", from) == MU_OK
                          : getcwd(folder, sizeof folder) &&
                                mu_path_format(out, "%s/%s", folder, from) == MU_OK;
}

bool mu_origin_was_named(const struct mu_origin *own, const char *from, bool weights_only)
{
    char path[MU_PATH_MAX];

    return own->checkpoint[0] && own->weights_only == weights_only && name_absolutely(from, path) &&
           strcmp(path, own->named) == 0;
}

static bool can_be_noted(const char *path)
{
    json_t *text = json_string(path);

    json_decref(text);
    return text;
}

enum mu_status mu_origin_find(const char *from, bool weights_only, struct mu_origin *out,
                              char **config)
{
    struct mu_checkpoint_info info = {0};
    enum mu_status st;

    *out = (struct mu_origin){.weights_only = weights_only};
    *config = NULL;
    st = mu_which_checkpoint(from, out->checkpoint, &info);
    if (st == MU_OK)
        st = mu_resume_note_read(out->checkpoint, &info, &out->tokens, out->data_train,
                                 sizeof out->data_train);
    if (st == MU_OK && !can_be_noted(out->checkpoint))
        st = MU_FAIL(MU_CONFIG, "%s is no UTF-8, and cannot be kept in parent.json: rename it",
                     out->checkpoint);
    if (st != MU_OK) {
        mu_checkpoint_info_deinit(&info);
        return st == MU_NO_MEMORY ? st : MU_FAIL(MU_CONFIG, "--from %s cannot be used", from);
    }
    if (!name_absolutely(from, out->named) || !can_be_noted(out->named))
        out->named[0] = 0;
    out->step = info.step;
    out->state_hash = info.state_hash;
    snprintf(out->fingerprint, sizeof out->fingerprint, "%s", info.fingerprint);
    *config = info.config;
    info.config = NULL;
    mu_checkpoint_info_deinit(&info);
    return MU_OK;
}

bool mu_origin_is(const struct mu_origin *own, const char *from, const struct mu_origin *named)
{
    char *run = realpath(from, NULL);
    size_t n = run ? strlen(run) : 0;
    bool is_of_run = run && strncmp(own->checkpoint, run, n) == 0 &&
                     strncmp(own->checkpoint + n, "/checkpoints/", 13) == 0;

    free(run);
    return own->checkpoint[0] && own->weights_only == named->weights_only &&
           (is_of_run ||
            (own->step == named->step && mu_hash_equal(own->state_hash, named->state_hash)));
}

/* ---- the checkpoint, held ---- */

static const char index_file[] = "checkpoint.h5", held_folder[] = "parent";

static enum mu_status fail_as_gone(const struct mu_origin *origin)
{
    return MU_FAIL(MU_FAILED,
                   "%s, from which this run comes, is not there any more, and the run has no "
                   "checkpoint of its own yet: bring it back, or begin anew with --fresh",
                   origin->checkpoint);
}

static bool link_all(const char *from, const char *to)
{
    char source[MU_PATH_MAX], target[MU_PATH_MAX];
    struct dirent *entry;
    DIR *dir = opendir(from);
    bool done = dir && mu_file_make_folders(to) == MU_OK;

    while (done && (entry = readdir(dir)))
        done = entry->d_name[0] == '.' ||
               (mu_path_format(source, "%s/%s", from, entry->d_name) == MU_OK &&
                mu_path_format(target, "%s/%s", to, entry->d_name) == MU_OK &&
                link(source, target) == 0);
    if (dir)
        closedir(dir);
    return done;
}

/* A parent that removes it takes the index first: while that is there, all was. */
enum mu_status mu_origin_hold(const char *run_path, const struct mu_origin *origin)
{
    char half[MU_PATH_MAX], held[MU_PATH_MAX];
    bool is_linked;
    enum mu_status st;

    MU_TRY(mu_origin_release(run_path), st, failed);
    MU_TRY(mu_path_format(half, "%s/.%s.tmp.", run_path, held_folder), st, failed);
    MU_TRY(mu_path_format(held, "%s/%s", run_path, held_folder), st, failed);
    MU_TRY(mu_file_remove_tree(half), st, failed);
    is_linked = link_all(origin->checkpoint, half);
    if (!mu_file_exists_in(origin->checkpoint, index_file)) {
        st = mu_file_remove_tree(half);
        return st == MU_OK ? fail_as_gone(origin) : st;
    }
    st = is_linked ? mu_file_rename_durably(half, held) : mu_file_remove_tree(half);
failed:
    return st;
}

enum mu_status mu_origin_release(const char *run_path)
{
    char held[MU_PATH_MAX];
    enum mu_status st = mu_path_format(held, "%s/%s", run_path, held_folder);

    return st == MU_OK ? mu_file_remove_tree(held) : st;
}

enum mu_status mu_origin_locate(const char *run_path, const struct mu_origin *origin,
                                char folder[MU_PATH_MAX])
{
    enum mu_status st;

    MU_TRY(mu_path_format(folder, "%s/%s", run_path, held_folder), st, failed);
    if (mu_file_exists_in(folder, index_file))
        return MU_OK;
    MU_TRY(mu_path_format(folder, "%s", origin->checkpoint), st, failed);
    if (!mu_file_exists_in(folder, index_file))
        st = fail_as_gone(origin);
failed:
    return st;
}

/* ---- parent.json ----------------------------------------------------------------------------- */

static enum mu_status path_of(char path[MU_PATH_MAX], const char *run_path)
{
    return mu_path_format(path, "%s/parent.json", run_path);
}

static bool take(const json_t *object, struct mu_origin *out)
{
    mu_json_copy_text(out->checkpoint, sizeof out->checkpoint, object, "checkpoint");
    mu_json_copy_text(out->named, sizeof out->named, object, "named");
    mu_json_copy_text(out->data_train, sizeof out->data_train, object, "data_train");
    mu_json_copy_text(out->fingerprint, sizeof out->fingerprint, object, "fingerprint");
    out->weights_only = json_is_true(json_object_get(object, "weights_only"));
    out->step = mu_json_get_integer(object, "step");
    out->tokens = (uint64_t)mu_json_get_integer(object, "tokens");
    return out->checkpoint[0] && out->step > 0 &&
           mu_hash_parse(mu_json_get_text(object, "state_hash"), &out->state_hash);
}

enum mu_status mu_origin_read(const char *run_path, struct mu_origin *out)
{
    char path[MU_PATH_MAX], *data = NULL;
    json_t *object = NULL;
    size_t size;
    enum mu_status st = path_of(path, run_path);

    *out = (struct mu_origin){0};
    if (st == MU_OK)
        st = mu_file_read(path, PARENT_MAX, &data, &size);
    if (st != MU_OK)
        return st == MU_NOT_FOUND ? MU_OK : st;
    object = json_loadb(data, size, 0, NULL);
    if (!object || !take(object, out))
        st = MU_FAIL(MU_CORRUPT,
                     "%s, which says where this run comes from, cannot be read: restore it, or "
                     "begin anew with --fresh",
                     path);
    json_decref(object);
    free(data);
    return st;
}

static void add_change(void *context, const struct mu_key *key, const char *before, const char *now)
{
    json_t *changes = context;

    if (key->class != MU_CLASS_OPERATIONAL)
        json_object_set_new(changes, key->name, json_pack("[s, s]", before, now));
}

static enum mu_status changes_between(const struct mu_settings *parent,
                                      const struct mu_settings *now, json_t **out)
{
    *out = json_object();
    return *out ? mu_config_each_difference(parent, now, add_change, *out)
                : MU_FAIL(MU_NO_MEMORY, "no memory for parent.json");
}

enum mu_status mu_origin_write(const char *run_path, const struct mu_origin *origin,
                               const struct mu_settings *parent, const struct mu_settings *now)
{
    char path[MU_PATH_MAX], *text = NULL;
    json_t *changes = NULL, *object = NULL;
    enum mu_status st;

    MU_TRY(path_of(path, run_path), st, done);
    MU_TRY(changes_between(parent, now, &changes), st, done);
    object = json_pack("{s:s, s:s, s:I, s:b, s:s, s:I, s:s, s:s, s:s, s:O}", "checkpoint",
                       origin->checkpoint, "named", origin->named, "step", (json_int_t)origin->step,
                       "weights_only", origin->weights_only, "state_hash",
                       mu_hash_print(origin->state_hash).text, "tokens", (json_int_t)origin->tokens,
                       "data_train", origin->data_train, "fingerprint", origin->fingerprint, "date",
                       mu_clock_date().text, "changed", changes);
    text = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    st = text ? mu_file_write_durably(path, text, strlen(text))
              : MU_FAIL(MU_NO_MEMORY, "no memory for %s (or %s is no UTF-8)", path,
                        origin->checkpoint);
done:
    free(text);
    json_decref(object);
    json_decref(changes);
    return st;
}

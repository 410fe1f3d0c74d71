/* A run directory: every file that the run or a person goes on from. */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "orchestrator/compare/side.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/master/origin.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/metrics.h"
#include "orchestrator/verify/findings.h"
#include "worker/checkpoint/checkpoint.h"

enum { JSON_MAX = 64 << 20 };

/* ---- config.cfg ------------------------------------------------------------------------------ */

static void check_config(struct mu_verify *v, const char *path)
{
    static const char advice[] =
        "take it from a checkpoint: muster inspect --config CHECKPOINT > config.cfg; or remove it: "
        "the run's own command writes it again";
    struct mu_verify_ear ear;
    struct mu_mistakes mistakes = {.count = 0};
    struct mu_config_source source = {.text_name = "config.cfg"};
    static struct mu_settings settings;
    char *text = NULL;
    enum mu_status st;

    mu_verify_listen(&ear, v, advice);
    st = mu_run_dir_read_config(path, &text);
    if (st == MU_OK) {
        source.text = text;
        source.text_size = strlen(text);
        st = mu_config_collect(&source, &settings, &mistakes);
    }
    mu_verify_listen_end(&ear);
    if (st == MU_NOT_FOUND)
        mu_verify_find(v, MU_FINDING_DAMAGE, advice, "%s/config.cfg: it is missing", path);
    for (int i = 0; i < mistakes.count && i < MU_MISTAKES_KEPT; i++)
        mu_verify_find(v, MU_FINDING_DAMAGE, advice, "%s/%s", path,
                       mistakes.line[i] ? mistakes.line[i] : "config.cfg is wrong");
    if (st == MU_OK && mistakes.count == 0)
        mu_verify_find(v, MU_FINDING_GOOD, NULL, "%s/config.cfg: %d keys", path, MU_KEY_COUNT);
    mu_mistakes_deinit(&mistakes);
    free(text);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

json_t *mu_verify_json(struct mu_verify *v, const char *path, bool optional, const char *advice)
{
    struct mu_verify_ear ear;
    json_error_t error;
    json_t *object = NULL;
    char *text = NULL;
    size_t size;
    enum mu_status st;

    mu_verify_listen(&ear, v, advice);
    st = mu_file_read(path, JSON_MAX, &text, &size);
    mu_verify_listen_end(&ear);
    if (st == MU_NOT_FOUND && !optional)
        mu_verify_find(v, MU_FINDING_DAMAGE, advice, "%s: it is missing", path);
    if (st == MU_OK) {
        object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
        if (!object)
            mu_verify_find(v, MU_FINDING_DAMAGE, advice, "%s:%d: no JSON: %s", path, error.line,
                           error.text);
        else if (!json_is_object(object)) {
            mu_verify_find(v, MU_FINDING_DAMAGE, advice, "%s: no JSON object", path);
            json_decref(object);
            object = NULL;
        }
    }
    free(text);
    return object;
}

static void check_status(struct mu_verify *v, const char *path, const struct mu_side *records,
                         bool is_trained)
{
    static const char advice[] =
        "remove it: the next start writes it anew, and the account of time begins again";
    char file[MU_PATH_MAX];
    json_t *status;
    const char *state;
    const struct mu_side_record *record;
    struct mu_hash hash;

    if (mu_path_format(file, "%s/status.json", path) != MU_OK)
        return;
    status = mu_verify_json(v, file, false, advice);
    if (!status)
        return;
    state = mu_json_get_text(status, "state");
    record = mu_side_find(records, mu_json_get_integer(status, "state_hash_step"));
    if (!*state)
        mu_verify_find(v, MU_FINDING_DAMAGE, advice, "%s: it does not say the run's state", file);
    else if (record && record->has_hash &&
             mu_hash_parse(mu_json_get_text(status, "state_hash"), &hash) &&
             !mu_hash_equal(hash, record->hash))
        mu_verify_find(v, MU_FINDING_DAMAGE, advice,
                       "%s: it has state hash %s for step %" PRId64 ", and the run recorded %s",
                       file, mu_hash_print(hash).text, record->step,
                       mu_hash_print(record->hash).text);
    else
        mu_verify_find(v, MU_FINDING_GOOD, NULL, "%s: %s", file, state);
    if (*state && strcmp(state, "ended") != 0 && !is_trained)
        mu_verify_find(v, MU_FINDING_NOTE, "the command that started it goes on",
                       "%s: the run did not end, and nobody trains it: it was killed", file);
    json_decref(status);
}

/* ---- metrics --------------------------------------------------------------------------------- */

struct metrics {
    uint64_t records, hashes;
    int64_t last;
    int64_t back; /* the first step that does not come after the one before it; -1: none */
};

static void take_metrics(void *context, const struct mu_metrics *m)
{
    struct metrics *all = context;

    if (all->records > 0 && m->step <= all->last && all->back < 0)
        all->back = m->step;
    all->records++;
    all->hashes += m->has_hash;
    all->last = m->step;
}

/* A run that has come to a step cannot lack it. */
static bool is_there(struct mu_verify *v, const char *path, const char *name, bool has_begun)
{
    char file[MU_PATH_MAX];
    struct stat s;

    if (mu_path_format(file, "%s/%s", path, name) == MU_OK && lstat(file, &s) == 0)
        return true; /* also as a link that leads nowhere: who reads it says so */
    if (has_begun)
        mu_verify_find(v, MU_FINDING_DAMAGE, "training goes on without: the next start makes it",
                       "%s/%s: it is missing", path, name);
    else
        mu_verify_find(v, MU_FINDING_NOTE, NULL, "%s/%s: there is none: the run has not begun",
                       path, name);
    return false;
}

static void check_metrics(struct mu_verify *v, const char *path, bool has_begun, bool is_trained)
{
    static const char advice[] = "the next start drops such lines; training needs none of them";
    struct metrics all = {.back = -1};
    struct mu_metrics_damage damage;
    struct mu_verify_ear ear;
    uint64_t lines;

    mu_verify_listen(&ear, v, "make it a readable file");
    if (mu_metrics_read(path, take_metrics, &all, &damage) != MU_OK)
        damage.lines = 0;
    if (mu_verify_listen_end(&ear) > 0)
        return;
    lines = damage.lines - damage.torn;
    if (damage.torn && !is_trained)
        mu_verify_find(v, MU_FINDING_NOTE, NULL,
                       "%s/metrics.jsonl: the last line has no end; the next start drops it", path);
    if (lines > 0)
        mu_verify_find(v, MU_FINDING_DAMAGE, advice,
                       "%s/metrics.jsonl:%" PRIu64 ": no record; %" PRIu64
                       " line%s of the file %s none",
                       path, damage.first, lines, lines == 1 ? "" : "s", lines == 1 ? "is" : "are");
    if (all.back >= 0)
        mu_verify_find(v, MU_FINDING_DAMAGE, advice,
                       "%s/metrics.jsonl: step %" PRId64 " comes again or too late", path,
                       all.back);
    if (all.records == 0 && has_begun)
        mu_verify_find(v, MU_FINDING_DAMAGE, "training goes on without: the next start adds to it",
                       "%s/metrics.jsonl: it has no record, of a run that has come to a step",
                       path);
    else if (lines == 0 && all.back < 0)
        mu_verify_find(v, MU_FINDING_GOOD, NULL,
                       "%s/metrics.jsonl: %" PRIu64 " records, %" PRIu64 " with a state hash", path,
                       all.records, all.hashes);
}

/* ---- the journal ----------------------------------------------------------------------------- */

struct journal {
    struct mu_verify *v;
    uint64_t records;
    bool bad;
};

static void take_record(void *context, uint32_t generation, enum mu_journal_type type,
                        const char *text, size_t size)
{
    struct journal *j = context;

    (void)generation;
    (void)type;
    (void)text;
    (void)size;
    j->records++;
}

static void take_tail(void *context, const struct mu_journal_tail *tail)
{
    struct journal *j = context;
    const bool damaged = tail->goes_on || (tail->whole == 0 && tail->size >= 8);

    j->bad = j->bad || damaged;
    if (damaged)
        mu_verify_find(j->v, MU_FINDING_DAMAGE,
                       "nothing reads what is behind it; remove the file if it bothers: training "
                       "needs none of it",
                       "%s: damaged from byte %zu of %zu", tail->path, tail->whole, tail->size);
    else
        mu_verify_find(j->v, MU_FINDING_NOTE, NULL,
                       "%s: the last %zu bytes are no whole record, as a crash leaves them",
                       tail->path, tail->size - tail->whole);
}

void mu_verify_journal(struct mu_verify *v, const char *folder, bool has_begun)
{
    struct journal j = {.v = v};
    struct mu_verify_ear ear;
    enum mu_status st;

    mu_verify_listen(&ear, v, "make it a readable folder");
    st = mu_journal_check(folder, take_record, take_tail, &j);
    mu_verify_listen_end(&ear);
    if (st == MU_OK && !j.bad && j.records == 0 && has_begun)
        mu_verify_find(v, MU_FINDING_DAMAGE, "training goes on without: the next start adds to it",
                       "%s: it has no record, of a run that has come to a step", folder);
    else if (st == MU_OK && !j.bad)
        mu_verify_find(v, MU_FINDING_GOOD, NULL, "%s: %" PRIu64 " records", folder, j.records);
}

/* ---- the folder ------------------------------------------------------------------------------ */

void mu_verify_leavings(struct mu_verify *v, const char *folder)
{
    struct dirent *entry;
    DIR *dir = opendir(folder);

    while (dir && (entry = readdir(dir)))
        if (mu_path_ends_in(entry->d_name, ".tmp") || strstr(entry->d_name, ".incomplete"))
            mu_verify_find(v, MU_FINDING_NOTE, NULL,
                           "%s/%s: what a crash left before it could be renamed; nothing reads it",
                           folder, entry->d_name);
    if (dir)
        closedir(dir);
}

/* What metrics and journal say of the state's hashes; what is wrong with them is told by itself. */
static void read_records(struct mu_side *records, const char *path)
{
    struct mu_verify silent = {.deep = false};
    struct mu_verify_ear ear;

    mu_verify_listen(&ear, &silent, NULL);
    if (mu_path_format(records->path, "%s", path) != MU_OK ||
        mu_side_read_records(records) != MU_OK)
        records->count = 0;
    mu_verify_listen_end(&ear);
}

/* The newest checkpoint is always kept: without it the run goes on from further back. */
static void check_saved(struct mu_verify *v, const char *checkpoints, int64_t saved)
{
    char folder[MU_PATH_MAX];

    if (mu_checkpoint_folder(folder, checkpoints, saved) == MU_OK &&
        !mu_file_exists_in(folder, "checkpoint.h5"))
        mu_verify_find(
            v, MU_FINDING_DAMAGE,
            "bring it back if there is a copy; else the run's own command computes again "
            "what came after the checkpoint before",
            "%s: it was saved, as the journal says, and is not there any more", folder);
}

static void check_checkpoints(struct mu_verify *v, const char *path, const struct mu_side *records,
                              bool is_trained)
{
    char folder[MU_PATH_MAX];
    const uint64_t before = v->damaged;
    int64_t newest;

    if (mu_path_format(folder, "%s/checkpoints", path) != MU_OK)
        return;
    if (!mu_file_exists(folder)) {
        mu_verify_find(v, MU_FINDING_NOTE, NULL, "%s: there is none", folder);
        return;
    }
    mu_verify_checkpoints(v, folder, records, is_trained, &newest);
    if (records->saved > 0 && !is_trained)
        check_saved(v, folder, records->saved);
    if (v->damaged > before && newest >= 0)
        mu_verify_find(v, MU_FINDING_NOTE, NULL,
                       "%s: the newest checkpoint that is whole is of step %" PRId64, path, newest);
    else if (v->damaged > before)
        mu_verify_find(v, MU_FINDING_NOTE, NULL,
                       "%s: no checkpoint is whole; the run would begin anew", path);
}

/* Of a fork. The checkpoint that it began with may go once it has one of its own. */
static void check_origin(struct mu_verify *v, const char *path)
{
    struct mu_origin origin;
    struct mu_verify_ear ear;
    enum mu_status st;

    mu_verify_listen(&ear, v, "remove it, if the run has a checkpoint of its own; else begin anew");
    st = mu_origin_read(path, &origin);
    mu_verify_listen_end(&ear);
    if (st == MU_OK && origin.checkpoint[0])
        mu_verify_find(
            v, MU_FINDING_GOOD, NULL, "%s/parent.json: from %s%s", path, origin.checkpoint,
            mu_checkpoint_is_published(origin.checkpoint) ? "" : ", which is not there any more");
}

/* Ends that the run had before it took another one; each is a run directory. */
static void verify_ends(struct mu_verify *v, const char *path)
{
    struct dirent **names = NULL;
    int count = scandir(path, &names, NULL, alphasort);

    for (int i = 0; i < count; i++) {
        char end[MU_PATH_MAX];

        if (strncmp(names[i]->d_name, "ended-", 6) == 0 &&
            mu_path_format(end, "%s/%s", path, names[i]->d_name) == MU_OK &&
            mu_file_exists_in(end, "status.json"))
            mu_verify_run(v, end);
        free(names[i]);
    }
    free(names);
}

void mu_verify_run(struct mu_verify *v, const char *path)
{
    const bool is_trained = mu_run_dir_is_locked(path);
    struct mu_side records = {.is_run = true};
    char journal[MU_PATH_MAX];
    bool has_begun;

    if (is_trained)
        mu_verify_find(v, MU_FINDING_NOTE, NULL,
                       "%s: it is being trained now, and what is found may be old already", path);
    read_records(&records, path);
    has_begun = records.end > 0;
    check_config(v, path);
    check_origin(v, path);
    check_status(v, path, &records, is_trained);
    if (is_there(v, path, "metrics.jsonl", has_begun))
        check_metrics(v, path, has_begun, is_trained);
    if (is_there(v, path, "journal", has_begun) &&
        mu_path_format(journal, "%s/journal", path) == MU_OK)
        mu_verify_journal(v, journal, has_begun);
    check_checkpoints(v, path, &records, is_trained);
    if (!is_trained)
        mu_verify_leavings(v, path);
    mu_side_deinit(&records);
    verify_ends(v, path);
}

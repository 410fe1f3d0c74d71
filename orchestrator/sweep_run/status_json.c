/* sweep.json: records.h has its layout. Short whatever the number of trials: it is rewritten every
 * second or so. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/started_by.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/records.h"

enum { FILE_MOST = 64 << 20 };

static json_t *reals(const double *value, uint32_t count)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < count; i++)
        json_array_append_new(list, mu_json_real(value[i]));
    return list;
}

static const char *count_word(int64_t count)
{
    return count == MU_COUNT_ALL             ? "all"
           : count == MU_COUNT_NON_EMBEDDING ? "nonemb"
                                             : "nonemb+head";
}

/* A synthetic model has no attention: its FLOPs are 6 N whatever was asked for. */
static const char *flops_word(const struct mu_sweep_state *s)
{
    return s->spec->flops == MU_FLOPS_6N_ATTENTION && s->base->model_kind != MU_MODEL_SYNTHETIC
               ? "6N+12LdT"
               : "6N";
}

static const char *kind_word(int64_t kind)
{
    static const char *const words[] = {
#define WORD(name, word, meaning) [MU_SWEEP_##name] = word,
        MU_SWEEP_KIND_TABLE(WORD)
#undef WORD
    };

    return words[kind];
}

static json_t *phases(const struct mu_sweep_state *s)
{
    json_int_t count[MU_CELL_PHASES] = {0};
    json_t *object = json_object();

    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        count[s->cell[i].phase]++;
    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++)
        json_object_set_new(object, mu_cell_word(p), json_integer(count[p]));
    return object;
}

static json_t *tuned(const struct mu_sweep_state *s)
{
    const struct mu_sweep_law *law = mu_sweep_tuned(s->spec);
    const struct mu_sweep_tuned *t = &s->stages->tuned;
    json_t *cells;

    if (!law)
        return json_null();
    cells = json_array();
    for (uint32_t i = 0; i < t->cells; i++)
        json_array_append_new(
            cells,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:b, s:i}", "size", mu_json_real(t->cell[i].size),
                      "n", mu_json_real(t->cell[i].n), "budget", mu_json_real(t->cell[i].budget),
                      "value", mu_json_real(t->cell[i].value), "loss",
                      mu_json_real(t->cell[i].loss), "bracketed", (int)t->cell[i].is_bracketed,
                      "points", (int)t->cell[i].points));
    return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "key", law->key, "known", (int)t->known,
                     "coefficient", t->known ? mu_json_real(t->coefficient) : json_null(),
                     "exponent", t->known ? mu_json_real(t->exponent) : json_null(), "least_n",
                     t->known ? mu_json_real(t->least_n) : json_null(), "most_n",
                     t->known ? mu_json_real(t->most_n) : json_null(), "cells", cells);
}

static json_t *budget(const struct mu_sweep_state *s, uint32_t b)
{
    const struct mu_sweep_window *w = &s->stages->window[b];
    uint32_t trials, ended;

    mu_sweep_count_cells(s, b, &trials, &ended);
    return json_pack("{s:o, s:s, s:I, s:b, s:o, s:o, s:i, s:i}", "budget",
                     mu_json_real(s->spec->budgets.item[b]), "bracket",
                     mu_sweep_bracket_word(w->bracket), "extended", (json_int_t)w->extended,
                     "exhausted", (int)w->is_exhausted, "best_size",
                     w->best_size > 0 ? mu_json_real(w->best_size) : json_null(), "best_loss",
                     w->best_loss > 0 ? mu_json_real(w->best_loss) : json_null(), "trials", trials,
                     "ended", ended);
}

static json_t *budgets(const struct mu_sweep_state *s)
{
    json_t *list = json_array();

    for (uint32_t b = 0; s->spec->kind == MU_SWEEP_ISOFLOP && b < s->spec->budgets.count; b++)
        json_array_append_new(list, budget(s, b));
    return list;
}

static json_t *trial(const struct mu_sweep_state *s, uint32_t i, double ended_at)
{
    const struct mu_sweep_trial *t = &s->stages->trials.item[i];
    const struct mu_cell *c = &s->cell[i];

    return json_pack(
        "{s:s, s:s, s:s, s:I, s:o, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, "
        "s:o, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:o}",
        "name", t->name, "role", mu_sweep_role_word(t->role), "phase", mu_cell_word(c->phase),
        "workers", (json_int_t)c->workers, "host",
        c->host == UINT32_MAX ? json_null() : json_integer(c->host), "step", (json_int_t)c->step,
        "steps", (json_int_t)t->settings.run_steps, "n", mu_json_real(t->n), "d",
        mu_json_real(t->tokens), "c", mu_json_real(t->flops), "size", mu_json_real(t->size),
        "budget", mu_json_real(t->budget), "train_loss", mu_json_real(c->train_loss), "valid_loss",
        mu_json_real(c->valid_loss), "bits_per_byte", mu_json_real(c->valid_bits_per_byte),
        "tokens_per_s", mu_json_real(c->tokens_per_s), "wanted", mu_json_real(c->wanted), "retries",
        (json_int_t)c->retries, "deaths", (json_int_t)c->deaths, "moves", (json_int_t)c->moves,
        "rank_seconds", mu_json_real(c->rank_seconds), "ended_at", mu_json_real(ended_at), "hash",
        c->has_hash ? json_string(mu_hash_print(c->hash).text) : json_null(), "message",
        mu_json_text(c->message));
}

struct ending {
    double at;
    uint32_t trial;
};

static int newest_first(const void *one, const void *other)
{
    const struct ending *a = one, *b = other;

    if (a->at != b->at)
        return a->at < b->at ? 1 : -1;
    return (a->trial > b->trial) - (a->trial < b->trial);
}

/* The newest first, those that have not ended last. NULL: no memory. */
static struct ending *endings(const struct mu_sweep_state *s)
{
    const uint32_t count = s->stages->trials.count;
    double *at = mu_sweep_ends(s);
    struct ending *e = at ? malloc(((size_t)count + 1) * sizeof *e) : NULL;

    for (uint32_t i = 0; e && i < count; i++)
        e[i] = (struct ending){at[i], i};
    if (e && count > 0)
        qsort(e, count, sizeof *e, newest_first);
    free(at);
    return e;
}

static json_t *live(const struct mu_sweep_state *s)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        if (mu_cell_is_live(s->cell[i].phase))
            json_array_append_new(list, trial(s, i, NAN));
    return list;
}

static json_t *recent(const struct mu_sweep_state *s)
{
    struct ending *e = endings(s);
    json_t *list = e ? json_array() : NULL;

    for (uint32_t i = 0; e && i < s->stages->trials.count && i < MU_SWEEP_RECENT && e[i].at >= 0;
         i++)
        json_array_append_new(list, trial(s, e[i].trial, e[i].at));
    free(e);
    return list;
}

static json_t *fit(const struct mu_sweep_spec *spec)
{
    json_t *methods = json_array();

    for (uint32_t i = 0; i < spec->fit.methods.count; i++)
        json_array_append_new(methods, json_string(spec->fit.methods.item[i]));
    return json_pack("{s:o, s:I, s:s, s:o}", "methods", methods, "bootstrap",
                     (json_int_t)spec->fit.bootstrap, "holdout", spec->fit.holdout, "targets",
                     reals(spec->fit.targets.item, spec->fit.targets.count));
}

static double rank_seconds(const struct mu_sweep_state *s)
{
    double sum = 0;

    for (uint32_t i = 0; i < s->stages->trials.count; i++)
        sum += isfinite(s->cell[i].rank_seconds) ? s->cell[i].rank_seconds : 0;
    return sum;
}

static json_t *document(const struct mu_sweep_state *s)
{
    char host[256] = "";

    gethostname(host, sizeof host - 1);
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:s, s:o, s:s?, s:s?, s:s?, s:o, s:b, s:I, s:b, s:o, "
        "s:{s:I, s:I, s:I}, s:o, s:o, s:o, s:o, s:{s:s, s:s}, s:s, s:o, s:o, s:o, s:o, s:o}",
        "schema", MU_SWEEP_SCHEMA, "muster", MUSTER_VERSION, "name", s->spec->name, "kind",
        kind_word(s->spec->kind), "start", (json_int_t)s->start, "began", mu_json_real(s->began),
        "now", mu_json_real(s->now), "updated", mu_clock_date().text, "ended",
        s->ended ? mu_json_text(s->ended) : json_null(), "outcome", s->outcome, "stopped_by",
        s->stopped_by, "launch", mu_started_by_launch(), "host", mu_json_text(host), "all_known",
        (int)s->stages->complete, "trials", (json_int_t)s->stages->trials.count, "share_trunk",
        (int)s->spec->share_trunk, "phases", phases(s), "fleet", "ranks", (json_int_t)s->ranks,
        "busy", (json_int_t)s->busy, "dead", (json_int_t)s->dead, "tokens_per_s",
        mu_json_real(mu_sweep_tokens_per_s(s)), "eta", mu_json_real(s->eta), "rank_seconds",
        mu_json_real(rank_seconds(s)), "goodput", mu_goodput_to_json(&s->goodput), "count",
        "params", count_word(s->spec->count), "flops", flops_word(s), "size_key", s->spec->size_key,
        "tuned", tuned(s), "budgets", budgets(s), "live", live(s), "recent", recent(s), "fit",
        fit(s->spec));
}

enum mu_status mu_sweep_write_status(const struct mu_sweep_state *s)
{
    char path[MU_PATH_MAX], *dump = NULL;
    json_t *json = NULL;
    enum mu_status st;

    MU_TRY(mu_path_format(path, "%s/sweep.json", s->path), st, done);
    json = document(s);
    dump = json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(MU_GOODPUT_DIGITS)) : NULL;
    st = dump ? mu_file_write_atomically(path, dump, strlen(dump))
              : MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
done:
    json_decref(json);
    free(dump);
    return st;
}

enum mu_status mu_sweep_read_status(const char *sweep_path, json_t **out)
{
    char path[MU_PATH_MAX], *text = NULL;
    json_error_t where;
    size_t size;
    enum mu_status st;

    *out = NULL;
    MU_TRY(mu_path_format(path, "%s/sweep.json", sweep_path), st, done);
    MU_TRY(mu_file_read(path, FILE_MOST, &text, &size), st, done);
    *out = json_loadb(text, size, 0, &where);
    if (!*out)
        st = MU_FAIL(MU_CORRUPT, "%s:%d: %s", path, where.line, where.text);
    else if (strcmp(mu_json_get_text(*out, "schema"), MU_SWEEP_SCHEMA) != 0)
        st = MU_FAIL(MU_CORRUPT, "%s: its schema is '%s'; expected '%s'", path,
                     mu_json_get_text(*out, "schema"), MU_SWEEP_SCHEMA);
    if (st != MU_OK) {
        json_decref(*out);
        *out = NULL;
    }
done:
    free(text);
    return st;
}

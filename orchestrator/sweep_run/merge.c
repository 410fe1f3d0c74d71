#include "orchestrator/sweep_run/merge.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/sweep_run/records.h"

/* ---- which parts count ----------------------------------------------------------------------- */

/* "updated" has whole seconds only. */
static double date_of(const json_t *status)
{
    return mu_json_get_real(status, "began") + mu_json_get_real(status, "now");
}

static bool is_later(const json_t *a, const json_t *b)
{
    return date_of(a) > date_of(b);
}

static void read_all(const char *whole, const struct mu_sweep_part *part, uint32_t count,
                     json_t **status)
{
    char path[MU_PATH_MAX];

    for (uint32_t i = 0; i < count; i++)
        if (mu_sweep_part_path(path, whole, part[i]) != MU_OK ||
            mu_sweep_read_own_status(path, &status[i]) != MU_OK)
            status[i] = NULL;
}

enum mu_status mu_sweep_merge_open(const char *whole, struct mu_sweep_merge *out)
{
    uint32_t count, newest = UINT32_MAX;
    struct mu_sweep_part *part = mu_sweep_part_list(whole, &count);
    json_t **status = calloc((size_t)count + 1, sizeof *status), *own = NULL;
    enum mu_status st = MU_OK;

    *out = (struct mu_sweep_merge){0};
    if (count == 0 || !status)
        goto done;
    read_all(whole, part, count, status);
    for (uint32_t i = 0; i < count; i++)
        if (status[i] && (newest == UINT32_MAX || is_later(status[i], status[newest])))
            newest = i;
    if (newest == UINT32_MAX)
        goto done;
    if (mu_sweep_read_own_status(whole, &own) == MU_OK && !json_object_get(own, "parts") &&
        !is_later(status[newest], own))
        goto done;
    out->status = calloc(part[newest].of, sizeof *out->status);
    if (!out->status) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %u parts of a sweep", part[newest].of);
        goto done;
    }
    out->of = part[newest].of;
    for (uint32_t i = 0; i < count; i++)
        if (part[i].of == out->of)
            out->status[part[i].number] = json_incref(status[i]);
done:
    json_decref(own);
    for (uint32_t i = 0; status && i < count; i++)
        json_decref(status[i]);
    free(status);
    free(part);
    return st;
}

void mu_sweep_merge_close(struct mu_sweep_merge *m)
{
    for (uint32_t k = 0; k < m->of; k++)
        json_decref(m->status[k]);
    free(m->status);
    *m = (struct mu_sweep_merge){0};
}

/* ---- sweep.json ------------------------------------------------------------------------------ */

static bool has_ended(const json_t *status)
{
    return mu_json_get_text(status, "ended")[0] != 0;
}

static int64_t phase(const json_t *status, enum mu_cell_phase p)
{
    return mu_json_get_integer(json_object_get(status, "phases"), mu_cell_word(p));
}

static int64_t count_ended(const json_t *status)
{
    int64_t ended = 0;

    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++)
        ended += mu_cell_has_ended(p) ? phase(status, p) : 0;
    return ended;
}

/* Who knows most: results of all others reach a part within a second or two, while it lives. */
static json_t *find_wisest(const struct mu_sweep_merge *m)
{
    json_t *wisest = NULL;

    for (uint32_t k = 0; k < m->of; k++) {
        json_t *s = m->status[k];

        if (!s)
            continue;
        if (!wisest || count_ended(s) > count_ended(wisest) ||
            (count_ended(s) == count_ended(wisest) && is_later(s, wisest)))
            wisest = s;
    }
    return wisest;
}

static double began_of(const json_t *status)
{
    return mu_json_get_real(status, "began");
}

/* Of the part that began first. */
static double find_began(const struct mu_sweep_merge *m)
{
    double began = NAN;

    for (uint32_t k = 0; k < m->of; k++)
        if (m->status[k])
            began = fmin(began, began_of(m->status[k])); /* fmin passes over NAN */
    return began;
}

static void put_phases(const struct mu_sweep_merge *m, const json_t *wisest, json_t *out)
{
    int64_t rest = mu_json_get_integer(wisest, "trials");
    json_t *phases = json_object();

    for (enum mu_cell_phase p = 0; p < MU_CELL_PHASES; p++) {
        int64_t count = mu_cell_has_ended(p) ? phase(wisest, p) : 0;

        for (uint32_t k = 0; k < m->of && !mu_cell_has_ended(p); k++)
            if (p != MU_CELL_ELSEWHERE && !has_ended(m->status[k]))
                count += phase(m->status[k], p);
        if (p == MU_CELL_READY || p == MU_CELL_ELSEWHERE)
            continue;
        count = count < rest ? count : rest;
        rest -= count;
        json_object_set_new(phases, mu_cell_word(p), json_integer(count));
    }
    json_object_set_new(phases, mu_cell_word(MU_CELL_READY), json_integer(rest));
    json_object_set_new(out, "phases", phases);
}

/* Sums over those who work; over all, once nobody does. */
static void put_fleet(const struct mu_sweep_merge *m, bool any_works, json_t *out)
{
    int64_t ranks = 0, busy = 0, dead = 0;
    double tokens = 0, eta = NAN;

    for (uint32_t k = 0; k < m->of; k++) {
        const json_t *s = m->status[k], *fleet = json_object_get(s, "fleet");
        const double speed = mu_json_get_real(s, "tokens_per_s");

        if (!s || (any_works && has_ended(s)))
            continue;
        ranks += mu_json_get_integer(fleet, "ranks");
        busy += mu_json_get_integer(fleet, "busy");
        dead += mu_json_get_integer(fleet, "dead");
        tokens += speed > 0 ? speed : 0;
        eta = fmax(eta, mu_json_get_real(s, "eta"));
    }
    json_object_set_new(out, "fleet",
                        json_pack("{s:I, s:I, s:I}", "ranks", (json_int_t)ranks, "busy",
                                  (json_int_t)busy, "dead", (json_int_t)dead));
    json_object_set_new(out, "tokens_per_s", mu_json_real(tokens));
    json_object_set_new(out, "eta", mu_json_real(eta));
}

static void put_sums(const struct mu_sweep_merge *m, double began, json_t *out)
{
    struct mu_ledger_sum all = {0}, one;
    int64_t start = 0;
    double rank_seconds = 0, now = 0;

    for (uint32_t k = 0; k < m->of; k++) {
        const json_t *s = m->status[k];
        const int64_t number = mu_json_get_integer(s, "start");
        const double of_it = mu_json_get_real(s, "rank_seconds");

        if (!s)
            continue;
        start = number > start ? number : start;
        rank_seconds += of_it > 0 ? of_it : 0;
        now = fmax(now, began_of(s) - began + mu_json_get_real(s, "now"));
        if (mu_goodput_from_json(json_object_get(s, "goodput"), &one))
            mu_ledger_add(&all, &one);
    }
    json_object_set_new(out, "start", json_integer(start));
    json_object_set_new(out, "began", mu_json_real(began));
    json_object_set_new(out, "now", mu_json_real(now));
    json_object_set_new(out, "rank_seconds", mu_json_real(rank_seconds));
    json_object_set_new(out, "goodput", mu_goodput_to_json(&all));
}

/* Of a trial one row: that of the part which trained it says when. */
static void add_recent(json_t *list, const json_t *row, double later)
{
    const double at = mu_json_get_real(row, "ended_at");
    json_t *copy = json_deep_copy(row), *other;
    size_t i, place = json_array_size(list);

    if (at > 0)
        json_object_set_new(copy, "ended_at", mu_json_real(at + later));
    json_array_foreach(list, i, other)
    {
        if (strcmp(mu_json_get_text(other, "name"), mu_json_get_text(row, "name")) != 0)
            continue;
        if (mu_json_get_real(other, "ended_at") > 0 || !(at > 0)) {
            json_decref(copy);
            return;
        }
        json_array_remove(list, i);
        break;
    }
    place = 0;
    json_array_foreach(list, i, other) if (mu_json_get_real(other, "ended_at") >=
                                           mu_json_get_real(copy, "ended_at")) place = i + 1;
    json_array_insert_new(list, place, copy);
    if (json_array_size(list) > MU_SWEEP_RECENT)
        json_array_remove(list, MU_SWEEP_RECENT);
}

static void put_trials(const struct mu_sweep_merge *m, double began, json_t *out)
{
    json_t *live = json_array(), *recent = json_array(), *row;
    size_t i;

    for (uint32_t k = 0; k < m->of; k++) {
        const json_t *s = m->status[k];

        if (s && !has_ended(s))
            json_array_extend(live, json_object_get(s, "live"));
        json_array_foreach(json_object_get(s, "recent"), i, row)
            add_recent(recent, row, began_of(s) - began);
    }
    json_object_set_new(out, "live", live);
    json_object_set_new(out, "recent", recent);
}

static json_t *describe_part(const struct mu_sweep_merge *m, uint32_t k)
{
    const json_t *s = m->status[k], *own = json_object_get(s, "part");
    const struct mu_sweep_part_text name = mu_sweep_part_print((struct mu_sweep_part){k, m->of});

    if (!s)
        return json_pack("{s:s, s:b}", "part", name.text, "began", 0);
    return json_pack("{s:s, s:b, s:I, s:I, s:I, s:O?, s:O?, s:O?}", "part", name.text, "began", 1,
                     "trials", (json_int_t)mu_json_get_integer(own, "trials"), "ended_trials",
                     (json_int_t)mu_json_get_integer(own, "ended"), "ranks",
                     (json_int_t)mu_json_get_integer(json_object_get(s, "fleet"), "ranks"), "ended",
                     json_object_get(s, "ended"), "outcome", json_object_get(s, "outcome"),
                     "updated", json_object_get(s, "updated"));
}

/* By its own count, which may be of before others have added to it. */
static bool has_work(const json_t *status)
{
    const json_t *part = json_object_get(status, "part");

    return !status || strcmp(mu_json_get_text(status, "outcome"), "complete") != 0 ||
           mu_json_get_integer(part, "ended") < mu_json_get_integer(part, "trials");
}

/* One sentence, once nobody works on it any more. */
static json_t *sentence(const struct mu_sweep_merge *m, const json_t *wisest, bool is_complete)
{
    const long long trials = mu_json_get_integer(wisest, "trials"), ended = count_ended(wisest);
    char text[300];
    size_t n;
    uint32_t shown = 0;

    if (is_complete) {
        snprintf(text, sizeof text, "complete: %lld trials, in %u parts", trials, m->of);
        return json_string(text);
    }
    n = (size_t)snprintf(
        text, sizeof text,
        "stopped: %lld of %lld trials have ended; to be started again of %u parts: ", ended, trials,
        m->of);
    for (uint32_t k = 0; k < m->of && n < sizeof text - 40; k++)
        if (has_work(m->status[k]))
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%u", shown++ > 0 ? ", " : "", k);
    return mu_json_text(text);
}

/* Complete is what has nothing left to do, also where a part of it was never begun. */
static void put_end(const struct mu_sweep_merge *m, const json_t *wisest, bool any_works,
                    json_t *out)
{
    const bool is_done = json_is_true(json_object_get(out, "all_known")) &&
                         count_ended(wisest) == mu_json_get_integer(wisest, "trials"),
               has_failed = phase(wisest, MU_CELL_FAILED) > 0;
    const json_t *writer = wisest;

    for (uint32_t k = 0; k < m->of && any_works; k++)
        if (m->status[k] && !has_ended(m->status[k]))
            writer = m->status[k];
    json_object_set_new(out, "outcome",
                        any_works    ? json_null()
                        : !is_done   ? json_string("requeue")
                        : has_failed ? json_string("failed")
                                     : json_string("complete"));
    json_object_set_new(out, "ended",
                        any_works ? json_null() : sentence(m, wisest, is_done && !has_failed));
    json_object_set(out, "launch", json_object_get(writer, "launch"));
}

json_t *mu_sweep_merge_status(const struct mu_sweep_merge *m)
{
    const json_t *wisest = find_wisest(m), *newest = wisest;
    const double began = find_began(m);
    json_t *out = json_deep_copy(wisest), *parts = json_array();
    bool any_works = false, all_known = false;

    if (!out)
        return NULL;
    for (uint32_t k = 0; k < m->of; k++) {
        const json_t *s = m->status[k], *tuned = json_object_get(s, "tuned");

        json_array_append_new(parts, describe_part(m, k));
        any_works = any_works || (s && !has_ended(s));
        all_known = all_known || json_is_true(json_object_get(s, "all_known"));
        newest = s && is_later(s, newest) ? s : newest;
        if (json_is_true(json_object_get(tuned, "known")))
            json_object_set(out, "tuned", (json_t *)(uintptr_t)tuned);
    }
    json_object_set(out, "updated", json_object_get(newest, "updated"));
    json_object_set_new(out, "all_known", json_boolean(all_known));
    json_object_del(out, "part");
    put_phases(m, wisest, out);
    put_fleet(m, any_works, out);
    put_sums(m, began, out);
    put_trials(m, began, out);
    put_end(m, wisest, any_works, out);
    json_object_set_new(out, "parts", parts);
    return out;
}

/* ---- reading and writing --------------------------------------------------------------------- */

enum mu_status mu_sweep_read_status(const char *sweep_path, json_t **out)
{
    struct mu_sweep_merge m;
    enum mu_status st = mu_sweep_merge_open(sweep_path, &m);

    *out = NULL;
    if (st != MU_OK || m.of == 0)
        return st == MU_OK ? mu_sweep_read_own_status(sweep_path, out) : st;
    *out = mu_sweep_merge_status(&m);
    mu_sweep_merge_close(&m);
    return *out ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the parts of %s", sweep_path);
}

static enum mu_status write_status(const char *whole, const struct mu_sweep_merge *m)
{
    json_t *json = mu_sweep_merge_status(m);
    char path[MU_PATH_MAX], *dump = NULL;
    enum mu_status st = mu_path_format(path, "%s/sweep.json", whole);

    if (st == MU_OK) {
        dump =
            json ? json_dumps(json, JSON_INDENT(1) | JSON_REAL_PRECISION(MU_GOODPUT_DIGITS)) : NULL;
        st = dump ? mu_file_write_atomically(path, dump, strlen(dump))
                  : MU_FAIL(MU_NO_MEMORY, "no memory for %s", path);
    }
    json_decref(json);
    free(dump);
    return st;
}

enum mu_status mu_sweep_merge_files(const char *whole)
{
    struct mu_sweep_merge m;
    enum mu_status st = mu_sweep_merge_open(whole, &m);

    if (st != MU_OK || m.of == 0)
        return st;
    MU_TRY(mu_sweep_merge_tables(whole, &m), st, done);
    st = write_status(whole, &m);
done:
    mu_sweep_merge_close(&m);
    return st;
}

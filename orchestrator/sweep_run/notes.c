#include "orchestrator/sweep_run/notes.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "orchestrator/run/goodput.h"
#include "orchestrator/run/json_values.h"

/* Steals the record; NULL is a lack of memory. */
static enum mu_status append(struct mu_journal *j, enum mu_journal_type type, json_t *record)
{
    char *text = record ? json_dumps(record, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    enum mu_status st = text ? mu_journal_append(j, type, text)
                             : MU_FAIL(MU_NO_MEMORY, "no memory for a record of the journal");

    free(text);
    json_decref(record);
    return st;
}

static double date(const struct mu_sweep_state *s)
{
    return s->began + s->now;
}

enum mu_status mu_sweep_note_start(struct mu_journal *j, const struct mu_sweep_state *s,
                                   const struct mu_sweep_data *data)
{
    return append(j, MU_JOURNAL_SWEEP_START,
                  json_pack("{s:f, s:I, s:I, s:f, s:s, s:s}", "date", date(s), "start",
                            (json_int_t)s->start, "ranks", (json_int_t)s->ranks, "began", s->began,
                            "data_train", data->train.text, "data_valid", data->valid.text));
}

static json_t *ranks_of(const struct mu_sweep_master *m, uint64_t group)
{
    const struct mu_sweep_group *g = mu_sweep_master_group(m, group);
    json_t *list = json_array();

    for (uint32_t i = 0; g && i < m->host[g->host].ranks; i++) {
        const struct mu_sweep_member *r = mu_sweep_master_rank(m, g->host, i);

        if (r->lives && r->group == group)
            json_array_append_new(list, json_integer(r->name));
    }
    return list;
}

/* What all records of a trial have. */
static json_t *about(const struct mu_sweep_master *m, const struct mu_sweep_news *n)
{
    const struct mu_cell *c = &m->state.cell[n->trial];

    return json_pack("{s:f, s:I, s:s, s:I, s:I, s:I, s:I, s:I}", "date", date(&m->state), "group",
                     (json_int_t)n->group, "trial", m->stages.trials.item[n->trial].name, "step",
                     (json_int_t)c->step, "crashes", (json_int_t)c->crashes, "retries",
                     (json_int_t)c->retries, "deaths", (json_int_t)c->deaths, "moves",
                     (json_int_t)c->moves);
}

static json_t *add_end(json_t *record, const struct mu_sweep_master *m,
                       const struct mu_sweep_news *n)
{
    const struct mu_cell *c = &m->state.cell[n->trial];
    json_t *end = json_pack(
        "{s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "end", mu_cell_word(c->phase), "message",
        mu_json_text(c->message), "tokens", (json_int_t)c->tokens, "train_loss",
        mu_json_real(c->train_loss), "valid_loss", mu_json_real(c->valid_loss), "bits_per_byte",
        mu_json_real(c->valid_bits_per_byte), "goodput", mu_goodput_to_json(&m->state.goodput));

    if (end && c->has_hash)
        json_object_set_new(end, "hash", json_string(mu_hash_print(c->hash).text));
    if (!record || !end || json_object_update(record, end) != 0) {
        json_decref(record);
        record = NULL;
    }
    json_decref(end);
    return record;
}

enum mu_status mu_sweep_note(struct mu_journal *j, const struct mu_sweep_master *m,
                             const struct mu_sweep_news *n)
{
    json_t *record;

    if (n->kind == MU_SWEEP_NEWS_MAKE_WAY)
        return MU_OK;
    record = about(m, n);
    switch (n->kind) {
    case MU_SWEEP_NEWS_ASSIGN:
        if (record)
            json_object_set_new(record, "ranks", ranks_of(m, n->group));
        return append(j, MU_JOURNAL_SWEEP_ASSIGN, record);
    case MU_SWEEP_NEWS_RELEASE:
        if (record) {
            json_object_set_new(record, "rank", json_integer(n->rank));
            json_object_set_new(record, "died", json_boolean(n->died));
        }
        return append(j, MU_JOURNAL_SWEEP_RELEASE, record);
    default:
        return append(j, MU_JOURNAL_SWEEP_TRIAL, add_end(record, m, n));
    }
}

#include "orchestrator/sweep_run/past.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/run/goodput.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/run/json_values.h"

static void lack(struct mu_sweep_past *p)
{
    if (p->status == MU_OK)
        p->status = MU_FAIL(MU_NO_MEMORY, "no memory for the sweep's journal");
}

/* ---- trials by name: open addressing, at most half full ---- */
static uint32_t *slot_of(const struct mu_sweep_past *p, const char *name)
{
    uint32_t at = (uint32_t)mu_hash_bytes(name, strlen(name), 0).low & (p->slots - 1);

    while (p->slot[at] != 0 && strcmp(p->trial[p->slot[at] - 1].name, name) != 0)
        at = (at + 1) & (p->slots - 1);
    return &p->slot[at];
}

static bool make_slots(struct mu_sweep_past *p)
{
    const uint32_t slots = p->slots ? 2 * p->slots : 256;
    uint32_t *slot = calloc(slots, sizeof *slot);

    if (!slot)
        return false;
    free(p->slot);
    p->slot = slot;
    p->slots = slots;
    for (uint32_t i = 0; i < p->trials; i++)
        *slot_of(p, p->trial[i].name) = i + 1;
    return true;
}

const struct mu_sweep_past_trial *mu_sweep_past_find(const struct mu_sweep_past *p,
                                                     const char *name)
{
    const uint32_t found = p->slots > 0 ? *slot_of(p, name) : 0;

    return found > 0 ? &p->trial[found - 1] : NULL;
}

static struct mu_sweep_past_trial *trial_of(struct mu_sweep_past *p, const char *name)
{
    struct mu_sweep_past_trial *t;

    if (mu_sweep_past_find(p, name))
        return &p->trial[*slot_of(p, name) - 1];
    if (2 * p->trials >= p->slots && !make_slots(p)) {
        lack(p);
        return NULL;
    }
    if (p->trials == p->trial_capacity) {
        const uint32_t more = p->trial_capacity ? 2 * p->trial_capacity : 64;

        t = realloc(p->trial, more * sizeof *t);
        if (!t) {
            lack(p);
            return NULL;
        }
        p->trial = t;
        p->trial_capacity = more;
    }
    t = &p->trial[p->trials];
    *t = (struct mu_sweep_past_trial){.cell = mu_cell_new(MU_CELL_READY)};
    snprintf(t->name, sizeof t->name, "%s", name);
    *slot_of(p, t->name) = ++p->trials;
    return t;
}

/* ---- who trained what when ---- */
static void close_part(struct mu_sweep_past *p, struct mu_sweep_past_part *part, double now)
{
    part->is_open = false;
    part->span.to = now;
    p->trial[part->span.trial].cell.rank_seconds += fmax(now - part->span.from, 0);
}

static void skip_closed(struct mu_sweep_past *p)
{
    while (p->first_open < p->parts && !p->part[p->first_open].is_open)
        p->first_open++;
}

static void add_part(struct mu_sweep_past *p, const struct mu_sweep_past_part *part)
{
    if (p->parts == p->part_capacity) {
        const uint32_t more = p->part_capacity ? 2 * p->part_capacity : 64;
        struct mu_sweep_past_part *grown = realloc(p->part, more * sizeof *grown);

        if (!grown) {
            lack(p);
            return;
        }
        p->part = grown;
        p->part_capacity = more;
    }
    p->part[p->parts++] = *part;
}

void mu_sweep_past_close(struct mu_sweep_past *p)
{
    for (uint32_t i = p->first_open; i < p->parts; i++)
        if (p->part[i].is_open)
            close_part(p, &p->part[i], p->last - p->began);
    skip_closed(p);
    for (uint32_t i = 0; i < p->trials; i++) {
        struct mu_cell *c = &p->trial[i].cell;

        c->crashes = 0;
        if (c->phase == MU_CELL_FAILED) {
            c->phase = MU_CELL_READY;
            c->message[0] = 0;
        }
    }
}

/* ---- records ---- */
static uint64_t count(const json_t *record, const char *key)
{
    return (uint64_t)mu_json_get_integer(record, key);
}

static struct mu_hash_text text(const json_t *record, const char *key)
{
    struct mu_hash_text t;

    snprintf(t.text, sizeof t.text, "%s", mu_json_get_text(record, key));
    return t;
}

static void take_start(struct mu_sweep_past *p, const json_t *record)
{
    if (!p->has_data) {
        p->data.train = text(record, "data_train");
        p->data.valid = text(record, "data_valid");
    }
    p->has_data = true;
    mu_sweep_past_close(p);
    p->start = (uint32_t)count(record, "start");
    if (p->began <= 0)
        p->began = mu_json_get_real(record, "began");
    if (!(p->began > 0))
        p->began = mu_json_get_real(record, "date");
}

static void take_assign(struct mu_sweep_past *p, const json_t *record, uint32_t trial, double now)
{
    json_t *rank;
    size_t i;

    json_array_foreach(json_object_get(record, "ranks"), i, rank)
    {
        const struct mu_sweep_past_part part = {
            .group = count(record, "group"),
            .is_open = true,
            .span = {.rank = (int)json_integer_value(rank),
                     .start = p->start,
                     .trial = trial,
                     .from = now,
                     .to = NAN},
        };

        add_part(p, &part);
    }
}

static void take_release(struct mu_sweep_past *p, const json_t *record, double now)
{
    const uint64_t group = count(record, "group");
    const int rank = (int)mu_json_get_integer(record, "rank");
    const bool died = json_is_true(json_object_get(record, "died"));

    for (uint32_t i = p->first_open; i < p->parts; i++) {
        struct mu_sweep_past_part *part = &p->part[i];

        if (!part->is_open || part->group != group || part->span.rank != rank)
            continue;
        close_part(p, part, now);
        part->span.died = died;
        part->span.moved = !died;
    }
    skip_closed(p);
}

/* READY for what is no end. */
static enum mu_cell_phase end_of(const json_t *record)
{
    const enum mu_cell_phase phase = mu_cell_phase_of(mu_json_get_text(record, "end"));

    return mu_cell_has_ended(phase) ? phase : MU_CELL_READY;
}

static void take_end(struct mu_sweep_past *p, const json_t *record, struct mu_cell *c, double now)
{
    const uint64_t group = count(record, "group");
    const char *hash = json_string_value(json_object_get(record, "hash"));

    c->phase = end_of(record);
    c->tokens = count(record, "tokens");
    c->train_loss = mu_json_get_real(record, "train_loss");
    c->valid_loss = mu_json_get_real(record, "valid_loss");
    c->valid_bits_per_byte = mu_json_get_real(record, "bits_per_byte");
    c->has_hash = hash && mu_hash_parse(hash, &c->hash);
    snprintf(c->message, sizeof c->message, "%s", mu_json_get_text(record, "message"));
    for (uint32_t i = p->first_open; i < p->parts; i++)
        if (p->part[i].is_open && p->part[i].group == group)
            close_part(p, &p->part[i], now);
    skip_closed(p);
    mu_goodput_from_json(json_object_get(record, "goodput"), &p->goodput);
}

static void take(void *context, uint32_t generation, enum mu_journal_type type, const char *json,
                 size_t size)
{
    struct mu_sweep_past *p = context;
    json_t *record = json_loadb(json, size, 0, NULL);
    const char *name = json_string_value(json_object_get(record, "trial"));
    const double date = mu_json_get_real(record, "date"), now = date - p->began;
    struct mu_sweep_past_trial *t;

    (void)generation;
    if (!record || p->status != MU_OK)
        goto done;
    if (type == MU_JOURNAL_SWEEP_START)
        take_start(p, record);
    if (!isnan(date))
        p->last = date;
    t = name && type >= MU_JOURNAL_SWEEP_ASSIGN ? trial_of(p, name) : NULL;
    if (!t)
        goto done;
    t->cell.step = (int64_t)count(record, "step");
    t->cell.crashes = (uint32_t)count(record, "crashes");
    t->cell.retries = (uint32_t)count(record, "retries");
    t->cell.deaths = (uint32_t)count(record, "deaths");
    t->cell.moves = (uint32_t)count(record, "moves");
    if (type == MU_JOURNAL_SWEEP_ASSIGN)
        take_assign(p, record, (uint32_t)(t - p->trial), now);
    else if (type == MU_JOURNAL_SWEEP_RELEASE)
        take_release(p, record, now);
    else if (type == MU_JOURNAL_SWEEP_TRIAL)
        take_end(p, record, &t->cell, now);
done:
    json_decref(record);
}

enum mu_status mu_sweep_past_read(struct mu_sweep_past *p, const char *folder)
{
    enum mu_status st;

    *p = (struct mu_sweep_past){.status = MU_OK};
    st = mu_journal_replay(folder, take, p);
    return st == MU_OK ? p->status : st;
}

void mu_sweep_past_deinit(struct mu_sweep_past *p)
{
    free(p->trial);
    free(p->slot);
    free(p->part);
    memset(p, 0, sizeof *p);
}

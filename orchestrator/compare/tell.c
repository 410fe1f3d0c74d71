/* What was compared, for people and as JSON for programs. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "orchestrator/compare/compare.h"
#include "orchestrator/run/json_values.h"
#include "orchestrator/run/metrics.h"
#include "worker/fingerprint.h"

enum { COLUMN = 13, TENSORS_SHOWN = 10 };

static const char *const array_names[MU_ARRAY_COUNT] = {
#define NAME(id, group, type, field) group,
    MU_ARRAY_TABLE(NAME)
#undef NAME
};

static const char *plural(uint64_t n)
{
    return n == 1 ? "" : "s";
}

struct text {
    char text[64];
};

/* With as many digits as tell it from every other double. */
static struct text exact(double value)
{
    struct text out;

    snprintf(out.text, sizeof out.text, "%.*g", mu_metrics_digits(value), value);
    return out;
}

/* The number of a float32: nine digits tell it from every other one. */
static struct text number(double value, enum mu_array array)
{
    struct text out;

    snprintf(out.text, sizeof out.text, array == MU_ARRAY_PREDICTION ? "%.0f" : "%.9g", value);
    return out;
}

/* ---- for people: what they are, and what they recorded --------------------------------------- */

static void print_side(const struct mu_side *s, const char *name, FILE *out)
{
    fprintf(out, "%s  %s %s: ", name, s->is_run ? "run" : "checkpoint", s->path);
    if (!s->is_run) {
        fprintf(out, "step %" PRId64 "\n", s->end);
        return;
    }
    if (s->count > 0)
        fprintf(out, "recorded from step %" PRId64 " to %" PRId64, s->record[0].step, s->end);
    else
        fputs("nothing recorded", out);
    fprintf(out, ", %" PRIu32 " checkpoint%s\n", s->checkpoints, plural(s->checkpoints));
}

static void print_differing_record(const struct mu_records_compared *r, FILE *out)
{
    const struct {
        bool differs;
        const char *name;
        double a, b;
    } values[] = {
        {r->loss, "loss", r->a->loss, r->b->loss},
        {r->gradient_norm, "gradient norm", r->a->gradient_norm, r->b->gradient_norm},
        {r->valid_loss, "validation loss", r->a->valid_loss, r->b->valid_loss},
    };

    if (r->hash)
        fprintf(out, "%*sstate hash of step %" PRId64 ": A %s\n%*sB %s\n", COLUMN, "", r->parts_at,
                mu_hash_print(r->a->hash).text,
                COLUMN + snprintf(NULL, 0, "state hash of step %" PRId64 ": ", r->parts_at), "",
                mu_hash_print(r->b->hash).text);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (values[i].differs)
            fprintf(out, "%*s%s of step %" PRId64 ": A %s, B %s\n", COLUMN, "", values[i].name,
                    r->parts_at, exact(values[i].a).text, exact(values[i].b).text);
}

static void print_records(const struct mu_compared *c, FILE *out)
{
    const struct mu_records_compared *r = &c->records;
    const int64_t end_a = c->side[0].end, end_b = c->side[1].end;

    fprintf(out, "%-*s", COLUMN, "records");
    if (r->common == 0)
        fputs("there is no step that both have recorded\n", out);
    else if (r->parts_at < 0)
        fprintf(out,
                "the same in all %" PRIu64 " step%s that both have, the last is %" PRId64
                "; %" PRIu64 " state hash%s among them\n",
                r->common, plural(r->common), r->until, r->hashes, r->hashes == 1 ? "" : "es");
    else if (r->until < 0)
        fprintf(out, "they part at or before step %" PRId64 ", the first that both have\n",
                r->parts_at);
    else
        fprintf(out, "the same until step %" PRId64 ", they part at or before step %" PRId64 "\n",
                r->until, r->parts_at);
    if (r->parts_at >= 0 && r->hash_until >= 0 && r->hash_until != r->until)
        fprintf(out, "%*sthe last state hash that is the same is of step %" PRId64 "\n", COLUMN, "",
                r->hash_until);
    if (r->parts_at >= 0)
        print_differing_record(r, out);
    else if (c->side[0].is_run && c->side[1].is_run && end_a != end_b)
        fprintf(out, "%*sbut A ends at step %" PRId64 " and B at step %" PRId64 "\n", COLUMN, "",
                end_a, end_b);
}

/* ---- for people: tensors --------------------------------------------------------------------- */

static void print_pair(const struct mu_compared *c, FILE *out)
{
    const struct mu_side_checkpoint *a = c->pair[0], *b = c->pair[1];

    fprintf(out, "%-*s", COLUMN, "checkpoints");
    if (!a)
        fputs("there is no step of which both have one: no tensors are compared\n", out);
    else if (a->step != b->step)
        fprintf(out, "step %" PRId64 " of A is compared with step %" PRId64 " of B\n", a->step,
                b->step);
    else
        fprintf(out, "of step %" PRId64 "%s\n", a->step,
                mu_hash_equal(a->hash, b->hash) ? ""
                : c->side[0].is_run && c->side[1].is_run
                    ? ", the first that both have and that differ"
                    : "");
}

static void print_spec(const struct mu_tensor_difference *t, FILE *out)
{
    const struct mu_tensor_spec *a = t->spec[0], *b = t->spec[1];

    if (!a || !b)
        fprintf(out, "  %s is in %s only\n", (a ? a : b)->name, a ? "A" : "B");
    else
        fprintf(out,
                "  %s has another shape: %" PRIu64 " x %" PRIu64 " in A, %" PRIu64 " x %" PRIu64
                " in B\n",
                a->name, a->rows, a->cols, b->rows, b->cols);
}

static void print_array(const struct mu_tensor_difference *t, enum mu_array array, FILE *out)
{
    const struct mu_array_difference *d = &t->array[array];

    fprintf(out,
            "  %s, %s: %" PRIu64 " of %" PRIu64 " number%s differ%s, by %.3g at most; |B - A| / "
            "|A| = %.3g\n",
            t->spec[0]->name, array_names[array], d->differing, d->elements, plural(d->elements),
            d->differing == 1 ? "s" : "", d->most, d->relative);
    fprintf(out, "    the first at [%" PRIu64 ", %" PRIu64 "]: A %s, B %s", d->row, d->col,
            number(d->first[0], array).text, number(d->first[1], array).text);
    if (d->nonfinite > 0)
        fprintf(out, "; %" PRIu64 " NaN or Inf in one of them", d->nonfinite);
    fputc('\n', out);
}

/* Of a tensor its weights, or what differs when they do not; `all`: every array. */
static void print_tensor(const struct mu_tensor_difference *t, bool all, FILE *out)
{
    bool shown = false;

    if (!t->compared) {
        print_spec(t, out);
        return;
    }
    for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
        if (t->array[a].differing > 0 && (all || !shown)) {
            print_array(t, a, out);
            shown = true;
        }
}

static void print_tensor_summary(const struct mu_compared *c, uint32_t differing, FILE *out)
{
    const struct mu_tensors_compared *t = &c->tensors;
    const char *separator = "";

    fprintf(out, "%-*s", COLUMN, "tensors");
    if (differing == 0) {
        fprintf(out, "all %" PRIu32 " are the same, with their moments and predictions\n",
                t->count);
        return;
    }
    fprintf(
        out, "%" PRIu32 " of %" PRIu32 " differ; the first that parts is %s\n%*s", differing,
        t->count,
        (t->tensor[t->first].spec[0] ? t->tensor[t->first].spec[0] : t->tensor[t->first].spec[1])
            ->name,
        COLUMN, "");
    for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++) {
        uint32_t n = 0;

        for (uint32_t i = 0; i < t->count; i++)
            n += t->tensor[i].array[a].differing > 0;
        fprintf(out, "%s%s in %" PRIu32, separator, array_names[a], n);
        separator = ", ";
    }
    fputc('\n', out);
}

static void print_tensors(const struct mu_compared *c, bool all, FILE *out)
{
    const struct mu_tensors_compared *t = &c->tensors;
    uint32_t differing = 0, shown = 0;

    for (uint32_t i = 0; i < t->count; i++)
        differing += mu_tensor_differs(&t->tensor[i]);
    print_tensor_summary(c, differing, out);
    for (uint32_t i = 0; i < t->count; i++)
        if (mu_tensor_differs(&t->tensor[i]) && (all || shown < TENSORS_SHOWN)) {
            print_tensor(&t->tensor[i], all, out);
            shown++;
        }
    if (shown < differing)
        fprintf(out, "  and %" PRIu32 " more (--all)\n", differing - shown);
}

/* ---- for people: what they were computed with ------------------------------------------------ */

static void print_config(const struct mu_compared *c, FILE *out)
{
    fprintf(out, "%-*s", COLUMN, "config");
    if (!c->config_known) {
        fputs("not compared: one of them has none that this version of Muster can read\n", out);
        return;
    }
    if (c->keys == 0)
        fputs("every key is the same\n", out);
    else
        fprintf(out, "%" PRIu32 " key%s differ%s\n", c->keys, plural(c->keys),
                c->keys == 1 ? "s" : "");
    for (uint32_t i = 0; i < c->keys; i++)
        fprintf(out, "  %s (%s): A %s, B %s\n", c->key[i].key->name,
                mu_key_class_word(c->key[i].key->class), c->key[i].value[0], c->key[i].value[1]);
}

/* Whether what was computed differs, and not only who computed it. */
static bool tasks_differ(const struct mu_compared *c)
{
    bool differ = strcmp(c->side[0].data, c->side[1].data) != 0;

    for (uint32_t i = 0; i < c->keys; i++)
        differ = differ || c->key[i].key->class != MU_CLASS_OPERATIONAL;
    return differ;
}

static void print_origin(const struct mu_compared *c, FILE *out)
{
    const struct mu_side *a = &c->side[0], *b = &c->side[1];

    if (a->data[0] && b->data[0])
        fprintf(out, "%-*s%s\n", COLUMN, "data",
                strcmp(a->data, b->data) == 0 ? "the same training data"
                                              : "DIFFERENT training data");
    fprintf(out, "%-*s", COLUMN, "fingerprint");
    if (!a->fingerprint[0] || !b->fingerprint[0])
        fputs("not known of both\n", out);
    else if (strcmp(a->fingerprint, b->fingerprint) == 0)
        fputs("the same\n", out);
    else if (tasks_differ(c) && mu_fingerprint_same_but_probe(a->fingerprint, b->fingerprint))
        fputs("the same but for the probe, whose bits data and keys change\n", out);
    else
        fprintf(out,
                "differs: the same bits were not promised\n  A computed by %s\n  B computed by "
                "%s\n",
                a->fingerprint, b->fingerprint);
}

void mu_compared_print(const struct mu_compared *c, bool all, FILE *out)
{
    print_side(&c->side[0], "A", out);
    print_side(&c->side[1], "B", out);
    fputc('\n', out);
    print_records(c, out);
    print_pair(c, out);
    if (c->pair[0])
        print_tensors(c, all, out);
    print_config(c, out);
    print_origin(c, out);
    fputs(c->result == MU_SAME_BITS ? "\nthe same bits\n" : "\nthey differ\n", out);
}

/* ---- for programs ---------------------------------------------------------------------------- */

static json_t *side_json(const struct mu_side *s)
{
    json_t *steps = json_array();

    for (uint32_t i = 0; i < s->checkpoints; i++)
        json_array_append_new(steps, json_integer((json_int_t)s->checkpoint[i].step));
    return json_pack("{s:s, s:s, s:I, s:o, s:s, s:s}", "kind", s->is_run ? "run" : "checkpoint",
                     "path", s->path, "end_step", (json_int_t)s->end, "checkpoints", steps,
                     "computed_by", s->fingerprint, "data", s->data);
}

static json_t *step_json(int64_t step)
{
    return step >= 0 ? json_integer((json_int_t)step) : json_null();
}

static json_t *record_json(const struct mu_side_record *r)
{
    if (!r)
        return json_null();
    return json_pack("{s:I, s:o, s:o, s:o, s:o}", "step", (json_int_t)r->step, "state_hash",
                     r->has_hash ? json_string(mu_hash_print(r->hash).text) : json_null(), "loss",
                     mu_json_real(r->loss), "grad_norm", mu_json_real(r->gradient_norm),
                     "valid_loss", mu_json_real(r->valid_loss));
}

static json_t *records_json(const struct mu_records_compared *r)
{
    return json_pack("{s:I, s:I, s:o, s:o, s:o, s:o, s:o}", "common", (json_int_t)r->common,
                     "state_hashes", (json_int_t)r->hashes, "same_until", step_json(r->until),
                     "same_state_hash_until", step_json(r->hash_until), "parts_at",
                     step_json(r->parts_at), "a", record_json(r->a), "b", record_json(r->b));
}

static json_t *array_json(const struct mu_array_difference *d)
{
    return json_pack("{s:I, s:I, s:[I, I], s:o, s:o, s:o, s:o, s:I}", "elements",
                     (json_int_t)d->elements, "differing", (json_int_t)d->differing, "first",
                     (json_int_t)d->row, (json_int_t)d->col, "a", mu_json_real(d->first[0]), "b",
                     mu_json_real(d->first[1]), "max_abs", mu_json_real(d->most), "relative_norm",
                     mu_json_real(d->relative), "nonfinite", (json_int_t)d->nonfinite);
}

static json_t *shape_json(const struct mu_tensor_spec *s)
{
    return s ? json_pack("[I, I]", (json_int_t)s->rows, (json_int_t)s->cols) : json_null();
}

/* Those that differ. */
static json_t *tensors_json(const struct mu_tensors_compared *t)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < t->count; i++) {
        const struct mu_tensor_difference *d = &t->tensor[i];
        json_t *tensor;

        if (!mu_tensor_differs(d))
            continue;
        tensor = json_pack("{s:s, s:o, s:o}", "name", (d->spec[0] ? d->spec[0] : d->spec[1])->name,
                           "shape_a", shape_json(d->spec[0]), "shape_b", shape_json(d->spec[1]));
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++)
            if (d->array[a].differing > 0)
                json_object_set_new(tensor, array_names[a], array_json(&d->array[a]));
        json_array_append_new(list, tensor);
    }
    return list;
}

static json_t *pair_json(const struct mu_compared *c)
{
    if (!c->pair[0])
        return json_null();
    return json_pack("{s:s, s:s, s:I, s:I, s:I, s:o}", "a", c->pair[0]->folder, "b",
                     c->pair[1]->folder, "step_a", (json_int_t)c->pair[0]->step, "step_b",
                     (json_int_t)c->pair[1]->step, "tensors", (json_int_t)c->tensors.count,
                     "differing", tensors_json(&c->tensors));
}

static json_t *config_json(const struct mu_compared *c)
{
    json_t *list = json_array();

    if (!c->config_known) {
        json_decref(list);
        return json_null();
    }
    for (uint32_t i = 0; i < c->keys; i++)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "key", c->key[i].key->name,
                                              "class", mu_key_class_word(c->key[i].key->class), "a",
                                              c->key[i].value[0], "b", c->key[i].value[1]));
    return list;
}

json_t *mu_compared_json(const struct mu_compared *c)
{
    return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:b}", "kind", "diff", "same",
                     c->result == MU_SAME_BITS, "a", side_json(&c->side[0]), "b",
                     side_json(&c->side[1]), "records", records_json(&c->records), "checkpoints",
                     pair_json(c), "config", config_json(c), "same_fingerprint",
                     strcmp(c->side[0].fingerprint, c->side[1].fingerprint) == 0);
}

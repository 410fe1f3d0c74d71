/* A checkpoint for people, and as JSON for programs. */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/text_wrap.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/inspect/inspect_checkpoint.h"
#include "orchestrator/run/json_values.h"

enum { TENSORS_SHOWN = 10 };

/* For people, and for programs. */
static const char *const state_words[] = {"present", "ok", "MISSING", "DAMAGED"};
static const char *const state_names[] = {"present", "ok", "missing", "damaged"};

struct text {
    char text[32];
};

/* 124439808 -> "124,439,808" */
static struct text grouped(uint64_t n)
{
    struct text out;
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, n), at = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out.text[at++] = ',';
        out.text[at++] = digits[i];
    }
    out.text[at] = 0;
    return out;
}

static struct text sized(uint64_t bytes)
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    struct text out;
    double n = (double)bytes;
    int unit = 0;

    for (; n >= 1000 && unit < 4; unit++)
        n /= 1000;
    snprintf(out.text, sizeof out.text, unit ? "%.1f %s" : "%.0f %s", n, units[unit]);
    return out;
}

static struct text shape_of(const struct mu_tensor_spec *s)
{
    struct text out;

    if (s->rows == 1)
        snprintf(out.text, sizeof out.text, "%" PRIu64, s->cols);
    else
        snprintf(out.text, sizeof out.text, "%" PRIu64 " x %" PRIu64, s->rows, s->cols);
    return out;
}

static void print_deep(const struct mu_inspected *c, FILE *out)
{
    if (!c->deep) {
        fprintf(out, "  checksums    not read; --deep does\n");
        return;
    }
    if (!c->whole) {
        fprintf(out, "  checksums    %s\n", c->read ? "WRONG: see the parts below" : "not read");
        return;
    }
    fprintf(out, "  checksums    all right\n");
    if (mu_hash_equal(c->state, c->info.state_hash))
        fprintf(out, "  recomputed   the tensors have this state hash\n");
    else
        fprintf(out, "  recomputed   WRONG: the tensors have state hash %s\n",
                mu_hash_print(c->state).text);
}

/* The keys that say most of a run; all of them are shown by --config. */
static const enum mu_key_index gpt2_keys[] = {
    MU_KEY_model_kind,    MU_KEY_model_layers,    MU_KEY_model_heads,  MU_KEY_model_width,
    MU_KEY_model_context, MU_KEY_model_vocab,     MU_KEY_run_steps,    MU_KEY_run_seed,
    MU_KEY_optim_lr,      MU_KEY_batch_sequences, MU_KEY_batch_shards, MU_KEY_device_precision,
};
static const enum mu_key_index llama_keys[] = {
    MU_KEY_model_kind,   MU_KEY_model_layers,     MU_KEY_model_heads, MU_KEY_model_width,
    MU_KEY_model_hidden, MU_KEY_model_context,    MU_KEY_model_vocab, MU_KEY_model_rope_theta,
    MU_KEY_run_steps,    MU_KEY_run_seed,         MU_KEY_optim_lr,    MU_KEY_batch_sequences,
    MU_KEY_batch_shards, MU_KEY_device_precision,
};
static const enum mu_key_index synthetic_keys[] = {
    MU_KEY_model_kind, MU_KEY_synthetic_params, MU_KEY_run_steps,    MU_KEY_run_seed,
    MU_KEY_optim_lr,   MU_KEY_batch_sequences,  MU_KEY_batch_shards, MU_KEY_model_context,
};

struct key_list {
    const enum mu_key_index *key;
    size_t count;
};
#define LIST(keys) ((struct key_list){(keys), sizeof(keys) / sizeof *(keys)})

static struct key_list keys_of(enum mu_model kind)
{
    switch (kind) {
    case MU_MODEL_SYNTHETIC:
        return LIST(synthetic_keys);
    case MU_MODEL_LLAMA:
        return LIST(llama_keys);
    case MU_MODEL_GPT2:
        break;
    }
    return LIST(gpt2_keys);
}

/* A configuration that this version cannot read is no reason to show nothing. */
static void print_config(const struct mu_inspected *c, FILE *out)
{
    enum { COLUMN = 15 };
    struct mu_config_source source = {
        .text = c->info.config, .text_size = strlen(c->info.config), .text_name = "config"};
    struct mu_mistakes mistakes = {.count = 0};
    struct mu_settings settings;
    char *line = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&line, &size);

    if (!memory)
        return;
    if (mu_config_collect(&source, &settings, &mistakes) == MU_OK && mistakes.count == 0) {
        const struct key_list list = keys_of((enum mu_model)settings.model_kind);

        for (size_t i = 0; i < list.count; i++) {
            const struct mu_key *key = &mu_keys[list.key[i]];

            fprintf(memory, "%s%s=", i > 0 ? " " : "", key->name);
            mu_key_print_value(memory, key, &settings);
        }
    } else
        fprintf(memory, "not of this version of Muster; see --config");
    mu_mistakes_deinit(&mistakes);
    if (fclose(memory) == 0) {
        fprintf(out, "  %-*s", COLUMN - 2, "config");
        mu_text_wrap(out, COLUMN, COLUMN, line);
    }
    free(line);
}

static void print_tensor(const struct mu_inspected *c, uint32_t i, int width, bool norms, FILE *out)
{
    const struct mu_tensor_spec *s = &c->layout.tensors[i].spec;

    fprintf(out, "  %-*s  %-18s  float32", width, s->name, shape_of(s).text);
    if (norms)
        fprintf(out, "   %.6g", c->tensors[i].weight_norm);
    if (norms && c->tensors[i].nonfinite > 0)
        fprintf(out, " (%s not finite)", grouped(c->tensors[i].nonfinite).text);
    fputc('\n', out);
}

static void print_tensors(const struct mu_inspected *c, bool all, FILE *out)
{
    bool norms = c->deep && c->whole;
    int width = 6;
    uint32_t left_out = 0;

    for (uint32_t i = 0; i < c->layout.tensor_count; i++) {
        int n = (int)strlen(c->layout.tensors[i].spec.name);

        width = n > width ? n : width;
    }
    fprintf(out, "\n  %-*s  %-18s  type%s\n", width, "tensor", "shape",
            norms ? "      norm of weights" : "");
    for (uint32_t i = 0; i < c->layout.tensor_count; i++)
        if (all || i < TENSORS_SHOWN || (norms && c->tensors[i].nonfinite > 0))
            print_tensor(c, i, width, norms, out);
        else
            left_out++;
    if (left_out > 0)
        fprintf(out, "  and %u more (--all)\n", left_out);
    fputs("  In HDF5, checkpoint.h5 has each under /weights/, /adam_m/ and /adam_v/: "
          "/weights/NAME.\n",
          out);
    if (c->deep && !norms)
        fputs("  Norms are not shown: not all of the numbers could be read and trusted.\n", out);
}

void mu_inspected_print(const struct mu_inspected *c, bool all, FILE *out)
{
    fprintf(out, "checkpoint %s\n", c->folder);
    fprintf(out, "  step         %" PRId64 "\n", c->info.step);
    fprintf(out, "  state hash   %s\n", mu_hash_print(c->info.state_hash).text);
    print_deep(c, out);
    fprintf(out, "  parameters   %s in %u tensors\n", grouped(c->layout.parameters).text,
            c->layout.tensor_count);
    fprintf(out, "  size         %s in %u part%s", sized(c->bytes).text, c->info.parts,
            c->info.parts == 1 ? "" : "s");
    if (c->parts_bad > 0)
        fprintf(out, ", %u of them MISSING OR DAMAGED", c->parts_bad);
    fprintf(out, "\n  written by   %s\n", c->info.written);
    fprintf(out, "  computed by  %s\n", c->info.fingerprint);
    fprintf(out, "  note         %s\n", c->info.journal);
    print_config(c, out);
    print_tensors(c, all, out);
    fprintf(out, "\n  %-14s  %12s  state\n", "part", "size");
    for (uint32_t p = 0; p < c->info.parts; p++)
        fprintf(out, "  %-14s  %12s  %s\n", c->parts[p].file, sized(c->parts[p].bytes).text,
                state_words[c->parts[p].state]);
}

static json_t *tensors_json(const struct mu_inspected *c)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < c->layout.tensor_count; i++) {
        const struct mu_tensor_spec *s = &c->layout.tensors[i].spec;
        json_t *shape = json_array(), *tensor;

        if (s->rows > 1)
            json_array_append_new(shape, json_integer((json_int_t)s->rows));
        json_array_append_new(shape, json_integer((json_int_t)s->cols));
        tensor = json_pack("{s:s, s:o, s:s}", "name", s->name, "shape", shape, "type", "float32");
        if (c->deep && c->whole) {
            double norm = c->tensors[i].weight_norm;

            json_object_set_new(tensor, "weight_norm", mu_json_real(norm));
            json_object_set_new(tensor, "nonfinite",
                                json_integer((json_int_t)c->tensors[i].nonfinite));
        }
        json_array_append_new(list, tensor);
    }
    return list;
}

static json_t *parts_json(const struct mu_inspected *c)
{
    json_t *list = json_array();

    for (uint32_t p = 0; p < c->info.parts; p++)
        json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "file", c->parts[p].file, "bytes",
                                              (json_int_t)c->parts[p].bytes, "state",
                                              state_names[c->parts[p].state]));
    return list;
}

/* A text that should be JSON; as a string when it is not. */
static json_t *parsed(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);

    return value ? value : json_string(text);
}

json_t *mu_inspected_json(const struct mu_inspected *c)
{
    char identity[17];
    json_t *object;

    snprintf(identity, sizeof identity, "%016" PRIx64, c->info.layout_identity);
    object =
        json_pack("{s:s, s:s, s:I, s:s, s:I, s:s, s:I, s:s, s:s, s:s, s:o, s:o, s:o, s:b}", "kind",
                  "checkpoint", "path", c->folder, "step", (json_int_t)c->info.step, "state_hash",
                  mu_hash_print(c->info.state_hash).text, "parameters",
                  (json_int_t)c->layout.parameters, "layout_identity", identity, "bytes",
                  (json_int_t)c->bytes, "written_by", c->info.written, "computed_by",
                  c->info.fingerprint, "config", c->info.config, "note", parsed(c->info.journal),
                  "tensors", tensors_json(c), "parts", parts_json(c), "good", mu_inspected_good(c));
    if (c->deep && object) {
        json_object_set_new(object, "checksums_right", json_boolean(c->whole));
        json_object_set_new(object, "recomputed_state_hash",
                            c->whole ? json_string(mu_hash_print(c->state).text) : json_null());
    }
    return object;
}

/* In this order, since each step needs what the ones before have settled: the size; laws of size
 * alone (heads, layers), which settle N; the batch; the number of steps; all other laws. */
#include "orchestrator/sweep/trial.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/config/checks.h"
#include "orchestrator/config/number.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/config/value.h"
#include "orchestrator/core/counting.h"
#include "worker/workload.h"

enum mu_status mu_sweep_laws_init(struct mu_sweep_laws *l, const struct mu_sweep_spec *spec)
{
    char why[256];
    enum mu_status st = MU_OK;

    *l = (struct mu_sweep_laws){.spec = spec, .count = spec->laws.count};
    l->formula = calloc(l->count + 1, sizeof *l->formula);
    if (!l->formula)
        return MU_FAIL(MU_NO_MEMORY, "no memory for %u laws", l->count);
    for (uint32_t i = 0; i < l->count && st == MU_OK; i++)
        if (&spec->laws.item[i] != mu_sweep_tuned(spec))
            st = mu_formula_init(&l->formula[i], spec->laws.item[i].value, why, sizeof why);
    return st;
}

void mu_sweep_laws_deinit(struct mu_sweep_laws *l)
{
    for (uint32_t i = 0; l->formula && i < l->count; i++)
        mu_formula_deinit(&l->formula[i]);
    free(l->formula);
    memset(l, 0, sizeof *l);
}

const char *mu_sweep_laws_of_length(const struct mu_sweep_laws *l)
{
    for (uint32_t i = 0; i < l->count; i++)
        if (l->formula[i].uses[MU_FORMULA_D] || l->formula[i].uses[MU_FORMULA_C])
            return l->spec->laws.item[i].key;
    return NULL;
}

void mu_sweep_trial_set(struct mu_sweep_trial *t, const char *key, const char *text,
                        struct mu_place place, struct mu_mistakes *m)
{
    char sequences[40];
    double tokens;

    if (strcmp(key, "batch.tokens") == 0 && mu_number_real(text, &tokens) == MU_NUMBER_OK) {
        snprintf(sequences, sizeof sequences, "%.0f",
                 fmax(1, round(tokens / (double)t->settings.model_context)));
        text = sequences;
    }
    mu_value_take_text(mu_sweep_key(key), text, place, "", &t->settings, m);
}

static double round_to(double value, enum mu_sweep_round how, const struct mu_key *key)
{
    if (how == MU_SWEEP_ROUND_POW2 && value > 0)
        return exp2(round(log2(value)));
    if (how == MU_SWEEP_ROUND_INT || key->type == MU_TYPE_INT || key->type == MU_TYPE_AUTO_INT)
        return round(value);
    return value;
}

/* The law's value as it is written into the settings. */
static void set_by_law(struct mu_sweep_trial *t, struct mu_sweep_laws *laws, uint32_t i,
                       struct mu_place place, struct mu_mistakes *m)
{
    const struct mu_sweep_law *law = &laws->spec->laws.item[i];
    const struct mu_key *key = mu_sweep_key(law->key);
    double value = mu_formula_value(&laws->formula[i]);
    char text[40];

    if (isnan(value)) {
        mu_mistakes_add(m, place, law->key, "\"%s\" has no value for N = %g, size = %g", law->value,
                        t->n, t->size);
        return;
    }
    if (law->unit == MU_SWEEP_UNIT_TOKENS)
        value = ceil(value / t->tokens_per_step);
    value = round_to(value, (enum mu_sweep_round)law->round, key);
    snprintf(text, sizeof text, key->type == MU_TYPE_REAL ? "%.6g" : "%.15g", value);
    mu_sweep_trial_set(t, law->key, text, place, m);
}

static bool is_of_size(const struct mu_formula *f)
{
    return !f->uses[MU_FORMULA_N] && !f->uses[MU_FORMULA_D] && !f->uses[MU_FORMULA_C];
}

enum law_pass { PASS_SIZE, PASS_BATCH, PASS_REST };

static void apply_laws(struct mu_sweep_trial *t, struct mu_sweep_laws *laws, enum law_pass pass,
                       struct mu_place place, struct mu_mistakes *m)
{
    for (uint32_t i = 0; i < laws->count; i++) {
        struct mu_formula *f = &laws->formula[i];
        const bool batch =
            mu_sweep_key(laws->spec->laws.item[i].key) == &mu_keys[MU_KEY_batch_sequences];
        const bool tokens = laws->spec->laws.item[i].unit == MU_SWEEP_UNIT_TOKENS;
        const enum law_pass due = batch                      ? PASS_BATCH
                                  : is_of_size(f) && !tokens ? PASS_SIZE
                                                             : PASS_REST;

        if (!f->parser || due != pass)
            continue;
        f->value[MU_FORMULA_SIZE] = t->size;
        f->value[MU_FORMULA_N] = t->n;
        f->value[MU_FORMULA_D] = t->tokens;
        f->value[MU_FORMULA_C] = t->tokens * t->flops_per_token;
        set_by_law(t, laws, i, place, m);
    }
}

/* What the data's header and the width may have to say; shards stay open until the batch is
 * known. */
static enum mu_status find_shape(struct mu_sweep_trial *t, struct mu_settings *settled)
{
    enum mu_status st;

    *settled = t->settings;
    st = mu_workload_resolve(settled);
    t->settings.model_vocab = settled->model_vocab;
    return st;
}

/* s: with its shape settled. */
static void count(struct mu_sweep_trial *t, const struct mu_sweep_spec *spec,
                  const struct mu_settings *s)
{
    const struct mu_counts n = mu_workload_counts(s);

    t->n = (double)(spec->count == MU_COUNT_ALL             ? n.all
                    : spec->count == MU_COUNT_NON_EMBEDDING ? n.non_embedding
                                                            : n.non_embedding_head);
    t->flops_per_token = 6 * t->n;
    if (spec->flops == MU_FLOPS_6N_ATTENTION && s->model_kind != MU_MODEL_SYNTHETIC)
        t->flops_per_token += mu_count_attention((double)s->model_layers, (double)s->model_width,
                                                 (double)s->model_context);
}

static void set_steps(struct mu_sweep_trial *t, struct mu_place place, struct mu_mistakes *m)
{
    char text[40];

    t->tokens_per_step = (double)t->settings.batch_sequences * (double)t->settings.model_context;
    if (t->tokens > 0) {
        snprintf(text, sizeof text, "%.0f", fmax(1, round(t->tokens / t->tokens_per_step)));
        mu_sweep_trial_set(t, "run.steps", text, place, m);
    } else {
        t->tokens = t->tokens_per_step * (double)t->settings.run_steps;
    }
}

static void check(const struct mu_sweep_trial *t, struct mu_place place, struct mu_mistakes *m)
{
    struct mu_place places[MU_KEY_COUNT];

    for (size_t i = 0; i < MU_KEY_COUNT; i++)
        places[i] = place;
    mu_checks_run(&t->settings, places, m);
}

double mu_sweep_trial_value(const struct mu_sweep_trial *t, const char *key)
{
    double value;

    memcpy(&value, (const char *)&t->settings + mu_sweep_key(key)->offset, sizeof value);
    return value;
}

/* While a key is tuned, the configuration's value times a factor; then what its law says. */
static void set_tuned(struct mu_sweep_trial *t, const struct mu_sweep_laws *laws,
                      struct mu_place place, struct mu_mistakes *m)
{
    const struct mu_sweep_law *law = mu_sweep_tuned(laws->spec);
    const bool is_tuning = t->role == MU_SWEEP_TUNE;
    char text[40];

    if (!law || (!is_tuning && laws->tuned_coefficient <= 0))
        return;
    snprintf(text, sizeof text, "%.6g",
             is_tuning ? mu_sweep_trial_value(t, law->key) * t->factor
                       : laws->tuned_coefficient * mu_det_pow(t->n, laws->tuned_exponent));
    mu_sweep_trial_set(t, law->key, text, place, m);
}

enum mu_status mu_sweep_trial_count(struct mu_sweep_trial *t, struct mu_sweep_laws *laws,
                                    struct mu_place place, struct mu_mistakes *m)
{
    const int before = m->count;
    struct mu_settings settled;
    char text[40];
    enum mu_status st;

    if (t->size > 0) {
        snprintf(text, sizeof text, "%.15g", t->size);
        mu_sweep_trial_set(t, laws->spec->size_key, text, place, m);
    }
    apply_laws(t, laws, PASS_SIZE, place, m);
    if (m->count > before)
        return MU_OK;
    st = find_shape(t, &settled);
    if (st == MU_OK)
        count(t, laws->spec, &settled);
    return st;
}

enum mu_status mu_sweep_trial_fill(struct mu_sweep_trial *t, struct mu_sweep_laws *laws,
                                   struct mu_place place, struct mu_mistakes *m)
{
    const int before = m->count;
    enum mu_status st = mu_sweep_trial_count(t, laws, place, m);

    if (st != MU_OK || m->count > before)
        return st;
    t->tokens = t->budget > 0 ? t->budget / t->flops_per_token : t->multiple * t->n;
    apply_laws(t, laws, PASS_BATCH, place, m);
    set_steps(t, place, m);
    apply_laws(t, laws, PASS_REST, place, m);
    set_tuned(t, laws, place, m);
    if (m->count == before)
        check(t, place, m);
    if (m->count == before)
        st = mu_workload_resolve(&t->settings);
    t->tokens = t->tokens_per_step * (double)t->settings.run_steps;
    t->flops = t->tokens * t->flops_per_token;
    return st;
}

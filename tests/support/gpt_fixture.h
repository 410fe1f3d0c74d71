/* A tiny gpt for tests: settings, a token file made by a formula, a device, weights
 * (lent memory). */
#ifndef MUSTER_TESTS_SUPPORT_GPT_FIXTURE_H
#define MUSTER_TESTS_SUPPORT_GPT_FIXTURE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/rng.h"
#include "worker/data/token_writer.h"
#include "worker/workload.h"

/* Token i of the file: a skewed sequence with some order in it, which a model can learn.
 * tests/oracle/gpt_curve.py has the same formula. */
static inline uint32_t fixture_token(uint64_t i, uint32_t vocab)
{
    uint64_t x = i * 2654435761u % 4294967296u;

    return (uint32_t)(i % 3 == 0 ? x * x / 4294967296u * vocab / 4294967296u
                                 : (7 * i + i / 5) % vocab);
}

static inline bool fixture_write(const char *path, uint32_t vocab, uint64_t count)
{
    struct mu_token_writer w;
    bool ok = mu_token_writer_open(&w, path, 2, vocab, "test") == MU_OK;

    for (uint64_t i = 0; ok && i < count; i++) {
        const uint32_t token = fixture_token(i, vocab);
        const uint8_t raw[2] = {(uint8_t)token, (uint8_t)(token >> 8)};

        ok = mu_token_writer_put(&w, raw, sizeof raw) == MU_OK;
    }
    ok = ok && mu_token_writer_finish(&w, 3 * count) == MU_OK &&
         mu_token_writer_publish(&w) == MU_OK;
    mu_token_writer_abandon(&w);
    return ok;
}

/* folder, as for mkdtemp, with the files that fixture_settings names: train.tok of so many tokens,
 * and valid.tok. */
static inline bool fixture_make_folder(char *folder, uint64_t train_tokens)
{
    enum { VOCAB_SIZE = 13, VALID = 100 };
    char path[128];

    if (mkdtemp(folder) == NULL)
        return false;
    snprintf(path, sizeof path, "%s/train.tok", folder);
    if (!fixture_write(path, VOCAB_SIZE, train_tokens))
        return false;
    snprintf(path, sizeof path, "%s/valid.tok", folder);
    return fixture_write(path, VOCAB_SIZE, VALID);
}

/* Odd sizes on purpose: nothing is a multiple of a vector. */
static inline struct mu_settings fixture_settings(const char *folder)
{
    struct mu_settings s = {
        .run_seed = 7,
        .run_steps = 100,
        .model_kind = MU_MODEL_GPT2,
        .model_layers = 2,
        .model_heads = 3,
        .model_width = 9,
        .model_context = 7,
        .model_vocab = 13,
        .batch_sequences = 12,
        .batch_shards = 3,
        .batch_micro = 2,
        .eval_tokens = 70,
    };

    snprintf(s.data_train, sizeof s.data_train, "%s/train.tok", folder);
    snprintf(s.data_valid, sizeof s.data_valid, "%s/valid.tok", folder);
    return s;
}

/* A hidden width that no rule gives; heads of 6 in a width that is no multiple of a vector. */
static inline struct mu_settings fixture_llama(const char *folder)
{
    struct mu_settings s = fixture_settings(folder);

    s.model_kind = MU_MODEL_LLAMA;
    s.model_width = 18;
    s.model_hidden = 21;
    s.model_rope_theta = 50;
    return s;
}

/* NULL where this build or CPU cannot: the caller says so. */
static inline struct mu_device *fixture_device_of(enum mu_device_kind kind,
                                                  enum mu_precision precision, int threads)
{
    const struct mu_device_options options = {
        .kind = kind, .precision = precision, .isa = mu_device_best_isa(), .threads = threads};
    struct mu_device *device = NULL;

    return mu_device_open(&options, &device) == MU_OK ? device : NULL;
}

static inline struct mu_device *fixture_device(enum mu_device_kind kind,
                                               enum mu_precision precision)
{
    return fixture_device_of(kind, precision, 2);
}

/* Round to nearest even; no NaN comes here. */
static inline uint16_t fixture_bf16(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

struct fixture_weights {
    float *f32;
    uint16_t *bf16;
};

static inline struct mu_weights fixture_view(const struct fixture_weights *w)
{
    return (struct mu_weights){.f32 = w->f32, .bf16 = w->bf16};
}

static inline void fixture_round(const struct mu_workload *w, struct fixture_weights *x)
{
    for (uint64_t i = 0; i < w->layout.elements; i++)
        x->bf16[i] = fixture_bf16(x->f32[i]);
}

/* The workload's own initial values, and on top noise of `jitter` times a standard normal, so that
 * no gradient is trivial. */
static inline struct fixture_weights fixture_init(struct mu_device *device,
                                                  const struct mu_workload *w, double jitter)
{
    struct fixture_weights x = {
        .f32 = mu_device_alloc_lent(device, w->layout.elements * sizeof(float)),
        .bf16 = mu_device_alloc_lent(device, w->layout.elements * sizeof(uint16_t)),
    };

    for (uint32_t t = 0; t < w->layout.tensor_count; t++) {
        const struct mu_tensor *tensor = &w->layout.tensors[t];
        const uint64_t n = tensor->spec.rows * tensor->spec.cols;

        w->ops->init_tensor(w, t, 0, n, x.f32 + tensor->offset);
        for (uint64_t i = 0; i < n && jitter > 0; i++)
            x.f32[tensor->offset + i] +=
                (float)(jitter * mu_rng_normal(mu_rng_draw(99, MU_RNG_SYNTHETIC, t, i).w[0]));
    }
    fixture_round(w, &x);
    return x;
}

static inline void fixture_free(struct mu_device *device, struct fixture_weights *x)
{
    mu_device_free_lent(device, x->f32);
    mu_device_free_lent(device, x->bf16);
}

/* to += the shard's whole gradient, the rows in their places. */
static inline void fixture_add(const struct mu_layout *l, const struct mu_shard_result *r,
                               double *to)
{
    for (uint32_t t = 0; t < l->tensor_count; t++) {
        const uint64_t from = l->tensors[t].offset;

        for (uint64_t i = from; i < from + l->tensors[t].spec.rows * l->tensors[t].spec.cols; i++)
            to[i] += (double)r->dense[i];
    }
    for (uint32_t k = 0; k < r->row_count; k++) {
        const struct mu_tensor *t = &l->tensors[r->rows[k].tensor];

        for (uint64_t i = 0; i < r->rows[k].count; i++)
            for (uint64_t e = 0; e < t->spec.cols; e++)
                to[t->offset + r->rows[k].row[i] * t->spec.cols + e] +=
                    (double)r->rows[k].value[i * t->spec.cols + e];
    }
}

/* |a - b| / |b| over the n elements. */
static inline double fixture_distance(const double *a, const double *b, uint64_t n)
{
    double difference = 0, size = 0;

    for (uint64_t i = 0; i < n; i++) {
        difference += (a[i] - b[i]) * (a[i] - b[i]);
        size += b[i] * b[i];
    }
    return size > 0 ? __builtin_sqrt(difference / size) : difference;
}

static inline void fixture_check_tensor(const struct mu_layout *l, uint32_t t, const char *name,
                                        uint64_t rows, uint64_t cols, int row_addends)
{
    const struct mu_tensor_spec *s = &l->tensors[t].spec;

    assert_string_equal(s->name, name);
    assert_int_equal(s->rows, rows);
    assert_int_equal(s->cols, cols);
    assert_int_equal(s->decay, rows > 1); /* matrices only */
    assert_true(s->dense);
    assert_int_equal(s->row_addends, row_addends);
}

#endif

/* A state with known contents, and folders that go away, for tests of checkpoints and hashes. */
#ifndef MUSTER_TESTS_SUPPORT_STATE_H
#define MUSTER_TESTS_SUPPORT_STATE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "worker/checkpoint/checkpoint.h"
#include "worker/state_hash.h"

static inline struct mu_tensor_spec test_spec(const char *name, uint64_t rows, uint64_t cols)
{
    struct mu_tensor_spec s = {.rows = rows, .cols = cols, .dense = true};

    snprintf(s.name, sizeof s.name, "%s", name);
    return s;
}

static inline struct mu_state_view test_state(const struct mu_layout *layout)
{
    struct mu_state_view s = {
        layout, calloc(layout->elements, sizeof(float)), calloc(layout->elements, sizeof(float)),
        calloc(layout->elements, sizeof(float)), calloc(layout->blocks, sizeof(int16_t))};

    MU_ASSERT(s.weight && s.m && s.v && s.prediction);
    return s;
}

static inline void test_state_free(struct mu_state_view *s)
{
    free(s->weight);
    free(s->m);
    free(s->v);
    free(s->prediction);
}

/* Any 32 bits in every logical element: NaN, denormals and -0 too. Pads stay zero. */
static inline void test_state_fill(const struct mu_state_view *s, uint64_t key)
{
    float *arrays[3] = {s->weight, s->m, s->v};

    for (uint32_t i = 0; i < s->layout->tensor_count; i++) {
        const struct mu_tensor *t = &s->layout->tensors[i];

        for (uint64_t k = t->offset; k < t->offset + t->spec.rows * t->spec.cols; k++) {
            struct mu_rng_words w = mu_rng_draw(key, MU_RNG_INIT, 0, k);

            for (int a = 0; a < 3; a++)
                memcpy(&arrays[a][k], &w.w[a], sizeof w.w[a]);
        }
    }
    for (uint64_t b = 0; b < s->layout->blocks; b++)
        s->prediction[b] = (int16_t)(mu_rng_draw(key, MU_RNG_INIT, 1, b).w[0] & 0xffff);
}

/* A layout with a filled state, for cmocka's setup and teardown. */
struct state_fixture {
    struct mu_layout layout;
    struct mu_state_view state;
};

static inline int state_fixture_init(struct state_fixture *f, const struct mu_tensor_spec *specs,
                                     uint32_t count, void **out)
{
    if (mu_layout_init(&f->layout, specs, count) != MU_OK)
        return -1;
    f->state = test_state(&f->layout);
    test_state_fill(&f->state, 5);
    *out = f;
    return 0;
}

static inline int state_fixture_teardown(void **in)
{
    struct state_fixture *f = *in;

    test_state_free(&f->state);
    mu_layout_deinit(&f->layout);
    return 0;
}

/* "wte" has several pieces an array (worker/checkpoint/reader.h): 700 rows of 4000 bytes, 262 of
 * them in a piece; "short" has fewer rows than parts. */
static inline bool test_pieces_layout(struct mu_layout *layout)
{
    struct mu_tensor_spec specs[] = {test_spec("wte", 700, 1000), test_spec("short", 2, 700),
                                     test_spec("bias", 1, 65)};

    return mu_layout_init(layout, specs, 3) == MU_OK;
}

static inline void test_oracle_layout(struct mu_layout *layout)
{
    struct mu_tensor_spec specs[] = {test_spec("wte.weight", 5, 300), test_spec("ln.bias", 1, 6)};

    MU_ASSERT(mu_layout_init(layout, specs, 2) == MU_OK);
}

/* The contents of tests/oracle/checkpoint-1: weight = element number / 4 (exact), m = -element
 * number, v = 2^-(row), prediction = block number */
static inline void test_oracle_fill(const struct mu_state_view *s)
{
    for (uint32_t i = 0; i < s->layout->tensor_count; i++) {
        const struct mu_tensor *t = &s->layout->tensors[i];

        for (uint64_t k = 0; k < t->spec.rows * t->spec.cols; k++) {
            s->weight[t->offset + k] = (float)k / 4;
            s->m[t->offset + k] = -(float)k;
            s->v[t->offset + k] = 1.0f / (float)(1u << k / t->spec.cols);
        }
        for (uint64_t b = 0; b < t->spec.rows * t->blocks_per_row; b++)
            s->prediction[t->first_block + b] = (int16_t)b;
    }
}

static inline bool test_state_equal(const struct mu_state_view *a, const struct mu_state_view *b)
{
    size_t bytes = a->layout->elements * sizeof(float);

    return memcmp(a->weight, b->weight, bytes) == 0 && memcmp(a->m, b->m, bytes) == 0 &&
           memcmp(a->v, b->v, bytes) == 0 &&
           memcmp(a->prediction, b->prediction, a->layout->blocks * sizeof(int16_t)) == 0;
}

static inline struct mu_hash test_state_hash(const struct mu_state_view *s, int64_t step)
{
    uint64_t count = mu_state_hash_pieces(s->layout);
    struct mu_hash *pieces = malloc(count * sizeof *pieces), whole;

    MU_ASSERT(pieces);
    for (uint64_t i = 0; i < count; i++)
        pieces[i] = mu_state_hash_piece(s, i);
    whole = mu_state_hash_combine(pieces, count, step);
    free(pieces);
    return whole;
}

/* Writes all parts and publishes, as `parts` ranks would. */
static inline enum mu_status test_save(const char *checkpoints, const struct mu_state_view *s,
                                       int64_t step, uint32_t parts)
{
    char folder[MU_PATH_MAX], journal[] = "{\"tokens\":42}",
                              config[] = "model: { kind = \"synthetic\"; }; run: { steps = 7; };\n";
    struct mu_checkpoint_info info = {.step = step,
                                      .parts = parts,
                                      .state_hash = test_state_hash(s, step),
                                      .fingerprint = "a CPU",
                                      .config = config,
                                      .journal = journal};
    enum mu_status st = mu_checkpoint_folder(folder, checkpoints, step);

    if (st == MU_OK)
        st = mu_file_make_folders(folder);
    for (uint32_t p = 0; st == MU_OK && p < parts; p++)
        st = mu_checkpoint_write_part(folder, s, step, p, parts, NULL);
    return st == MU_OK ? mu_checkpoint_publish(folder, s->layout, &info, NULL) : st;
}

static inline void test_folder_make(char out[MU_PATH_MAX])
{
    const char *base = getenv("TMPDIR");

    snprintf(out, MU_PATH_MAX, "%s/muster-test-XXXXXX", base && *base ? base : "/tmp");
    MU_ASSERT(mkdtemp(out));
}

#endif

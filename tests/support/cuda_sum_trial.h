/* Gradients of a step, made to be hard in one way or another, with a fleet that sums them. Include
 * after cmocka.h. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_SUM_TRIAL_H
#define MUSTER_TESTS_SUPPORT_CUDA_SUM_TRIAL_H

#include "tests/support/fleet_sum.h"
#include "tests/support/kernel_run.h"

enum {
    TENSORS = 5,
    SHARDS = 64,
};

/* What a trial's gradients are like. */
enum kind {
    ESCAPES,   /* no more than there are slots */
    FIRST,     /* nothing predicted: redone */
    FULL,      /* too many escapes: redone */
    BEYOND,    /* or a value too large for int64 */
    EDGE,      /* one just not too large */
    NONFINITE, /* skipped, whatever else is */
    TINY,      /* quanta that are subnormal floats */
    HUGE_SUM,  /* finite addends of an infinite sum */
    KINDS,
};

struct trial {
    enum kind kind;
    uint64_t random;
    uint32_t shards, added; /* S, and how many of them there are */
    int ranks;
    struct fleet fleet;
    struct mu_shard_result gradient[SHARDS];
    int exponent[TENSORS]; /* gradients are below 2^exponent */
};

static inline uint64_t draw(struct trial *t, uint64_t limit)
{
    return (uint64_t)((double)limit * 0.49999999 * (1 + (double)next_random(&t->random)));
}

static inline uint64_t rows_x_cols(const struct mu_tensor *t)
{
    return t->spec.rows * t->spec.cols;
}

/* The first tensor is dense and has some blocks; the others are of every kind. */
static inline uint32_t make_specs(struct trial *t, struct mu_tensor_spec *specs)
{
    static const uint64_t columns[] = {1, 3, 8, 31, 64, 129, 256, 257, 300, 511, 768, 999, 1000};
    uint32_t count = 1 + (uint32_t)draw(t, TENSORS), with_rows = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint64_t cols = columns[draw(t, 13)], most = 3000 / cols + 1, kind = draw(t, 3);

        specs[i] = (struct mu_tensor_spec){.name = "t",
                                           .rows = 1 + draw(t, most < 40 ? most : 40),
                                           .cols = cols,
                                           .decay = draw(t, 2),
                                           .dense = i == 0 || kind < 2 || with_rows == 2};
        if (i == 0)
            specs[i].rows += 4;
        else if (kind > 0 && with_rows < 2) {
            specs[i].row_addends = 1;
            with_rows++;
        }
    }
    return count;
}

static inline float plain_value(struct trial *t, uint32_t tensor)
{
    if (t->kind == HUGE_SUM)
        return 2.9e38f + 0.4e38f * next_random(&t->random);
    return ldexpf(next_random(&t->random), t->exponent[tensor]);
}

static inline void make_gradient(struct trial *t, struct mu_shard_result *g)
{
    const struct mu_layout *l = &t->fleet.layout;
    float *dense = fleet_garbage(l->elements * sizeof *dense);

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *x = &l->tensors[i];
        bool zero = i > 0 && draw(t, 6) == 0;

        for (uint64_t e = 0; x->spec.dense && e < rows_x_cols(x); e++)
            dense[x->offset + e] = zero ? 0 : plain_value(t, i);
        if (x->spec.row_addends == 0)
            continue;
        uint32_t *row = fleet_garbage(x->spec.rows * sizeof *row), count = 0;
        bool few = draw(t, 2);

        for (uint32_t r = 0; r < x->spec.rows; r++)
            if (!draw(t, few ? 9 : 2))
                row[count++] = r;
        float *value = fleet_garbage(count * x->spec.cols * sizeof *value + 1);

        for (uint64_t e = 0; e < count * x->spec.cols; e++)
            value[e] = zero ? 0 : plain_value(t, i);
        g->rows[g->row_count++] = (struct mu_row_gradient){i, count, row, value};
    }
    g->dense = dense;
}

/* One value of the first tensor's block b becomes 2^up times what is predicted, or `special`. */
static inline void plant(struct trial *t, uint64_t b, int up, float special)
{
    struct mu_block_range r = mu_layout_block(&t->fleet.layout.tensors[0], b);
    float *dense = (float *)(uintptr_t)t->gradient[draw(t, t->added)].dense;
    float value = ldexpf(draw(t, 2) ? 1.0f : -1.0f, t->exponent[0] + up);

    dense[r.offset + draw(t, r.count)] = special != 0 ? special : value;
}

static inline void plant_outliers(struct trial *t)
{
    const struct mu_tensor *x = &t->fleet.layout.tensors[0];
    uint64_t blocks = x->spec.rows * x->blocks_per_row, capacity = t->fleet.exact.capacity;
    uint64_t few = blocks < capacity ? blocks : capacity;
    /* 63 - L bits of quanta: 2^(c + 32), c = exponent + headroom */
    const int edge = 32 + 2;

    if (t->kind == FIRST || t->kind == HUGE_SUM)
        return;
    for (uint64_t i = 0; i < (t->kind == FULL ? blocks : 1 + draw(t, few)); i++)
        plant(t, i * 7919 % blocks, 8 + (int)draw(t, 12), 0);
    if (t->kind == BEYOND)
        plant(t, draw(t, blocks), edge, 0);
    if (t->kind == EDGE)
        plant(t, draw(t, few) * 7919 % blocks, 0, nextafterf(ldexpf(1, t->exponent[0] + edge), 0));
    if (t->kind == NONFINITE)
        plant(t, draw(t, blocks), 0, draw(t, 2) ? INFINITY : -NAN);
}

static inline void predict_all(struct trial *t)
{
    const struct mu_layout *l = &t->fleet.layout;

    for (uint32_t i = 0; t->kind != FIRST && i < l->tensor_count; i++)
        for (uint64_t b = 0; b < l->tensors[i].spec.rows * l->tensors[i].blocks_per_row; b++)
            t->fleet.prediction[l->tensors[i].first_block + b] =
                (int16_t)(8 * t->exponent[i] - (int)draw(t, 7));
}

static inline void open_trial(struct trial *t, enum kind kind, uint64_t random,
                              const struct mu_tensor_spec *given, uint32_t count)
{
    struct mu_tensor_spec specs[TENSORS];

    *t = (struct trial){.kind = kind, .random = random};
    t->shards = 1 + (uint32_t)draw(t, SHARDS);
    t->added = 1 + (uint32_t)draw(t, t->shards < 5 ? t->shards : 5);
    if (kind == HUGE_SUM) /* of positive values: two make an infinite sum */
        t->shards = t->added = t->shards > 1 ? 2 + t->shards % 3 : 2;
    t->ranks = 1 + (int)draw(t, 4);
    if (!given)
        count = make_specs(t, specs);
    fleet_open(&t->fleet, given ? given : specs, count, t->shards, MU_DEVICE_REFERENCE);
    for (uint32_t i = 0; i < count; i++)
        t->exponent[i] = kind == HUGE_SUM ? 128
                         : kind == TINY   ? -130 - (int)draw(t, 10)
                                          : (int)draw(t, 60) - 40;
    predict_all(t);
    for (uint32_t s = 0; s < t->added; s++)
        make_gradient(t, &t->gradient[s]);
    plant_outliers(t);
}

static inline void close_trial(struct trial *t)
{
    for (uint32_t s = 0; s < t->added; s++) {
        for (uint32_t i = 0; i < t->gradient[s].row_count; i++) {
            free((void *)(uintptr_t)t->gradient[s].rows[i].row);
            free((void *)(uintptr_t)t->gradient[s].rows[i].value);
        }
        free((void *)(uintptr_t)t->gradient[s].dense);
    }
    fleet_close(&t->fleet);
}

static inline void same(const struct trial *t, const char *what, const void *a, const void *b,
                        size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (((const char *)a)[i] != ((const char *)b)[i])
            fail_msg("%s of a trial of kind %d: byte %zu of %zu", what, (int)t->kind, i, n);
}

#endif

/* A fleet of ranks in one process that sum gradients exactly, and an oracle that sums the same
 * gradients in 128-bit integers, block by block, knowing nothing of escapes. For the tests of
 * worker/exact_sum.h: tests are programs of one source, hence a header. */
#ifndef MUSTER_TESTS_FLEET_SUM_H
#define MUSTER_TESTS_FLEET_SUM_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/device.h"
#include "worker/exact_sum.h"

enum { fleet_max_ranks = 8 };

struct fleet {
    struct mu_layout layout;
    struct mu_device *device;
    struct mu_exact_sum exact;
    struct mu_sum sum[fleet_max_ranks];
    int16_t *prediction; /* blocks; MU_PREDICTION_NONE at first */
};

/* What the fleet agreed on. */
struct fleet_total {
    float *gradient;  /* elements */
    uint8_t *largest; /* blocks */
    uint8_t *escaped; /* blocks, a byte each */
    uint64_t escapes;
    uint32_t flags;
    double norm;
};

/* Ends where it ends: reading past it is an error that AddressSanitizer sees. */
static inline void *fleet_garbage(size_t bytes)
{
    void *memory = NULL;

    assert_int_equal(posix_memalign(&memory, 64, bytes), 0);
    memset(memory, 0xa5, bytes);
    return memory;
}

/* The sums' memory holds garbage: nothing may be read before it is written. */
static inline void fleet_open(struct fleet *f, const struct mu_tensor_spec *specs, uint32_t count,
                              uint32_t shards, enum mu_device_kind kind)
{
    struct mu_device_options options = {
        .kind = kind, .precision = MU_PRECISION_FP32, .isa = mu_device_best_isa(), .threads = 1};

    assert_int_equal(mu_layout_init(&f->layout, specs, count), MU_OK);
    assert_int_equal(mu_device_open(&options, &f->device), MU_OK);
    assert_int_equal(mu_exact_sum_init(&f->exact, &f->layout, f->device, shards), MU_OK);
    for (int r = 0; r < fleet_max_ranks; r++)
        f->sum[r] = (struct mu_sum){
            .dense = fleet_garbage(f->layout.elements * sizeof(int32_t)),
            .largest = fleet_garbage(f->layout.blocks),
            .escaped = fleet_garbage((f->layout.blocks + 63) / 64 * sizeof(uint64_t)),
            .slot_of = fleet_garbage(f->layout.blocks * sizeof(uint32_t)),
            .slots = fleet_garbage(f->exact.capacity * MU_BLOCK * sizeof(int64_t)),
            .counts = fleet_garbage(sizeof(struct mu_sum_counts)),
        };
    f->prediction = fleet_garbage(f->layout.blocks * sizeof *f->prediction);
    for (uint64_t b = 0; b < f->layout.blocks; b++)
        f->prediction[b] = MU_PREDICTION_NONE;
}

static inline void fleet_close(struct fleet *f)
{
    for (int r = 0; r < fleet_max_ranks; r++) {
        free(f->sum[r].dense);
        free(f->sum[r].largest);
        free(f->sum[r].escaped);
        free(f->sum[r].slot_of);
        free(f->sum[r].slots);
        free(f->sum[r].counts);
    }
    free(f->prediction);
    mu_exact_sum_deinit(&f->exact);
    mu_device_close(f->device);
    mu_layout_deinit(&f->layout);
}

static inline struct fleet_total fleet_total_open(const struct fleet *f)
{
    return (struct fleet_total){
        .gradient = calloc(f->layout.elements, sizeof(float)),
        .largest = calloc(f->layout.blocks, 1),
        .escaped = calloc(f->layout.blocks, 1),
    };
}

static inline void fleet_total_close(struct fleet_total *t)
{
    free(t->gradient);
    free(t->largest);
    free(t->escaped);
}

static inline void fleet_reduce_chunk(struct fleet *f, int ranks, const struct mu_chunk *c,
                                      struct fleet_total *t, struct mu_wide *norm)
{
    struct mu_chunk_maxima m = {.largest = fleet_garbage(c->block_count),
                                .escaped = fleet_garbage((c->block_count + 63) / 64 * 8)};
    int32_t *dense = fleet_garbage(c->count * sizeof *dense);
    int64_t *wide;
    uint64_t escapes;
    uint32_t check = 0;

    mu_chunk_maxima_clear(&m, c);
    for (int r = 0; r < ranks; r++)
        mu_chunk_maxima_merge(&m, c, &f->sum[r]);
    escapes = mu_chunk_escapes(&m, c);
    wide = fleet_garbage(escapes * MU_BLOCK * sizeof *wide);
    memset(dense, 0, c->count * sizeof *dense);
    memset(wide, 0, escapes * MU_BLOCK * sizeof *wide);
    for (int r = ranks - 1; r >= 0; r--)
        check += mu_chunk_add(&f->exact, dense, wide, &m, c, &f->sum[r]);
    MU_ASSERT(check == mu_chunk_check(dense, c->count));
    memset(t->gradient + c->offset, 0xa5, c->count * sizeof *t->gradient);
    mu_chunk_to_float(&f->exact, t->gradient + c->offset, norm, dense, wide, &m, c, f->prediction);
    t->escapes += escapes;
    t->flags |= m.flags;
    memcpy(t->largest + c->first_block, m.largest, c->block_count);
    for (uint64_t b = 0; b < c->block_count; b++)
        t->escaped[c->first_block + b] = m.escaped[b / 64] >> b % 64 & 1;
    free(m.largest);
    free(m.escaped);
    free(dense);
    free(wide);
}

/* The total of the first `ranks` sums: all chunks, the norms of each apart, as their owners
 * would. */
static inline struct fleet_total fleet_collect(struct fleet *f, int ranks)
{
    struct fleet_total t = fleet_total_open(f);
    struct mu_wide norm = {.nonfinite = 0};

    for (uint32_t c = 0; c < f->layout.chunk_count; c++) {
        struct mu_wide part = {.nonfinite = 0};

        fleet_reduce_chunk(f, ranks, &f->layout.chunks[c], &t, &part);
        mu_wide_merge(&norm, &part);
    }
    t.norm = mu_wide_value(&norm);
    return t;
}

/* Every shard's gradient is added by rank_of[shard], in the order given. A rank without shards has
 * no sum: those that have one are numbered by their first shard. */
static inline struct fleet_total fleet_reduce(struct fleet *f,
                                              const struct mu_shard_result *gradient,
                                              uint32_t shards, const uint32_t *order,
                                              const int *rank_of)
{
    int sum_of[fleet_max_ranks], ranks = 0;

    for (int r = 0; r < fleet_max_ranks; r++)
        sum_of[r] = -1;
    for (uint32_t i = 0; i < shards; i++) {
        int *sum = &sum_of[rank_of[order[i]]];
        bool first = *sum < 0;

        if (first)
            *sum = ranks++;
        mu_exact_sum_add(&f->exact, &f->sum[*sum], f->prediction, &gradient[order[i]], first);
    }
    return fleet_collect(f, ranks);
}

/* All shards on one rank, in order. */
static inline struct fleet_total fleet_reduce_alone(struct fleet *f,
                                                    const struct mu_shard_result *gradient,
                                                    uint32_t shards)
{
    for (uint32_t i = 0; i < shards; i++)
        mu_exact_sum_add(&f->exact, &f->sum[0], f->prediction, &gradient[i], i == 0);
    return fleet_collect(f, 1);
}

/* The quantum, worked out anew from the definition. */
static inline int oracle_exponent(int16_t prediction, uint32_t shards, uint8_t addends)
{
    return (int)ceil(prediction / 8.0) + 2 + (int)ceil(log2((double)shards * addends)) - 31;
}

static inline __int128 oracle_rint(float g, int exponent)
{
    return (__int128)rint(ldexp((double)g, -exponent));
}

/* n * 2^exponent, rounded once to float: to 24 bits, or fewer where floats are subnormal. */
static inline float oracle_float(__int128 n, int exponent)
{
    unsigned __int128 u = n < 0 ? -(unsigned __int128)n : (unsigned __int128)n, rest, half;
    int bits = 0, drop;

    while (bits < 127 && u >> bits)
        bits++;
    drop = bits - 24;
    if (drop < -149 - exponent)
        drop = -149 - exponent;
    if (drop > 0 && drop < 127) {
        rest = u & (((unsigned __int128)1 << drop) - 1);
        half = (unsigned __int128)1 << (drop - 1);
        u >>= drop;
        u += rest > half || (rest == half && (u & 1));
        exponent += drop;
    } else if (drop >= 127) {
        u = 0;
    }
    float x = (float)ldexp((double)(uint64_t)u, exponent);

    return n < 0 ? -x : x;
}

/* The sum over shards of every element, in quanta, rounded to float; 0 in pads. */
static inline void oracle_gradient(const struct fleet *f, const struct mu_shard_result *gradient,
                                   uint32_t shards, float *out)
{
    memset(out, 0, f->layout.elements * sizeof *out);
    for (uint32_t i = 0; i < f->layout.tensor_count; i++) {
        const struct mu_tensor *t = &f->layout.tensors[i];
        uint64_t cols = t->spec.cols;

        for (uint64_t e = 0; e < t->spec.rows * cols; e++) {
            uint64_t row = e / cols, col = e % cols;
            int16_t p = f->prediction[t->first_block + row * t->blocks_per_row + col / MU_BLOCK];
            int k = oracle_exponent(p, f->exact.shards, t->addends);
            __int128 n = 0;

            for (uint32_t s = 0; s < shards; s++) {
                if (t->spec.dense)
                    n += oracle_rint(gradient[s].dense[t->offset + e], k);
                for (uint32_t r = 0; r < gradient[s].row_count; r++)
                    for (uint32_t j = 0; j < gradient[s].rows[r].count; j++)
                        if (gradient[s].rows[r].tensor == i && gradient[s].rows[r].row[j] == row)
                            n += oracle_rint(gradient[s].rows[r].value[j * cols + col], k);
            }
            out[t->offset + e] = oracle_float(n, k);
        }
    }
}

#endif

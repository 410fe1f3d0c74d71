/* The GPUs of a fleet (fleet_sum.h), emulated: each rank's own sum in memory of its own, and what
 * NCCL does between them as plain loops. Include after cmocka.h. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_SUM_H
#define MUSTER_TESTS_SUPPORT_CUDA_SUM_H

#include "tests/support/fleet_sum.h"

#include "kernels/cuda/sums.h"
#include "kernels/emulate/control.h"

struct cards {
    const struct mu_layout *layout;
    int ranks;
    struct mu_cuda_span *table;
    struct mu_cuda_spans all;
    struct mu_cuda_sum sum[fleet_max_ranks];
    bool begun[fleet_max_ranks];
    struct mu_cuda_total total; /* the same on each */
    int64_t *share;             /* one rank's slots on the way to the total's */
    float *gradient;            /* elements */
    struct mu_wide norm;
};

static inline void went_well(int error)
{
    if (error)
        fail_msg("%s", mu_emulate_fault());
}

/* Memory holds garbage. */
static inline struct cards *cards_open(const struct fleet *f, int ranks)
{
    const struct mu_layout *l = &f->layout;
    size_t scratch = (size_t)mu_cuda_sum_scratch((int64_t)l->blocks) * 4;
    struct cards *c = calloc(1, sizeof *c);

    assert_non_null(c);
    c->layout = l;
    c->ranks = ranks;
    c->table = fleet_garbage(l->span_count * sizeof *c->table);
    mu_cuda_spans_fill(c->table, l, f->exact.shards);
    c->all = mu_cuda_spans_of(c->table, c->table, 0, l->span_count);
    for (int r = 0; r < ranks; r++)
        c->sum[r] = (struct mu_cuda_sum){
            .blocks = (int64_t)l->blocks,
            .capacity = (uint32_t)f->exact.capacity,
            .dense = fleet_garbage(l->elements * 4),
            .largest = fleet_garbage(l->blocks),
            .escaped = fleet_garbage(l->blocks),
            .flags = fleet_garbage(MU_CUDA_FLAGS),
            .slot_of = fleet_garbage(l->blocks * 4),
            .slots = fleet_garbage(f->exact.capacity * MU_BLOCK * 8),
            .slots_used = fleet_garbage(4),
            .misfit = fleet_garbage(l->blocks),
            .scratch = fleet_garbage(scratch),
        };
    c->total = (struct mu_cuda_total){
        .blocks = (int64_t)l->blocks,
        .capacity = (uint32_t)f->exact.capacity,
        .dense = fleet_garbage(l->elements * 4),
        .largest = fleet_garbage(l->blocks),
        .escaped = fleet_garbage(l->blocks),
        .flags = fleet_garbage(MU_CUDA_FLAGS),
        .slot_of = fleet_garbage(l->blocks * 4),
        .slots = fleet_garbage(f->exact.capacity * MU_BLOCK * 8),
        .words = fleet_garbage(sizeof(struct mu_cuda_words)),
        .scratch = fleet_garbage(scratch),
        .squares = fleet_garbage(l->blocks * 8),
    };
    c->share = fleet_garbage(f->exact.capacity * MU_BLOCK * 8);
    c->gradient = fleet_garbage(l->elements * 4);
    return c;
}

static inline void cards_close(struct cards *c)
{
    for (int r = 0; r < c->ranks; r++) {
        free(c->sum[r].dense);
        free(c->sum[r].largest);
        free(c->sum[r].escaped);
        free(c->sum[r].flags);
        free(c->sum[r].slot_of);
        free(c->sum[r].slots);
        free(c->sum[r].slots_used);
        free(c->sum[r].misfit);
        free(c->sum[r].scratch);
    }
    free(c->total.dense);
    free(c->total.largest);
    free(c->total.escaped);
    free(c->total.flags);
    free(c->total.slot_of);
    free(c->total.slots);
    free(c->total.words);
    free(c->total.scratch);
    free(c->total.squares);
    free(c->share);
    free(c->gradient);
    free(c->table);
    free(c);
}

static inline void cards_add(struct cards *c, int rank, const struct fleet *f,
                             const struct mu_shard_result *g)
{
    went_well(
        mu_cuda_sum_add(NULL, &c->sum[rank], &c->all, f->prediction, g->dense, !c->begun[rank]));
    c->begun[rank] = true;
    for (uint32_t i = 0; i < g->row_count; i++) {
        struct mu_cuda_span t =
            mu_cuda_span_of_tensor(&f->layout, g->rows[i].tensor, f->exact.shards);

        went_well(mu_cuda_sum_add_rows(NULL, &c->sum[rank], &t, f->prediction, g->rows[i].row,
                                       g->rows[i].value, g->rows[i].count));
    }
}

static inline void cards_max(uint8_t *to, const uint8_t *from, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        to[i] = from[i] > to[i] ? from[i] : to[i];
}

/* Maps and flags of all ranks, then the numbers of slots. Ranks that added nothing take part. */
static inline void cards_agree(struct cards *c, const struct fleet *f)
{
    memset(c->total.largest, 0, c->layout->blocks);
    memset(c->total.escaped, 0, c->layout->blocks);
    memset(c->total.flags, 0, MU_CUDA_FLAGS);
    for (int r = 0; r < c->ranks; r++) {
        if (!c->begun[r])
            went_well(mu_cuda_sum_add(NULL, &c->sum[r], &c->all, f->prediction, NULL, true));
        c->begun[r] = false;
        cards_max(c->total.largest, c->sum[r].largest, c->layout->blocks);
        cards_max(c->total.escaped, c->sum[r].escaped, c->layout->blocks);
        cards_max(c->total.flags, c->sum[r].flags, MU_CUDA_FLAGS);
    }
    went_well(mu_cuda_sum_number(NULL, &c->total));
}

/* Where a tensor's pad begins. */
static inline uint64_t cards_end(const struct mu_layout *l, uint32_t tensor)
{
    return l->tensors[tensor].offset + l->tensors[tensor].spec.rows * l->tensors[tensor].spec.cols;
}

/* The sums over ranks, `slots` of them, and the check of what went in against what came out. */
static inline void cards_reduce(struct cards *c, uint32_t slots)
{
    struct mu_cuda_total one = c->total;
    uint32_t in = 0, out = 0;
    int64_t n = (int64_t)c->layout->elements, cut = n / 7 * 2 + n % 3; /* in no pack's beginning */

    one.slots = c->share;
    memset(c->total.dense, 0, (size_t)n * 4);
    memset(c->total.slots, 0, (size_t)slots * MU_BLOCK * 8);
    for (int r = 0; r < c->ranks; r++) {
        went_well(mu_cuda_sum_scatter(NULL, &one, &c->sum[r], slots));
        went_well(mu_cuda_check_int32(NULL, &in, c->sum[r].dense, n));
        for (int64_t i = 0; i < n; i++)
            c->total.dense[i] += c->sum[r].dense[i];
        for (uint64_t i = 0; i < (uint64_t)slots * MU_BLOCK; i++)
            c->total.slots[i] += c->share[i];
    }
    for (uint64_t i = (uint64_t)c->total.words->escapes * MU_BLOCK; i < slots * (uint64_t)MU_BLOCK;
         i++)
        assert_int_equal(c->total.slots[i], 0);
    for (uint32_t i = 0; i < c->layout->tensor_count; i++)
        for (uint64_t e = cards_end(c->layout, i); e % MU_TENSOR_ALIGN != 0; e++)
            assert_int_equal(c->total.dense[e], 0);
    went_well(mu_cuda_check_int32(NULL, &out, c->total.dense, cut));
    went_well(mu_cuda_check_int32(NULL, &out, c->total.dense + cut, n - cut));
    assert_int_equal(in, out);
    assert_int_equal(out, mu_chunk_check(c->total.dense, (uint64_t)n));
}

/* The gradient and its norm in two parts, cut before span `cut`, as two ranks might. */
static inline void cards_to_float(struct cards *c, const int16_t *prediction, uint32_t cut)
{
    _Static_assert(sizeof(struct mu_wide) == sizeof c->total.words->norm, "the same words");
    struct mu_cuda_spans part[2] = {
        mu_cuda_spans_of(c->table, c->table, 0, cut),
        mu_cuda_spans_of(c->table, c->table, cut, c->layout->span_count - cut)};

    memset(c->gradient, 0xa5, c->layout->elements * 4);
    memset(&c->norm, 0, sizeof c->norm);
    for (int i = 0; i < 2; i++) {
        struct mu_wide norm;

        went_well(mu_cuda_total_to_float(NULL, c->gradient, &c->total, &part[i], prediction));
        memcpy(&norm, c->total.words->norm, sizeof norm);
        mu_wide_merge(&c->norm, &norm);
    }
}

#endif

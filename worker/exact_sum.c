/* A rank's own sum: see the header for the arithmetic. The device quantises and adds what fits;
 * what does not is rare and is done here, block by block. */
#include "worker/exact_sum.h"

#include <inttypes.h>
#include <math.h> /* ldexp, llrint: exact everywhere */
#include <string.h>

enum {                        /* work between two polls */
       clear_piece = 1 << 18, /* elements */
       escape_piece = 1 << 9, /* blocks */
};

uint64_t mu_exact_sum_capacity(const struct mu_layout *layout)
{
    uint64_t slots = (layout->blocks + MU_SLOT_SHARE - 1) / MU_SLOT_SHARE;

    return slots > 0 ? slots : 1;
}

enum mu_status mu_exact_sum_init(struct mu_exact_sum *x, const struct mu_layout *layout,
                                 struct mu_device *device, uint32_t shards)
{
    uint64_t most = 1;

    *x = (struct mu_exact_sum){.layout = layout,
                               .device = device,
                               .shards = shards,
                               .capacity = mu_exact_sum_capacity(layout)};
    for (uint32_t i = 0; i < layout->tensor_count; i++) {
        const struct mu_tensor *t = &layout->tensors[i];
        uint64_t blocks = t->spec.rows * t->blocks_per_row;

        MU_ASSERT((uint64_t)shards * t->addends <= MU_ADDENDS_MAX);
        most = blocks > most ? blocks : most;
    }
    x->misfit = mu_device_alloc_lent(device, most);
    if (!x->misfit)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the flags of %" PRIu64 " gradient blocks",
                       most);
    return MU_OK;
}

void mu_exact_sum_deinit(struct mu_exact_sum *x)
{
    mu_device_free_lent(x->device, x->misfit);
    x->misfit = NULL;
}

/* Integers of [from, to) become zero; a whole embedding may take longer than a poll may wait. */
static void clear(const struct mu_exact_sum *x, int32_t *dense, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t n = to - from < clear_piece ? to - from : clear_piece;

        memset(dense + from, 0, n * sizeof *dense);
        from += n;
        if (n == clear_piece)
            mu_device_poll(x->device);
    }
}

/* Everything that adding dense parts with `overwrite` does not overwrite. */
static void begin(const struct mu_exact_sum *x, struct mu_sum *sum)
{
    const struct mu_layout *l = x->layout;

    memset(sum->largest, 0, l->blocks);
    memset(sum->escaped, 0, (l->blocks + 63) / 64 * sizeof *sum->escaped);
    *sum->counts = (struct mu_sum_counts){0, 0};
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        uint64_t end = i + 1 < l->tensor_count ? t[1].offset : l->elements;

        clear(x, sum->dense, t->spec.dense ? t->offset + t->spec.rows * t->spec.cols : t->offset,
              end);
    }
}

/* The block's slot, a zeroed one when it is its first escape; NULL when there is none left. */
static int64_t *slot_for(const struct mu_exact_sum *x, struct mu_sum *sum, uint64_t block)
{
    uint64_t bit = (uint64_t)1 << block % 64;
    int64_t *slot;

    if (sum->escaped[block / 64] & bit)
        return sum->slots + (uint64_t)sum->slot_of[block] * MU_BLOCK;
    if (sum->counts->slots_used == x->capacity)
        return NULL;
    slot = sum->slots + (uint64_t)sum->counts->slots_used * MU_BLOCK;
    memset(slot, 0, MU_BLOCK * sizeof *slot);
    sum->slot_of[block] = sum->counts->slots_used++;
    sum->escaped[block / 64] |= bit;
    return slot;
}

/* Adds an addend's finite block that does not fit int32 to the block's slot, or leaves a flag.
 * |g/q| < 2^(63-L), an integer as 63-L >= 54, keeps the sum of S * addends <= 2^L of them below
 * 2^63. */
static void escape(const struct mu_exact_sum *x, struct mu_sum *sum, uint64_t block,
                   const float *gradient, uint32_t count, int16_t prediction, int log2_addends)
{
    double per_quantum = ldexp(1, -mu_quantum_exponent(prediction, log2_addends));
    double most = 0;
    int64_t *slot;

    for (uint32_t i = 0; i < count; i++) {
        double magnitude = fabs((double)gradient[i]);

        most = magnitude > most ? magnitude : most;
    }
    if (most * per_quantum >= ldexp(1, 63 - log2_addends)) {
        sum->counts->flags |= MU_SUM_BEYOND;
        return;
    }
    slot = slot_for(x, sum, block);
    if (!slot) {
        sum->counts->flags |= MU_SUM_FULL;
        return;
    }
    for (uint32_t i = 0; i < count; i++)
        slot[i] += llrint((double)gradient[i] * per_quantum);
}

/* Adds rows [row, row + rows) of tensor t; gradient is the first of them. */
static void add_rows(struct mu_exact_sum *x, struct mu_sum *sum, const int16_t *prediction,
                     const struct mu_tensor *t, uint64_t row, uint64_t rows, const float *gradient,
                     bool overwrite)
{
    uint64_t offset = t->offset + row * t->spec.cols;
    uint64_t first = t->first_block + row * t->blocks_per_row, count = rows * t->blocks_per_row;
    int log2_addends = mu_log2_addends(x->shards * t->addends);
    struct mu_quantise q = {
        .gradient = gradient,
        .sum = sum->dense + offset,
        .rows = (int64_t)rows,
        .cols = (int64_t)t->spec.cols,
        .prediction = prediction + first,
        .log2_addends = log2_addends,
        .limit = (int32_t)(INT32_MAX / (x->shards * t->addends)),
        .overwrite = overwrite,
        .largest = sum->largest + first,
        .misfit = x->misfit,
    };

    x->device->ops->quantise_add(x->device, &q);
    if (memchr(q.largest, MU_LARGEST_NONFINITE, count))
        sum->counts->flags |= MU_SUM_NONFINITE;
    /* under any flag the sum is not going to be used: its maxima still are, its slots are not */
    const uint8_t *at = x->misfit, *end = x->misfit + count;

    for (uint32_t n = 1; sum->counts->flags == 0 && (at = memchr(at, 1, (size_t)(end - at))); n++) {
        uint64_t block = first + (uint64_t)(at++ - x->misfit);
        struct mu_block_range r = mu_layout_block(t, block);
        float copy[MU_BLOCK];

        escape(
            x, sum, block,
            mu_device_view(x->device, gradient + (r.offset - offset), r.count * sizeof *copy, copy),
            r.count, prediction[block], log2_addends);
        if (n % escape_piece == 0)
            mu_device_poll(x->device);
    }
}

void mu_exact_sum_add(struct mu_exact_sum *x, struct mu_sum *sum, const int16_t *prediction,
                      const struct mu_shard_result *gradient, bool first)
{
    const struct mu_layout *l = x->layout;

    if (first)
        begin(x, sum);
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];

        if (t->spec.dense)
            add_rows(x, sum, prediction, t, 0, t->spec.rows, gradient->dense + t->offset, first);
    }
    for (uint32_t i = 0; i < gradient->row_count; i++) {
        const struct mu_row_gradient *r = &gradient->rows[i];
        const struct mu_tensor *t = &l->tensors[r->tensor];

        /* neighbouring rows go together: with few symbols that is nearly all of them */
        for (uint32_t from = 0, to; from < r->count; from = to) {
            for (to = from + 1; to < r->count && r->row[to] == r->row[to - 1] + 1; to++)
                ;
            add_rows(x, sum, prediction, t, r->row[from], to - from,
                     r->value + (uint64_t)from * t->spec.cols, false);
        }
    }
}

bool mu_exact_sum_must_redo(uint64_t escapes, uint64_t capacity, uint32_t flags)
{
    if (flags & MU_SUM_NONFINITE)
        return false;
    return escapes > capacity || (flags & (MU_SUM_BEYOND | MU_SUM_FULL)) != 0;
}

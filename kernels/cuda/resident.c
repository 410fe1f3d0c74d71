/* kernels/resident.h on CUDA: what is allocated, and in which order the kernels of sums.h run.
 *
 *   own sum   dense (and behind it one element: the sum of the others), maxima, slots
 *   bytes     what is agreed on: largest | escaped | flags | requests, each from a multiple of 16
 *   total     reduced (as dense), slots in order of block, the floats
 *
 * An all-reduce writes to bytes, scalars, reduced and the total's slots only, all of which are made
 * again from the own sum: it can be broken off at any time. */
#include "kernels/resident.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/resident_inner.h"
#include "kernels/cuda/sums.h"

enum { REQUESTS = 8, MEMORY_MAX = 32, CHECKS = 3 };

struct resident {
    struct mu_resident base;
    struct mu_cuda *cuda;
    void *memory[MEMORY_MAX]; /* to be freed */
    int memory_count;
    uint64_t bytes; /* of it */
    int64_t map;    /* blocks, up to a multiple of 16 */
    struct mu_cuda_span *host_spans, *device_spans;
    struct mu_cuda_spans spans;
    struct mu_cuda_sum sum;
    struct mu_cuda_total total;
    uint8_t *agreed; /* bytes */
    int16_t *prediction;
    int64_t *scalars;
    int32_t *reduced;
    uint32_t *rows;  /* numbers of a shard's rows */
    uint32_t *check; /* sums of bits: of reduced; of the arrays of a half */
    bool is_empty;   /* the sum: no shard is in it yet */

    uint32_t *part_check; /* of each part; NULL: there are none */
};

static struct resident *of(struct mu_resident *r)
{
    return (struct resident *)r;
}

/* Device memory of its own; after a failure NULL. */
static void *take(struct resident *r, uint64_t count, size_t element)
{
    void *memory = NULL;

    r->bytes += count * element;
    if (r->memory_count >= 0 && count > 0)
        memory = mu_cuda_alloc(&r->cuda->base, count * element);
    if (memory)
        r->memory[r->memory_count++] = memory;
    else if (count > 0 && r->memory_count >= 0)
        r->memory_count = -1 - r->memory_count;
    MU_ASSERT(r->memory_count <= MEMORY_MAX);
    return memory;
}

static bool is_whole(const struct resident *r)
{
    return r->base.options.parts == 0;
}

static void take_state(struct resident *r, uint64_t n)
{
    for (int h = 0; h < 2; h++) {
        r->base.weight[h] = take(r, n, sizeof(float));
        r->base.m[h] = take(r, is_whole(r) ? n : 0, sizeof(float));
        r->base.v[h] = take(r, is_whole(r) ? n : 0, sizeof(float));
        if (r->cuda->base.options.precision == MU_PRECISION_BF16)
            r->base.weight_bf16[h] = take(r, n, sizeof(uint16_t));
    }
    r->base.total = take(r, is_whole(r) ? n : 0, sizeof(float));
}

static void take_sums(struct resident *r, uint64_t n)
{
    const struct mu_layout *l = r->base.options.layout;
    const uint64_t slots = r->base.options.slots, blocks = l->blocks;
    uint8_t *own = take(r, 2 * (uint64_t)r->map + MU_CUDA_FLAGS, 1);
    uint64_t rows = 1;

    for (uint32_t i = 0; i < l->tensor_count; i++)
        if (l->tensors[i].spec.row_addends && l->tensors[i].spec.rows > rows)
            rows = l->tensors[i].spec.rows;
    r->agreed = take(r, 2 * (uint64_t)r->map + 16 + REQUESTS, 1);
    r->scalars = take(r, MU_RESIDENT_SCALARS, sizeof(int64_t));
    r->reduced = take(r, is_whole(r) ? n + 1 : 0, sizeof(int32_t));
    r->prediction = take(r, blocks, sizeof(int16_t));
    r->rows = take(r, rows, sizeof(uint32_t));
    r->check = take(r, CHECKS, sizeof(uint32_t));
    r->sum = (struct mu_cuda_sum){
        .blocks = (int64_t)blocks,
        .capacity = (uint32_t)slots,
        .dense = take(r, n + 1, sizeof(int32_t)),
        .largest = own,
        .escaped = own ? own + r->map : NULL,
        .flags = own ? own + 2 * r->map : NULL,
        .slot_of = take(r, blocks, sizeof(uint32_t)),
        .slots = take(r, slots * MU_BLOCK, sizeof(int64_t)),
        .slots_used = take(r, 1, sizeof(uint32_t)),
        .misfit = take(r, blocks, 1),
        .scratch = take(r, (uint64_t)mu_cuda_sum_scratch((int64_t)blocks), sizeof(uint32_t)),
    };
    r->total = (struct mu_cuda_total){
        .blocks = (int64_t)blocks,
        .capacity = (uint32_t)slots,
        .dense = r->reduced,
        .largest = r->agreed,
        .escaped = r->agreed ? r->agreed + r->map : NULL,
        .flags = r->agreed ? r->agreed + 2 * r->map : NULL,
        .slot_of = take(r, blocks, sizeof(uint32_t)),
        .slots = take(r, slots * MU_BLOCK, sizeof(int64_t)),
        .words = take(r, 1, sizeof(struct mu_cuda_words)),
        .scratch = r->sum.scratch,
        .squares = take(r, blocks, sizeof(double)),
    };
}

static void close_resident(struct mu_resident *base)
{
    struct resident *r = of(base);
    int count = r->memory_count < 0 ? -1 - r->memory_count : r->memory_count;

    for (int i = 0; i < count; i++)
        mu_cuda_free(&r->cuda->base, r->memory[i]);
    free(r->host_spans);
    free(r);
}

static enum mu_status open_resident(struct mu_device *d, const struct mu_resident_options *options,
                                    struct mu_resident **out)
{
    const struct mu_layout *l = options->layout;
    struct resident *r = calloc(1, sizeof *r);
    enum mu_status st;
    int error;

    *out = NULL;
    if (r)
        r->host_spans = calloc(l->span_count, sizeof *r->host_spans);
    if (!r || !r->host_spans) {
        free(r);
        return MU_FAIL(MU_NO_MEMORY, "no memory for a table of %u spans", l->span_count);
    }
    r->base = (struct mu_resident){.device = d, .options = *options};
    r->cuda = mu_cuda_of(d);
    r->map = (int64_t)((l->blocks + 15) / 16 * 16);
    r->is_empty = true;
    take_state(r, l->elements);
    take_sums(r, l->elements);
    r->device_spans = take(r, l->span_count, sizeof *r->device_spans);
    r->part_check = take(r, options->parts, sizeof *r->part_check);
    if (mu_cuda_is_broken(r->cuda)) {
        close_resident(&r->base);
        return MU_FAILED;
    }
    if (r->memory_count < 0) {
        st = MU_FAIL(MU_NO_MEMORY,
                     "%s has no room for the %.2f GiB of state of a model of %.1f million "
                     "parameters: use a larger GPU, or device.collective = \"mpi\", which keeps "
                     "the state in the host's memory",
                     r->cuda->name, (double)r->bytes / 0x1p30, 1e-6 * (double)l->parameters);
        close_resident(&r->base);
        return st;
    }
    mu_cuda_spans_fill(r->host_spans, l, options->shards);
    mu_cuda_upload(d, r->device_spans, r->host_spans, l->span_count * sizeof *r->host_spans);
    r->spans = mu_cuda_spans_of(r->host_spans, r->device_spans, 0, l->span_count);
    error = d->options.rehearses || mu_cuda_is_broken(r->cuda) ? 0 : mu_cuda_sum_load();
    if (error)
        (void)mu_cuda_break(r->cuda, "loading of kernels", error);
    *out = &r->base;
    return mu_device_status(d);
}

static void begin(struct mu_resident *base, const int16_t *prediction)
{
    struct resident *r = of(base);

    mu_cuda_upload(&r->cuda->base, r->prediction, prediction,
                   (size_t)r->sum.blocks * sizeof *prediction);
    r->is_empty = true;
}

/* Spans before those of a tensor; they are in the order of tensors. */
static int64_t spans_before(const struct resident *r, uint32_t tensor)
{
    int64_t n = 0;

    while (n < (int64_t)r->base.options.layout->span_count && r->host_spans[n].tensor < tensor)
        n++;
    return n;
}

static void add_dense(struct mu_resident *base, const float *dense, uint32_t first, uint32_t end)
{
    struct resident *r = of(base);
    const int64_t from = spans_before(r, first);
    const struct mu_cuda_spans part =
        mu_cuda_spans_of(r->host_spans, r->device_spans, from, spans_before(r, end) - from);

    if (mu_cuda_is_broken(r->cuda))
        return;
    if (r->is_empty && end == base->options.layout->tensor_count)
        mu_cuda_queued(r->cuda, "an empty sum", mu_cuda_sum_begin(r->cuda->stream, &r->sum), false);
    mu_cuda_queued(
        r->cuda, "sum of gradients",
        mu_cuda_sum_add_part(r->cuda->stream, &r->sum, &part, r->prediction, dense, r->is_empty),
        false);
    r->is_empty = r->is_empty && first > 0;
}

static void add_rows(struct mu_resident *base, const struct mu_resident_rows *rows, uint32_t count)
{
    struct resident *r = of(base);

    for (uint32_t i = 0; i < count && !mu_cuda_is_broken(r->cuda); i++) {
        struct mu_cuda_span tensor =
            mu_cuda_span_of_tensor(base->options.layout, rows[i].tensor, base->options.shards);

        mu_cuda_upload(&r->cuda->base, r->rows, rows[i].row, rows[i].count * sizeof *rows[i].row);
        mu_cuda_queued(r->cuda, "sum of gradients of rows",
                       mu_cuda_sum_add_rows(r->cuda->stream, &r->sum, &tensor, r->prediction,
                                            r->rows, rows[i].value, rows[i].count),
                       false);
    }
}

static struct mu_all_reduce bucket(struct mu_resident *base, uint64_t from, uint64_t to)
{
    struct resident *r = of(base);

    return (struct mu_all_reduce){MU_SUM_INT32, r->reduced + from, r->sum.dense + from, to - from};
}

static int maxima(struct mu_resident *base, uint32_t requests, const int64_t *scalars, int count,
                  struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct resident *r = of(base);
    struct mu_device *d = &r->cuda->base;
    uint8_t asked[REQUESTS];

    for (int i = 0; i < REQUESTS; i++)
        asked[i] = requests >> i & 1;
    mu_cuda_copy(d, r->agreed, r->sum.largest, 2 * (size_t)r->map + MU_CUDA_FLAGS);
    mu_cuda_upload(d, r->agreed + 2 * r->map + 16, asked, sizeof asked);
    mu_cuda_upload(d, r->scalars, scalars, (size_t)count * sizeof *scalars);
    list[0] = (struct mu_all_reduce){MU_MAX_UINT8, r->agreed, r->agreed,
                                     2 * (size_t)r->map + 16 + REQUESTS};
    list[1] = (struct mu_all_reduce){MU_SUM_INT64, r->scalars, r->scalars, (size_t)count};
    return 2;
}

static void agree(struct mu_resident *base, uint8_t *largest, int64_t *scalars, int count,
                  struct mu_resident_words *out)
{
    struct resident *r = of(base);
    struct mu_device *d = &r->cuda->base;
    struct mu_cuda_words words = {0};
    uint8_t asked[REQUESTS] = {0};

    memset(out, 0, sizeof *out);
    if (mu_cuda_is_broken(r->cuda))
        return;
    mu_cuda_queued(r->cuda, "numbering of escaped blocks",
                   mu_cuda_sum_number(r->cuda->stream, &r->total), false);
    mu_cuda_download(d, &words, r->total.words, sizeof words);
    mu_cuda_download(d, asked, r->agreed + 2 * r->map + 16, sizeof asked);
    mu_cuda_download(d, scalars, r->scalars, (size_t)count * sizeof *scalars);
    mu_cuda_download(d, largest, r->agreed, (size_t)r->total.blocks);
    out->flags = words.flags;
    out->escapes = words.escapes;
    for (int i = 0; i < REQUESTS; i++)
        out->requests |= (uint32_t)asked[i] << i;
}

static int integers(struct mu_resident *base, uint64_t escapes, uint64_t end,
                    struct mu_all_reduce list[MU_RESIDENT_LIST])
{
    struct resident *r = of(base);
    const int64_t n = (int64_t)base->options.layout->elements;
    uint32_t *check = (uint32_t *)(void *)(r->sum.dense + n);

    MU_ASSERT(escapes <= base->options.slots);
    mu_cuda_clear(&r->cuda->base, check, sizeof *check);
    if (!mu_cuda_is_broken(r->cuda)) {
        mu_cuda_queued(r->cuda, "check of the sum",
                       mu_cuda_check_int32(r->cuda->stream, check, r->sum.dense, n), false);
        mu_cuda_queued(r->cuda, "slots of escaped blocks",
                       mu_cuda_sum_scatter(r->cuda->stream, &r->total, &r->sum, (uint32_t)escapes),
                       false);
    }
    list[0] = bucket(base, 0, end);
    list[1] = bucket(base, (uint64_t)n, (uint64_t)n + 1); /* the check */
    list[2] = (struct mu_all_reduce){MU_SUM_INT64, r->total.slots, r->total.slots,
                                     (size_t)escapes * MU_BLOCK};
    return 3;
}

static bool finish(struct mu_resident *base, int64_t norm[MU_RESIDENT_WIDE])
{
    struct resident *r = of(base);
    struct mu_device *d = &r->cuda->base;
    const int64_t n = (int64_t)base->options.layout->elements;
    struct mu_cuda_words words = {0};
    uint32_t is = 0, due = 0;

    _Static_assert((int)MU_RESIDENT_WIDE == (int)MU_CUDA_WIDE_WORDS, "a wide sum has one form");
    memset(norm, 0, MU_RESIDENT_WIDE * sizeof *norm);
    mu_cuda_clear(d, r->check, sizeof *r->check);
    if (mu_cuda_is_broken(r->cuda))
        return true;
    mu_cuda_queued(r->cuda, "check of the total",
                   mu_cuda_check_int32(r->cuda->stream, r->check, r->reduced, n), false);
    mu_cuda_queued(
        r->cuda, "total of gradients",
        mu_cuda_total_to_float(r->cuda->stream, base->total, &r->total, &r->spans, r->prediction),
        false);
    mu_cuda_download(d, &is, r->check, sizeof is);
    mu_cuda_download(d, &due, r->reduced + n, sizeof due);
    mu_cuda_download(d, &words, r->total.words, sizeof words);
    memcpy(norm, words.norm, sizeof words.norm);
    return is == due || mu_cuda_is_broken(r->cuda);
}

static void check(struct mu_resident *base, uint32_t half, uint32_t sums[CHECKS])
{
    struct resident *r = of(base);
    const void *array[CHECKS] = {base->weight[half], base->m[half], base->v[half]};

    memset(sums, 0, CHECKS * sizeof *sums);
    mu_cuda_clear(&r->cuda->base, r->check, CHECKS * sizeof *r->check);
    if (mu_cuda_is_broken(r->cuda))
        return;
    for (int i = 0; i < CHECKS && array[i]; i++) /* in parts of the weights alone */
        mu_cuda_queued(r->cuda, "check of the state",
                       mu_cuda_check_int32(r->cuda->stream, r->check + i, array[i],
                                           (int64_t)base->options.layout->elements),
                       false);
    mu_cuda_download(&r->cuda->base, sums, r->check, CHECKS * sizeof *sums);
}

static void update(struct mu_resident *base, uint32_t from, const struct mu_adamw *how, float decay)
{
    struct resident *r = of(base);
    struct mu_adamw a = *how;

    a.weight = base->weight[from];
    a.m = base->m[from];
    a.v = base->v[from];
    a.gradient = base->total;
    a.weight_out = base->weight[!from];
    a.m_out = base->m[!from];
    a.v_out = base->v[!from];
    a.weight_bf16 = base->weight_bf16[!from];
    a.decay = decay;
    a.check = NULL;
    if (!mu_cuda_is_broken(r->cuda))
        mu_cuda_queued(r->cuda, "adamw", mu_cuda_update(r->cuda->stream, &a, &r->spans, NULL),
                       false);
}

struct mu_cuda_resident_inner mu_cuda_resident_inner(struct mu_resident *base)
{
    const struct resident *r = of(base);

    return (struct mu_cuda_resident_inner){.cuda = r->cuda,
                                           .host_spans = r->host_spans,
                                           .device_spans = r->device_spans,
                                           .sum = r->sum,
                                           .total = r->total,
                                           .prediction = r->prediction,
                                           .check = r->check,
                                           .part_check = r->part_check};
}

const struct mu_resident_ops mu_cuda_resident_ops = {
    .open = open_resident,
    .close = close_resident,
    .begin = begin,
    .add_dense = add_dense,
    .add_rows = add_rows,
    .bucket = bucket,
    .maxima = maxima,
    .integers = integers,
    .agree = agree,
    .finish = finish,
    .check = check,
    .update = update,
};

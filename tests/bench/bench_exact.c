/* What exactness costs where gradients are summed: adding a shard's gradient as integers against
 * adding it as floats, and the total's way back to floats. 25M elements, all in one run.
 *
 *   bench-exact [threads [cpu|reference]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/rng.h"
#include "worker/exact_sum.h"

enum { tensors = 24, side = 1024, repeats = 15, shards = 8 };

struct bench {
    struct mu_layout layout;
    struct mu_device *device;
    struct mu_exact_sum exact;
    struct mu_sum sum;
    struct mu_sum_counts counts;
    struct mu_shard_result shard;
    struct mu_chunk_maxima maxima;
    int16_t *prediction;
    float *gradient, *plain;
    struct mu_wide norm;
};

static void add_floats(struct bench *b)
{
    b->device->ops->add(b->device, b->plain, b->gradient, (int64_t)b->layout.elements, false);
}

static void add_integers(struct bench *b)
{
    mu_exact_sum_add(&b->exact, &b->sum, b->prediction, &b->shard, false);
}

static void begin_integers(struct bench *b)
{
    mu_exact_sum_add(&b->exact, &b->sum, b->prediction, &b->shard, true);
}

static void to_floats(struct bench *b)
{
    b->norm = (struct mu_wide){.nonfinite = 0};
    for (uint32_t c = 0; c < b->layout.chunk_count; c++) {
        const struct mu_chunk *chunk = &b->layout.chunks[c];

        mu_chunk_maxima_clear(&b->maxima, chunk);
        mu_chunk_maxima_merge(&b->maxima, chunk, &b->sum);
        mu_chunk_to_float(&b->exact, b->plain + chunk->offset, &b->norm,
                          b->sum.dense + chunk->offset, b->sum.slots, &b->maxima, chunk,
                          b->prediction);
    }
}

static double best_ms[4];
static void (*const pass[4])(struct bench *) = {add_floats, begin_integers, add_integers,
                                                to_floats};
static const char *const name[4] = {"fp32 addition", "quantise, first shard",
                                    "quantise and add, later shards", "integers to floats, norm"};

static void measure(struct bench *b)
{
    for (int i = 0; i < repeats; i++) {
        for (int p = 0; p < 4; p++) { /* in turn: the machine's load falls on all alike */
            uint64_t from = mu_clock_ns();

            pass[p](b);
            double ms = (double)(mu_clock_ns() - from) * 1e-6;

            best_ms[p] = i == 0 || ms < best_ms[p] ? ms : best_ms[p];
        }
    }
}

/* Elements between 2^-12 and 1, predictions that hold them. */
static void fill(struct bench *b)
{
    for (uint64_t i = 0; i < b->layout.elements; i++) {
        uint32_t w = (uint32_t)i * 2654435761u;

        /* (-1, 1) and smaller */
        b->gradient[i] = ((float)(w >> 8) * 0x1p-23f - 1) / (float)(1 << (w & 7));
    }
    for (uint64_t i = 0; i < b->layout.blocks; i++)
        b->prediction[i] = 0;
    b->shard = (struct mu_shard_result){.dense = b->gradient};
}

static enum mu_status open_bench(struct bench *b, int threads, enum mu_device_kind kind)
{
    struct mu_device_options options = {.kind = kind,
                                        .precision = MU_PRECISION_FP32,
                                        .isa = mu_device_best_isa(),
                                        .threads = threads};
    struct mu_tensor_spec spec[tensors];
    enum mu_status st = MU_OK;
    uint64_t n;

    for (int i = 0; i < tensors; i++)
        spec[i] = (struct mu_tensor_spec){.name = "t", .rows = side, .cols = side, .dense = true};
    MU_TRY(mu_layout_init(&b->layout, spec, tensors), st, done);
    MU_TRY(mu_device_open(&options, &b->device), st, done);
    MU_TRY(mu_exact_sum_init(&b->exact, &b->layout, b->device, shards), st, done);
    n = b->layout.elements;
    b->gradient = mu_device_alloc_lent(b->device, n * sizeof *b->gradient);
    b->plain = mu_device_alloc_lent(b->device, n * sizeof *b->plain);
    b->sum = (struct mu_sum){
        .dense = mu_device_alloc_lent(b->device, n * sizeof(int32_t)),
        .largest = mu_device_alloc_lent(b->device, b->layout.blocks),
        .escaped = mu_device_alloc_lent(b->device, b->layout.blocks / 8 + 8),
        .slot_of = mu_device_alloc_lent(b->device, b->layout.blocks * sizeof(uint32_t)),
        .slots = mu_device_alloc_lent(b->device, b->exact.capacity * MU_BLOCK * sizeof(int64_t)),
        .counts = &b->counts,
    };
    b->prediction = mu_device_alloc_lent(b->device, b->layout.blocks * sizeof *b->prediction);
    b->maxima.largest = mu_device_alloc_lent(b->device, MU_CHUNK);
    b->maxima.escaped = mu_device_alloc_lent(b->device, MU_CHUNK / 8);
    if (!b->gradient || !b->plain || !b->sum.dense || !b->sum.slots || !b->prediction)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a gradient of %llu elements",
                     (unsigned long long)n);
done:
    return st;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    enum mu_device_kind kind =
        argc > 2 && strcmp(argv[2], "reference") == 0 ? MU_DEVICE_REFERENCE : MU_DEVICE_CPU;
    static struct bench b;
    enum mu_status st = open_bench(&b, threads, kind);

    if (st != MU_OK)
        return mu_status_exit_code(st);
    fill(&b);
    measure(&b);
    printf("%.1fM elements, device %s, %d thread%s, best of %d\n", (double)b.layout.elements * 1e-6,
           b.device->ops->name, threads, threads == 1 ? "" : "s", repeats);
    for (int p = 0; p < 4; p++)
        printf("  %-32s %7.2f ms  %5.2f x fp32 addition\n", name[p], best_ms[p],
               best_ms[p] / best_ms[0]);
    return 0; /* the memory goes with the process */
}

/* What the check of the state costs: the optimizer's pass makes it of what it stores; whoever takes
 * a state up from memory reads it all. The pass is told beside a copy of as many bytes, which is
 * what memory allows.
 *
 *   bench-update [threads [millions of elements]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/device.h"
#include "orchestrator/base/clock.h"
#include "worker/state_check.h"

enum { repeats = 15, side = 1000 };

struct bench {
    struct mu_layout layout;
    struct mu_device *device;
    struct mu_state_view half[2];
    float *gradient;
    uint32_t check;
};

static void update(struct bench *b)
{
    for (uint32_t i = 0; i < b->layout.span_count; i++) {
        uint64_t at = b->layout.spans[i].offset;
        struct mu_adamw a = {.count = (int64_t)b->layout.spans[i].count,
                             .weight = b->half[0].weight + at,
                             .m = b->half[0].m + at,
                             .v = b->half[0].v + at,
                             .gradient = b->gradient + at,
                             .weight_out = b->half[1].weight + at,
                             .m_out = b->half[1].m + at,
                             .v_out = b->half[1].v + at,
                             .gradient_scale = 1,
                             .lr = 1e-3f,
                             .beta1 = 0.9f,
                             .beta2 = 0.95f,
                             .eps = 1e-8f,
                             .bias1 = 0.1f,
                             .bias2 = 0.05f,
                             .check = &b->check};

        b->device->ops->adamw(b->device, &a);
    }
}

static void copy(struct bench *b)
{
    size_t bytes = b->layout.elements * sizeof(float);

    memcpy(b->half[1].weight, b->half[0].weight, bytes);
    memcpy(b->half[1].m, b->half[0].m, bytes);
    memcpy(b->half[1].v, b->half[0].v, bytes);
}

static void verify(struct bench *b)
{
    for (uint32_t c = 0; c < b->layout.chunk_count; c++)
        b->check += mu_state_check_chunk(&b->half[0], &b->layout.chunks[c], 1);
}

static double best_ms[3];
static void (*const pass[3])(struct bench *) = {copy, update, verify};
static const char *const name[3] = {"copy of the state", "AdamW with the check",
                                    "verifying (one thread)"};

static void measure(struct bench *b)
{
    for (int i = 0; i < repeats; i++)
        for (int p = 0; p < 3; p++) { /* in turn: the machine's load falls on all alike */
            uint64_t from = mu_clock_ns();

            pass[p](b);
            double ms = (double)(mu_clock_ns() - from) * 1e-6;

            best_ms[p] = i == 0 || ms < best_ms[p] ? ms : best_ms[p];
        }
}

static enum mu_status open_bench(struct bench *b, int threads, uint64_t rows)
{
    struct mu_device_options options = {
        .kind = MU_DEVICE_CPU, .isa = mu_device_best_isa(), .threads = threads};
    struct mu_tensor_spec spec = {.name = "t", .rows = rows, .cols = side, .dense = true};
    enum mu_status st = MU_OK;
    uint64_t bytes;

    MU_TRY(mu_layout_init(&b->layout, &spec, 1), st, done);
    MU_TRY(mu_device_open(&options, &b->device), st, done);
    bytes = b->layout.elements * sizeof(float);
    b->gradient = mu_device_alloc_lent(b->device, bytes);
    for (int h = 0; h < 2; h++) {
        b->half[h] = (struct mu_state_view){
            &b->layout, mu_device_alloc_lent(b->device, bytes), mu_device_alloc(b->device, bytes),
            mu_device_alloc_lent(b->device, bytes),
            mu_device_alloc_lent(b->device, b->layout.blocks * sizeof(int16_t))};
        if (!b->half[h].weight || !b->half[h].m || !b->half[h].v || !b->half[h].prediction)
            st = MU_NO_MEMORY;
    }
    if (st != MU_OK || !b->gradient)
        return MU_FAIL(MU_NO_MEMORY, "no memory for two halves");
    for (uint64_t i = 0; i < b->layout.elements; i++)
        b->gradient[i] = b->half[0].weight[i] = (float)(i % 1000) * 1e-3f;
done:
    return st;
}

int main(int argc, char **argv)
{
    int threads = argc > 1 ? atoi(argv[1]) : 1;
    int millions = argc > 2 ? atoi(argv[2]) : 25;
    static struct bench b;
    enum mu_status st = open_bench(&b, threads, (uint64_t)millions * 1000);

    if (st != MU_OK)
        return mu_status_exit_code(st);
    measure(&b);
    printf("%dM elements, %d thread%s, best of %d\n", millions, threads, threads == 1 ? "" : "s",
           repeats);
    for (int p = 0; p < 3; p++)
        printf("%-24s %8.2f ms  %5.2f ns an element\n", name[p], best_ms[p], best_ms[p] / millions);
    return 0;
}

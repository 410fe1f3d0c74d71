/* Buckets of a gradient that are reduced while the device still computes: kernels/resident.h and
 * kernels/collective.h on CUDA, emulated, among processes. The streams' order is the worst there is
 * (MUSTER_EMULATE_LAZY): an operation that does not wait for what it needs runs before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kernels/collective.h"
#include "kernels/resident.h"
#include "orchestrator/base/clock.h"
#include "tests/support/cuda_module.h"
#include "tests/support/cuda_ranks.h"

enum { STEPS = 3, ROWS = 3, COLS = 100, EVERY = 40, BLOCKS_MAX = 256, LOOKS = 20 };

static const struct mu_tensor_spec specs[] = {
    {.name = "tied", .rows = 8, .cols = COLS, .dense = true, .row_addends = 1},
    {.name = "a", .rows = 30, .cols = 300, .dense = true},
    {.name = "b", .rows = 1, .cols = 77, .dense = true},
    {.name = "c", .rows = 20, .cols = 513, .dense = true},
    {.name = "d", .rows = 9, .cols = 256, .dense = true},
};
enum { TENSORS = sizeof specs / sizeof *specs };
static const uint32_t row[ROWS] = {1, 4, 6};

/* A rank, which has one shard. */
struct overlap {
    int rank, ranks;
    struct mu_layout layout;
    struct mu_device *device;
    struct mu_resident *state;
    struct mu_collective *peers;
    float *host, *gradient, *rows;
};

/* A multiple of 2^-10, so that sums are exact; one block in EVERY is too large for its quantum. */
static float value_of(int rank, int step, uint64_t element)
{
    uint64_t x = (element + 1) * 0x9e3779b97f4a7c15u + (uint64_t)(rank * STEPS + step) * 77777;
    float v = (float)((int)(x >> 40 & 0x7ff) - 1024) * 0x1p-10f;

    return element / MU_BLOCK % EVERY == 7 && step > 0 ? 4096 * v : v;
}

static void wait_for_peers(struct overlap *o)
{
    double until = seconds() + 20;
    bool done = false;

    for (; !done && seconds() < until; usleep(50))
        CHECK(o->device->ops->collective->poll(o->peers, &done) == MU_OK);
    CHECK(done);
}

static void open_rank(struct overlap *o, int rank, int ranks, const ncclUniqueId *id)
{
    struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    struct mu_resident_options state = {.layout = &o->layout, .shards = (uint32_t)ranks};
    struct mu_collective_id name;

    *o = (struct overlap){.rank = rank, .ranks = ranks};
    options.gpu = rank;
    memcpy(&name, id, sizeof name);
    CHECK(mu_layout_init(&o->layout, specs, TENSORS) == MU_OK);
    state.slots = o->layout.blocks;
    CHECK(mu_device_open(&options, &o->device) == MU_OK);
    CHECK(o->device->ops->resident->open(o->device, &state, &o->state) == MU_OK);
    CHECK(o->device->ops->collective->open(o->device, &name, rank, ranks, &o->peers) == MU_OK);
    wait_for_peers(o);
    o->host = calloc(o->layout.elements, sizeof *o->host);
    o->gradient = mu_device_alloc(o->device, o->layout.elements * sizeof *o->host);
    o->rows = mu_device_alloc(o->device, (size_t)ROWS * COLS * sizeof *o->host);
    CHECK(o->host && o->gradient && o->rows);
}

static void reduce(struct overlap *o, const struct mu_all_reduce *list, int count)
{
    CHECK(o->device->ops->collective->all_reduce(o->peers, list, count) == MU_OK);
}

/* Bucket by bucket; nobody waits in between: what the device was asked for may not be done then.
 * Rank 0 does not even look, so that its buckets queue up. */
static uint64_t add_in_buckets(struct overlap *o)
{
    const struct mu_resident_ops *op = o->device->ops->resident;
    uint64_t end = o->layout.elements;
    bool done;

    for (uint32_t t = TENSORS; t-- > 1;) {
        const uint64_t from = o->layout.tensors[t].offset;
        struct mu_all_reduce bucket = op->bucket(o->state, from, end);

        op->add_dense(o->state, o->gradient, t, t + 1);
        reduce(o, &bucket, 1);
        for (int i = 0; i < LOOKS * o->rank; i++)
            CHECK(o->device->ops->collective->poll(o->peers, &done) == MU_OK);
        end = from;
    }
    op->add_dense(o->state, o->gradient, 0, 1);
    return end;
}

/* The rows' values, beside the tensor's elements. */
static float row_value(int rank, int step, uint64_t i)
{
    return value_of(rank, step, 1000000 + i);
}

static void fill(struct overlap *o, int step)
{
    float values[ROWS * COLS];

    for (uint64_t i = 0; i < o->layout.elements; i++)
        o->host[i] = value_of(o->rank, step, i);
    for (uint64_t i = 0; i < ROWS * COLS; i++)
        values[i] = row_value(o->rank, step, i);
    mu_device_upload(o->device, o->gradient, o->host, o->layout.elements * sizeof *o->host);
    mu_device_upload(o->device, o->rows, values, sizeof values);
}

/* From maxima to the total. */
static void finish(struct overlap *o, uint64_t end)
{
    const struct mu_resident_ops *op = o->device->ops->resident;
    struct mu_all_reduce list[MU_RESIDENT_LIST];
    struct mu_resident_words words;
    int64_t scalars[1] = {1}, norm[MU_RESIDENT_WIDE];
    uint8_t largest[BLOCKS_MAX];

    CHECK(o->layout.blocks <= BLOCKS_MAX);
    reduce(o, list, op->maxima(o->state, 0, scalars, 1, list));
    wait_for_peers(o);
    op->agree(o->state, largest, scalars, 1, &words);
    CHECK(scalars[0] == o->ranks && words.flags == 0);
    reduce(o, list, op->integers(o->state, words.escapes, end, list));
    wait_for_peers(o);
    CHECK(op->finish(o->state, norm));
    CHECK(mu_device_verify(o->device) == MU_OK);
}

/* Every number is exact, so that sums are in whatever order. */
static void check_total(struct overlap *o, int step)
{
    mu_device_download(o->device, o->host, o->state->total, o->layout.elements * sizeof *o->host);
    for (uint32_t t = 0; t < TENSORS; t++) {
        const struct mu_tensor *tensor = &o->layout.tensors[t];

        for (uint64_t i = 0; i < tensor->spec.rows * tensor->spec.cols; i++) {
            float expected = 0;

            for (int r = 0; r < o->ranks; r++) {
                expected += value_of(r, step, tensor->offset + i);
                for (uint64_t k = 0; k < ROWS && t == 0; k++)
                    if (row[k] == i / COLS)
                        expected += row_value(r, step, k * COLS + i % COLS);
            }
            CHECK(o->host[tensor->offset + i] == expected);
        }
    }
}

static void steps(int rank, int ranks, const ncclUniqueId *id)
{
    static const int16_t below_one[BLOCKS_MAX];
    struct mu_resident_rows rows = {.tensor = 0, .count = ROWS, .row = row};
    const struct mu_resident_ops *op;
    struct overlap o;

    open_rank(&o, rank, ranks, id);
    op = o.device->ops->resident;
    rows.value = o.rows;
    for (int step = 0; step < STEPS; step++) {
        uint64_t end;

        fill(&o, step);
        op->begin(o.state, below_one);
        end = add_in_buckets(&o);
        op->add_rows(o.state, &rows, 1);
        finish(&o, end);
        check_total(&o, step);
    }
    CHECK(o.device->ops->collective->abort(o.peers, 5000) == MU_OK);
    op->close(o.state);
    mu_device_close(o.device);
    mu_layout_deinit(&o.layout);
    free(o.host);
}

static void on_a_machine(const char *lazy)
{
    machine_with(lazy ? "MUSTER_EMULATE_LAZY" : NULL, lazy);
    for (int ranks = 1; ranks <= RANKS_MAX; ranks += 2)
        run_ranks(steps, ranks, -1);
    machine_with(NULL, NULL);
}

static void totals_are_those_of_whole_gradients(void **state)
{
    (void)state;
    on_a_machine(NULL);
}

static void a_bucket_waits_for_what_is_in_it(void **state)
{
    (void)state;
    on_a_machine("1");
    on_a_machine("2");
}

/* A peer that never comes: what is given up is over, and the sum is as it was. */
static void alone(int rank, int ranks, const ncclUniqueId *id)
{
    static const int16_t below_one[BLOCKS_MAX];
    struct mu_resident_rows rows = {.tensor = 0, .count = ROWS, .row = row};
    const struct mu_collective_ops *peers;
    const struct mu_resident_ops *op;
    struct mu_collective_id name;
    struct overlap o;
    ncclUniqueId other;

    open_rank(&o, rank, ranks, id);
    peers = o.device->ops->collective;
    op = o.device->ops->resident;
    rows.value = o.rows;
    if (rank > 0) {
        usleep(300000);
        _exit(0);
    }
    fill(&o, 1);
    op->begin(o.state, below_one);
    (void)add_in_buckets(&o);
    op->add_rows(o.state, &rows, 1);
    CHECK(peers->abort(o.peers, 5000) == MU_OK);
    NCCL(ncclGetUniqueId(&other));
    memcpy(&name, &other, sizeof name);
    o.ranks = 1;
    CHECK(peers->open(o.device, &name, 0, 1, &o.peers) == MU_OK);
    wait_for_peers(&o);
    finish(&o, o.layout.elements);
    check_total(&o, 1);
}

static void what_was_begun_can_be_given_up(void **state)
{
    (void)state;
    for (int lazy = 0; lazy < 3; lazy++) {
        machine_with("MUSTER_EMULATE_LAZY", (const char *[]){"0", "1", "2"}[lazy]);
        run_ranks(alone, 3, -1);
    }
    machine_with(NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(totals_are_those_of_whole_gradients),
        cmocka_unit_test(a_bucket_waits_for_what_is_in_it),
        cmocka_unit_test(what_was_begun_can_be_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

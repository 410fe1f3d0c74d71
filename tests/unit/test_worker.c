/* worker/worker: what the probe looks at, and how initial values are filled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/apart_device.h"
#include "worker/worker.h"

enum { MOST_CALLS = 64 };

/* A worker of a job of one rank, with as much of it as these functions touch. */
static struct rig {
    struct mu_workload workload; /* first: it is handed out */
    struct mu_segment segment;
    struct mu_roll roll;
    struct mu_poller poller;
    struct mu_worker worker;
    float *state;
    uint64_t call[MOST_CALLS]; /* pieces evaluated, or elements filled in by a call */
    uint32_t calls, fails_at;  /* the poller sees a death in that call; 0: never */
    double loss_of_last;
} rig;

static enum mu_status gradient(struct mu_workload *workload, const struct mu_weights *w,
                               int64_t step, uint32_t shard, struct mu_shard_result *out)
{
    assert_int_equal(step, 0);
    assert_int_equal(shard, 0);
    (void)workload;
    *out = (struct mu_shard_result){.dense = w->f32, .loss_nats = 1};
    return MU_OK;
}

static enum mu_status evaluate(struct mu_workload *workload, const struct mu_weights *w,
                               int64_t step, uint64_t piece, struct mu_piece_result *out)
{
    assert_int_equal(step, 0);
    assert_ptr_equal(w->f32,
                     rig.worker.weights.f32 ? rig.worker.weights.f32 : rig.segment.half[0].weight);
    rig.call[rig.calls++] = piece;
    *out = (struct mu_piece_result){
        .loss_nats = piece + 1 == workload->facts.eval_pieces ? rig.loss_of_last : 3, .tokens = 5};
    return MU_OK;
}

static void init_tensor(const struct mu_workload *workload, uint32_t tensor, uint64_t from,
                        uint64_t to, float *out)
{
    (void)workload;
    rig.call[rig.calls++] = to - from;
    if (rig.calls == rig.fails_at)
        rig.poller.status = MU_PEER_LOST;
    for (uint64_t i = from; i < to; i++)
        out[i - from] = (float)(tensor + 1) * (float)(i + 1);
}

static const struct mu_workload_ops ops = {
    .name = "toy", .init_tensor = init_tensor, .shard_gradient = gradient, .evaluate = evaluate};

static int set_up(void **state)
{
    static const struct mu_tensor_spec specs[] = {
        {.name = "w", .rows = 700, .cols = 1001, .decay = true, .dense = true},
        {.name = "b", .rows = 1, .cols = 77, .dense = true},
    };
    const struct mu_device_options options = {
        .kind = MU_DEVICE_REFERENCE, .isa = MU_ISA_GENERIC, .threads = 1};
    const struct mu_layout *l = &rig.workload.layout;
    uint64_t n;

    (void)state;
    memset(&rig, 0, sizeof rig);
    if (mu_device_open(&options, &rig.worker.device) != MU_OK)
        return -1;
    if (mu_layout_init(&rig.workload.layout, specs, 2) != MU_OK)
        return -1;
    n = l->elements;
    rig.state = malloc(3 * n * sizeof *rig.state);
    rig.segment.half[0] = (struct mu_state_view){.layout = l,
                                                 .weight = rig.state,
                                                 .m = rig.state + n,
                                                 .v = rig.state + 2 * n,
                                                 .prediction = calloc(l->blocks, 2)};
    for (uint64_t i = 0; i < 3 * n; i++)
        rig.state[i] = 1;
    rig.workload.ops = &ops;
    mu_poller_init(&rig.poller, NULL, NULL);
    rig.worker = (struct mu_worker){.poller = &rig.poller,
                                    .device = rig.worker.device,
                                    .workload = &rig.workload,
                                    .segment = &rig.segment,
                                    .local_count = 1};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(rig.state);
    free(rig.segment.half[0].prediction);
    mu_layout_deinit(&rig.workload.layout);
    mu_device_close(rig.worker.device);
    return 0;
}

static struct mu_probe probe(uint64_t pieces, double loss_of_last)
{
    struct mu_probe out;

    rig.workload.facts.eval_pieces = pieces;
    rig.loss_of_last = loss_of_last;
    rig.calls = 0;
    assert_int_equal(mu_worker_probe(&rig.worker, 0, &out), MU_OK);
    return out;
}

static bool equal(struct mu_probe a, struct mu_probe b)
{
    return mu_hash_equal(a.gradient, b.gradient) && mu_hash_equal(a.evaluation, b.evaluation);
}

static void the_probe_looks_at_the_first_and_last_piece(void **state)
{
    struct mu_probe five, one;

    (void)state;
    five = probe(5, 2);
    assert_int_equal(rig.calls, 2);
    assert_int_equal(rig.call[0], 0);
    assert_int_equal(rig.call[1], 4);
    assert_true(equal(five, probe(5, 2)));
    assert_false(equal(five, probe(5, 2 + 0x1p-51)));
    one = probe(1, 2);
    assert_int_equal(rig.calls, 1);
    assert_false(equal(one, probe(1, 3)));
    assert_false(equal(one, probe(0, 2)));
    assert_int_equal(rig.calls, 0);
    assert_true(
        mu_hash_equal(five.gradient, one.gradient)); /* a step's bits, whatever is evaluated */
}

/* A device with memory of its own; other weights are seen, and nothing of them is kept. */
static void the_probe_is_the_same_whose_memory_it_is(void **state)
{
    struct mu_probe plain = probe(5, 2), other;
    struct mu_weights w;

    (void)state;
    rig.state[700 * 1001 - 1] = 2;
    other = probe(5, 2);
    assert_false(equal(plain, other));
    rig.worker.device = apart_wrap(rig.worker.device);
    assert_int_equal(mu_device_weights_init(&rig.worker.weights, rig.worker.device,
                                            rig.workload.layout.elements),
                     MU_OK);
    assert_true(equal(other, probe(5, 2)));
    assert_int_equal(mu_device_weights_take(&rig.worker.weights, &rig.segment, 0, &w), MU_OK);
    rig.state[700 * 1001 - 1] = 1; /* of which a copy of state 0 is older */
    assert_true(equal(plain, probe(5, 2)));
    mu_device_weights_deinit(&rig.worker.weights);
}

static void initial_values_are_filled_in_slices(void **state)
{
    const struct mu_layout *l = &rig.workload.layout;
    const struct mu_state_view *view = &rig.segment.half[0];

    (void)state;
    assert_int_equal(mu_worker_fill_initial(&rig.worker, 0), MU_OK);
    assert_true(rig.calls > 2); /* the first tensor takes some */
    for (uint32_t i = 0; i < rig.calls; i++)
        assert_true(rig.call[i] > 0 && rig.call[i] <= 1 << 17);
    for (uint32_t t = 0; t < 2; t++) {
        const struct mu_tensor *tensor = &l->tensors[t];

        for (uint64_t i = 0; i < tensor->spec.rows * tensor->spec.cols; i++)
            assert_true(view->weight[tensor->offset + i] == (float)(t + 1) * (float)(i + 1) &&
                        view->m[tensor->offset + i] == 0 && view->v[tensor->offset + i] == 0);
    }
    for (uint64_t b = 0; b < l->blocks; b++)
        assert_int_equal(view->prediction[b], MU_PREDICTION_NONE);
}

static void filling_ends_with_a_death(void **state)
{
    (void)state;
    rig.fails_at = 2;
    assert_int_equal(mu_worker_fill_initial(&rig.worker, 0), MU_PEER_LOST);
    assert_int_equal(rig.calls, 2);
}

#define ON_A_RIG(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_RIG(the_probe_looks_at_the_first_and_last_piece),
        ON_A_RIG(the_probe_is_the_same_whose_memory_it_is),
        ON_A_RIG(initial_values_are_filled_in_slices),
        ON_A_RIG(filling_ends_with_a_death),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

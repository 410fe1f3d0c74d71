/* worker/rehearse: what is counted beforehand is what is taken then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "kernels/resident.h"
#include "orchestrator/base/file.h"
#include "orchestrator/plan/plan.h"
#include "tests/support/cuda_module.h"
#include "tests/support/gpt_fixture.h"
#include "worker/device_weights.h"
#include "worker/parts.h"
#include "worker/rehearse.h"
#include "worker/worker.h"

static char folder[] = "/tmp/muster-rehearse-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return fixture_make_folder(folder, 200) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

static struct mu_settings settings_of(enum mu_collective_kind collective)
{
    struct mu_settings s = fixture_settings(folder);

    s.model_width = 64;
    s.model_heads = 8;
    s.batch_sequences = 4;
    s.batch_shards = 1;
    s.device_collective = (int)collective;
    return s;
}

static void counts(enum mu_collective_kind collective, enum mu_precision precision)
{
    const struct mu_settings s = settings_of(collective);
    const struct mu_device_options options = cuda_options(precision);
    struct mu_device_weights weights = {0};
    struct mu_resident *state = NULL;
    struct mu_worker_memory m;
    struct mu_workload *w;
    struct mu_device *d;
    uint64_t before, opened;

    machine_with(NULL, NULL);
    assert_int_equal(mu_worker_rehearse(&s, &options, 3, &m), MU_OK);
    assert_int_equal(mu_emulate_calls(), 0); /* no GPU was touched */
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    before = mu_device_memory(d).free;
    assert_true(before > 0 && before < mu_device_memory(d).total);
    assert_int_equal(mu_workload_open(&s, d, &w), MU_OK);
    opened = mu_device_memory(d).free;
    if (collective == MU_COLLECTIVE_NCCL) {
        const struct mu_resident_options how = mu_resident_options_of(&s, w, 3);

        assert_int_equal(d->ops->resident->open(d, &how, &state), MU_OK);
    } else {
        assert_int_equal(mu_device_weights_init(&weights, d, w->layout.elements), MU_OK);
    }
    assert_in_range(m.activations, before - opened, before - opened + 64 * 512);
    assert_in_range(m.state, opened - mu_device_memory(d).free,
                    opened - mu_device_memory(d).free + 64 * 512);
    assert_int_equal(m.logits, 4 * s.batch_micro * s.model_context * s.model_vocab);
    if (state)
        d->ops->resident->close(state);
    mu_device_weights_deinit(&weights);
    mu_workload_close(w);
    mu_device_close(d);
}

/* `muster plan`, which has no GPU and no module, comes near to what is counted with one. */
static void a_plan_tells_as_much(void **state)
{
    const struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    struct mu_plan *plan = calloc(1, sizeof *plan);
    struct mu_worker_memory m, own;

    (void)state;
    assert_non_null(plan);
    machine_with(NULL, NULL);
    for (int collective = MU_COLLECTIVE_MPI; collective <= MU_COLLECTIVE_NCCL; collective++) {
        plan->settings = settings_of((enum mu_collective_kind)collective);
        plan->settings.device_kind = MU_DEVICE_CUDA;
        plan->settings.model_width = 256;
        plan->ranks = 3;
        assert_int_equal(mu_worker_rehearse(&plan->settings, &options, 3, &m), MU_OK);
        assert_int_equal(mu_worker_rehearse_workload(&plan->settings, &own), MU_OK);
        assert_in_range(own.activations, m.activations - 64 * 512, m.activations);
        assert_int_equal(own.logits, m.logits);
        assert_int_equal(mu_plan_find_memory(plan), MU_OK);
        assert_in_range((uint64_t)plan->memory.gpu, mu_worker_memory_sum(&m) / 100 * 95,
                        mu_worker_memory_sum(&m) / 100 * 105);
    }
    free(plan);
}

static void what_is_counted_is_taken(void **state)
{
    (void)state;
    counts(MU_COLLECTIVE_NCCL, MU_PRECISION_FP32);
    counts(MU_COLLECTIVE_NCCL, MU_PRECISION_BF16);
    counts(MU_COLLECTIVE_MPI, MU_PRECISION_FP32);
}

/* What a rank of so many takes for its parts, as it begins. */
static uint64_t parts_of(const struct mu_settings *s, struct mu_workload *workload,
                         struct mu_device *d, uint32_t place, uint32_t ranks)
{
    const struct mu_resident_options how = mu_resident_options_of(s, workload, ranks);
    const struct mu_roll roll = {.size = ranks};
    struct mu_worker w = {
        .settings = s, .workload = workload, .device = d, .place = place, .roll = &roll};
    const uint64_t before = mu_device_memory(d).free;
    uint64_t taken;

    assert_int_equal(d->ops->resident->open(d, &how, &w.resident.state), MU_OK);
    assert_int_equal(mu_parts_init(&w), MU_OK);
    taken = before - mu_device_memory(d).free;
    mu_parts_deinit(&w);
    d->ops->resident->close(w.resident.state);
    return taken;
}

/* Of a model of four chunks: more than one part has some, and ranks differ in what they take. */
static void a_state_in_parts_is_counted_as_such(void **state)
{
    const struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    struct mu_settings s = settings_of(MU_COLLECTIVE_NCCL);
    struct mu_worker_memory whole, m;
    struct mu_workload *workload;
    struct mu_device *d;

    (void)state;
    s.model_layers = 1;
    s.model_width = 256;
    machine_with(NULL, NULL);
    assert_int_equal(mu_worker_rehearse(&s, &options, 1, &whole), MU_OK);
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    assert_int_equal(mu_workload_open(&s, d, &workload), MU_OK);
    s.optim_shard = MU_SWITCH_ON;
    for (uint32_t ranks = 1; ranks < 7; ranks++) {
        uint64_t most = 0;

        for (uint32_t place = 0; place < ranks; place++) {
            const uint64_t taken = parts_of(&s, workload, d, place, ranks);

            most = taken > most ? taken : most;
        }
        assert_int_equal(mu_worker_rehearse(&s, &options, ranks, &m), MU_OK);
        assert_in_range(m.state + 4 * 512, most, most + 64 * 512); /* four that are rounded apart */
        if (ranks > 4)
            assert_true(m.state < whole.state);
    }
    mu_workload_close(workload);
    mu_device_close(d);
}

static void other_devices_need_none(void **state)
{
    const struct mu_settings s = settings_of(MU_COLLECTIVE_MPI);
    struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    struct mu_worker_memory m;

    (void)state;
    options.kind = MU_DEVICE_CPU;
    assert_int_equal(mu_worker_rehearse(&s, &options, 3, &m), MU_OK);
    assert_int_equal(mu_worker_memory_sum(&m), 0);
}

static void it_is_told_in_fitting_units(void **state)
{
    struct mu_worker_memory m = {
        .state = 3ull << 29, .activations = 1ull << 29, .logits = 1ull << 28};

    (void)state;
    assert_string_equal(
        mu_worker_memory_text(&m, 40ull << 30).text,
        "2.2 GiB (1.5 of state, 0.5 of activations and gradients, 0.2 of logits) of 40.0 GiB");
    m.state = 256 << 20;
    m.activations = m.logits = 1 << 20;
    assert_string_equal(
        mu_worker_memory_text(&m, 512 << 20).text,
        "258.0 MiB (256.0 of state, 1.0 of activations and gradients, 1.0 of logits) of 512.0 MiB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_counted_is_taken),
        cmocka_unit_test(a_plan_tells_as_much),
        cmocka_unit_test(a_state_in_parts_is_counted_as_such),
        cmocka_unit_test(other_devices_need_none),
        cmocka_unit_test(it_is_told_in_fitting_units),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

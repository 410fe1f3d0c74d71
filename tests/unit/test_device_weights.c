/* worker/device_weights: which half a workload reads, and when it is copied. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "tests/support/apart_device.h"
#include "worker/device_weights.h"

enum { ELEMENTS = (MU_DEVICE_PIECE / 4) * 2 + 100 }; /* three pieces of f32 */

static struct rig {
    struct mu_device *device;
    struct mu_segment segment;
    struct mu_device_weights weights;
    uint32_t polls, dies_at; /* 0: never */
} rig;

static enum mu_status poll(void *context)
{
    (void)context;
    return ++rig.polls == rig.dies_at ? MU_PEER_LOST : MU_OK;
}

static void open_rig(enum mu_precision precision, bool apart)
{
    const struct mu_device_options options = {.kind = MU_DEVICE_REFERENCE,
                                              .precision = precision,
                                              .isa = MU_ISA_GENERIC,
                                              .threads = 1,
                                              .poll = poll};

    memset(&rig, 0, sizeof rig);
    assert_int_equal(mu_device_open(&options, &rig.device), MU_OK);
    if (apart)
        rig.device = apart_wrap(rig.device);
    for (uint32_t h = 0; h < 2; h++) {
        rig.segment.half[h].weight = calloc(ELEMENTS, sizeof(float));
        if (precision == MU_PRECISION_BF16)
            rig.segment.weight_bf16[h] = calloc(ELEMENTS, sizeof(uint16_t));
        for (uint32_t i = 0; i < ELEMENTS; i++) {
            rig.segment.half[h].weight[i] = (float)(2 * i + h);
            if (precision == MU_PRECISION_BF16)
                rig.segment.weight_bf16[h][i] = (uint16_t)(2 * i + h + 7);
        }
    }
    assert_int_equal(mu_device_weights_init(&rig.weights, rig.device, ELEMENTS), MU_OK);
}

static void close_rig(void)
{
    mu_device_weights_deinit(&rig.weights);
    for (uint32_t h = 0; h < 2; h++) {
        free(rig.segment.half[h].weight);
        free(rig.segment.weight_bf16[h]);
    }
    mu_device_close(rig.device);
}

static struct mu_weights take(uint64_t state)
{
    struct mu_weights w;

    assert_int_equal(mu_device_weights_take(&rig.weights, &rig.segment, state, &w), MU_OK);
    return w;
}

static void assert_is_half(struct mu_weights w, uint32_t half)
{
    size_t bytes = ELEMENTS * sizeof(float);
    void *copy = malloc(bytes);

    assert_non_null(copy);
    mu_device_download(rig.device, copy, w.f32, bytes);
    assert_memory_equal(copy, rig.segment.half[half].weight, bytes);
    assert_true((w.bf16 != NULL) == (rig.segment.weight_bf16[half] != NULL));
    if (w.bf16) {
        mu_device_download(rig.device, copy, w.bf16, bytes / 2);
        assert_memory_equal(copy, rig.segment.weight_bf16[half], bytes / 2);
    }
    free(copy);
}

static uint64_t uploads(void)
{
    return ((struct apart *)rig.device)->uploads;
}

static void shared_memory_is_not_copied(void **state)
{
    (void)state;
    open_rig(MU_PRECISION_BF16, false);
    for (uint64_t word = 0; word < 4; word++) {
        struct mu_weights w = take(word);

        assert_ptr_equal(w.f32, rig.segment.half[word & 1].weight);
        assert_ptr_equal(w.bf16, rig.segment.weight_bf16[word & 1]);
    }
    assert_int_equal(rig.polls, 0);
    close_rig();
}

/* Step 3 in half 1, then 4 in half 0; then step 5 in half 1, written meanwhile. */
static void check_steps(enum mu_precision precision, uint64_t whole)
{
    open_rig(precision, true);
    assert_is_half(take(3 << 1 | 1), 1);
    assert_true(uploads() == whole);
    assert_is_half(take(3 << 1 | 1), 1);
    assert_true(uploads() == whole); /* it is there */
    assert_is_half(take(4 << 1), 0);
    assert_true(uploads() == 2 * whole);
    rig.segment.half[1].weight[ELEMENTS - 1] = -1;
    assert_is_half(take(5 << 1 | 1), 1);
    assert_true(uploads() == 3 * whole);
    assert_true(rig.polls >= 3 * 3 * (precision == MU_PRECISION_BF16 ? 2 : 1)); /* in pieces */
    close_rig();
}

static void a_step_is_copied_once(void **state)
{
    (void)state;
    check_steps(MU_PRECISION_FP32, ELEMENTS * UINT64_C(4));
    check_steps(MU_PRECISION_BF16, ELEMENTS * UINT64_C(6));
}

/* The word is the same: nobody else could tell. */
static void what_was_filled_anew_is_copied_again(void **state)
{
    (void)state;
    open_rig(MU_PRECISION_BF16, true);
    assert_is_half(take(0), 0);
    rig.segment.half[0].weight[5] = 1234;
    rig.segment.weight_bf16[0][6] = 1234;
    mu_device_weights_forget(&rig.weights);
    assert_is_half(take(0), 0);
    close_rig();
}

/* Of what was cut off nothing is taken for whole. */
static void a_death_ends_the_copying(void **state)
{
    struct mu_weights w;

    (void)state;
    open_rig(MU_PRECISION_FP32, true);
    rig.dies_at = 2;
    assert_int_equal(mu_device_weights_take(&rig.weights, &rig.segment, 0, &w), MU_PEER_LOST);
    assert_in_range(uploads(), 1, ELEMENTS * 4 - 1);
    rig.device->status = MU_OK;
    assert_is_half(take(0), 0);
    close_rig();
}

static void too_large_weights_are_refused(void **state)
{
    (void)state;
    open_rig(MU_PRECISION_BF16, true);
    mu_device_weights_deinit(&rig.weights);
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_device_weights_init(&rig.weights, rig.device, UINT64_C(1) << 40),
                     MU_NO_MEMORY);
    /* f32 fits, bf16 does not: what was taken is given back, else the device tells */
    assert_int_equal(mu_device_weights_init(&rig.weights, rig.device, APART_ARENA_BYTES / 5),
                     MU_NO_MEMORY);
    mu_log_set_level(MU_LOG_INFO);
    assert_null(rig.weights.f32);
    close_rig();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shared_memory_is_not_copied),
        cmocka_unit_test(a_step_is_copied_once),
        cmocka_unit_test(what_was_filled_anew_is_copied_again),
        cmocka_unit_test(a_death_ends_the_copying),
        cmocka_unit_test(too_large_weights_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

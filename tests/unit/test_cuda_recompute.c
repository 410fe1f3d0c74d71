/* device.recompute on the cuda device, emulated, whose queue runs as late as it may: the same bits
 * whatever of the forward pass is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/cuda_module.h"
#include "tests/support/gpt_outcome.h"

static char folder[] = "/tmp/muster-recompute-XXXXXX";

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

static struct outcome outcome_with(struct mu_settings s, enum mu_recompute recompute,
                                   enum mu_precision precision)
{
    const struct mu_device_options options = cuda_options(precision);
    struct mu_device *d;

    s.model_width = 24; /* heads of 8: what attention takes here */
    s.batch_sequences = 4;
    s.batch_shards = 1;
    s.eval_tokens = 15; /* three sequences: the last piece is shorter */
    s.device_recompute = (int)recompute;
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    return outcome_of(&s, d, precision);
}

static void check_bits(struct mu_settings s, enum mu_precision precision)
{
    struct outcome first, got;

    machine_with("MUSTER_EMULATE_LAZY", "1");
    first = outcome_with(s, MU_RECOMPUTE_NONE, precision);
    for (int k = MU_RECOMPUTE_MLP; k <= MU_RECOMPUTE_BLOCK; k++) {
        got = outcome_with(s, (enum mu_recompute)k, precision);
        assert_true(got.losses == first.losses && got.losses == 4);
        assert_memory_equal(got.loss, first.loss, first.losses * sizeof *first.loss);
        assert_int_equal(got.bytes, first.bytes);
        assert_memory_equal(got.gradient, first.gradient, first.bytes);
        free(got.gradient);
    }
    free(first.gradient);
}

static void the_same_bits_in_fp32(void **state)
{
    (void)state;
    check_bits(fixture_settings(folder), MU_PRECISION_FP32);
    check_bits(fixture_llama(folder), MU_PRECISION_FP32);
}

static void the_same_bits_in_bf16(void **state)
{
    (void)state;
    check_bits(fixture_settings(folder), MU_PRECISION_BF16);
    check_bits(fixture_llama(folder), MU_PRECISION_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_in_fp32),
        cmocka_unit_test(the_same_bits_in_bf16),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

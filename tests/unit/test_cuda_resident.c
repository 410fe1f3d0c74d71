/* kernels/resident.h on the cuda device, emulated, whose queue runs as late as it may: the check of
 * a half is the sum of its bits, whichever of its arrays they are in, and of no other half's. (What
 * a turn does is looked at in runs: mpi-gpu.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "kernels/resident.h"
#include "tests/support/cuda_module.h"

enum { ROWS = 30, COLS = 300, ARRAYS = 3 };

static uint32_t bits_of(const float *x, uint64_t n)
{
    uint32_t sum = 0, bits;

    for (uint64_t i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        sum += bits;
    }
    return sum;
}

static void the_check_is_of_every_bit_of_a_half(void **state)
{
    const struct mu_tensor_spec specs[] = {
        {.name = "w", .rows = ROWS, .cols = COLS, .dense = true},
        {.name = "b", .rows = 1, .cols = 7, .dense = true},
    };
    const struct mu_device_options options = cuda_options(MU_PRECISION_BF16);
    struct mu_layout layout;
    struct mu_resident *r;
    struct mu_device *d;
    uint32_t sums[ARRAYS], right[ARRAYS];

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    assert_int_equal(mu_layout_init(&layout, specs, 2), MU_OK);
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    assert_int_equal(
        d->ops->resident->open(
            d, &(struct mu_resident_options){.layout = &layout, .shards = 2, .slots = 4}, &r),
        MU_OK);
    for (uint32_t half = 0; half < 2; half++) {
        float *array[ARRAYS] = {r->weight[half], r->m[half], r->v[half]};
        float x[(ROWS * COLS + 128)];

        assert_true(layout.elements <= sizeof x / sizeof *x);
        for (int a = 0; a < ARRAYS; a++) {
            for (uint64_t i = 0; i < layout.elements; i++)
                x[i] = (float)(i * 7 + (uint64_t)a + 10 * half) - 1e4f;
            mu_device_upload(d, array[a], x, layout.elements * sizeof *x);
            right[a] = bits_of(x, layout.elements);
        }
        d->ops->resident->check(r, half, sums);
        assert_memory_equal(sums, right, sizeof sums);
        for (int a = 0; a < ARRAYS; a++) { /* the last element of an array */
            const float one = 1;

            mu_device_upload(d, array[a] + layout.elements - 1, &one, sizeof one);
            d->ops->resident->check(r, half, sums);
            for (int b = 0; b < ARRAYS; b++)
                assert_true((sums[b] == right[b]) == (b > a));
        }
    }
    assert_int_equal(mu_device_verify(d), MU_OK);
    d->ops->resident->close(r);
    mu_device_close(d);
    mu_layout_deinit(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_check_is_of_every_bit_of_a_half),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

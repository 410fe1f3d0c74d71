/* The check of a chunk finds every bit that flips, knows the step, and is what AdamW makes of what
 * it stores, on every device and any number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kernels/bf16.h"
#include "kernels/device.h"
#include "tests/support/state.h"
#include "worker/state_check.h"

/* Two chunks at least; rows that end within a vector. */
static int setup(void **out)
{
    static struct state_fixture f;
    struct mu_tensor_spec specs[] = {test_spec("wte", 701, 1001), test_spec("a", 1, 3),
                                     test_spec("b", 7, 33)};

    if (state_fixture_init(&f, specs, 3, out) != 0)
        return -1;
    return f.layout.chunk_count < 2 ? -1 : 0;
}

static uint32_t check(const struct state_fixture *f, uint32_t chunk, int64_t step)
{
    return mu_state_check_chunk(&f->state, &f->layout.chunks[chunk], step);
}

/* Every bit of an element, in both directions. */
static void flip(const struct state_fixture *f, void *array, uint64_t element, size_t bytes,
                 uint32_t chunk)
{
    uint8_t *at = (uint8_t *)array + element * bytes;
    uint32_t before = check(f, chunk, 9), other = check(f, !chunk, 9);

    for (size_t bit = 0; bit < 8 * bytes; bit++) {
        at[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_true(check(f, chunk, 9) != before);
        assert_true(check(f, !chunk, 9) == other);
        at[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_true(check(f, chunk, 9) == before);
}

static void every_bit_counts(void **in)
{
    struct state_fixture *f = *in;

    for (uint32_t c = 0; c < 2; c++) {
        const struct mu_chunk *chunk = &f->layout.chunks[c];
        uint64_t first = f->layout.spans[chunk->first_span].offset;
        uint64_t last = first + f->layout.spans[chunk->first_span].count - 1;

        flip(f, f->state.weight, first, sizeof(float), c);
        flip(f, f->state.m, last, sizeof(float), c);
        flip(f, f->state.v, (first + last) / 2, sizeof(float), c);
        flip(f, f->state.prediction, chunk->first_block, sizeof(int16_t), c);
        flip(f, f->state.prediction, chunk->first_block + chunk->block_count - 1, sizeof(int16_t),
             c);
    }
}

static void another_step_has_another_check(void **in)
{
    struct state_fixture *f = *in;

    for (int64_t step = 0; step < 100; step++)
        for (int bit = 0; bit < 31; bit++)
            assert_true(check(f, 0, step) != check(f, 0, step ^ (INT64_C(1) << bit)));
}

static void the_copy_is_compared(void **in)
{
    struct state_fixture *f = *in;
    const struct mu_chunk *chunk = &f->layout.chunks[1];
    uint16_t *copy = calloc(f->layout.elements, sizeof *copy);

    assert_non_null(copy);
    for (uint64_t i = 0; i < f->layout.elements; i++)
        copy[i] = mu_bf16_from_f32(f->state.weight[i]);
    assert_true(mu_state_check_bf16(&f->state, copy, chunk));
    copy[chunk->offset + 17] ^= 1;
    assert_false(mu_state_check_bf16(&f->state, copy, chunk));
    assert_true(mu_state_check_bf16(&f->state, copy, &f->layout.chunks[0]));
    free(copy);
}

/* One update of the state in place by spans, as a worker does it: the check that comes out is the
 * one that is read from the state afterwards. */
static void update(struct state_fixture *f, struct mu_device *d, uint16_t *bf16)
{
    for (uint32_t c = 0; c < f->layout.chunk_count; c++) {
        const struct mu_chunk *chunk = &f->layout.chunks[c];
        uint32_t sum = mu_state_check_begin(4);

        for (uint32_t i = chunk->first_span; i < chunk->first_span + chunk->span_count; i++) {
            const struct mu_span *span = &f->layout.spans[i];
            struct mu_adamw a = {.count = (int64_t)span->count,
                                 .weight = f->state.weight + span->offset,
                                 .m = f->state.m + span->offset,
                                 .v = f->state.v + span->offset,
                                 .gradient = f->state.weight + span->offset,
                                 .weight_out = f->state.weight + span->offset,
                                 .m_out = f->state.m + span->offset,
                                 .v_out = f->state.v + span->offset,
                                 .weight_bf16 = bf16 ? bf16 + span->offset : NULL,
                                 .gradient_scale = 1,
                                 .lr = 0.1f,
                                 .beta1 = 0.9f,
                                 .beta2 = 0.5f,
                                 .bias1 = 0.1f,
                                 .bias2 = 0.5f,
                                 .check = &sum};

            d->ops->adamw(d, &a);
        }
        assert_true(sum + mu_state_check_predictions(&f->state, chunk) == check(f, c, 4));
    }
}

static void adamw_makes_it(void **in)
{
    static const enum mu_isa isas[] = {MU_ISA_GENERIC, MU_ISA_AVX2, MU_ISA_AVX512};
    struct state_fixture *f = *in;
    uint16_t *bf16 = calloc(f->layout.elements, sizeof *bf16);

    assert_non_null(bf16);
    for (int kind = 0; kind < 2; kind++)
        for (int i = 0; i < 3; i++)
            for (int threads = 1; threads <= 3; threads += 2) {
                struct mu_device_options o = {.kind = kind ? MU_DEVICE_REFERENCE : MU_DEVICE_CPU,
                                              .isa = isas[i],
                                              .threads = threads};
                struct mu_device *d;

                if (isas[i] > mu_device_best_isa())
                    continue;
                assert_int_equal(mu_device_open(&o, &d), MU_OK);
                update(f, d, NULL);
                update(f, d, bf16);
                assert_true(mu_state_check_bf16(&f->state, bf16, &f->layout.chunks[0]));
                mu_device_close(d);
            }
    free(bf16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_bit_counts, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(another_step_has_another_check, setup,
                                        state_fixture_teardown),
        cmocka_unit_test_setup_teardown(the_copy_is_compared, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(adamw_makes_it, setup, state_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

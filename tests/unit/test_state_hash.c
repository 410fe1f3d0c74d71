/* The state hash covers every logical bit, its place and the step, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/state.h"

/* The first tensor has three pieces of 2^18 elements in each float array, and one of
 * predictions. */
static int setup(void **out)
{
    static struct state_fixture f;
    struct mu_tensor_spec specs[] = {test_spec("wte", 701, 1000), test_spec("a", 1, 3),
                                     test_spec("b", 1, 3)};

    return state_fixture_init(&f, specs, 3, out);
}

static void pieces_are_counted_by_array(void **in)
{
    struct state_fixture *f = *in;

    /* 701000 elements: 3 pieces; 701 rows of 4 blocks: 1 piece; vectors: 1 piece an array */
    assert_int_equal(mu_state_hash_pieces(&f->layout), (3 * 3 + 1) + 4 + 4);
}

static void pieces_may_be_computed_in_any_order(void **in)
{
    struct state_fixture *f = *in;
    uint64_t count = mu_state_hash_pieces(&f->layout);
    struct mu_hash backwards[32], forwards = test_state_hash(&f->state, 9);

    assert_true(count <= 32);
    for (uint64_t i = count; i-- > 0;)
        backwards[i] = mu_state_hash_piece(&f->state, i);
    assert_true(mu_hash_equal(forwards, mu_state_hash_combine(backwards, count, 9)));
}

/* Whoever has the bytes elsewhere finds by the piece which they are. */
static void a_piece_says_where_it_lies(void **in)
{
    struct state_fixture *f = *in;
    struct mu_state_piece last = mu_state_piece_find(&f->layout, 2 * 3 + 2),
                          of_predictions = mu_state_piece_find(&f->layout, 3 * 3);

    assert_int_equal(last.array, MU_ARRAY_V);
    assert_int_equal(last.bytes, (701000 - 2 * (1 << 18)) * sizeof(float));
    assert_ptr_equal(mu_state_piece_at(&last, &f->state), f->state.v + 2 * (1 << 18));
    assert_true(mu_hash_equal(mu_state_piece_hash(&last, f->state.v + 2 * (1 << 18)),
                              mu_state_hash_piece(&f->state, 2 * 3 + 2)));
    assert_int_equal(of_predictions.array, MU_ARRAY_PREDICTION);
    assert_int_equal(of_predictions.bytes, 701 * 4 * sizeof(int16_t));
}

static void flip_and_compare(struct state_fixture *f, void *bytes, size_t at, struct mu_hash before)
{
    uint8_t *byte = (uint8_t *)bytes + at;

    *byte ^= 0x10;
    assert_false(mu_hash_equal(before, test_state_hash(&f->state, 9)));
    *byte ^= 0x10;
}

static void every_bit_counts(void **in)
{
    struct state_fixture *f = *in;
    struct mu_hash before = test_state_hash(&f->state, 9);
    float *arrays[] = {f->state.weight, f->state.m, f->state.v};

    for (int a = 0; a < 3; a++) {
        const uint64_t elements[] = {0,
                                     (1 << 18) - 1,
                                     1 << 18,
                                     700999,
                                     f->layout.tensors[1].offset,
                                     f->layout.tensors[2].offset + 2};

        for (size_t i = 0; i < sizeof elements / sizeof *elements; i++)
            flip_and_compare(f, arrays[a], elements[i] * sizeof(float) + i % 4, before);
    }
    flip_and_compare(f, f->state.prediction, 0, before);
    flip_and_compare(f, f->state.prediction, f->layout.blocks * sizeof(int16_t) - 1, before);
    assert_true(mu_hash_equal(before, test_state_hash(&f->state, 9)));
}

static void the_step_counts(void **in)
{
    struct state_fixture *f = *in;

    assert_false(mu_hash_equal(test_state_hash(&f->state, 9), test_state_hash(&f->state, 10)));
}

static void the_place_counts(void **in)
{
    struct state_fixture *f = *in;
    uint64_t count = mu_state_hash_pieces(&f->layout), a = f->layout.tensors[1].offset,
             b = f->layout.tensors[2].offset;

    /* Equal contents in two tensors, and in two arrays of one, hash to other pieces. */
    memcpy(f->state.weight + b, f->state.weight + a, 3 * sizeof(float));
    memcpy(f->state.m + b, f->state.weight + a, 3 * sizeof(float));
    assert_false(mu_hash_equal(mu_state_hash_piece(&f->state, count - 8),
                               mu_state_hash_piece(&f->state, count - 4)));
    assert_false(mu_hash_equal(mu_state_hash_piece(&f->state, count - 4),
                               mu_state_hash_piece(&f->state, count - 3)));
}

static void pads_do_not_count(void **in)
{
    struct state_fixture *f = *in;
    struct mu_hash before = test_state_hash(&f->state, 9);

    f->state.weight[f->layout.tensors[1].offset + 3] = 1; /* the tensor has 3 elements */
    f->state.v[f->layout.elements - 1] = 1;
    assert_true(mu_hash_equal(before, test_state_hash(&f->state, 9)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_are_counted_by_array, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(a_piece_says_where_it_lies, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(pieces_may_be_computed_in_any_order, setup,
                                        state_fixture_teardown),
        cmocka_unit_test_setup_teardown(every_bit_counts, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(the_step_counts, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(the_place_counts, setup, state_fixture_teardown),
        cmocka_unit_test_setup_teardown(pads_do_not_count, setup, state_fixture_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

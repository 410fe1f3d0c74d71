/* Which tensors of two checkpoints differ, where first and how far: by hand for a few numbers, then
 * through files whose parts are cut differently. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/compare/tensors.h"
#include "tests/support/state.h"

/* Differences 3 and 4: their norm is 5; the norm of a is that of (1, 2, 2): 3. */
static void measures_are_those_of_arithmetic(void **unused)
{
    const float a[] = {1, 2, 2}, b[] = {1, 5, -2};
    struct mu_array_difference d = {0};

    (void)unused;
    mu_array_difference_add(&d, MU_ARRAY_WEIGHT, 2, 0, a, b, 1);
    mu_array_difference_add(&d, MU_ARRAY_WEIGHT, 2, 1, a + 1, b + 1, 2); /* in two pieces */
    mu_array_difference_finish(&d);
    assert_int_equal(d.elements, 3);
    assert_int_equal(d.differing, 2);
    assert_int_equal(d.row, 0);
    assert_int_equal(d.col, 1);
    assert_true(d.first[0] == 2 && d.first[1] == 5);
    assert_true(d.most == 4);
    assert_true(fabs(d.relative - 5.0 / 3.0) < 1e-15);
    assert_int_equal(d.nonfinite, 0);
}

/* The same NaN is the same; another NaN, an Inf and -0 are not, and no measure becomes NaN. */
static void bits_are_compared(void **unused)
{
    const uint32_t bits_a[] = {0x7fc00000, 0x7fc00000, 0x00000000, 0x7f800000, 0x3f800000};
    const uint32_t bits_b[] = {0x7fc00000, 0x7fc00001, 0x80000000, 0x3f800000, 0x3f800000};
    struct mu_array_difference d = {0};

    (void)unused;
    mu_array_difference_add(&d, MU_ARRAY_M, 5, 0, bits_a, bits_b, 5);
    mu_array_difference_finish(&d);
    assert_int_equal(d.differing, 3);
    assert_int_equal(d.col, 1);
    assert_int_equal(d.nonfinite, 2);
    assert_true(d.most == 0 && d.relative == 0);
}

static void against_zeros_the_relative_norm_is_infinite(void **unused)
{
    const int16_t a[] = {0, 0}, b[] = {0, -3};
    struct mu_array_difference d = {0};

    (void)unused;
    mu_array_difference_add(&d, MU_ARRAY_PREDICTION, 1, 0, a, b, 2);
    mu_array_difference_finish(&d);
    assert_int_equal(d.row, 1);
    assert_true(d.most == 3 && isinf(d.relative));
}

/* ---- through files --------------------------------------------------------------------------- */

struct fixture {
    char root[MU_PATH_MAX], a[MU_PATH_MAX], b[MU_PATH_MAX];
    struct mu_layout layout;
    struct mu_state_view state;
};
static struct fixture f;

static void save_to(const char *name, const struct mu_state_view *s, uint32_t parts,
                    char folder[MU_PATH_MAX])
{
    char checkpoints[MU_PATH_MAX];

    assert_int_equal(mu_path_format(checkpoints, "%s/%s", f.root, name), MU_OK);
    assert_int_equal(test_save(checkpoints, s, 100, parts), MU_OK);
    assert_int_equal(mu_checkpoint_folder(folder, checkpoints, 100), MU_OK);
}

static int setup(void **unused)
{
    (void)unused;
    test_folder_make(f.root);
    if (!test_pieces_layout(&f.layout))
        return -1;
    f.state = test_state(&f.layout);
    test_state_fill(&f.state, 3);
    save_to("a", &f.state, 3, f.a);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    test_state_free(&f.state);
    mu_layout_deinit(&f.layout);
    return mu_file_remove_tree(f.root) == MU_OK ? 0 : -1;
}

static void parts_may_be_cut_otherwise(void **unused)
{
    struct mu_tensors_compared c;

    (void)unused;
    save_to("b", &f.state, 2, f.b);
    assert_int_equal(mu_tensors_compare(f.a, f.b, &c), MU_OK);
    assert_int_equal(c.count, 3);
    assert_int_equal(c.first, 3);
    assert_int_equal(c.tensor[0].array[MU_ARRAY_V].elements, 700000);
    mu_tensors_compared_deinit(&c);
}

/* A bit in row 1 of "short", which lies in another part in each. */
static void one_bit_is_found(void **unused)
{
    struct mu_tensors_compared c;
    uint8_t *byte = (uint8_t *)(f.state.m + f.layout.tensors[1].offset + 700 + 9);
    const struct mu_array_difference *d;

    (void)unused;
    *byte ^= 1;
    save_to("b", &f.state, 7, f.b);
    assert_int_equal(mu_tensors_compare(f.a, f.b, &c), MU_OK);
    assert_int_equal(c.first, 1);
    assert_false(mu_tensor_differs(&c.tensor[0]));
    assert_false(mu_tensor_differs(&c.tensor[2]));
    d = &c.tensor[1].array[MU_ARRAY_M];
    assert_int_equal(d->differing, 1);
    assert_int_equal(d->row, 1);
    assert_int_equal(d->col, 9);
    assert_int_equal(c.tensor[1].array[MU_ARRAY_WEIGHT].differing, 0);
    mu_tensors_compared_deinit(&c);
}

static void other_models_are_compared_by_name(void **unused)
{
    struct mu_tensor_spec specs[] = {test_spec("bias", 1, 65), test_spec("short", 2, 701),
                                     test_spec("new", 1, 3)};
    struct mu_layout layout;
    struct mu_state_view other;
    struct mu_tensors_compared c;

    (void)unused;
    assert_int_equal(mu_layout_init(&layout, specs, 3), MU_OK);
    other = test_state(&layout);
    save_to("b", &other, 1, f.b);
    assert_int_equal(mu_tensors_compare(f.a, f.b, &c), MU_OK);
    assert_int_equal(c.count, 4);
    assert_int_equal(c.first, 0);
    assert_null(c.tensor[0].spec[1]);   /* wte: in A only */
    assert_false(c.tensor[1].compared); /* short: of another shape */
    assert_non_null(c.tensor[1].spec[1]);
    assert_true(c.tensor[2].compared);                              /* bias */
    assert_true(c.tensor[2].array[MU_ARRAY_WEIGHT].differing > 60); /* A's are no zeros */
    assert_null(c.tensor[3].spec[0]);
    assert_string_equal(c.tensor[3].spec[1]->name, "new");
    mu_tensors_compared_deinit(&c);
    test_state_free(&other);
    mu_layout_deinit(&layout);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_are_those_of_arithmetic),
        cmocka_unit_test(bits_are_compared),
        cmocka_unit_test(against_zeros_the_relative_norm_is_infinite),
        cmocka_unit_test_setup_teardown(parts_may_be_cut_otherwise, setup, teardown),
        cmocka_unit_test_setup_teardown(one_bit_is_found, setup, teardown),
        cmocka_unit_test_setup_teardown(other_models_are_compared_by_name, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* HDF5's own h5dump sees every tensor whole, from any working directory and after the folder was
 * moved; rows of a part that is missing read as NaN, not as numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <unistd.h>

#include "tests/support/state.h"

enum { ROWS = 7, COLS = 5, SKIP = 77 };

/* Numbers of one dataset as h5dump prints them; gives back how many. */
static int dump(const char *folder, const char *dataset, double *out, int most)
{
    char command[2 * MU_PATH_MAX], word[64];
    FILE *pipe;
    int n = 0;

    snprintf(command, sizeof command,
             "cd / && h5dump -y -w 1 -m %%.9g -d %s %s/checkpoint.h5 | sed -n '/DATA {/,/}/p' | "
             "grep -v '[{}]'",
             dataset, folder);
    pipe = popen(command, "r");
    assert_non_null(pipe);
    while (n < most && fscanf(pipe, " %63[^, \n]%*[, \n]", word) == 1)
        out[n++] = strtod(word, NULL);
    assert_int_equal(pclose(pipe), 0);
    return n;
}

static void tensors_are_whole(void **unused)
{
    struct mu_tensor_spec specs[] = {test_spec("w", ROWS, COLS), test_spec("bias", 1, COLS)};
    char root[MU_PATH_MAX], folder[MU_PATH_MAX], moved[MU_PATH_MAX], part[MU_PATH_MAX];
    struct mu_layout layout;
    struct mu_state_view s;
    double seen[2 * ROWS * COLS];

    (void)unused;
    test_folder_make(root);
    assert_int_equal(mu_layout_init(&layout, specs, 2), MU_OK);
    s = test_state(&layout);
    for (int k = 0; k < ROWS * COLS; k++)
        s.weight[k] = (float)k / 8;
    for (int k = 0; k < COLS; k++)
        s.v[layout.tensors[1].offset + (uint64_t)k] = (float)(100 + k);
    for (int r = 0; r < ROWS; r++)
        s.prediction[r] = (int16_t)(r - 3);
    assert_int_equal(test_save(root, &s, 5, 3), MU_OK);
    assert_int_equal(mu_checkpoint_folder(folder, root, 5), MU_OK);
    assert_int_equal(mu_path_format(moved, "%s/moved", root), MU_OK);
    assert_int_equal(rename(folder, moved), 0);

    assert_int_equal(dump(moved, "/weights/w", seen, 2 * ROWS * COLS), ROWS * COLS);
    for (int k = 0; k < ROWS * COLS; k++)
        assert_true(seen[k] == k / 8.0);
    assert_int_equal(dump(moved, "/adam_v/bias", seen, 2 * COLS), COLS);
    for (int k = 0; k < COLS; k++)
        assert_true(seen[k] == 100 + k);
    assert_int_equal(dump(moved, "/predictions/w", seen, 2 * ROWS), ROWS);
    for (int r = 0; r < ROWS; r++)
        assert_true(seen[r] == r - 3);

    /* Part 1 of 3 has rows [7/3, 14/3) = 2 and 3. */
    assert_int_equal(mu_path_format(part, "%s/part-00001.h5", moved), MU_OK);
    assert_int_equal(unlink(part), 0);
    assert_int_equal(dump(moved, "/weights/w", seen, 2 * ROWS * COLS), ROWS * COLS);
    for (int k = 0; k < ROWS * COLS; k++)
        assert_true(k / COLS == 2 || k / COLS == 3 ? isnan(seen[k]) : seen[k] == k / 8.0);
    test_state_free(&s);
    mu_layout_deinit(&layout);
    assert_int_equal(mu_file_remove_tree(root), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensors_are_whole)};

    if (system("command -v h5dump > /dev/null") != 0) {
        printf("skipped: h5dump is not installed (apt package hdf5-tools)\n");
        return SKIP;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

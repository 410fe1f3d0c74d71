/* Which checkpoint is chosen, and which ones go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "tests/support/state.h"

static char root[MU_PATH_MAX];
static struct mu_layout layout;
static struct mu_state_view state;

static int setup(void **unused)
{
    struct mu_tensor_spec specs[] = {test_spec("w", 8, 16)};

    (void)unused;
    test_folder_make(root);
    if (mu_layout_init(&layout, specs, 1) != MU_OK)
        return -1;
    state = test_state(&layout);
    test_state_fill(&state, 1);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    test_state_free(&state);
    mu_layout_deinit(&layout);
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

static void save(int64_t step)
{
    assert_int_equal(test_save(root, &state, step, 2), MU_OK);
}

static void path_in(char out[MU_PATH_MAX], int64_t step, const char *name)
{
    char folder[MU_PATH_MAX];

    assert_int_equal(mu_checkpoint_folder(folder, root, step), MU_OK);
    assert_int_equal(mu_path_format(out, "%s/%s", folder, name), MU_OK);
}

static void lose(int64_t step, const char *name)
{
    char path[MU_PATH_MAX];

    path_in(path, step, name);
    assert_int_equal(unlink(path), 0);
}

static bool has(int64_t step, const char *name)
{
    char path[MU_PATH_MAX];

    path_in(path, step, name);
    return mu_file_exists(path);
}

static void assert_listed(const int64_t *expected, uint32_t count)
{
    int64_t *steps;
    uint32_t found;

    assert_int_equal(mu_checkpoint_list(root, &steps, &found), MU_OK);
    assert_int_equal(found, count);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(steps[i], expected[i]);
    free(steps);
}

static void folders_have_eight_digits_or_more(void **unused)
{
    char out[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(mu_checkpoint_folder(out, "a/b", 1200), MU_OK);
    assert_string_equal(out, "a/b/step-00001200");
    assert_int_equal(mu_checkpoint_folder(out, "a/b", 123456789012), MU_OK);
    assert_string_equal(out, "a/b/step-123456789012");
}

static void the_list_is_ascending_and_of_whole_ones(void **unused)
{
    char odd[MU_PATH_MAX];

    (void)unused;
    assert_listed(NULL, 0);
    save(300);
    save(100);
    save(200);
    lose(200, "checkpoint.h5");
    assert_int_equal(mu_path_format(odd, "%s/step-1/checkpoint.h5", root), MU_OK);
    assert_int_equal(mu_file_make_folders(odd), MU_OK); /* not a name of ours */
    assert_listed((int64_t[]){100, 300}, 2);
}

static void no_folder_is_no_checkpoint(void **unused)
{
    struct mu_checkpoint_info info;
    int64_t *steps;
    uint32_t count;

    (void)unused;
    assert_int_equal(mu_checkpoint_list("/nonexistent/checkpoints", &steps, &count), MU_OK);
    assert_int_equal(count, 0);
    free(steps);
    assert_int_equal(mu_checkpoint_find_newest("/nonexistent/checkpoints", &info), MU_NOT_FOUND);
    assert_int_equal(mu_checkpoint_find_newest(root, &info), MU_NOT_FOUND);
    assert_int_equal(
        mu_checkpoint_retain("/nonexistent/checkpoints", (struct mu_checkpoint_keep){1, 0, 0}, 100),
        MU_OK);
}

static void damaged_ones_are_passed_over(void **unused)
{
    struct mu_checkpoint_info info;
    char path[MU_PATH_MAX];

    (void)unused;
    save(100);
    save(200);
    save(300);
    lose(300, "part-00001.h5");
    path_in(path, 200, "checkpoint.h5");
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(mu_checkpoint_find_newest(root, &info), MU_OK);
    assert_int_equal(info.step, 100);
    mu_checkpoint_info_deinit(&info);
    lose(100, "part-00000.h5");
    assert_int_equal(mu_checkpoint_find_newest(root, &info), MU_NOT_FOUND);
}

static void a_folder_under_another_name_is_passed_over(void **unused)
{
    struct mu_checkpoint_info info;
    char from[MU_PATH_MAX], to[MU_PATH_MAX];

    (void)unused;
    save(100);
    save(150);
    assert_int_equal(mu_checkpoint_folder(from, root, 150), MU_OK);
    assert_int_equal(mu_checkpoint_folder(to, root, 400), MU_OK);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(mu_checkpoint_find_newest(root, &info), MU_OK);
    assert_int_equal(info.step, 100);
    mu_checkpoint_info_deinit(&info);
}

static void the_last_and_the_multiples_stay(void **unused)
{
    (void)unused;
    for (int64_t step = 100; step <= 700; step += 100)
        save(step);
    assert_int_equal(mu_checkpoint_retain(root, (struct mu_checkpoint_keep){2, 300, 400}, 700),
                     MU_OK);
    assert_listed((int64_t[]){300, 400, 600, 700}, 4);
    assert_int_equal(mu_checkpoint_retain(root, (struct mu_checkpoint_keep){1, 0, 0}, 700), MU_OK);
    assert_listed((int64_t[]){700}, 1);
    assert_false(has(300, "part-00000.h5"));
}

/* Flips one bit of a weight in the first part: whoever looks at headers only does not see it. */
static void damage_contents(int64_t step)
{
    char path[MU_PATH_MAX], folder[MU_PATH_MAX], *bytes, *at;
    struct mu_checkpoint_info info;
    size_t size;

    path_in(path, step, "part-00000.h5");
    assert_int_equal(mu_file_read(path, 1 << 24, &bytes, &size), MU_OK);
    at = memmem(bytes, size, state.weight, 16 * sizeof(float));
    assert_non_null(at);
    *at ^= 1;
    assert_int_equal(mu_file_write_atomically(path, bytes, size), MU_OK);
    free(bytes);
    assert_int_equal(mu_checkpoint_folder(folder, root, step), MU_OK);
    assert_int_equal(mu_checkpoint_read_info(folder, &info), MU_OK);
    mu_checkpoint_info_deinit(&info);
    assert_int_equal(mu_checkpoint_load(folder, &state, 0, 1, NULL), MU_CORRUPT);
    test_state_fill(&state, 1);
}

/* A run that had to go on from step 10, past a damaged step 20, saves step 15. */
static void what_was_just_saved_stays_and_a_damaged_future_goes(void **unused)
{
    char folder[MU_PATH_MAX];

    (void)unused;
    save(10);
    save(20);
    damage_contents(20);
    save(15);
    assert_int_equal(mu_checkpoint_retain(root, (struct mu_checkpoint_keep){1, 0, 0}, 15), MU_OK);
    assert_listed((int64_t[]){15}, 1);
    assert_false(has(20, "part-00000.h5"));
    assert_int_equal(mu_checkpoint_folder(folder, root, 15), MU_OK);
    assert_int_equal(mu_checkpoint_load(folder, &state, 0, 1, NULL), MU_OK);
}

static void a_future_does_not_count_as_kept(void **unused)
{
    (void)unused;
    save(10);
    save(20);
    save(30);
    save(40);
    save(25);
    assert_int_equal(mu_checkpoint_retain(root, (struct mu_checkpoint_keep){2, 40, 0}, 25), MU_OK);
    assert_listed((int64_t[]){20, 25}, 2);
}

static void leavings_go(void **unused)
{
    static const char *const leavings[] = {"part-00007.h5.tmp", "checkpoint.h5.tmp"};
    char path[MU_PATH_MAX];

    (void)unused;
    for (int64_t step = 100; step <= 400; step += 100) {
        save(step);
        for (size_t i = 0; i < 2; i++) {
            path_in(path, step, leavings[i]);
            assert_int_equal(mu_file_write_atomically(path, "x", 1), MU_OK);
        }
    }
    lose(200, "checkpoint.h5");
    lose(400, "checkpoint.h5");
    assert_int_equal(mu_checkpoint_retain(root, (struct mu_checkpoint_keep){5, 0, 0}, 300), MU_OK);
    assert_listed((int64_t[]){100, 300}, 2);
    assert_false(has(100, "part-00007.h5.tmp"));
    assert_false(has(300, "checkpoint.h5.tmp"));
    assert_false(has(200, "part-00000.h5"));
    assert_false(has(400, "part-00000.h5"));
}

static void an_unfinished_one_is_removed_but_never_a_checkpoint(void **unused)
{
    char folder[MU_PATH_MAX];

    (void)unused;
    save(100);
    assert_int_equal(mu_checkpoint_folder(folder, root, 100), MU_OK);
    assert_int_equal(mu_checkpoint_remove_unfinished(folder), MU_OK);
    assert_true(has(100, "checkpoint.h5"));
    assert_true(has(100, "part-00001.h5"));
    lose(100, "checkpoint.h5");
    assert_int_equal(mu_checkpoint_remove_unfinished(folder), MU_OK);
    assert_false(mu_file_exists(folder));
    assert_int_equal(mu_checkpoint_remove_unfinished(folder), MU_OK);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(folders_have_eight_digits_or_more),
        ROW(the_list_is_ascending_and_of_whole_ones),
        ROW(no_folder_is_no_checkpoint),
        ROW(damaged_ones_are_passed_over),
        ROW(a_folder_under_another_name_is_passed_over),
        ROW(the_last_and_the_multiples_stay),
        ROW(what_was_just_saved_stays_and_a_damaged_future_goes),
        ROW(a_future_does_not_count_as_kept),
        ROW(leavings_go),
        ROW(an_unfinished_one_is_removed_but_never_a_checkpoint),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

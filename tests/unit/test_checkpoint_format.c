/* Files that were written once, and are in the repository, can still be read: the format has
 * not changed by accident. tests/oracle/checkpoint-1/ was written by `unit-checkpoint_format
 * FOLDER`, in format 1; its contents are the formulas of test_oracle_fill. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/support/state.h"

static const int64_t step = 7;

static struct mu_layout layout;

static void format_1_is_read(void **unused)
{
    const char *source = getenv("MUSTER_SOURCE");
    struct mu_state_view expected, loaded;
    struct mu_checkpoint_info info;
    char folder[MU_PATH_MAX], root[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(mu_path_format(root, "%s/tests/oracle/checkpoint-1", source ? source : "."),
                     MU_OK);
    assert_int_equal(mu_checkpoint_folder(folder, root, step), MU_OK);
    test_oracle_layout(&layout);
    expected = test_state(&layout);
    loaded = test_state(&layout);
    test_oracle_fill(&expected);
    assert_int_equal(mu_checkpoint_load(folder, &loaded, 0, 1, NULL), MU_OK);
    assert_true(test_state_equal(&expected, &loaded));
    assert_int_equal(mu_checkpoint_read_info(folder, &info), MU_OK);
    assert_int_equal(info.parts, 2);
    assert_true(mu_hash_equal(info.state_hash, test_state_hash(&loaded, step)));
    mu_checkpoint_info_deinit(&info);
    test_state_free(&expected);
    test_state_free(&loaded);
    mu_layout_deinit(&layout);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(format_1_is_read)};
    struct mu_state_view s;

    if (argc == 1)
        return cmocka_run_group_tests(tests, NULL, NULL);
    test_oracle_layout(&layout);
    s = test_state(&layout);
    test_oracle_fill(&s);
    return mu_status_exit_code(test_save(argv[1], &s, step, 2));
}

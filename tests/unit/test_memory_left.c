/* base/memory_left: the least of what machine and control group leave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/memory_left.h"

#define TEMPLATE "/tmp/muster-memory-XXXXXX"
static char root[] = TEMPLATE;

static void put(const char *folder, const char *name, const char *text)
{
    char path[MU_PATH_MAX];
    FILE *f;

    assert_int_equal(mu_path_format(path, "%s%s", root, folder), MU_OK);
    assert_int_equal(mu_file_make_folders(path), MU_OK);
    assert_int_equal(mu_path_format(path, "%s%s/%s", root, folder, name), MU_OK);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int make_root(void **state)
{
    (void)state;
    memcpy(root, TEMPLATE, sizeof root);
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

/* Each step of it: nothing says, the machine, a group without a limit, with one, one that is full;
 * then the older kind of group. */
static void the_least_counts(void **state)
{
    (void)state;
    assert_true(mu_memory_left(root) == UINT64_MAX);
    put("/proc", "meminfo", "MemTotal:  900 kB\nMemFree:  3 kB\nMemAvailable:     500 kB\n");
    assert_int_equal(mu_memory_left(root), 512000);
    put("/sys/fs/cgroup", "memory.current", "700\n");
    put("/sys/fs/cgroup", "memory.max", "max\n");
    assert_int_equal(mu_memory_left(root), 512000);
    put("/sys/fs/cgroup", "memory.max", "1000\n");
    assert_int_equal(mu_memory_left(root), 300);
    put("/sys/fs/cgroup", "memory.max", "1000000\n");
    assert_int_equal(mu_memory_left(root), 512000);
    put("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "100\n");
    put("/sys/fs/cgroup/memory", "memory.usage_in_bytes", "40\n");
    assert_int_equal(mu_memory_left(root), 60);
    put("/sys/fs/cgroup", "memory.max", "1\n");
    assert_int_equal(mu_memory_left(root), 0);
}

/* "max", and what the older kind has instead, are no limits. */
static void the_limit_of_a_group_is_read(void **state)
{
    (void)state;
    assert_int_equal(mu_memory_limit(root), 0);
    put("/sys/fs/cgroup", "memory.max", "max\n");
    put("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(mu_memory_limit(root), 0);
    put("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "1048576\n");
    assert_int_equal(mu_memory_limit(root), 1048576);
    put("/sys/fs/cgroup", "memory.max", "4096\n");
    assert_int_equal(mu_memory_limit(root), 4096);
}

static void this_machine_has_some(void **state)
{
    (void)state;
    assert_true(mu_memory_left("") > 0);
    assert_true(mu_memory_physical() > 1 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_least_counts, make_root, remove_root),
        cmocka_unit_test_setup_teardown(the_limit_of_a_group_is_read, make_root, remove_root),
        cmocka_unit_test(this_machine_has_some),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

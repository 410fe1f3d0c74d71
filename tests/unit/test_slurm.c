/* orchestrator/slurm: what Slurm writes compressed, times, the allocation that the environment
 * tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/slurm/allocation.h"
#include "orchestrator/slurm/nodelist.h"
#include "orchestrator/slurm/submit.h"

static struct mu_ladder_host host[MU_LADDER_HOSTS];
static struct mu_slurm_allocation allocation;

static void check_nodes(const char *text, const char *expected)
{
    char all[4096] = "";
    uint32_t count;

    assert_int_equal(mu_slurm_nodes(text, host, &count), MU_OK);
    for (uint32_t i = 0; i < count; i++) {
        strcat(all, i ? " " : "");
        strcat(all, host[i].name);
    }
    assert_string_equal(all, expected);
}

static void lists_of_nodes_are_expanded(void **state)
{
    (void)state;
    check_nodes("n1", "n1");
    check_nodes("n[1-3,7]", "n1 n2 n3 n7");
    check_nodes("gpu-[08-11],login.example.org,n[3]",
                "gpu-08 gpu-09 gpu-10 gpu-11 login.example.org n3");
    check_nodes("rack[1-2]node[09-10]-ib", "rack1node09-ib rack1node10-ib rack2node09-ib "
                                           "rack2node10-ib");
}

static void mistakes_in_them_are_refused(void **state)
{
    static const char *const wrong[] = {
        "",    "n[1-", "n[1-3",    "n[]",     "n[3-1]",   "n[a]",          "n[1,]",
        "n1,", ",n1",  "n[1-300]", "n[1;2]x", "n[1-2-3]", "n[0123456789]", "[1-4294967295]"};
    uint32_t count;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mu_slurm_nodes(wrong[i], host, &count), MU_FAILED);
}

static void counts_are_expanded(void **state)
{
    uint32_t n[5];

    (void)state;
    assert_int_equal(mu_slurm_counts("2(x3),1,16", n, 5), MU_OK);
    assert_memory_equal(n, ((const uint32_t[]){2, 2, 2, 1, 16}), sizeof n);
    assert_int_equal(mu_slurm_counts("2(x3),1", n, 5), MU_FAILED);
    assert_int_equal(mu_slurm_counts("2(x6)", n, 5), MU_FAILED);
    assert_int_equal(mu_slurm_counts("2(x5", n, 5), MU_FAILED);
    assert_int_equal(mu_slurm_counts("2(x5);", n, 5), MU_FAILED);
    assert_int_equal(mu_slurm_counts("", n, 5), MU_FAILED);
}

static void times_are_read(void **state)
{
    (void)state;
    assert_int_equal(mu_slurm_seconds("4:05\n"), 245);
    assert_int_equal(mu_slurm_seconds("1:00:00"), 3600);
    assert_int_equal(mu_slurm_seconds("1-02:03:04"), 93784);
    assert_int_equal(mu_slurm_seconds("UNLIMITED"), -1);
    assert_int_equal(mu_slurm_seconds("INVALID"), -1);
    assert_int_equal(mu_submit_seconds("90"), 5400);
    assert_int_equal(mu_submit_seconds("90:30"), 5430);
    assert_int_equal(mu_submit_seconds("1:30:00"), 5400);
    assert_int_equal(mu_submit_seconds("2-1"), 176400);
    assert_int_equal(mu_submit_seconds("2-0:30"), 174600);
    assert_int_equal(mu_submit_seconds("UNLIMITED"), 0);
    assert_int_equal(mu_submit_seconds("soon"), -1);
    assert_int_equal(mu_submit_seconds("4h"), -1);
}

static void forget(void)
{
    static const char *const names[] = {
        "SLURM_JOB_ID",       "SLURM_JOB_NODELIST",  "SLURM_TASKS_PER_NODE", "SLURM_NTASKS",
        "SLURM_GPUS_ON_NODE", "SLURM_ARRAY_JOB_ID",  "SLURM_ARRAY_TASK_ID",  "SLURM_RESTART_COUNT",
        "SLURM_JOB_END_TIME", "SLURM_JOB_START_TIME"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        unsetenv(names[i]);
}

static void an_allocation_is_what_the_environment_tells(void **state)
{
    char own[200] = "", list[256], text[32];

    (void)state;
    forget();
    assert_int_equal(mu_slurm_allocation_read(&allocation), MU_OK);
    assert_false(allocation.is_there);
    gethostname(own, sizeof own - 1);
    own[strcspn(own, ".")] = 0;
    snprintf(list, sizeof list, "x[1-2],%s", own);
    setenv("SLURM_JOB_ID", "17", 1);
    setenv("SLURM_JOB_NODELIST", list, 1);
    setenv("SLURM_TASKS_PER_NODE", "4(x2),2", 1);
    setenv("SLURM_NTASKS", "10", 1);
    setenv("SLURM_GPUS_ON_NODE", "8", 1);
    setenv("SLURM_ARRAY_JOB_ID", "15", 1);
    setenv("SLURM_ARRAY_TASK_ID", "3", 1);
    setenv("SLURM_RESTART_COUNT", "2", 1);
    assert_int_equal(mu_slurm_allocation_read(&allocation), MU_OK);
    assert_true(allocation.is_there && !allocation.by_gpus);
    assert_string_equal(allocation.job, "17");
    assert_string_equal(allocation.again, "15_3");
    assert_int_equal(allocation.restarts, 2);
    assert_int_equal(allocation.hosts, 3);
    assert_string_equal(allocation.host[0].name, own);
    assert_int_equal(allocation.host[0].slots, 2);
    assert_string_equal(allocation.host[2].name, "x2");
    assert_int_equal(allocation.host[2].slots, 4);
    unsetenv("SLURM_NTASKS");
    assert_int_equal(mu_slurm_allocation_read(&allocation), MU_OK);
    assert_true(allocation.by_gpus);
    assert_int_equal(allocation.host[1].slots, 8);
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + 600);
    setenv("SLURM_JOB_END_TIME", text, 1);
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) - 3000);
    setenv("SLURM_JOB_START_TIME", text, 1);
    mu_slurm_allocation_ask(&allocation);
    assert_int_equal(allocation.length_ns / 1000000000u, 3600);
    assert_in_range((allocation.end_ns - mu_clock_ns()) / 1000000000u, 597, 601);
    forget();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_nodes_are_expanded),
        cmocka_unit_test(mistakes_in_them_are_refused),
        cmocka_unit_test(counts_are_expanded),
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(an_allocation_is_what_the_environment_tells),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

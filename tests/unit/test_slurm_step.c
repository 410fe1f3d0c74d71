/* orchestrator/slurm: ranks as a step of a job, and the GPUs of its nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/started_by.h"
#include "orchestrator/slurm/gpus.h"
#include "orchestrator/slurm/step.h"

static struct mu_slurm_allocation allocation;
static char list[MU_SLURM_GPUS_MAX];

static void an_srun_is_told_by_its_name(void **state)
{
    (void)state;
    assert_true(mu_slurm_is_srun("srun") && mu_slurm_is_srun("/opt/slurm/bin/srun"));
    assert_false(mu_slurm_is_srun(NULL) || mu_slurm_is_srun("mpirun") ||
                 mu_slurm_is_srun("/srun/mpirun") || mu_slurm_is_srun("srun-mine"));
}

/* The names are those that Slurm 22.05 and PRRTE 3 give (tried). */
static void who_started_a_rank_is_told_by_pmix(void **state)
{
    (void)state;
    setenv("SLURM_PROCID", "0", 1);
    setenv("SLURM_STEP_ID", "5", 1);
    unsetenv("PMIX_NAMESPACE");
    assert_false(mu_started_by_srun());
    setenv("PMIX_NAMESPACE", "prterun-n1-234@1", 1);
    assert_false(mu_started_by_srun());
    setenv("PMIX_NAMESPACE", "slurm.pmix.12.0", 1);
    assert_true(mu_started_by_srun());
    unsetenv("PMIX_NAMESPACE");
}

static void check_ranks(uint32_t ranks, uint32_t a, uint32_t b, uint32_t c, uint32_t used)
{
    static const struct mu_ladder_host host[] = {
        {.name = "n1", .slots = 4}, {.name = "n2", .slots = 2}, {.name = "n3", .slots = 1}};
    uint32_t of[3];

    assert_int_equal(mu_slurm_step_ranks(host, 3, ranks, of), used);
    assert_int_equal(of[0], a);
    assert_int_equal(of[1], b);
    assert_int_equal(of[2], c);
}

static void hosts_are_filled_in_order(void **state)
{
    (void)state;
    check_ranks(1, 1, 0, 0, 1);
    check_ranks(5, 4, 1, 0, 2);
    check_ranks(7, 4, 2, 1, 3);
    check_ranks(11, 6, 3, 2, 3);
}

static void write_step(const char *hosts, uint32_t ranks, struct mu_slurm_step *step, char *text,
                       size_t size)
{
    FILE *f;
    size_t n;

    assert_int_equal(mu_slurm_step_write("/tmp", hosts, ranks, step), MU_OK);
    f = fopen(step->hosts, "r");
    assert_non_null(f);
    n = fread(text, 1, size - 1, f);
    text[n] = 0;
    fclose(f);
    remove(step->hosts);
}

static void a_step_names_a_node_for_each_rank_and_asks_for_gpus(void **state)
{
    struct mu_slurm_step step;
    char text[200];

    (void)state;
    unsetenv(MU_SLURM_GPUS);
    write_step("n1:2,n3:1", 3, &step, text, sizeof text);
    assert_string_equal(text, "n1\nn1\nn3\n");
    assert_int_equal(step.nodes, 2);
    assert_string_equal(step.gpus, "");
    setenv(MU_SLURM_GPUS, "n1=2 n13=1 n3=2", 1);
    assert_int_equal(mu_slurm_gpus_of("n13"), 1);
    assert_int_equal(mu_slurm_gpus_of("n"), 0);
    write_step("n1:2,n3:1", 3, &step, text, sizeof text);
    assert_string_equal(step.gpus, "--gres=gpu:2");
    write_step("n1:2,n13:1", 3, &step, text, sizeof text);
    assert_string_equal(step.gpus, "--gpus-per-task=1");
    write_step("n1:2,n13:1", 2, &step, text, sizeof text); /* n13 has no rank */
    assert_string_equal(step.gpus, "--gres=gpu:2");
    write_step("n1:2,n13:1", 6, &step, text, sizeof text); /* two for each GPU: left to srun */
    assert_string_equal(step.gpus, "");
    unsetenv(MU_SLURM_GPUS);
}

static void allocate(bool by_gpus)
{
    static const char *const names[] = {"n1", "n2", "n3", "n10"};

    memset(&allocation, 0, sizeof allocation);
    allocation.by_gpus = by_gpus;
    for (; allocation.hosts < 4; allocation.hosts++) {
        allocation.host[allocation.hosts].slots = 4;
        snprintf(allocation.host[allocation.hosts].name, 8, "%s", names[allocation.hosts]);
    }
}

static void gpus_are_read_for_each_node(void **state)
{
    static const char text[] =
        "JobId=9 JobName=x\n   NumNodes=4 NumCPUs=4\n   TRES=cpu=4,node=4\n"
        "     Nodes=n[1-2] CPU_IDs=0-1 Mem=0 GRES=gpu:2(IDX:0,3)\n"
        "     Nodes=n3 CPU_IDs=0 Mem=0 GRES=shard:0(0/4),gpu:a100:3(IDX:0-2),gpu:v100:1(IDX:3)\n"
        "     Nodes=n10 CPU_IDs=0 Mem=0 GRES=\n   MinCPUsNode=1\n";

    (void)state;
    allocate(true);
    mu_slurm_gpus_read(&allocation, text, list);
    assert_string_equal(list, "n1=2 n2=2 n3=4 n10=0");
    assert_int_equal(allocation.hosts, 3);
    assert_int_equal(allocation.host[0].slots, 2);
    assert_int_equal(allocation.host[2].slots, 4);
    allocate(false); /* slots are tasks */
    mu_slurm_gpus_read(&allocation, text, list);
    assert_string_equal(list, "n1=2 n2=2 n3=4 n10=0");
    assert_int_equal(allocation.hosts, 4);
    assert_int_equal(allocation.host[2].slots, 4);
    allocate(true);
    mu_slurm_gpus_read(&allocation, "slurm_load_jobs error: Invalid job id specified\n", list);
    assert_int_equal(allocation.hosts, 4);
    assert_int_equal(allocation.host[3].slots, 4);
    assert_string_equal(list, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_srun_is_told_by_its_name),
        cmocka_unit_test(who_started_a_rank_is_told_by_pmix),
        cmocka_unit_test(hosts_are_filled_in_order),
        cmocka_unit_test(a_step_names_a_node_for_each_rank_and_asks_for_gpus),
        cmocka_unit_test(gpus_are_read_for_each_node),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

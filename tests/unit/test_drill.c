/* drill/cases: every fault can be given to a run, and has a name of its own. drill/read: what is
 * taken from the lines and files of runs, and the verdict on them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "orchestrator/drill/cases.h"
#include "orchestrator/drill/read.h"
#include "tests/support/run_folder.h"

static struct mu_drill_case cases[MU_DRILL_CASES];

static const struct mu_drill_case *find(int count, const char *name)
{
    for (int i = 0; i < count; i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    fail_msg("there is no case %s", name);
    return NULL;
}

static void every_fault_can_be_given(void **state)
{
    int count = mu_drill_cases(2, 12, cases);

    (void)state;
    for (int i = 0; i < count; i++) {
        const struct mu_drill_case *c = &cases[i];

        setenv("MUSTER_FAULT", c->fault, 1);
        assert_int_equal(mu_fault_init(), MU_OK);
        setenv("MUSTER_FAULT", c->fault_after, 1);
        assert_int_equal(mu_fault_init(), MU_OK);
        assert_true(c->expected > 0);
        assert_true(c->points != 0 || c->signals > 0);
        assert_true(c->at_step > 4 && c->at_step < 12); /* a checkpoint lies behind */
        for (int k = 0; k < c->signals; k++)
            assert_in_range(c->signal[k].rank, 0, c->ranks - 1);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(c->name, cases[k].name);
    }
    unsetenv("MUSTER_FAULT");
    assert_int_equal(mu_fault_init(), MU_OK);
}

static void somebody_is_left_to_go_on(void **state)
{
    int count = mu_drill_cases(2, 12, cases);

    (void)state;
    assert_int_equal(find(count, "kill-master-flip")->ranks, 2);
    assert_int_equal(find(count, "kill-two")->ranks, 3);
    assert_int_equal(find(count, "kill-five")->ranks, 6);
    assert_int_equal(find(count, "kill-worker-shrink")->ranks, 3);
    assert_string_equal(find(count, "kill-master-agree")->fault,
                        "rank:1,at:backward,do:kill,step:5;rank:0,at:agree,do:kill");
    mu_drill_cases(9, 12, cases);
    assert_int_equal(find(count, "kill-two")->ranks, 9);
    assert_string_equal(find(count, "kill-spare")->fault, "rank:8,at:flip,do:kill,step:5");
}

static void patterns_choose(void **state)
{
    const struct mu_drill_case *c = find(mu_drill_cases(4, 12, cases), "kill-worker-flip");

    (void)state;
    assert_true(mu_drill_is_meant(c, NULL));
    assert_true(mu_drill_is_meant(c, "worker"));
    assert_true(mu_drill_is_meant(c, "k*r-flip"));
    assert_true(mu_drill_is_meant(c, "stop,flip"));
    assert_false(mu_drill_is_meant(c, "stop"));
    assert_false(mu_drill_is_meant(c, "stop,"));
    assert_false(mu_drill_is_meant(c, "master-flip,flips"));
}

static void lines_are_read(void **state)
{
    static const char text[] =
        "muster[0]: a new run in /x\n"
        "muster[1]: fault at backward\n"
        "muster[0]: warning: rank 1 died (pid 16, last seen at: backward, step 6); 1 shard is "
        "computed again; 3 ranks go on after 0.015 s\n"
        "muster[2]: warning: rank 0 died (pid 5, last seen at: flip, step 7), rank 3 died (pid 6, "
        "last seen at: flip, step 7); 12 shards are computed again; rank 2 is the master now; 1 "
        "rank goes on after 0.004 s\n"
        "muster[2]: warning: rank 1 was stopped by a signal for 2.1 s in flip of step 3 and was "
        "ended by rank 0\n"
        "muster: generation 1: mpirun was killed (signal 9) at step 7; starting again with 3 ranks "
        "on 1 host (0.01 s)\n"
        "muster: generation 2 trains, 0.64 s after the end of generation 1\n"
        "muster: generation 2, parts of its start: clearing 0.001 s, mpirun 0.100 s, MPI_Init "
        "0.080 s, loading 0.019 s\n"
        "muster[0]: warning: /x/step-00000004 is damaged: it is passed over\n"
        "muster[0]: going on from step 7, which was still in memory, in /x\n";
    struct mu_drill_lines l;

    (void)state;
    mu_drill_read_lines(text, &l);
    assert_int_equal(l.hits[MU_FAULT_BACKWARD], 1);
    assert_int_equal(l.hits[MU_FAULT_FLIP], 0);
    assert_int_equal(l.repairs, 2);
    assert_true(l.repair_s == 0.015);
    assert_int_equal(l.shards_again, 13);
    assert_int_equal(l.relaunches, 1);
    assert_true(l.relaunch_s == 0.64);
    assert_true(l.start_s > 0.1999 && l.start_s < 0.2001);
    assert_true(l.fenced_s == 2.1);
    assert_int_equal(l.passed_over, 1);
    assert_int_equal(l.from, MU_DRILL_MEMORY);
}

/* A run directory with that hash, and a record of each of two steps. */
static void put_run(const char *hash, const char *loss)
{
    char path[128], text[1024];

    snprintf(path, sizeof path, "%s/status.json", root);
    snprintf(text, sizeof text,
             "{\"outcome\": \"complete\", \"steps\": 2, \"state_hash\": \"%s\", "
             "\"state_hash_step\": 2}",
             hash);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
    snprintf(path, sizeof path, "%s/metrics.jsonl", root);
    snprintf(text, sizeof text, "{\"step\": 1, \"loss\": 5.5}\n{\"step\": 2, \"loss\": %s}\n",
             loss);
    assert_int_equal(mu_file_write_atomically(path, text, strlen(text)), MU_OK);
}

static void results_are_compared(void **state)
{
    const struct mu_drill_case *c = find(mu_drill_cases(4, 12, cases), "kill-worker-flip");
    struct mu_drill_course course = {.launches = 1, .said.hits[MU_FAULT_FLIP] = 1};
    struct mu_drill_result whole;

    (void)state;
    put_run("ab", "5.25");
    mu_drill_read_result(root, &whole);
    assert_true(whole.complete);
    assert_int_equal(whole.steps, 2);
    assert_int_equal(mu_drill_count_records(root), 2);
    course.result = whole;
    assert_int_equal(mu_drill_judge(c, &course, &whole), MU_DRILL_SURVIVED);
    course.said.hits[MU_FAULT_FLIP] = 0;
    assert_int_equal(mu_drill_judge(c, &course, &whole), MU_DRILL_NOT_REACHED);

    put_run("ab", "5.2500000000000009");
    mu_drill_read_result(root, &course.result);
    assert_int_equal(mu_drill_judge(c, &course, &whole), MU_DRILL_DIFFERS);
    put_run("ac", "5.25");
    mu_drill_read_result(root, &course.result);
    assert_int_equal(mu_drill_judge(c, &course, &whole), MU_DRILL_DIFFERS);
    course.exit_code = 1;
    assert_int_equal(mu_drill_judge(c, &course, &whole), MU_DRILL_NOT_COMPLETE);
    course.late = true;
    assert_int_equal(mu_drill_judge(c, &course, &whole), MU_DRILL_TOO_LATE);
}

static void a_fault_counts_when_all_of_it_happened(void **state)
{
    int count = mu_drill_cases(4, 12, cases);
    struct mu_drill_result whole = {.complete = true, .hash = "ab", .steps = 12};
    struct mu_drill_course course = {.launches = 1, .result = whole};

    (void)state;
    course.said.hits[MU_FAULT_BACKWARD] = 1; /* the first death, and nobody dies in its repair */
    assert_int_equal(mu_drill_judge(find(count, "kill-worker-shrink"), &course, &whole),
                     MU_DRILL_NOT_REACHED);
    course.said.hits[MU_FAULT_SHRINK] = 1;
    assert_int_equal(mu_drill_judge(find(count, "kill-worker-shrink"), &course, &whole),
                     MU_DRILL_SURVIVED);
    course.sent = 1;
    assert_int_equal(mu_drill_judge(find(count, "stop-and-kill"), &course, &whole),
                     MU_DRILL_NOT_REACHED);
    assert_int_equal(mu_drill_judge(find(count, "kill-mpirun"), &course, &whole),
                     MU_DRILL_NOT_REACHED); /* it was complete by then */
    course.said.repairs = 1;                /* of all ranks, one was too quick */
    assert_int_equal(mu_drill_judge(find(count, "kill-all"), &course, &whole),
                     MU_DRILL_NOT_REACHED);
    assert_int_equal(mu_drill_judge(find(count, "stop-worker"), &course, &whole),
                     MU_DRILL_SURVIVED);
    course.said.relaunches = 1;
    assert_int_equal(mu_drill_judge(find(count, "kill-mpirun"), &course, &whole),
                     MU_DRILL_SURVIVED);
    assert_int_equal(mu_drill_judge(find(count, "torn-checkpoint"), &course, &whole),
                     MU_DRILL_NOT_REACHED); /* nobody has noticed */
    course.said.passed_over = 1;
    assert_int_equal(mu_drill_judge(find(count, "torn-checkpoint"), &course, &whole),
                     MU_DRILL_SURVIVED);
}

static void rungs_and_times_are_told(void **state)
{
    struct mu_drill_result whole = {.shards_redone = 8};
    struct mu_drill_course course = {.launches = 1, .result.shards_redone = 8};

    (void)state;
    assert_string_equal(mu_drill_rung(&course), "-");
    assert_true(mu_drill_repair_s(&course) < 0);
    assert_int_equal(mu_drill_shards_again(&course, &whole), 0);
    course.said.repairs = 1;
    course.said.repair_s = 0.015;
    course.result.shards_redone = 10;
    assert_string_equal(mu_drill_rung(&course), "R1 in the job");
    assert_true(mu_drill_repair_s(&course) == 0.015);
    assert_int_equal(mu_drill_shards_again(&course, &whole), 2);
    course.result.shards_redone = 0; /* the ledger went with the master */
    course.said.shards_again = 3;
    assert_int_equal(mu_drill_shards_again(&course, &whole), 3);
    course.said.fenced_s = 2;
    assert_true(mu_drill_repair_s(&course) == 2);
    course.said.relaunches = 1;
    assert_true(mu_drill_repair_s(&course) < 0); /* not seen */
    course.said.relaunch_s = 2.5;
    course.said.from = MU_DRILL_MEMORY;
    assert_string_equal(mu_drill_rung(&course), "R3 from memory");
    assert_true(mu_drill_repair_s(&course) == 2.5);
    course.requeued = true;
    course.said.from = MU_DRILL_CHECKPOINT;
    assert_string_equal(mu_drill_rung(&course), "R4 by checkpoint");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_fault_can_be_given),
        cmocka_unit_test(somebody_is_left_to_go_on),
        cmocka_unit_test(patterns_choose),
        cmocka_unit_test(lines_are_read),
        cmocka_unit_test_setup_teardown(results_are_compared, make_root, remove_root),
        cmocka_unit_test(a_fault_counts_when_all_of_it_happened),
        cmocka_unit_test(rungs_and_times_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

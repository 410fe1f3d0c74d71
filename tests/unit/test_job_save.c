/* orchestrator/master/job_save: a save as a job of one rank makes it. A save that fails leaves
 * nothing that fills the disk; one that was published is saved, whatever fails afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/master/job.h"
#include "tests/support/fake_comm.h"
#include "tests/support/state.h"

static char root[MU_PATH_MAX];
static struct mu_job *job;
static struct mu_poller poller;
static struct mu_workload workload;
static struct mu_device device;         /* that nothing is wrong with */
static struct mu_segment_header header; /* step 0 in half 0 */

static int setup(void **unused)
{
    struct mu_tensor_spec specs[] = {test_spec("w", 8, 16)};
    char journal[MU_PATH_MAX];
    uint32_t generation;

    (void)unused;
    test_folder_make(root);
    fake_open(1, 1, 0);
    job = calloc(1, sizeof *job);
    if (!job || mu_layout_init(&workload.layout, specs, 1) != MU_OK ||
        mu_path_format(job->checkpoints, "%s/checkpoints", root) != MU_OK ||
        mu_path_format(journal, "%s/journal", root) != MU_OK ||
        mu_file_make_folders(journal) != MU_OK ||
        mu_journal_open(journal, &job->journal, &generation) != MU_OK)
        return -1;
    job->comm = fake_comm(0);
    job->poller = &poller;
    mu_poller_init(job->poller, job->comm, NULL);
    job->control = mu_control_init(job->comm, job->poller, 1, 20000);
    job->life.state = MU_LIFE_RUNNING;
    job->saved_step = -1;
    job->is_master = true;
    job->roll.size = 1;
    job->workload = &workload;
    job->device = &device;
    job->worker.segment = &job->segment;
    job->segment.header = &header;
    job->segment.half[0] = test_state(&workload.layout);
    test_state_fill(&job->segment.half[0], 1);
    job->settings.checkpoint_keep = 1;
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    unsetenv("MUSTER_FAULT");
    mu_journal_close(job->journal);
    test_state_free(&job->segment.half[0]);
    mu_layout_deinit(&workload.layout);
    free(job);
    fake_close();
    return mu_fault_init() == MU_OK && mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

static enum mu_status save(int64_t step)
{
    job->life.step = step;
    return mu_job_save(job, test_state_hash(&job->segment.half[0], step));
}

/* A name in the folder of a step's checkpoint; "": the folder itself. */
static bool has(int64_t step, const char *name)
{
    char folder[MU_PATH_MAX], path[MU_PATH_MAX];

    assert_int_equal(mu_checkpoint_folder(folder, job->checkpoints, step), MU_OK);
    assert_int_equal(mu_path_format(path, "%s/%s", folder, name), MU_OK);
    return mu_file_exists(path);
}

static void a_save_that_fails_leaves_no_folder(void **unused)
{
    static const char *const faults[] = {"at:save-disk,step:20,do:fail",
                                         "at:publish,step:20,do:fail"};

    (void)unused;
    assert_int_equal(save(10), MU_OK);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        setenv("MUSTER_FAULT", faults[i], 1);
        assert_int_equal(mu_fault_init(), MU_OK);
        assert_int_equal(save(20), MU_FAILED);
        assert_int_equal(job->saved_step, 10);
        assert_int_equal(job->life.state, MU_LIFE_RUNNING);
        assert_false(has(20, ""));
        assert_true(has(10, "checkpoint.h5"));
    }
    assert_int_equal(save(30), MU_OK);
    assert_int_equal(job->saved_step, 30);
    assert_false(has(10, ""));
}

/* Somebody's file where a folder was to be made. */
static void what_is_in_the_way_is_not_harmed(void **unused)
{
    char folder[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(mu_file_make_folders(job->checkpoints), MU_OK);
    assert_int_equal(mu_checkpoint_folder(folder, job->checkpoints, 10), MU_OK);
    assert_int_equal(mu_file_write_atomically(folder, "x", 1), MU_OK);
    assert_int_not_equal(save(10), MU_OK);
    assert_int_equal(access(folder, F_OK), 0);
}

/* Where a folder of an older checkpoint is due stands a file: retention fails. */
static void what_cannot_be_removed_does_not_undo_a_save(void **unused)
{
    char path[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(mu_file_make_folders(job->checkpoints), MU_OK);
    assert_int_equal(mu_checkpoint_folder(path, job->checkpoints, 5), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, "x", 1), MU_OK);
    assert_int_not_equal(
        mu_checkpoint_retain(job->checkpoints, (struct mu_checkpoint_keep){1, 0, 0}, 10), MU_OK);
    assert_int_equal(save(10), MU_OK);
    assert_int_equal(job->saved_step, 10);
    assert_true(has(10, "checkpoint.h5"));
}

/* Files may not grow beyond what the journal has already; a checkpoint is smaller. */
static void a_journal_that_cannot_grow_does_not_undo_a_save(void **unused)
{
    enum { FILLING = 1 << 18 };
    static char filling[FILLING];
    struct rlimit was, limit;

    (void)unused;
    memset(filling, ' ', FILLING - 1);
    memcpy(filling, "{}", 2);
    for (int i = 0; i < 4; i++)
        assert_int_equal(mu_journal_append(job->journal, MU_JOURNAL_EVENT, filling), MU_OK);
    assert_int_equal(save(10), MU_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    limit = (struct rlimit){4 * FILLING, was.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    assert_int_equal(mu_journal_append(job->journal, MU_JOURNAL_EVENT, "{}"), MU_FAILED);
    assert_int_equal(save(20), MU_OK);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(job->saved_step, 20);
    assert_true(has(20, "checkpoint.h5"));
    assert_false(has(10, "")); /* retention follows nonetheless */
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(a_save_that_fails_leaves_no_folder),
        ROW(what_is_in_the_way_is_not_harmed),
        ROW(what_cannot_be_removed_does_not_undo_a_save),
        ROW(a_journal_that_cannot_grow_does_not_undo_a_save),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* orchestrator/master/resume: which checkpoint a run goes on from, and what it knows of its data.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <unistd.h>

#include "orchestrator/master/resume.h"
#include "tests/support/state.h"

static char root[MU_PATH_MAX];
static struct mu_job *job;

static int setup(void **unused)
{
    (void)unused;
    test_folder_make(root);
    job = calloc(1, sizeof *job);
    if (!job || mu_path_format(job->checkpoints, "%s/checkpoints", root) != MU_OK)
        return -1;
    job->settings.model_kind = MU_MODEL_GPT2;
    snprintf(job->settings.data_train, sizeof job->settings.data_train, "%.1000s/train.bin", root);
    return 0;
}

static int teardown(void **unused)
{
    (void)unused;
    free(job);
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

/* A file of llm.c's: header of 256 int32, one token of 16 bits. */
static void put_data(uint8_t token)
{
    int32_t header[256] = {20240520, 1, 1};
    uint8_t file[1026] = {0};

    memcpy(file, header, sizeof header);
    file[1024] = token;
    assert_int_equal(mu_file_write_atomically(job->settings.data_train, file, sizeof file), MU_OK);
}

static void assert_note(const char *expected)
{
    char *note;

    assert_int_equal(mu_resume_note_write(job, &note), MU_OK);
    assert_string_equal(note, expected);
    free(note);
}

static enum mu_status next(struct mu_resume_candidates *c)
{
    char folder[MU_PATH_MAX];
    struct mu_hash hash;
    int64_t step;

    return mu_resume_candidates_next(c, job, &step, folder, &hash);
}

/* What is saved names the data that the job has mapped, also when the file goes or is replaced. */
static void data_are_identified_once(void **unused)
{
    struct mu_resume_candidates none = {0};
    char expected[128];

    (void)unused;
    put_data(1);
    assert_int_equal(next(&none), MU_NOT_FOUND);
    assert_int_equal(strlen(job->data_identity.text), 32);
    job->tokens = 42;
    snprintf(expected, sizeof expected, "{\"tokens\":42,\"data_train\":\"%s\"}",
             job->data_identity.text);
    assert_note(expected);
    put_data(2);
    assert_int_equal(mu_resume_identify_data(job), MU_OK);
    assert_note(expected);
    assert_int_equal(unlink(job->settings.data_train), 0);
    assert_note(expected);
}

/* "Not found" would begin the run again from nothing; "damaged" would pass on to older ones. */
static void data_that_cannot_be_read_say_nothing_of_checkpoints(void **unused)
{
    struct mu_resume_candidates none = {0};

    (void)unused;
    assert_int_equal(next(&none), MU_CONFIG);
    assert_int_equal(mu_file_write_atomically(job->settings.data_train, "x", 1), MU_OK);
    assert_int_equal(next(&none), MU_CONFIG);
}

static void the_synthetic_workload_has_no_data(void **unused)
{
    (void)unused;
    job->settings.model_kind = MU_MODEL_SYNTHETIC;
    assert_int_equal(mu_resume_identify_data(job), MU_OK);
    assert_note("{\"tokens\":0,\"data_train\":\"\"}");
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(data_are_identified_once),
        ROW(data_that_cannot_be_read_say_nothing_of_checkpoints),
        ROW(the_synthetic_workload_has_no_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

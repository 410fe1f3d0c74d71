/* orchestrator/master/resume: which checkpoint a run goes on from, and what it knows of its
 * data. */
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

static int64_t step;
static struct mu_hash hash;

static enum mu_status next(struct mu_resume_candidates *c)
{
    char folder[MU_PATH_MAX];

    return mu_resume_candidates_next(c, job, &step, folder, &hash);
}

static struct mu_hash hash_of(int64_t of_step)
{
    return (struct mu_hash){7, (uint64_t)of_step};
}

/* A checkpoint whose note is `note`, or, when it is NULL, as this job would write it. */
static void save(int64_t of_step, const char *note)
{
    struct mu_tensor_spec specs[] = {test_spec("w", 8, 16)};
    struct mu_checkpoint_info info = {
        .step = of_step, .parts = 1, .state_hash = hash_of(of_step), .fingerprint = "a CPU"};
    struct mu_layout layout;
    struct mu_state_view state;
    char folder[MU_PATH_MAX];

    assert_int_equal(mu_layout_init(&layout, specs, 1), MU_OK);
    state = test_state(&layout);
    if (note)
        info.journal = strdup(note);
    else
        assert_int_equal(mu_resume_note_write(job, &info.journal), MU_OK);
    assert_int_equal(mu_checkpoint_folder(folder, job->checkpoints, of_step), MU_OK);
    assert_int_equal(mu_file_make_folders(folder), MU_OK);
    assert_int_equal(mu_checkpoint_write_part(folder, &state, of_step, 0, 1, NULL), MU_OK);
    assert_int_equal(mu_checkpoint_publish(folder, &layout, &info, NULL), MU_OK);
    free(info.journal);
    test_state_free(&state);
    mu_layout_deinit(&layout);
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

/* Tokens of each are told with it, and belong to the job only when it was loaded. */
static void candidates_come_from_the_newest_down(void **unused)
{
    struct mu_resume_candidates c;

    (void)unused;
    put_data(1);
    assert_int_equal(mu_resume_identify_data(job), MU_OK);
    for (int64_t s = 10; s <= 30; s += 10) {
        job->tokens = (uint64_t)s * 100;
        save(s, NULL);
    }
    job->tokens = 5;
    assert_int_equal(mu_resume_candidates_find(&c, job->checkpoints), MU_OK);
    for (int64_t s = 30; s >= 10; s -= 10) {
        assert_int_equal(next(&c), MU_OK);
        assert_int_equal(step, s);
        assert_int_equal(c.tokens, s * 100);
        assert_int_equal(job->tokens, 5);
        assert_true(mu_hash_equal(hash, hash_of(s)));
    }
    /* All were refused by whoever loaded them: to begin again would remove them. */
    assert_int_equal(next(&c), MU_FAILED);
    assert_int_equal(c.tokens, 0);
    mu_resume_candidates_free(&c);
}

static void what_cannot_be_read_passes_on_to_the_older_one(void **unused)
{
    static const char *const notes[] = {"",
                                        "{",
                                        "[]",
                                        "{}",
                                        "{\"tokens\":1}",
                                        "{\"tokens\":-1,\"data_train\":\"\"}",
                                        "{\"tokens\":\"1\",\"data_train\":\"\"}"};
    struct mu_resume_candidates c;
    char from[MU_PATH_MAX], to[MU_PATH_MAX];

    (void)unused;
    job->settings.model_kind = MU_MODEL_SYNTHETIC;
    save(10, "{\"tokens\":77,\"data_train\":\"\"}");
    for (size_t i = 0; i < sizeof notes / sizeof *notes; i++)
        save(20 + (int64_t)i, notes[i]);
    save(40, NULL); /* under the name of another step */
    assert_int_equal(mu_checkpoint_folder(from, job->checkpoints, 40), MU_OK);
    assert_int_equal(mu_checkpoint_folder(to, job->checkpoints, 50), MU_OK);
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(mu_resume_candidates_find(&c, job->checkpoints), MU_OK);
    assert_int_equal(c.left, 2 + sizeof notes / sizeof *notes);
    assert_int_equal(next(&c), MU_OK);
    assert_int_equal(step, 10);
    assert_int_equal(c.tokens, 77);
    mu_resume_candidates_free(&c);
}

static void other_data_are_refused(void **unused)
{
    struct mu_resume_candidates c;

    (void)unused;
    save(10, "{\"tokens\":1,\"data_train\":\"0123456789abcdef0123456789abcdef\"}");
    put_data(1);
    assert_int_equal(mu_resume_candidates_find(&c, job->checkpoints), MU_OK);
    assert_int_equal(next(&c), MU_CONFIG);
    mu_resume_candidates_free(&c);
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(data_are_identified_once),
        ROW(data_that_cannot_be_read_say_nothing_of_checkpoints),
        ROW(the_synthetic_workload_has_no_data),
        ROW(candidates_come_from_the_newest_down),
        ROW(what_cannot_be_read_passes_on_to_the_older_one),
        ROW(other_data_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is saved is loaded; what is missing, foreign, cut short or damaged is named and refused; a
 * save that fails leaves what was there before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/fault.h"
#include "tests/support/state.h"

struct fixture {
    char root[MU_PATH_MAX], folder[MU_PATH_MAX], said[8192];
    struct mu_layout layout;
    struct mu_state_view saved, loaded;
    int stderr_was;
};
static struct fixture f;

/* Three parts of step 100 in root/step-00000100. "short" has fewer rows than there are parts. */
static int setup(void **unused)
{
    struct mu_tensor_spec specs[] = {test_spec("wte.weight", 40, 100), test_spec("short", 2, 700),
                                     test_spec("ln.bias", 1, 65)};

    (void)unused;
    test_folder_make(f.root);
    if (mu_checkpoint_folder(f.folder, f.root, 100) != MU_OK ||
        mu_layout_init(&f.layout, specs, 3) != MU_OK)
        return -1;
    f.saved = test_state(&f.layout);
    f.loaded = test_state(&f.layout);
    test_state_fill(&f.saved, 3);
    return test_save(f.root, &f.saved, 100, 3) == MU_OK ? 0 : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    test_state_free(&f.saved);
    test_state_free(&f.loaded);
    mu_layout_deinit(&f.layout);
    unsetenv("MUSTER_FAULT");
    return mu_fault_init() == MU_OK && mu_file_remove_tree(f.root) == MU_OK ? 0 : -1;
}

/* stderr goes to f.said until listen_end. */
static void listen_begin(void)
{
    char path[MU_PATH_MAX];
    int fd;

    assert_int_equal(mu_path_format(path, "%s/said", f.root), MU_OK);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    f.stderr_was = dup(STDERR_FILENO);
    assert_true(fd >= 0 && f.stderr_was >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    close(fd);
}

static void listen_end(void)
{
    ssize_t n = pread(STDERR_FILENO, f.said, sizeof f.said - 1, 0);

    assert_true(n >= 0 && dup2(f.stderr_was, STDERR_FILENO) >= 0);
    close(f.stderr_was);
    f.said[n] = 0;
}

static enum mu_status load_all(void)
{
    enum mu_status st;

    listen_begin();
    st = mu_checkpoint_load(f.folder, &f.loaded, 0, 1, NULL);
    listen_end();
    return st;
}

static void assert_said(const char *words)
{
    if (!strstr(f.said, words))
        fail_msg("expected '%s' in: %s", words, f.said);
}

static void in_folder(char out[MU_PATH_MAX], const char *name)
{
    assert_int_equal(mu_path_format(out, "%s/%s", f.folder, name), MU_OK);
}

static void info_comes_back(void **unused)
{
    struct mu_checkpoint_info info;
    struct mu_tensor_spec *specs;
    uint32_t count;

    (void)unused;
    assert_int_equal(mu_checkpoint_read_info(f.folder, &info), MU_OK);
    assert_int_equal(info.step, 100);
    assert_int_equal(info.parts, 3);
    assert_int_equal(info.layout_identity, mu_layout_identity(&f.layout));
    assert_true(mu_hash_equal(info.state_hash, test_state_hash(&f.saved, 100)));
    assert_string_equal(info.fingerprint, "a CPU");
    assert_string_equal(info.config, "model: { kind = \"synthetic\"; }; run: { steps = 7; };\n");
    assert_string_equal(info.journal, "{\"tokens\":42}");
    assert_non_null(strstr(info.written, mu_checkpoint_library_version()));
    mu_checkpoint_info_deinit(&info);
    assert_int_equal(mu_checkpoint_read_index(f.folder, &info, &specs, &count), MU_OK);
    assert_int_equal(info.step, 100);
    mu_checkpoint_info_deinit(&info);
    assert_int_equal(count, 3);
    assert_string_equal(specs[1].name, "short");
    assert_int_equal(specs[1].rows, 2);
    assert_int_equal(specs[1].cols, 700);
    free(specs);
}

static void a_share_gets_its_rows_and_no_others(void **unused)
{
    const struct mu_tensor *t = &f.layout.tensors[0];
    uint64_t first = 40 * 2 / 7, end = 40 * 3 / 7;

    (void)unused;
    assert_int_equal(mu_checkpoint_load(f.folder, &f.loaded, 2, 7, NULL), MU_OK);
    for (uint64_t row = 0; row < 40; row++) {
        bool mine = row >= first && row < end;
        static const float zero[100];

        assert_memory_equal(f.loaded.weight + t->offset + row * 100,
                            mine ? f.saved.weight + t->offset + row * 100 : zero,
                            100 * sizeof(float));
    }
}

static void arrays_that_are_not_wanted_are_left_out(void **unused)
{
    struct mu_state_view weights = {.layout = &f.layout, .weight = f.loaded.weight};

    (void)unused;
    assert_int_equal(mu_checkpoint_load(f.folder, &weights, 0, 1, NULL), MU_OK);
    assert_memory_equal(f.loaded.weight, f.saved.weight, f.layout.elements * sizeof(float));
}

static void a_missing_part_is_named(void **unused)
{
    struct mu_checkpoint_info info;
    char path[MU_PATH_MAX];

    (void)unused;
    in_folder(path, "part-00001.h5");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(load_all(), MU_CORRUPT);
    assert_said("part-00001.h5: the file is missing");
    listen_begin();
    assert_int_equal(mu_checkpoint_read_info(f.folder, &info), MU_CORRUPT);
    listen_end();
    assert_said("part-00001.h5");
}

static void a_part_of_another_step_is_named(void **unused)
{
    char other[MU_PATH_MAX], from[MU_PATH_MAX], to[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(test_save(f.root, &f.saved, 90, 3), MU_OK);
    assert_int_equal(mu_checkpoint_folder(other, f.root, 90), MU_OK);
    assert_int_equal(mu_path_format(from, "%s/part-00002.h5", other), MU_OK);
    in_folder(to, "part-00002.h5");
    assert_int_equal(rename(from, to), 0);
    assert_int_equal(load_all(), MU_CORRUPT);
    assert_said("part-00002.h5 is part 2 of 3 of step 90; expected part 2 of 3 of step 100");
}

static void a_part_cut_short_is_named(void **unused)
{
    static const int permille[] = {0, 1, 100, 500, 900, 999};
    char path[MU_PATH_MAX], whole[MU_PATH_MAX], command[3 * MU_PATH_MAX];
    struct stat s;

    (void)unused;
    in_folder(path, "part-00001.h5");
    in_folder(whole, "whole");
    assert_int_equal(rename(path, whole), 0);
    assert_int_equal(stat(whole, &s), 0);
    snprintf(command, sizeof command, "cp %s %s", whole, path);
    for (size_t i = 0; i < sizeof permille / sizeof *permille; i++) {
        assert_int_equal(system(command), 0);
        assert_int_equal(truncate(path, s.st_size * permille[i] / 1000), 0);
        assert_int_equal(load_all(), MU_CORRUPT);
        assert_said("part-00001.h5");
    }
    assert_int_equal(rename(whole, path), 0);
    assert_int_equal(load_all(), MU_OK);
    assert_true(test_state_equal(&f.saved, &f.loaded));
}

/* Finds 16 bytes of a state array in a part and flips one bit in them. */
static void damage(const char *part, const void *bytes)
{
    char path[MU_PATH_MAX], *data, *at;
    size_t size;

    in_folder(path, part);
    assert_int_equal(mu_file_read(path, 1 << 24, &data, &size), MU_OK);
    at = memmem(data, size, bytes, 16);
    assert_non_null(at);
    at[7] ^= 1;
    assert_int_equal(mu_file_write_atomically(path, data, size), MU_OK);
    free(data);
}

static void a_damaged_tensor_is_named(void **unused)
{
    (void)unused;
    damage("part-00002.h5", f.saved.m + f.layout.tensors[1].offset + 700);
    assert_int_equal(load_all(), MU_CORRUPT);
    assert_said("part-00002.h5: /adam_m/short is damaged: rows 1 to 1");
    /* The first row is in another part, and whole. */
    assert_int_equal(mu_checkpoint_load(f.folder, &f.loaded, 0, 2, NULL), MU_OK);
}

static void damaged_predictions_are_named(void **unused)
{
    (void)unused;
    damage("part-00000.h5", f.saved.prediction);
    assert_int_equal(load_all(), MU_CORRUPT);
    assert_said("part-00000.h5: /predictions/wte.weight is damaged: rows 0 to 12");
}

static void another_model_is_refused(void **unused)
{
    struct mu_tensor_spec specs[] = {test_spec("wte.weight", 40, 100), test_spec("short", 2, 701),
                                     test_spec("ln.bias", 1, 65)};
    struct mu_layout other;
    struct mu_state_view view = {.layout = &other};

    (void)unused;
    assert_int_equal(mu_layout_init(&other, specs, 3), MU_OK);
    listen_begin();
    assert_int_equal(mu_checkpoint_load(f.folder, &view, 0, 1, NULL), MU_CONFIG);
    listen_end();
    assert_said("tensor 1 is short (2 x 700), the model's is short (2 x 701)");
    mu_layout_deinit(&other);
    assert_int_equal(mu_layout_init(&other, specs, 1), MU_OK);
    listen_begin();
    assert_int_equal(mu_checkpoint_load(f.folder, &view, 0, 1, NULL), MU_CONFIG);
    listen_end();
    assert_said("it has 3 tensors, the model has 1; short is in one only");
    mu_layout_deinit(&other);
}

static void publishing_needs_all_parts(void **unused)
{
    struct mu_checkpoint_info info = {.step = 100, .parts = 4};
    char path[MU_PATH_MAX];

    (void)unused;
    in_folder(path, "checkpoint.h5");
    assert_int_equal(unlink(path), 0);
    listen_begin();
    assert_int_equal(mu_checkpoint_publish(f.folder, &f.layout, &info, NULL), MU_CORRUPT);
    listen_end();
    assert_false(mu_file_exists(path));
    assert_int_equal(mu_checkpoint_read_info(f.folder, &info), MU_NOT_FOUND);
}

static void set_fault(const char *text)
{
    setenv("MUSTER_FAULT", text, 1);
    assert_int_equal(mu_fault_init(), MU_OK);
}

/* The folder of step 200 is not a checkpoint, that of step 100 is as it was. */
static void assert_only_the_old_one(void)
{
    struct mu_checkpoint_info info;

    assert_int_equal(mu_checkpoint_find_newest(f.root, &info), MU_OK);
    assert_int_equal(info.step, 100);
    mu_checkpoint_info_deinit(&info);
    assert_int_equal(mu_checkpoint_load(f.folder, &f.loaded, 0, 1, NULL), MU_OK);
    assert_true(test_state_equal(&f.saved, &f.loaded));
}

static void failures_on_request_keep_the_old_one(void **unused)
{
    static const char *const faults[] = {
        "at:save-disk,step:200,do:fail,count:5",
        "at:save,step:200,do:fail",
        "at:publish,step:200,do:fail",
    };

    (void)unused;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        set_fault(faults[i]);
        listen_begin();
        assert_int_equal(test_save(f.root, &f.saved, 200, 2), MU_FAILED);
        listen_end();
        assert_said(i == 0 ? "No space left on device" : "on request");
        assert_only_the_old_one();
    }
    set_fault("at:load,do:fail");
    assert_int_equal(load_all(), MU_FAILED);
}

/* The rank that saves is killed where it hurts; the next one starts over. */
static void a_kill_keeps_the_old_one(void **unused)
{
    static const char *const faults[] = {"at:save-disk,do:kill", "at:save,do:kill",
                                         "at:save,do:kill,count:1", "at:publish,do:kill"};
    char folder[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(mu_checkpoint_folder(folder, f.root, 200), MU_OK);
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        int status = 0;
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            set_fault(faults[i]);
            _exit(test_save(f.root, &f.saved, 200, 2) == MU_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_only_the_old_one();
        assert_true(mu_file_exists(folder));
        assert_int_equal(mu_checkpoint_retain(f.root, (struct mu_checkpoint_keep){1, 0, 0}, 100),
                         MU_OK);
        assert_false(mu_file_exists(folder));
        assert_only_the_old_one();
    }
    assert_int_equal(test_save(f.root, &f.saved, 200, 2), MU_OK);
}

/* A limit on the size of files fails writes inside the library wherever it is set, as a full disk
 * would: the first pages, in the midst of a tensor, when closing. */
static void a_real_failure_to_write_keeps_the_old_one(void **unused)
{
    struct rlimit was, limit;
    struct stat s;
    char path[MU_PATH_MAX];
    int failed = 0;

    (void)unused;
    in_folder(path, "part-00000.h5");
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    signal(SIGXFSZ, SIG_IGN);
    for (off_t bytes = 0; bytes < s.st_size; bytes += s.st_size / 17) {
        char folder[MU_PATH_MAX];
        enum mu_status st;

        assert_int_equal(mu_checkpoint_folder(folder, f.root, 200), MU_OK);
        assert_int_equal(mu_file_make_folders(folder), MU_OK);
        limit = (struct rlimit){(rlim_t)bytes, was.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        listen_begin();
        st = mu_checkpoint_write_part(folder, &f.saved, 200, 0, 3, NULL);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
        listen_end();
        assert_int_equal(st, MU_FAILED);
        failed++;
        assert_int_equal(rmdir(folder), 0); /* nothing was left in it */
        assert_only_the_old_one();
    }
    assert_true(failed >= 17);
    assert_int_equal(test_save(f.root, &f.saved, 200, 3), MU_OK);
}

static void saving_a_step_again_replaces_it(void **unused)
{
    char path[MU_PATH_MAX];

    (void)unused;
    test_state_fill(&f.saved, 77);
    assert_int_equal(test_save(f.root, &f.saved, 100, 2), MU_OK);
    in_folder(path, "part-00002.h5"); /* of the save before, by three */
    assert_false(mu_file_exists(path));
    assert_int_equal(load_all(), MU_OK);
    assert_true(test_state_equal(&f.saved, &f.loaded));
}

int main(void)
{
#define ROW(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        ROW(info_comes_back),
        ROW(a_share_gets_its_rows_and_no_others),
        ROW(arrays_that_are_not_wanted_are_left_out),
        ROW(a_missing_part_is_named),
        ROW(a_part_of_another_step_is_named),
        ROW(a_part_cut_short_is_named),
        ROW(a_damaged_tensor_is_named),
        ROW(damaged_predictions_are_named),
        ROW(another_model_is_refused),
        ROW(publishing_needs_all_parts),
        ROW(failures_on_request_keep_the_old_one),
        ROW(a_kill_keeps_the_old_one),
        ROW(a_real_failure_to_write_keeps_the_old_one),
        ROW(saving_a_step_again_replaces_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

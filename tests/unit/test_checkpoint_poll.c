/* A rank that saves or loads still answers: the poll is asked between slices of work, a disk that
 * is slow to sync does not keep it, and a poll that fails ends everything at once, without a file
 * that looks whole and is not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "tests/support/state.h"

enum { SLICE = 1 << 18, PIECE = 1 << 20, MB = 1 << 20 };

/* fsync as the test wants it. */
static _Atomic int sync_ms, sync_error, syncs_begun, syncs_ended;
int fsync(int fd);
int fsync(int fd)
{
    (void)fd;
    atomic_fetch_add(&syncs_begun, 1);
    mu_clock_sleep_us((unsigned)sync_ms * 1000u);
    atomic_fetch_add(&syncs_ended, 1);
    errno = sync_error;
    return sync_error ? -1 : 0;
}

static struct asking {
    uint64_t calls, fail_at,
        after; /* fail_at: the number of the call; 0: none. after: more calls */
} asked;

static enum mu_status ask(void *context)
{
    struct asking *a = context;

    a->calls++;
    if (a->fail_at && a->calls > a->fail_at)
        a->after++;
    return a->fail_at && a->calls >= a->fail_at ? MU_REVOKED : MU_OK;
}
static const struct mu_checkpoint_poll poll = {ask, &asked};

static char root[MU_PATH_MAX], folder[MU_PATH_MAX];
static struct mu_layout layout;
static struct mu_state_view saved, loaded;

static int begin(uint64_t rows, uint64_t cols)
{
    struct mu_tensor_spec specs[] = {test_spec("wte.weight", rows, cols),
                                     test_spec("ln.bias", 1, 65)};

    sync_ms = sync_error = syncs_begun = syncs_ended = 0;
    asked = (struct asking){0};
    test_folder_make(root);
    if (mu_checkpoint_folder(folder, root, 100) != MU_OK || mu_file_make_folders(folder) != MU_OK ||
        mu_layout_init(&layout, specs, 2) != MU_OK)
        return -1;
    saved = test_state(&layout);
    loaded = test_state(&layout);
    return 0;
}

static int small(void **unused)
{
    (void)unused;
    if (begin(400, 1000) != 0)
        return -1;
    test_state_fill(&saved, 3);
    return 0;
}

/* 64 MB of weights and moments. */
static int large(void **unused)
{
    (void)unused;
    return begin(64 * MB / 12 / 1024 + 1, 1024);
}

static int end(void **unused)
{
    (void)unused;
    for (int i = 0; i < 500 && syncs_ended < syncs_begun; i++)
        mu_clock_sleep_us(10000); /* those that nobody waits for */
    test_state_free(&saved);
    test_state_free(&loaded);
    mu_layout_deinit(&layout);
    return mu_file_remove_tree(root) == MU_OK ? 0 : -1;
}

/* How many names stand in the folder; "has" tells of one. */
static int names(const char *name, bool *has)
{
    struct dirent *entry;
    DIR *dir = opendir(folder);
    int n = 0;

    *has = false;
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        n += entry->d_name[0] != '.';
        *has |= strcmp(entry->d_name, name) == 0;
    }
    closedir(dir);
    return n;
}

static enum mu_status publish(const struct mu_checkpoint_poll *p)
{
    struct mu_checkpoint_info info = {.step = 100, .parts = 1};

    return mu_checkpoint_publish(folder, &layout, &info, p);
}

static void it_is_asked_in_every_slice(void **unused)
{
    (void)unused;
    assert_int_equal(mu_checkpoint_write_part(folder, &saved, 100, 0, 1, &poll), MU_OK);
    assert_true(asked.calls >= 64 * MB / SLICE);
    assert_int_equal(publish(NULL), MU_OK);
    asked.calls = 0;
    assert_int_equal(mu_checkpoint_load(folder, &loaded, 0, 1, &poll), MU_OK);
    assert_true(asked.calls >= 64 * MB / PIECE);
}

/* At each call in turn, until one is so late that the work ends before it. */
static void a_failing_poll_leaves_no_part(void **unused)
{
    enum mu_status st = MU_REVOKED;
    int before_it_stood = 0;

    (void)unused;
    for (uint64_t k = 1; st != MU_OK; k++) {
        bool stands;
        int n;

        asked = (struct asking){.fail_at = k};
        st = mu_checkpoint_write_part(folder, &saved, 100, 0, 1, &poll);
        assert_int_equal(st, asked.calls >= k ? MU_REVOKED : MU_OK);
        assert_int_equal(asked.after, 0);
        n = names("part-00000.h5", &stands);
        assert_int_equal(n, stands); /* and nothing beside it */
        before_it_stood += !stands;
        if (stands) { /* named when it was whole already */
            assert_int_equal(publish(NULL), MU_OK);
            assert_int_equal(mu_checkpoint_load(folder, &loaded, 0, 1, NULL), MU_OK);
            assert_true(test_state_equal(&saved, &loaded));
            assert_int_equal(mu_file_remove_tree(folder), MU_OK);
            assert_int_equal(mu_file_make_folders(folder), MU_OK);
        }
    }
    assert_true(before_it_stood >= 4 * 1200 * 1000 / SLICE);
}

static void a_failing_poll_publishes_nothing(void **unused)
{
    enum mu_status st = MU_REVOKED;

    (void)unused;
    assert_int_equal(mu_checkpoint_write_part(folder, &saved, 100, 0, 1, NULL), MU_OK);
    for (uint64_t k = 1; st != MU_OK; k++) {
        struct mu_checkpoint_info info;
        bool stands;
        int n;

        asked = (struct asking){.fail_at = k};
        st = publish(&poll);
        assert_int_equal(st, asked.calls >= k ? MU_REVOKED : MU_OK);
        assert_int_equal(asked.after, 0);
        n = names("checkpoint.h5", &stands);
        assert_int_equal(n, 1 + stands);
        assert_int_equal(mu_checkpoint_read_info(folder, &info), stands ? MU_OK : MU_NOT_FOUND);
        mu_checkpoint_info_deinit(&info);
    }
    assert_true(asked.calls > 8); /* the views of two tensors at the least */
}

static void a_failing_poll_ends_loading(void **unused)
{
    enum mu_status st = MU_REVOKED;
    uint64_t k;

    (void)unused;
    assert_int_equal(mu_checkpoint_write_part(folder, &saved, 100, 0, 1, NULL), MU_OK);
    assert_int_equal(publish(NULL), MU_OK);
    for (k = 1; st != MU_OK; k++) {
        asked = (struct asking){.fail_at = k};
        st = mu_checkpoint_load(folder, &loaded, 0, 1, &poll);
        assert_int_equal(st, asked.calls >= k ? MU_REVOKED : MU_OK);
        assert_int_equal(asked.after, 0);
    }
    assert_true(test_state_equal(&saved, &loaded));
    assert_true(k > 6); /* three arrays of two pieces */
}

static void a_slow_disk_is_waited_for_with_polls(void **unused)
{
    (void)unused;
    sync_ms = 100;
    assert_int_equal(mu_file_sync_polling(folder, ask, &asked), MU_OK);
    assert_true(asked.calls >= 20);
    assert_int_equal(syncs_ended, 1);
    /* A failing poll does not wait. */
    sync_ms = 300;
    asked = (struct asking){.fail_at = 1};
    assert_int_equal(mu_file_sync_polling(folder, ask, &asked), MU_REVOKED);
    assert_int_equal(asked.calls, 1);
    assert_int_equal(syncs_ended, 1);
}

/* Its name is gone at once; who reads it goes on; a missing one is no error, a folder is. */
static void a_file_is_removed(void **unused)
{
    char path[MU_PATH_MAX], text[8];
    FILE *reader;

    (void)unused;
    assert_int_equal(mu_path_format(path, "%s/file", root), MU_OK);
    assert_int_equal(mu_file_remove(path), MU_OK);
    assert_int_equal(mu_file_write_atomically(path, "read me", 7), MU_OK);
    reader = fopen(path, "re");
    assert_non_null(reader);
    assert_int_equal(mu_file_remove(path), MU_OK);
    assert_false(mu_file_exists(path));
    assert_int_equal(fread(text, 1, sizeof text, reader), 7);
    fclose(reader);
    assert_int_equal(mu_file_remove(root), MU_FAILED);
    assert_true(mu_file_exists(root));
}

static void what_the_disk_says_comes_back(void **unused)
{
    char missing[MU_PATH_MAX];
    bool stands;

    (void)unused;
    sync_error = EIO;
    assert_int_equal(mu_file_sync_polling(folder, ask, &asked), MU_FAILED);
    assert_int_equal(mu_checkpoint_write_part(folder, &saved, 100, 0, 1, &poll), MU_FAILED);
    assert_int_equal(names("part-00000.h5", &stands), 0);
    assert_int_equal(mu_path_format(missing, "%s/missing", root), MU_OK);
    assert_int_equal(mu_file_sync_polling(missing, ask, &asked), MU_FAILED);
}

int main(void)
{
#define SMALL(test) cmocka_unit_test_setup_teardown(test, small, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_is_asked_in_every_slice, large, end),
        SMALL(a_failing_poll_leaves_no_part),
        SMALL(a_failing_poll_publishes_nothing),
        SMALL(a_failing_poll_ends_loading),
        SMALL(a_slow_disk_is_waited_for_with_polls),
        SMALL(a_file_is_removed),
        SMALL(what_the_disk_says_comes_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

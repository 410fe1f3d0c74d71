/* A checkpoint that comes by in pieces is the one that was saved, hash included; a piece that is
 * damaged is told, and what follows it still comes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "tests/support/state.h"
#include "worker/checkpoint/reader.h"

struct fixture {
    char root[MU_PATH_MAX], folder[MU_PATH_MAX], said[4096];
    int lines; /* of errors */
    struct mu_layout layout;
    struct mu_state_view state;
};
static struct fixture f;

static void hear(void *context, enum mu_log_level level, const char *text)
{
    (void)context;
    assert_int_equal(level, MU_LOG_ERROR);
    f.lines++;
    snprintf(f.said, sizeof f.said, "%s", text);
}

static int setup(void **unused)
{
    (void)unused;
    test_folder_make(f.root);
    if (!test_pieces_layout(&f.layout))
        return -1;
    f.state = test_state(&f.layout);
    test_state_fill(&f.state, 3);
    f.lines = 0;
    mu_log_set_taker(hear, NULL);
    return test_save(f.root, &f.state, 100, 3) == MU_OK &&
                   mu_checkpoint_folder(f.folder, f.root, 100) == MU_OK
               ? 0
               : -1;
}

static int teardown(void **unused)
{
    (void)unused;
    mu_log_set_taker(NULL, NULL);
    test_state_free(&f.state);
    mu_layout_deinit(&f.layout);
    return mu_file_remove_tree(f.root) == MU_OK ? 0 : -1;
}

static void all_numbers_come_in_order(void **unused)
{
    struct mu_checkpoint_reader *r;
    struct mu_state_hasher h;

    (void)unused;
    assert_int_equal(mu_checkpoint_reader_open(f.folder, &r), MU_OK);
    assert_int_equal(mu_state_hasher_open(&h, mu_checkpoint_reader_layout(r)), MU_OK);
    for (uint32_t t = 0; t < 3; t++)
        for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++) {
            const struct mu_tensor *tensor = &f.layout.tensors[t];
            struct mu_checkpoint_piece p;
            uint64_t rows = 0;

            mu_checkpoint_reader_begin(r, t, a);
            for (;;) {
                assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_OK);
                if (p.rows.count == 0)
                    break;
                assert_int_equal(p.rows.first, rows);
                assert_true(p.size <= MU_PIECE_BYTES);
                assert_memory_equal(p.bytes, mu_array_row(a, &f.state, tensor, rows), p.size);
                mu_state_hasher_take(&h, p.bytes, p.size);
                rows += p.rows.count;
            }
            assert_int_equal(rows, tensor->spec.rows);
        }
    assert_true(mu_hash_equal(mu_state_hasher_finish(&h, 100), test_state_hash(&f.state, 100)));
    mu_state_hasher_close(&h);
    mu_checkpoint_reader_close(r);
}

/* Where these bytes lie in a file. */
static off_t find_bytes(int fd, const void *bytes, size_t size)
{
    struct stat s;
    char *all;
    off_t at = -1;

    assert_int_equal(fstat(fd, &s), 0);
    all = malloc((size_t)s.st_size);
    assert_non_null(all);
    assert_int_equal(pread(fd, all, (size_t)s.st_size, 0), s.st_size);
    for (off_t i = 0; at < 0 && i + (off_t)size <= s.st_size; i++)
        if (memcmp(all + i, bytes, size) == 0)
            at = i;
    free(all);
    return at;
}

/* Part 1 has rows 233 to 465 of wte, in one piece. */
static void a_flipped_byte_is_told_by_its_place(void **unused)
{
    const float *row = f.state.v + f.layout.tensors[0].offset + 300 * 1000;
    struct mu_checkpoint_reader *r;
    struct mu_checkpoint_piece p;
    char path[MU_PATH_MAX];
    uint8_t byte;
    off_t at;
    int fd;

    (void)unused;
    assert_int_equal(mu_part_path(path, f.folder, 1), MU_OK);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    at = find_bytes(fd, row, 64);
    assert_true(at > 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 4;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);

    assert_int_equal(mu_checkpoint_reader_open(f.folder, &r), MU_OK);
    mu_checkpoint_reader_begin(r, 0, MU_ARRAY_V);
    assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_OK);
    assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_CORRUPT);
    assert_int_equal(p.part, 1);
    assert_int_equal(p.rows.first, 233);
    assert_int_equal(p.rows.count, 233);
    assert_null(p.bytes);
    assert_int_equal(f.lines, 1);
    assert_non_null(strstr(f.said, "part-00001.h5: /adam_v/wte is damaged: rows 233 to 465"));
    assert_non_null(strstr(f.said, "block 0"));
    assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_OK);
    assert_int_equal(p.rows.first, 466);
    assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_OK);
    assert_int_equal(p.rows.count, 0);
    mu_checkpoint_reader_close(r);
}

static void a_missing_part_is_told_once(void **unused)
{
    struct mu_checkpoint_reader *r;
    struct mu_checkpoint_piece p;
    char path[MU_PATH_MAX];

    (void)unused;
    assert_int_equal(mu_part_path(path, f.folder, 0), MU_OK);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mu_checkpoint_reader_open(f.folder, &r), MU_OK);
    for (enum mu_array a = 0; a < MU_ARRAY_COUNT; a++) {
        mu_checkpoint_reader_begin(r, 0, a);
        assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_CORRUPT);
        assert_int_equal(p.rows.count, 233);
        assert_int_equal(mu_checkpoint_reader_next(r, &p), MU_OK);
        assert_int_equal(p.part, 1);
    }
    assert_int_equal(f.lines, 1);
    mu_checkpoint_reader_close(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_numbers_come_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_flipped_byte_is_told_by_its_place, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_part_is_told_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

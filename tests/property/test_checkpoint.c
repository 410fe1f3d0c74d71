/* For any shapes, any number of writers and any number of readers: what is loaded is, bit for bit,
 * what was saved, the state hash is the same, and one flipped bit in a part's data is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/support/seed.h"
#include "tests/support/state.h"

enum { CASES = 25, STEP = 1200 };
static uint64_t drawn;

static uint64_t draw(uint64_t below)
{
    struct mu_rng_words w = mu_rng_draw(seed, MU_RNG_ORDER, 7, drawn++);

    return mu_rng_below(below, w.w[0], w.w[1]);
}

static void draw_layout(struct mu_layout *layout)
{
    struct mu_tensor_spec specs[6];
    uint32_t count = 1 + (uint32_t)draw(6);

    for (uint32_t i = 0; i < count; i++) {
        char name[32];
        uint64_t rows = draw(3) == 0 ? 1 : 1 + draw(40);

        snprintf(name, sizeof name, "h.%u.weight", i);
        specs[i] = test_spec(name, rows, 1 + draw(draw(4) == 0 ? 20000 : 700));
    }
    assert_int_equal(mu_layout_init(layout, specs, count), MU_OK);
}

static void n_writers_m_readers(void **unused)
{
    char root[MU_PATH_MAX], folder[MU_PATH_MAX];

    (void)unused;
    test_folder_make(root);
    assert_int_equal(mu_checkpoint_folder(folder, root, STEP), MU_OK);
    for (int i = 0; i < CASES; i++) {
        uint32_t writers = 1 + (uint32_t)draw(9), readers = 1 + (uint32_t)draw(9);
        struct mu_layout layout;
        struct mu_state_view saved, loaded;

        draw_layout(&layout);
        saved = test_state(&layout);
        loaded = test_state(&layout);
        test_state_fill(&saved, seed + (uint64_t)i);
        assert_int_equal(test_save(root, &saved, STEP, writers), MU_OK);
        for (uint32_t r = readers; r-- > 0;)
            assert_int_equal(mu_checkpoint_load(folder, &loaded, r, readers, NULL), MU_OK);
        assert_true(test_state_equal(&saved, &loaded));
        assert_true(mu_hash_equal(test_state_hash(&saved, STEP), test_state_hash(&loaded, STEP)));
        test_state_free(&saved);
        test_state_free(&loaded);
        mu_layout_deinit(&layout);
        assert_int_equal(mu_file_remove_tree(folder), MU_OK);
    }
    assert_int_equal(mu_file_remove_tree(root), MU_OK);
}

static void flip(const char *path, uint64_t bit)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
    byte ^= (uint8_t)(1u << bit % 8);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
    close(fd);
}

/* Any bit of any file: either it is refused, or it meant nothing and what is loaded is right. */
static void a_flipped_bit_never_loads_wrong(void **unused)
{
    char root[MU_PATH_MAX], folder[MU_PATH_MAX], path[MU_PATH_MAX];
    struct mu_tensor_spec specs[] = {test_spec("wte", 37, 300), test_spec("bias", 1, 511)};
    struct mu_layout layout;
    struct mu_state_view saved, loaded;
    int refused = 0;

    (void)unused;
    test_folder_make(root);
    assert_int_equal(mu_checkpoint_folder(folder, root, STEP), MU_OK);
    assert_int_equal(mu_layout_init(&layout, specs, 2), MU_OK);
    saved = test_state(&layout);
    loaded = test_state(&layout);
    test_state_fill(&saved, seed);
    assert_int_equal(test_save(root, &saved, STEP, 2), MU_OK);
    for (int i = 0; i < 150; i++) {
        static const char *const files[] = {"part-00000.h5", "part-00001.h5", "checkpoint.h5"};
        struct stat file;
        uint64_t bit;

        snprintf(path, sizeof path, "%.4000s/%s", folder, files[draw(3)]);
        assert_int_equal(stat(path, &file), 0);
        bit = draw((uint64_t)file.st_size * 8);
        flip(path, bit);
        if (mu_checkpoint_load(folder, &loaded, 0, 1, NULL) != MU_OK)
            refused++;
        else if (!test_state_equal(&saved, &loaded))
            fail_msg("bit %llu of %s was flipped, and other numbers were loaded",
                     (unsigned long long)bit, path);
        flip(path, bit);
    }
    /* Two files in three are numbers nearly all over. */
    assert_true(refused > 60);
    assert_int_equal(mu_checkpoint_load(folder, &loaded, 0, 1, NULL), MU_OK);
    test_state_free(&saved);
    test_state_free(&loaded);
    mu_layout_deinit(&layout);
    assert_int_equal(mu_file_remove_tree(root), MU_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(n_writers_m_readers),
        cmocka_unit_test(a_flipped_bit_never_loads_wrong),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

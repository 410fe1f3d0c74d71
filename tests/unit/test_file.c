/* base/file: whole files in and out, renames, folders, and removal that follows no link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "orchestrator/base/log.h"
#include "tests/support/run_folder.h"

/* A path inside `root`; four of them live at a time. */
static const char *at(const char *name)
{
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", root, name);
    return path;
}

static void put(const char *name, const char *content)
{
    assert_int_equal(mu_file_write_atomically(at(name), content, strlen(content)), MU_OK);
}

static void assert_content(const char *name, const char *expected)
{
    char *text;
    size_t size;

    assert_int_equal(mu_file_read(at(name), 1 << 20, &text, &size), MU_OK);
    assert_int_equal(size, strlen(expected));
    assert_string_equal(text, expected);
    free(text);
}

static int entries(const char *name)
{
    DIR *folder = opendir(at(name));
    int n = 0;

    assert_non_null(folder);
    while (readdir(folder))
        n++;
    closedir(folder);
    return n - 2;
}

static void what_is_written_is_read(void **state)
{
    (void)state;
    assert_int_equal(mu_file_write_durably(at("a"), "one", 3), MU_OK);
    assert_content("a", "one");
    assert_int_equal(mu_file_write_durably(at("a"), "", 0), MU_OK);
    assert_content("a", "");
    put("a", "three");
    assert_content("a", "three");
    assert_int_equal(entries(""), 1); /* nothing beside it is left */
}

static void a_file_from_the_future_is_not_young(void **state)
{
    struct stat file = {0};

    (void)state;
    file.st_mtime = time(NULL);
    assert_true(mu_file_is_young(&file, 2));
    file.st_mtime -= 60;
    assert_false(mu_file_is_young(&file, 2));
    assert_true(mu_file_is_young(&file, 3600));
    file.st_mtime += 3600; /* of before the clock was set back by an hour */
    assert_false(mu_file_is_young(&file, 2));
    assert_false(mu_file_is_young(&file, 60));
}

static void large_files_are_whole(void **state)
{
    const size_t size = 5 << 20;
    char *data = malloc(size), *back;
    size_t got;

    (void)state;
    assert_non_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    assert_int_equal(mu_file_write_durably(at("large"), data, size), MU_OK);
    assert_int_equal(mu_file_read(at("large"), size, &back, &got), MU_OK);
    assert_int_equal(got, size);
    assert_memory_equal(back, data, size);
    assert_int_equal(back[size], 0);
    free(back);
    free(data);
}

/* A reader that has the file open goes on reading what it was. */
static void readers_keep_the_old_content(void **state)
{
    char text[8] = "";
    int fd;

    (void)state;
    put("a", "old");
    fd = open(at("a"), O_RDONLY);
    put("a", "new");
    assert_int_equal(read(fd, text, sizeof text), 3);
    assert_string_equal(text, "old");
    close(fd);
    assert_content("a", "new");
}

static void what_cannot_be_read_is_told(void **state)
{
    char *text = (char *)1;
    size_t size = 1;

    (void)state;
    assert_int_equal(mu_file_read(at("missing"), 10, &text, &size), MU_NOT_FOUND);
    assert_null(text);
    assert_int_equal(size, 0);
    put("a", "12345");
    assert_int_equal(mu_file_read(at("a"), 4, &text, &size), MU_FAILED);
    assert_null(text);
    assert_int_equal(mu_file_read(at("a"), 5, &text, &size), MU_OK);
    free(text);
    assert_int_equal(mu_file_read(root, 10, &text, &size), MU_FAILED); /* a folder */
    assert_int_equal(mu_file_read(at("a/b"), 10, &text, &size), MU_FAILED);
}

static void a_write_that_fails_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(mu_file_write_durably(at("no/such/folder"), "x", 1), MU_FAILED);
    assert_int_equal(mu_file_make_folders(at("folder/inside")), MU_OK);
    assert_int_equal(mu_file_write_durably(at("folder"), "x", 1), MU_FAILED);
    assert_int_equal(entries(""), 1);
    assert_int_equal(mu_file_write_atomically(at("folder"), "x", 1), MU_FAILED);
    assert_int_equal(entries(""), 1);
    assert_int_equal(entries("folder"), 1);
}

static void renames_replace(void **state)
{
    (void)state;
    put("from", "new");
    put("to", "old");
    assert_int_equal(mu_file_rename_durably(at("from"), at("to")), MU_OK);
    assert_content("to", "new");
    assert_false(mu_file_exists(at("from")));
    assert_int_equal(mu_file_rename_durably(at("from"), at("to")), MU_FAILED);
    assert_content("to", "new");
}

static void relative_names_and_syncs(void **state)
{
    char before[MU_PATH_MAX];

    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(root), 0);
    assert_int_equal(mu_file_write_durably("here", "x", 1), MU_OK);
    assert_int_equal(mu_file_sync("here"), MU_OK);
    assert_int_equal(mu_file_sync_folder("."), MU_OK);
    assert_int_equal(mu_file_sync_folder("here"), MU_FAILED);
    assert_int_equal(mu_file_sync("there"), MU_FAILED);
    assert_int_equal(chdir(before), 0);
    assert_content("here", "x");
}

static void assert_above(const char *path, const char *expected)
{
    char up[MU_PATH_MAX];

    snprintf(up, sizeof up, "%s", path);
    mu_path_go_up(up);
    assert_string_equal(up, expected);
}

static void folders_above_are_found(void **state)
{
    char nearest[MU_PATH_MAX];

    (void)state;
    assert_above("a/b", "a");
    assert_above("b", ".");
    assert_above("/b", "/");
    mu_path_find_nearest(nearest, at("none/of/these"));
    assert_string_equal(nearest, root);
    mu_path_find_nearest(nearest, root);
    assert_string_equal(nearest, root);
    mu_path_find_nearest(nearest, "nowhere/at/all");
    assert_string_equal(nearest, ".");
    put("file", "");
    mu_path_find_nearest(nearest, at("file/x")); /* no folder can be there */
    assert_string_equal(nearest, at("file/x"));
}

static void folders_are_made_as_mkdir_p_does(void **state)
{
    (void)state;
    assert_int_equal(mu_file_make_folders(at("a/b/c")), MU_OK);
    assert_int_equal(mu_file_make_folders(at("a/b/c")), MU_OK);
    assert_int_equal(mu_file_make_folders(at("a/b/d/")), MU_OK);
    assert_int_equal(mu_file_make_folders("/"), MU_OK);
    assert_int_equal(entries("a/b"), 2);
}

static void a_file_is_no_folder(void **state)
{
    (void)state;
    put("a", "x");
    assert_int_equal(mu_file_make_folders(at("a")), MU_FAILED);
    assert_int_equal(mu_file_make_folders(at("a/b")), MU_FAILED);
    assert_int_equal(mu_file_make_folders(""), MU_FAILED);
    assert_int_equal(symlink("nowhere", at("dangling")), 0);
    assert_int_equal(mu_file_make_folders(at("dangling")), MU_FAILED);
    assert_content("a", "x");
}

static void a_link_to_a_folder_is_one(void **state)
{
    (void)state;
    assert_int_equal(mu_file_make_folders(at("real")), MU_OK);
    assert_int_equal(symlink("real", at("link")), 0);
    assert_int_equal(mu_file_make_folders(at("link")), MU_OK);
    assert_int_equal(mu_file_make_folders(at("link/b")), MU_OK);
    assert_int_equal(entries("real"), 1);
}

static void trees_are_removed_whole(void **state)
{
    (void)state;
    assert_int_equal(mu_file_make_folders(at("tree/a/b/c")), MU_OK);
    put("tree/1", "x");
    put("tree/a/2", "x");
    put("tree/a/b/.hidden", "x");
    assert_int_equal(mu_file_remove_tree(at("tree")), MU_OK);
    assert_false(mu_file_exists(at("tree")));
    assert_int_equal(mu_file_remove_tree(at("tree")), MU_OK);
    put("single", "x");
    assert_int_equal(mu_file_remove_tree(at("single")), MU_OK);
    assert_false(mu_file_exists(at("single")));
}

static void removal_follows_no_link(void **state)
{
    (void)state;
    assert_int_equal(mu_file_make_folders(at("kept/inside")), MU_OK);
    assert_int_equal(mu_file_make_folders(at("tree/deep")), MU_OK);
    put("kept/precious", "x");
    assert_int_equal(symlink("../kept", at("tree/to-folder")), 0);
    assert_int_equal(symlink("../../kept/precious", at("tree/deep/to-file")), 0);
    assert_int_equal(symlink("nowhere", at("tree/dangling")), 0);
    assert_int_equal(symlink(".", at("tree/self")), 0);
    assert_int_equal(mu_file_remove_tree(at("tree")), MU_OK);
    assert_int_equal(symlink("kept", at("link")), 0);
    assert_int_equal(mu_file_remove_tree(at("link")), MU_OK); /* the link itself */
    assert_int_equal(symlink("kept", at("link")), 0);
    assert_int_equal(mu_file_remove_tree(at("link/")), MU_OK);
    assert_content("kept/precious", "x");
    assert_int_equal(entries("kept"), 2);
    assert_int_equal(entries(""), 1);
}

static void long_paths_are_refused(void **state)
{
    char out[MU_PATH_MAX];

    (void)state;
    assert_int_equal(mu_path_format(out, "%*s", MU_PATH_MAX - 1, "x"), MU_OK);
    assert_int_equal(strlen(out), MU_PATH_MAX - 1);
    assert_int_equal(mu_path_format(out, "%*s", MU_PATH_MAX, "x"), MU_FAILED);
}

static void a_full_disk_is_an_error(void **state)
{
    int fd = open("/dev/full", O_WRONLY);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(mu_file_write_all(fd, "x", 1, "/dev/full"), MU_FAILED);
    close(fd);
}

static int quiet(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return 0;
}

#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_FOLDER(what_is_written_is_read),
        IN_A_FOLDER(large_files_are_whole),
        IN_A_FOLDER(readers_keep_the_old_content),
        IN_A_FOLDER(what_cannot_be_read_is_told),
        IN_A_FOLDER(a_write_that_fails_leaves_nothing),
        IN_A_FOLDER(renames_replace),
        IN_A_FOLDER(relative_names_and_syncs),
        IN_A_FOLDER(folders_above_are_found),
        IN_A_FOLDER(folders_are_made_as_mkdir_p_does),
        IN_A_FOLDER(a_file_is_no_folder),
        IN_A_FOLDER(a_link_to_a_folder_is_one),
        IN_A_FOLDER(trees_are_removed_whole),
        IN_A_FOLDER(removal_follows_no_link),
        cmocka_unit_test(a_file_from_the_future_is_not_young),
        cmocka_unit_test(long_paths_are_refused),
        cmocka_unit_test(a_full_disk_is_an_error),
    };

    return cmocka_run_group_tests(tests, quiet, NULL);
}

/* worker/board, its file: a start clears what the dead left, and touches neither a living job's
 * board nor what somebody else has put in its place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/stat.h>

#include "tests/support/board_rank.h"
#include "worker/shm_file.h"

static void boards_of_dead_jobs_are_removed(void **state)
{
    char other[80];
    struct mu_board *b;
    struct child c;

    (void)state;
    snprintf(other, sizeof other, "%s-dead", job);
    c = start_rank(other, 0);
    assert_true(board_exists(other));
    kill_rank(c);
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_false(board_exists(other));
    mu_board_close(b);
}

static void boards_of_living_jobs_are_kept(void **state)
{
    char other[80];
    struct mu_board *b;
    struct child dead, alive;

    (void)state;
    snprintf(other, sizeof other, "%s-alive", job);
    dead = start_rank(other, 0);
    alive = start_rank(other, 1);
    kill_rank(dead);
    assert_int_equal(mu_board_open(&b), MU_OK);
    assert_true(board_exists(other));
    mu_board_close(b);
    leave_orderly(alive);
    assert_false(board_exists(other));
}

/* A job whose first rank holds the board and has not yet written itself on it, however long that
 * takes. */
static void a_board_being_made_is_kept(void **state)
{
    static const size_t bytes = MU_BOARD_RANKS * sizeof(struct mu_board_entry);
    const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    char other[80];
    struct mu_board *b;
    int fd;

    (void)state;
    snprintf(other, sizeof other, "%s-young", job);
    assert_int_equal(mu_shm_file_open(board_name(other), O_CREAT | O_EXCL, &fd), 0);
    assert_int_equal(mu_shm_file_reserve(fd, bytes), 0);
    assert_int_equal(futimens(fd, long_ago), 0);
    assert_int_equal(mu_board_open(&b), MU_OK);
    mu_board_close(b);
    assert_true(board_exists(other));
    close(fd); /* killed */
    assert_int_equal(mu_board_open(&b), MU_OK);
    mu_board_close(b);
    assert_false(board_exists(other));
}

static void it_is_for_this_user_only(void **state)
{
    struct mu_board *b;
    struct stat s;
    mode_t before = umask(0);
    int fd;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    umask(before);
    fd = shm_open(board_name(job), O_RDWR, 0);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &s), 0);
    assert_int_equal(s.st_mode & 07777, 0600);
    assert_int_equal(s.st_size, MU_BOARD_RANKS * sizeof(struct mu_board_entry));
    close(fd);
    mu_board_close(b);
}

/* Whoever plants a link under the name gets neither a board nor a changed file. */
static void a_planted_link_is_not_followed(void **state)
{
    char target[64], link[96], content[8] = "";
    struct mu_board *b;
    FILE *f;

    (void)state;
    snprintf(target, sizeof target, "/dev/shm/muster-test-target-%ld", (long)getpid());
    snprintf(link, sizeof link, "/dev/shm%s", board_name(job));
    f = fopen(target, "w");
    assert_non_null(f);
    fputs("mine", f);
    fclose(f);
    assert_int_equal(symlink(target, link), 0);
    assert_int_equal(mu_board_open(&b), MU_FAILED);
    assert_null(b);
    f = fopen(target, "r");
    assert_non_null(f);
    assert_int_equal(fread(content, 1, sizeof content, f), 4);
    fclose(f);
    assert_string_equal(content, "mine");
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(target), 0);
}

/* Nor is a link among the boards of dead jobs; it is left alone. */
static void a_link_among_stale_boards_is_left_alone(void **state)
{
    char other[80], link[96];
    struct child c;
    struct mu_board *b;
    struct stat s;

    (void)state;
    snprintf(other, sizeof other, "%s-target", job);
    c = start_rank(other, 0);
    snprintf(link, sizeof link, "/dev/shm/muster-%u-link.board", (unsigned)geteuid());
    assert_int_equal(symlink(board_name(other) + 1, link), 0);
    assert_int_equal(mu_board_open(&b), MU_OK);
    mu_board_close(b);
    assert_int_equal(lstat(link, &s), 0);
    assert_int_equal(unlink(link), 0);
    leave_orderly(c);
}

static void anothers_board_is_refused(void **state)
{
    struct mu_board *b;
    int fd;

    (void)state;
    if (geteuid() != 0) {
        print_message("only root can make another user's file\n");
        skip();
    }
    fd = shm_open(board_name(job), O_RDWR | O_CREAT | O_EXCL, 0666);
    assert_true(fd >= 0);
    assert_int_equal(fchown(fd, 65534, 65534), 0);
    close(fd);
    assert_int_equal(mu_board_open(&b), MU_FAILED);
    assert_null(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_A_BOARD(boards_of_dead_jobs_are_removed),
        ON_A_BOARD(boards_of_living_jobs_are_kept),
        ON_A_BOARD(a_board_being_made_is_kept),
        ON_A_BOARD(it_is_for_this_user_only),
        ON_A_BOARD(a_planted_link_is_not_followed),
        ON_A_BOARD(a_link_among_stale_boards_is_left_alone),
        ON_A_BOARD(anothers_board_is_refused),
    };

    return cmocka_run_group_tests(tests, quiet, NULL);
}

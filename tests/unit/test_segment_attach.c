/* worker/segment, the others' part: they attach from processes of their own to what their leader
 * has made, to no other generation's, and to nothing that is not theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/support/own_segment.h"

/* A rank in a process of its own: attaches, reads what the leader wrote, writes into its own sum.
 * Exit code: the status, or 100 when it did not find what was to be there. */
static pid_t start_follower(struct mu_segment_options o, uint32_t rank)
{
    pid_t pid = fork();

    if (pid == 0) {
        struct mu_segment s;
        enum mu_status st = mu_segment_open(&s, &o);

        if (st != MU_OK)
            _exit((int)st);
        if (s.half[1].m[5] != 2.5f || memcmp(s.header->magic, "MUSTERS3", 8) != 0)
            _exit(100);
        s.sum[rank].dense[7] = (int32_t)rank + 1000;
        mu_segment_close(&s, false);
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static int exit_code_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void all_ranks_share_it(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;
    pid_t pid[RANKS];

    (void)state;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[1].m[5] = 2.5f;
    for (uint32_t r = 1; r < RANKS; r++)
        pid[r] = start_follower(options_of(false), r);
    for (uint32_t r = 1; r < RANKS; r++) {
        assert_int_equal(exit_code_of(pid[r]), MU_OK);
        assert_int_equal(s.sum[r].dense[7], 1000 + r);
    }
    assert_true(exists()); /* they took only themselves away */
    mu_segment_close(&s, true);
}

/* The others may come first; and what an earlier generation left under the name, even of the right
 * size, is not what they wait for. */
static void followers_wait_for_their_generation(void **state)
{
    struct mu_segment_options old = options_of(true), o = options_of(true);
    struct mu_segment dead, s;
    pid_t pid;

    (void)state;
    old.generation = GENERATION - 1;
    assert_int_equal(mu_segment_open(&dead, &old), MU_OK);
    dead.half[1].m[5] = 9;
    pid = start_follower(options_of(false), 1);
    mu_clock_sleep_us(20000);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    kill(pid, SIGSTOP); /* it is to look when 2.5 is there */
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[1].m[5] = 2.5f;
    kill(pid, SIGCONT);
    assert_int_equal(exit_code_of(pid), MU_OK);
    assert_int_equal(s.sum[1].dense[7], 1001);
    assert_true(dead.half[1].m[5] == 9 && dead.sum[1].dense[7] == 0); /* left alone */
    mu_segment_close(&dead, false);
    mu_segment_close(&s, true);
    assert_false(exists());
}

static enum mu_status attach_in_vain(void)
{
    struct mu_segment_options o = options_of(false);
    struct mu_segment s;
    enum mu_status st;

    o.deadline_ms = 20;
    st = mu_segment_open(&s, &o);
    assert_null(s.header);
    assert_null(s.sum);
    return st;
}

static void waiting_ends_with_the_deadline(void **state)
{
    (void)state;
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
}

static void waiting_ends_when_a_rank_dies(void **state)
{
    (void)state;
    poll_says = MU_PEER_LOST;
    assert_int_equal(attach_in_vain(), MU_PEER_LOST);
}

static void another_generation_is_not_attached(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    o.generation = GENERATION + 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    mu_segment_close(&s, true);
}

/* The right generation made otherwise: refused at once, not waited for. */
static void another_shape_is_refused(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_layout same_size = layout;
    struct mu_tensor tensors[3];
    struct mu_segment s;

    (void)state;
    o.ranks = RANKS + 1;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
    o = options_of(true);
    o.bf16 = false;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
    memcpy(tensors, layout.tensors, sizeof tensors);
    strcpy(tensors[0].spec.name, "renamed");
    same_size.tensors = tensors;
    assert_true(mu_layout_identity(&same_size) != mu_layout_identity(&layout));
    o = options_of(true);
    o.layout = &same_size;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
}

static void another_magic_is_refused(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.header->magic[7]++;
    assert_int_equal(attach_in_vain(), MU_FAILED);
    mu_segment_close(&s, true);
}

/* Nothing is read beyond the end of a file that has no header yet. */
static void a_short_file_is_waited_for(void **state)
{
    int fd = shm_open(own_name(), O_RDWR | O_CREAT | O_EXCL, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 8), 0);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    close(fd);
}

/* A link under the name: the leader takes it away and makes its own, the others do not follow
 * it. */
static void a_planted_link_is_not_followed(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment_options elsewhere = options_of(true);
    struct mu_segment target, s;
    struct stat st;

    (void)state;
    elsewhere.run_key = run_key ^ 1;
    assert_int_equal(mu_segment_open(&target, &elsewhere), MU_OK); /* right in all but the name */
    assert_int_equal(symlink(target.name + 1, own_path()), 0);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    s.half[0].weight[0] = 4;
    assert_true(target.half[0].weight[0] == 0);
    assert_int_equal(lstat(own_path(), &st), 0);
    assert_true(S_ISREG(st.st_mode));
    mu_segment_close(&s, true);
    mu_segment_close(&target, true);
}

static void anothers_segment_is_not_attached(void **state)
{
    struct mu_segment_options o = options_of(true);
    struct mu_segment s;

    (void)state;
    if (geteuid() != 0) {
        print_message("only root can make another user's file\n");
        skip();
    }
    assert_int_equal(mu_segment_open(&s, &o), MU_OK);
    assert_int_equal(chown(own_path(), 65534, 65534), 0);
    assert_int_equal(attach_in_vain(), MU_TIMEOUT);
    mu_segment_close(&s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        UNDER_A_NAME(all_ranks_share_it),
        UNDER_A_NAME(followers_wait_for_their_generation),
        UNDER_A_NAME(waiting_ends_with_the_deadline),
        UNDER_A_NAME(waiting_ends_when_a_rank_dies),
        UNDER_A_NAME(another_generation_is_not_attached),
        UNDER_A_NAME(another_shape_is_refused),
        UNDER_A_NAME(another_magic_is_refused),
        UNDER_A_NAME(a_short_file_is_waited_for),
        UNDER_A_NAME(a_planted_link_is_not_followed),
        UNDER_A_NAME(anothers_segment_is_not_attached),
    };

    return cmocka_run_group_tests(tests, make_layout, free_layout);
}

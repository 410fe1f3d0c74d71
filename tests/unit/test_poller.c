/* worker/poller: it counts on the board, measures the longest gap, asks the communicator and the
 * board now and then, and keeps the first failure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "tests/support/fake_comm.h"
#include "worker/poller.h"

static const uint64_t ms = 1000000;

static char job[64]; /* of this test program alone */

static int set_up(void **state)
{
    (void)state;
    fake_open(3, 1, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_close();
    return 0;
}

/* Asks until the communicator has been asked: it is, every 0.1 ms at most. */
static enum mu_status poll_for_a_while(struct mu_poller *p)
{
    enum mu_status st = MU_OK;

    for (int i = 0; i < 10 && st == MU_OK; i++) {
        mu_clock_sleep_us(200);
        st = mu_poll(p);
    }
    return st;
}

static void the_longest_gap_is_kept(void **state)
{
    struct mu_poller p;

    (void)state;
    mu_poller_init(&p, NULL, NULL);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_poll(&p), MU_OK);
    mu_clock_sleep_us(30000);
    assert_int_equal(mu_poll(&p), MU_OK);
    assert_in_range(p.longest_gap_ns, 30 * ms, 5000 * ms);
    for (int i = 0; i < 100; i++)
        assert_int_equal(mu_poll(&p), MU_OK);
    assert_true(p.longest_gap_ns >= 30 * ms);
}

static void a_forgiven_gap_is_none(void **state)
{
    struct mu_poller p;

    (void)state;
    mu_poller_init(&p, NULL, NULL);
    mu_clock_sleep_us(300000);
    mu_poller_forgive_gap(&p);
    assert_int_equal(mu_poll(&p), MU_OK);
    assert_true(p.longest_gap_ns < 300 * ms);
}

static void polls_are_counted_on_the_board(void **state)
{
    struct mu_board *b;
    struct mu_poller p;

    (void)state;
    assert_int_equal(mu_board_open(&b), MU_OK);
    mu_poller_init(&p, fake_comm(0), b);
    for (int i = 0; i < 1000; i++)
        mu_poll_hook(&p);
    assert_int_equal(mu_board_own(b)->polls, 1000);
    mu_board_close(b);
}

static void a_death_is_seen_and_kept(void **state)
{
    struct mu_poller p;

    (void)state;
    mu_poller_init(&p, fake_comm(0), NULL);
    assert_int_equal(poll_for_a_while(&p), MU_OK);
    fake_kill(2);
    assert_int_equal(poll_for_a_while(&p), MU_PEER_LOST);
    mu_comm_revoke(fake_comm(1)); /* what comes later does not replace it */
    assert_int_equal(poll_for_a_while(&p), MU_PEER_LOST);
    assert_int_equal(p.status, MU_PEER_LOST);
}

static void the_hook_keeps_it_for_the_next_poll(void **state)
{
    struct mu_poller p;

    (void)state;
    mu_poller_init(&p, fake_comm(0), NULL);
    mu_comm_revoke(fake_comm(1));
    for (int i = 0; i < 5; i++) {
        mu_clock_sleep_us(200);
        mu_poll_hook(&p);
    }
    assert_int_equal(mu_poll(&p), MU_REVOKED);
}

static void be_rank(const char *rank)
{
    setenv("PMIX_NAMESPACE", job, 1);
    setenv("PMIX_RANK", rank, 1);
}

/* A rank of this host that has left without a word: MPI knows nothing of it. */
static void a_rank_that_left_unseen_is_missed_on_the_board(void **state)
{
    struct mu_deadline patience = mu_deadline_in_ms(20000), grace;
    struct mu_board *b;
    struct mu_poller p;
    int status;
    pid_t pid;

    (void)state;
    snprintf(job, sizeof job, "test-poller-%ld", (long)getpid());
    be_rank("0");
    assert_int_equal(mu_board_open(&b), MU_OK); /* the job lives: nobody removes its board */
    pid = fork();
    if (pid == 0) {
        be_rank("1");
        _exit(mu_board_open(&b) != MU_OK); /* its entry stays */
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    mu_poller_init(&p, fake_comm(0), b);
    grace = mu_deadline_in_ms(3000); /* MPI may yet tell of it */
    while (mu_poll(&p) == MU_OK && !mu_deadline_passed(patience))
        mu_clock_sleep_us(1000);
    assert_int_equal(mu_poll(&p), MU_PEER_LOST);
    assert_true(mu_deadline_passed(grace));
    mu_board_close(b);
    unsetenv("PMIX_NAMESPACE");
    unsetenv("PMIX_RANK");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_longest_gap_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_forgiven_gap_is_none, set_up, tear_down),
        cmocka_unit_test_setup_teardown(polls_are_counted_on_the_board, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_rank_that_left_unseen_is_missed_on_the_board, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_death_is_seen_and_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hook_keeps_it_for_the_next_poll, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

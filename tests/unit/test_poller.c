/* worker/poller: it counts on the board, measures the longest gap, asks the communicator and the
 * board now and then, repairs deaths in the middle of a poll, and keeps the first failure. */
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
static const uint64_t asked_us = 2100; /* after so long the communicator is asked again */

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

/* Asks until the communicator has been asked several times. */
static enum mu_status poll_for_a_while(struct mu_poller *p)
{
    enum mu_status st = MU_OK;

    for (int i = 0; i < 10 && st == MU_OK; i++) {
        mu_clock_sleep_us(asked_us);
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
        mu_clock_sleep_us(asked_us);
        mu_poll_hook(&p);
    }
    assert_int_equal(mu_poll(&p), MU_REVOKED);
}

/* ---- repairs ---- */
static struct repairs {
    struct mu_poller poller;
    int count;
    enum mu_status says, inner; /* inner: what a poll inside the repair said */
} repairs;

/* The dead are left out at once: the other ranks run nothing here. */
static enum mu_status repair(void *context)
{
    struct repairs *r = context;

    r->count++;
    mu_clock_sleep_us(asked_us);
    r->inner = mu_poll(&r->poller);
    pthread_mutex_lock(&fake.lock);
    fake_shrink(fake_living());
    pthread_mutex_unlock(&fake.lock);
    return r->says;
}

static struct mu_poller *poller_that_repairs(struct mu_board *b)
{
    memset(&repairs, 0, sizeof repairs);
    mu_poller_init(&repairs.poller, fake_comm(0), b);
    repairs.poller.repair = repair;
    repairs.poller.repair_context = &repairs;
    return &repairs.poller;
}

static void a_death_is_repaired_inside_the_poll(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    (void)state;
    assert_int_equal(poll_for_a_while(p), MU_OK);
    fake_kill(2);
    assert_int_equal(poll_for_a_while(p), MU_RECOVERED);
    assert_int_equal(repairs.inner, MU_OK); /* it only counts */
    assert_int_equal(mu_comm_size(p->comm), 2);
    for (int i = 0; i < 5; i++) { /* it is told until somebody accepts it */
        mu_clock_sleep_us(asked_us);
        assert_int_equal(mu_poll(p), MU_RECOVERED);
    }
    mu_poller_accept(p);
    assert_int_equal(poll_for_a_while(p), MU_OK);
    assert_int_equal(repairs.count, 1);
}

static void a_second_death_before_acceptance_is_repaired_too(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    (void)state;
    fake_kill(2);
    assert_int_equal(poll_for_a_while(p), MU_RECOVERED);
    fake_kill(1);
    for (int i = 0; i < 5; i++) {
        mu_clock_sleep_us(asked_us);
        assert_int_equal(mu_poll(p), MU_RECOVERED);
    }
    assert_int_equal(repairs.count, 2);
    assert_int_equal(mu_comm_size(p->comm), 1);
    mu_poller_accept(p); /* of both */
    assert_int_equal(poll_for_a_while(p), MU_OK);
}

static void a_repair_that_fails_is_kept(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    (void)state;
    repairs.says = MU_TIMEOUT;
    fake_kill(2);
    assert_int_equal(poll_for_a_while(p), MU_TIMEOUT);
    fake_kill(1);
    mu_poller_accept(p);
    assert_int_equal(poll_for_a_while(p), MU_TIMEOUT);
    assert_int_equal(mu_poller_take(p, MU_PEER_LOST), MU_PEER_LOST);
    assert_int_equal(repairs.count, 1);
}

static void nothing_is_repaired_while_it_is_held(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    (void)state;
    mu_poller_hold(p);
    fake_kill(2);
    assert_int_equal(poll_for_a_while(p), MU_OK);
    assert_int_equal(mu_poller_take(p, MU_PEER_LOST), MU_PEER_LOST);
    assert_int_equal(p->status, MU_OK); /* its news are for after the hold */
    mu_poller_release(p);
    assert_int_equal(repairs.count, 0);
    assert_int_equal(poll_for_a_while(p), MU_RECOVERED);
    assert_int_equal(repairs.count, 1);
}

static void the_hook_hides_a_recovery_and_no_failure(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    (void)state;
    fake_kill(2);
    for (int i = 0; i < 5; i++) {
        mu_clock_sleep_us(asked_us);
        assert_int_equal(mu_poll_hook(p), MU_OK);
    }
    assert_int_equal(repairs.count, 1);
    assert_int_equal(mu_poll(p), MU_RECOVERED);
    mu_poller_accept(p);
    repairs.says = MU_FAILED;
    fake_kill(1);
    mu_clock_sleep_us(asked_us);
    assert_int_equal(mu_poll_hook(p), MU_FAILED);
}

static void what_a_message_says_is_taken_as_a_polls_finding(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    (void)state;
    assert_int_equal(mu_poller_take(p, MU_OK), MU_OK);
    assert_int_equal(mu_poller_take(p, MU_CORRUPT), MU_CORRUPT);
    assert_int_equal(p->status, MU_OK);
    fake_kill(2);
    assert_int_equal(mu_poller_take(p, MU_REVOKED), MU_RECOVERED);
    assert_int_equal(repairs.count, 1);
    assert_int_equal(mu_poll(p), MU_RECOVERED);
}

/* ---- messages that are not the job's ---- */
static struct servings {
    struct mu_poller *poller;
    int count;
    enum mu_status inner; /* what a poll inside it said */
} servings;

static void serve(void *context)
{
    struct servings *s = context;

    s->count++;
    mu_clock_sleep_us(asked_us);
    s->inner = mu_poll(s->poller);
}

static struct mu_poller *poller_that_serves(void)
{
    struct mu_poller *p = poller_that_repairs(NULL);

    servings = (struct servings){.poller = p};
    p->serve = serve;
    p->serve_context = &servings;
    return p;
}

static void others_are_served_every_millisecond_at_most(void **state)
{
    struct mu_poller *p = poller_that_serves();
    uint64_t began_ns = mu_clock_ns();

    (void)state;
    for (int i = 0; i < 200; i++) {
        mu_clock_sleep_us(100);
        assert_int_equal(mu_poll(p), MU_OK);
    }
    assert_true(servings.count >= 2);
    assert_true((uint64_t)servings.count <= 1 + (mu_clock_ns() - began_ns) / ms);
    assert_int_equal(servings.inner, MU_OK); /* it only counted, and served nobody again */
}

/* A death inside it waits for the next poll; a hold and a repair serve nobody; after a recovery
 * that is not accepted yet they are served, after a failure never. */
static void others_are_served_between_repairs_alone(void **state)
{
    struct mu_poller *p = poller_that_serves();
    int before;

    (void)state;
    mu_poller_hold(p);
    assert_int_equal(poll_for_a_while(p), MU_OK);
    assert_int_equal(servings.count, 0);
    mu_poller_release(p);
    fake_kill(2);
    assert_int_equal(poll_for_a_while(p), MU_RECOVERED);
    assert_int_equal(repairs.count, 1);
    assert_int_equal(repairs.inner, MU_OK);
    before = servings.count;
    mu_clock_sleep_us(asked_us);
    assert_int_equal(mu_poll(p), MU_RECOVERED);
    assert_int_equal(servings.count, before + 1);
    mu_poller_accept(p);
    repairs.says = MU_FAILED;
    fake_kill(1);
    assert_int_equal(poll_for_a_while(p), MU_FAILED);
    before = servings.count;
    for (int i = 0; i < 5; i++) {
        mu_clock_sleep_us(asked_us);
        assert_int_equal(mu_poll(p), MU_FAILED);
    }
    assert_int_equal(servings.count, before);
}

/* ---- a request ---- */
static void a_request_is_waited_for(void **state)
{
    uint8_t sent[5] = {1, 2, 3, 4, 5}, got[8] = {0};
    struct mu_request send = {NULL}, receive = {NULL};
    struct mu_poller p;
    size_t size = 0;

    (void)state;
    mu_poller_init(&p, fake_comm(0), NULL);
    assert_int_equal(mu_comm_send(fake_comm(1), sent, sizeof sent, 0, 7, &send), MU_OK);
    assert_int_equal(mu_comm_receive(p.comm, got, sizeof got, 1, 7, &receive), MU_OK);
    assert_int_equal(mu_poller_complete(&p, &receive, mu_deadline_in_ms(20000), &size), MU_OK);
    assert_int_equal(size, sizeof sent);
    assert_memory_equal(got, sent, sizeof sent);
    p.comm = fake_comm(1);
    assert_int_equal(mu_poller_complete(&p, &send, mu_deadline_in_ms(20000), NULL), MU_OK);
}

/* The deadline ends it, and a death, of the sender or of another rank. */
static void a_request_is_not_waited_for_in_vain(void **state)
{
    struct mu_poller *p = poller_that_repairs(NULL);
    struct mu_request receive = {NULL};
    uint8_t got[8];

    (void)state;
    assert_int_equal(mu_comm_receive(p->comm, got, sizeof got, 1, 7, &receive), MU_OK);
    assert_int_equal(mu_poller_complete(p, &receive, mu_deadline_in_ms(20), NULL), MU_TIMEOUT);
    assert_int_equal(p->status, MU_OK);
    repairs.says = MU_FAILED; /* the fake repair leaves requests as they are */
    fake_kill(2);
    assert_int_equal(mu_poller_complete(p, &receive, mu_deadline_in_ms(20000), NULL), MU_FAILED);
    assert_int_equal(repairs.count, 1);
}

/* ---- the board ---- */
static void be_rank(const char *rank)
{
    setenv("PMIX_NAMESPACE", job, 1);
    setenv("PMIX_RANK", rank, 1);
}

/* Rank 1 of this host has left without a word: MPI knows nothing of it. */
static struct mu_board *board_with_one_gone(void)
{
    struct mu_board *b;
    int status;
    pid_t pid;

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
    return b;
}

static void close_board(struct mu_board *b)
{
    mu_board_close(b);
    unsetenv("PMIX_NAMESPACE");
    unsetenv("PMIX_RANK");
}

/* Two looks at the board, and it cannot be repaired: MPI would wait for it. */
static void a_rank_that_left_unseen_is_missed_on_the_board(void **state)
{
    struct mu_deadline patience = mu_deadline_in_ms(20000);
    struct mu_board *b = board_with_one_gone();
    struct mu_poller *p = poller_that_repairs(b);
    uint64_t began_ns = mu_clock_ns();

    (void)state;
    while (mu_poll(p) == MU_OK && !mu_deadline_passed(patience))
        mu_clock_sleep_us(1000);
    assert_int_equal(mu_poll(p), MU_PEER_LOST);
    assert_true(mu_clock_ns() - began_ns > 400 * ms);
    assert_int_equal(repairs.count, 0);
    close_board(b);
}

/* The board was quicker: one look finds the rank gone, then MPI tells. */
static void a_death_that_mpi_tells_after_the_board_is_repaired(void **state)
{
    struct mu_deadline three_looks;
    struct mu_board *b = board_with_one_gone();
    struct mu_poller *p = poller_that_repairs(b);

    (void)state;
    assert_int_equal(mu_poll(p), MU_OK); /* the first look */
    assert_true(p->missed_ns > 0);
    assert_int_equal(fake.told, 1u << 1);
    fake_kill(1);
    assert_int_equal(poll_for_a_while(p), MU_RECOVERED);
    mu_poller_accept(p);
    three_looks = mu_deadline_in_ms(1600);
    while (!mu_deadline_passed(three_looks)) { /* what is no member is not missed */
        assert_int_equal(mu_poll(p), MU_OK);
        mu_clock_sleep_us(1000);
    }
    assert_int_equal(repairs.count, 1);
    close_board(b);
}

/* The news of a death may come from another rank, before this one has looked by itself. */
static void who_comes_to_a_repair_has_told_of_its_hosts_deaths(void **state)
{
    struct mu_board *b = board_with_one_gone();
    struct mu_poller *p = poller_that_repairs(b);

    (void)state;
    fake_kill(1);
    assert_int_equal(fake.told, 0);
    assert_int_equal(mu_poller_take(p, MU_REVOKED), MU_RECOVERED);
    assert_int_equal(fake.told, 1u << 1);
    close_board(b);
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
        cmocka_unit_test_setup_teardown(a_death_is_repaired_inside_the_poll, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_second_death_before_acceptance_is_repaired_too, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_repair_that_fails_is_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_repaired_while_it_is_held, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hook_hides_a_recovery_and_no_failure, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_a_message_says_is_taken_as_a_polls_finding, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(others_are_served_every_millisecond_at_most, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(others_are_served_between_repairs_alone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_is_waited_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_request_is_not_waited_for_in_vain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_comes_to_a_repair_has_told_of_its_hosts_deaths, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_death_that_mpi_tells_after_the_board_is_repaired, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* worker/comm/control: rounds between the master and the others, each rank a thread on a
 * communicator in memory. What is stale, of another type, cut or too long is refused; silence ends
 * with the deadline, a death at once; one rank's failure becomes everyone's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"
#include "tests/support/fake_comm.h"
#include "worker/comm/control.h"

enum { RANKS = 5, EPOCH = 3, PATIENCE_MS = 20000 };

struct rank {
    struct mu_poller poller;
    struct mu_control control;
    void (*play)(struct rank *);
    enum mu_status own, result; /* of a round */
    uint8_t buffer[64];
    size_t size;
    int seen[RANKS], takes; /* on the master */
    uint32_t numbers[RANKS];
    int refuse; /* rank whose payload `take` finds fault with; -1: none */
};

static struct rank rank[RANKS];

static void set_up(int size, uint64_t deadline_ms)
{
    fake_open(size, 17, 4);
    for (int r = 0; r < size; r++) {
        memset(&rank[r], 0, sizeof rank[r]);
        mu_poller_init(&rank[r].poller, fake_comm(r), NULL);
        rank[r].control = mu_control_init(fake_comm(r), &rank[r].poller, EPOCH, deadline_ms);
        rank[r].refuse = -1;
    }
}

static void *run_rank(void *r)
{
    ((struct rank *)r)->play(r);
    return NULL;
}

/* All ranks at once; asserts are for afterwards, as cmocka's do not work in threads. */
static void play(int size, void (*what)(struct rank *))
{
    pthread_t thread[RANKS];

    for (int r = 0; r < size; r++) {
        rank[r].play = what;
        assert_int_equal(pthread_create(&thread[r], NULL, run_rank, &rank[r]), 0);
    }
    for (int r = 0; r < size; r++)
        pthread_join(thread[r], NULL);
}

static int own_rank(const struct rank *r)
{
    return (int)(r - rank);
}

static enum mu_status take(void *context, int from, struct mu_wire_reader *payload)
{
    struct rank *r = context;

    r->seen[r->takes++] = from;
    r->numbers[from] = mu_wire_get_u32(payload);
    if (!mu_wire_finished(payload))
        return MU_INTERNAL;
    return from == r->refuse ? MU_CORRUPT : MU_OK;
}

static void gather_number(struct rank *r)
{
    struct mu_wire_writer w = mu_wire_write(r->buffer, sizeof r->buffer);

    mu_wire_put_u32(&w, 100 + (uint32_t)own_rank(r));
    r->result = mu_control_gather(&r->control, MU_MESSAGE_HASHED, &w, take, r);
}

static void announce_text(struct rank *r)
{
    if (own_rank(r) == 0) {
        memcpy(r->buffer, "all of you", 10);
        r->size = 10;
    }
    r->result =
        mu_control_announce(&r->control, MU_MESSAGE_WELCOME, r->buffer, sizeof r->buffer, &r->size);
}

static void agree(struct rank *r)
{
    r->result = mu_control_agree(&r->control, r->own);
}

static void the_master_sees_all_in_order(void **state)
{
    (void)state;
    set_up(RANKS, PATIENCE_MS);
    play(RANKS, gather_number);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(rank[r].result, MU_OK);
        assert_int_equal(rank[r].control.sequence, 1);
        assert_int_equal(rank[0].seen[r], r);
        assert_int_equal(rank[0].numbers[r], 100 + r);
    }
    assert_int_equal(rank[0].takes, RANKS);
    fake_close();
}

static void an_announcement_reaches_all(void **state)
{
    (void)state;
    set_up(RANKS, PATIENCE_MS);
    play(RANKS, announce_text);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(rank[r].result, MU_OK);
        assert_int_equal(rank[r].size, 10);
        assert_memory_equal(rank[r].buffer, "all of you", 10);
    }
    fake_close();
}

static void many_rounds(struct rank *r)
{
    for (int k = 0; k < 30 && r->result == MU_OK; k++) {
        r->takes = 0;
        gather_number(r);
        if (r->result == MU_OK)
            announce_text(r);
        if (r->result == MU_OK)
            agree(r);
    }
}

static void rounds_follow_each_other(void **state)
{
    (void)state;
    set_up(RANKS, PATIENCE_MS);
    play(RANKS, many_rounds);
    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(rank[r].result, MU_OK);
        assert_int_equal(rank[r].control.sequence, 30 * 4);
        assert_int_equal(rank[r].control.refused, 0);
    }
    fake_close();
}

static void one_failure_becomes_everyones(void **state)
{
    (void)state;
    for (int failing = 0; failing < RANKS; failing++) {
        set_up(RANKS, PATIENCE_MS);
        for (int r = 0; r < RANKS; r++)
            rank[r].own = r < failing ? MU_OK : r == failing ? MU_CORRUPT : MU_NO_MEMORY;
        play(RANKS, agree);
        for (int r = 0; r < RANKS; r++)
            assert_int_equal(rank[r].result, MU_CORRUPT);
        fake_close();
    }
}

static void alone_all_rounds_are_ones_own(void **state)
{
    (void)state;
    set_up(1, PATIENCE_MS);
    play(1, many_rounds);
    assert_int_equal(rank[0].result, MU_OK);
    rank[0].own = MU_CONFIG;
    play(1, agree);
    assert_int_equal(rank[0].result, MU_CONFIG);
    fake_close();
}

/* ---- what is not what was due ---- */

/* Rank 1's message is these bytes; the master expects HASHED of round 0. */
static void gather_of_given_bytes(const uint8_t *message, size_t size)
{
    struct mu_request request = {NULL};

    set_up(2, PATIENCE_MS);
    assert_int_equal(mu_comm_send(fake_comm(1), message, size, 0, MU_TAG_ROUND, &request), MU_OK);
    gather_number(&rank[0]);
    fake_close();
}

static size_t pack(uint8_t *out, struct mu_message_head head, size_t payload)
{
    static const uint8_t numbers[16] = {7};

    mu_message_pack(&head, numbers, payload, out);
    return MU_MESSAGE_HEADER_BYTES + payload;
}

static const struct mu_message_head right = {MU_MESSAGE_HASHED, EPOCH, 1, 0};

static void what_is_right_is_taken(void **state)
{
    uint8_t message[64];

    (void)state;
    gather_of_given_bytes(message, pack(message, right, 4));
    assert_int_equal(rank[0].result, MU_OK);
    assert_int_equal(rank[0].numbers[1], 7);
}

static void what_is_not_due_is_refused(void **state)
{
    const struct mu_message_head wrong[] = {
        {MU_MESSAGE_STATUS, EPOCH, 1, 0},     /* another type */
        {MU_MESSAGE_HASHED, EPOCH - 1, 1, 0}, /* stale */
        {MU_MESSAGE_HASHED, EPOCH, 2, 0},     /* of somebody else */
        {MU_MESSAGE_HASHED, EPOCH, 1, 1},     /* of another round */
    };
    uint8_t message[64];

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        gather_of_given_bytes(message, pack(message, wrong[i], 4));
        assert_int_equal(rank[0].result, MU_INTERNAL);
        assert_int_equal(rank[0].control.refused, 1);
        assert_int_equal(rank[0].takes, 1); /* only its own */
    }
}

static void what_is_cut_is_refused(void **state)
{
    uint8_t message[64];
    const size_t whole = pack(message, right, 4);

    (void)state;
    for (size_t size = 0; size < whole; size++) {
        gather_of_given_bytes(message, size);
        assert_int_equal(rank[0].result, MU_INTERNAL);
        assert_int_equal(rank[0].control.refused, 1);
    }
}

static void a_flipped_bit_of_the_header_is_refused(void **state)
{
    uint8_t message[64];
    const size_t whole = pack(message, right, 4);

    (void)state;
    for (int bit = 0; bit < 8 * MU_MESSAGE_HEADER_BYTES; bit++) {
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
        gather_of_given_bytes(message, whole);
        assert_int_equal(rank[0].result, MU_INTERNAL);
        message[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
}

static void what_is_longer_than_its_cap_is_refused(void **state)
{
    uint8_t message[4096] = {0};

    (void)state;
    pack(message, right, 4);
    gather_of_given_bytes(message, sizeof message);
    assert_int_equal(rank[0].result, MU_FAILED); /* by the communicator: it did not fit */
    assert_int_equal(rank[0].takes, 1);
}

/* What cannot be read is a failure like another: everybody is told of it as the verdict. */
static void a_status_that_is_none_is_refused(void **state)
{
    uint8_t message[64], payload[4] = {MU_STATUS_COUNT}, told[64] = {0};
    struct mu_message_head head = {MU_MESSAGE_STATUS, EPOCH, 1, 0};
    struct mu_request request = {NULL}, verdict = {NULL};
    bool done = false;
    size_t size = 0;

    (void)state;
    mu_message_pack(&head, payload, 4, message);
    set_up(2, PATIENCE_MS);
    assert_int_equal(mu_comm_send(fake_comm(1), message, 28, 0, MU_TAG_ROUND, &request), MU_OK);
    assert_int_equal(mu_comm_receive(fake_comm(1), told, sizeof told, 0, MU_TAG_ROUND, &verdict),
                     MU_OK);
    agree(&rank[0]);
    assert_int_equal(rank[0].result, MU_INTERNAL);
    assert_int_equal(rank[0].control.verdict, MU_INTERNAL);
    while (!done)
        assert_int_equal(mu_comm_test(fake_comm(1), &verdict, &done, &size), MU_OK);
    assert_int_equal(size, 28);
    assert_int_equal(told[MU_MESSAGE_HEADER_BYTES], MU_INTERNAL);
    fake_close();
}

/* ---- silence and death ---- */

static void silence_ends_with_the_deadline(void **state)
{
    uint64_t before;

    (void)state;
    set_up(2, 30);
    before = mu_clock_ns();
    gather_number(&rank[0]);
    assert_int_equal(rank[0].result, MU_TIMEOUT);
    assert_in_range(mu_clock_ns() - before, 30 * 1000000, 5000 * (uint64_t)1000000);
    announce_text(&rank[1]); /* nor does anybody announce */
    assert_int_equal(rank[1].result, MU_TIMEOUT);
    fake_close();
}

static void a_death_ends_the_wait(void **state)
{
    (void)state;
    set_up(2, PATIENCE_MS);
    fake_kill(1);
    gather_number(&rank[0]);
    assert_int_equal(rank[0].result, MU_PEER_LOST);
    fake_close();
}

static void a_revocation_ends_the_wait(void **state)
{
    (void)state;
    set_up(3, PATIENCE_MS);
    mu_comm_revoke(fake_comm(2));
    announce_text(&rank[1]);
    assert_int_equal(rank[1].result, MU_REVOKED);
    fake_close();
}

/* Everything of rank 1 is there; rank 2 has died without a word: that is no success. */
static enum mu_status take_and_see_a_death(void *context, int from, struct mu_wire_reader *payload)
{
    enum mu_status st = take(context, from, payload);

    if (from == 1) {
        fake_kill(2);
        mu_clock_sleep_us(1000); /* the next poll asks */
    }
    return st;
}

static void a_gather_that_missed_a_rank_fails(void **state)
{
    uint8_t message[64], own[4] = {0};
    struct mu_wire_writer w = {own, 4, 4, true};
    struct mu_request request = {NULL};

    (void)state;
    set_up(3, PATIENCE_MS);
    assert_int_equal(
        mu_comm_send(fake_comm(1), message, pack(message, right, 4), 0, MU_TAG_ROUND, &request),
        MU_OK);
    assert_int_equal(
        mu_control_gather(&rank[0].control, MU_MESSAGE_HASHED, &w, take_and_see_a_death, &rank[0]),
        MU_PEER_LOST);
    assert_int_equal(rank[0].takes, 2);
    fake_close();
}

/* The others are heard all the same: a message that nobody takes would be taken for the next
 * round's. */
static void the_first_fault_that_take_finds_is_kept(void **state)
{
    (void)state;
    set_up(RANKS, PATIENCE_MS);
    rank[0].refuse = 2;
    play(RANKS, gather_number);
    assert_int_equal(rank[0].result, MU_CORRUPT);
    assert_int_equal(rank[0].takes, RANKS);
    for (int r = 1; r < RANKS; r++)
        assert_int_equal(rank[r].result, MU_OK);
    play(RANKS, agree);
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(rank[r].result, MU_OK);
    fake_close();
}

static void more_than_the_buffer_holds_is_refused(void **state)
{
    uint8_t message[MU_MESSAGE_HEADER_BYTES + 65], payload[65] = {0};
    struct mu_message_head head = {MU_MESSAGE_WELCOME, EPOCH, 0, 0};
    struct mu_request request = {NULL};

    (void)state;
    mu_message_pack(&head, payload, sizeof payload, message);
    set_up(2, PATIENCE_MS);
    assert_int_equal(mu_comm_send(fake_comm(0), message, sizeof message, 1, MU_TAG_ROUND, &request),
                     MU_OK);
    announce_text(&rank[1]);
    assert_int_equal(rank[1].result, MU_INTERNAL);
    assert_int_equal(rank[1].size, 0);
    fake_close();
}

static int quiet(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT); /* refusals are the point */
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_master_sees_all_in_order),
        cmocka_unit_test(an_announcement_reaches_all),
        cmocka_unit_test(rounds_follow_each_other),
        cmocka_unit_test(one_failure_becomes_everyones),
        cmocka_unit_test(alone_all_rounds_are_ones_own),
        cmocka_unit_test(what_is_right_is_taken),
        cmocka_unit_test(what_is_not_due_is_refused),
        cmocka_unit_test(what_is_cut_is_refused),
        cmocka_unit_test(a_flipped_bit_of_the_header_is_refused),
        cmocka_unit_test(what_is_longer_than_its_cap_is_refused),
        cmocka_unit_test(a_status_that_is_none_is_refused),
        cmocka_unit_test(silence_ends_with_the_deadline),
        cmocka_unit_test(a_death_ends_the_wait),
        cmocka_unit_test(a_revocation_ends_the_wait),
        cmocka_unit_test(a_gather_that_missed_a_rank_fails),
        cmocka_unit_test(the_first_fault_that_take_finds_is_kept),
        cmocka_unit_test(more_than_the_buffer_holds_is_refused),
    };

    return cmocka_run_group_tests(tests, quiet, NULL);
}

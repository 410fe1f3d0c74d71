/* Views of a communicator (worker/comm/comm.h) among real ranks, as a program for mpirun: pairs of
 * ranks, each in a view of its own, tell each other numbers; one rank is killed in the middle. All
 * repair the base; the other pairs go on with their members and their places, and nothing of before
 * arrives after. A rank that finds something wrong says so and ends with 1. Not under mpirun: a
 * view of one. */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "worker/comm/comm.h"

enum {
    RANKS = 6,
    VICTIM = 3,
    ROUNDS = 400, /* before the death, and after it */
    TAG = 5,
    LATE_TAG = 6, /* of what nobody has received when the rank dies */
    LONG = 1 << 20,
    PATIENCE_MS = 60000,
};

static struct mu_comm *base, *view;
static struct mu_deadline patience;
static int own;

__attribute__((format(printf, 1, 2))) _Noreturn static void fail(const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "views: rank %d: ", own);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    _exit(1);
}

#define CHECK(condition)            \
    do {                            \
        if (!(condition))           \
            fail("%s", #condition); \
    } while (0)

/* Until it is complete: MU_OK, or what ended the wait. */
static enum mu_status complete(struct mu_comm *c, struct mu_request *r, size_t *received)
{
    bool done = false;
    enum mu_status st;

    for (;;) {
        MU_TRY(mu_comm_test(c, r, &done, received), st, failed);
        if (done)
            return MU_OK;
        MU_TRY(mu_comm_poll(c), st, failed);
        if (mu_deadline_passed(patience))
            fail("a message did not come");
    }
failed:
    return st;
}

static enum mu_status send(struct mu_comm *c, uint64_t value, int to, int tag)
{
    struct mu_request r = {NULL};
    enum mu_status st = mu_comm_send(c, &value, sizeof value, to, tag, &r);

    return st == MU_OK ? complete(c, &r, NULL) : st;
}

static enum mu_status receive(struct mu_comm *c, uint64_t *value, int from, int tag)
{
    struct mu_request r = {NULL};
    enum mu_status st = mu_comm_receive(c, value, sizeof *value, from, tag, &r);
    size_t bytes = 0;

    if (st == MU_OK)
        st = complete(c, &r, &bytes);
    if (st == MU_OK)
        CHECK(bytes == sizeof *value);
    return st;
}

/* What a member of a pair says in a round. */
static uint64_t word(int name, int epoch, int round)
{
    return (uint64_t)name << 48 | (uint64_t)epoch << 32 | (uint64_t)round;
}

/* Both receive before they send: neither waits for the other's buffer. */
static enum mu_status exchange(int epoch, int round)
{
    const int other = 1 - mu_comm_rank(view);
    static uint64_t says, heard; /* MPI's until the repair, when a death ends the wait */
    struct mu_request in = {NULL}, out = {NULL};
    enum mu_status st;

    says = word(own, epoch, round);
    heard = 0;
    MU_TRY(mu_comm_receive(view, &heard, sizeof heard, other, TAG, &in), st, failed);
    MU_TRY(mu_comm_send(view, &says, sizeof says, other, TAG, &out), st, failed);
    MU_TRY(complete(view, &in, NULL), st, failed);
    MU_TRY(complete(view, &out, NULL), st, failed);
    if (heard != word(mu_comm_name(view, other), epoch, round))
        fail("in round %d of epoch %d it heard %llx", round, epoch, (unsigned long long)heard);
failed:
    return st;
}

static enum mu_status rounds(int epoch)
{
    enum mu_status st = MU_OK;

    for (int round = 0; round < ROUNDS && st == MU_OK; round++)
        st = exchange(epoch, round);
    return st;
}

/* ---- views and the base, one tag ---- */
static void check_that_they_do_not_meet(void)
{
    const int names[] = {own / 2 * 2, own / 2 * 2 + 1};
    struct mu_comm *same;
    uint64_t first = 0, second = 0, third = 0;

    CHECK(mu_comm_view(base, names, 2, 8, &same) == MU_OK);
    if (own % 2 == 0) {
        CHECK(send(view, 1, 1, TAG) == MU_OK);
        CHECK(send(base, 2, own + 1, TAG) == MU_OK);
        CHECK(send(same, 3, 1, TAG) == MU_OK);
    } else {
        CHECK(receive(same, &third, 0, TAG) == MU_OK);
        CHECK(receive(base, &second, own - 1, TAG) == MU_OK);
        CHECK(receive(view, &first, 0, TAG) == MU_OK);
        CHECK(first == 1 && second == 2 && third == 3);
    }
    mu_comm_view_close(same);
}

/* What nobody sent to is taken back with the view: its buffer is the caller's again. */
static void check_that_a_closed_one_receives_nothing(void)
{
    const int names[] = {own / 2 * 2, own / 2 * 2 + 1};
    struct mu_request open = {NULL};
    uint64_t nothing = 7, heard = 0;
    struct mu_comm *closed, *next;

    CHECK(mu_comm_view(base, names, 2, 1008, &closed) == MU_OK);
    CHECK(mu_comm_receive(closed, &nothing, sizeof nothing, 1 - mu_comm_rank(closed), TAG, &open) ==
          MU_OK);
    mu_comm_view_close(closed);
    CHECK(mu_comm_view(base, names, 2, 2008, &next) == MU_OK); /* with the same tags */
    CHECK(rounds(0) == MU_OK);                                 /* both have closed it */
    if (own % 2 == 0)
        CHECK(send(next, 9, 1, TAG) == MU_OK);
    else
        CHECK(receive(next, &heard, 0, TAG) == MU_OK && heard == 9);
    CHECK(nothing == 7);
    mu_comm_view_close(next);
}

/* ---- the death ---- */
/* On their way, or not even taken, when the rank dies: of the other pairs too. */
static void leave_messages(void)
{
    static uint8_t much[LONG];
    static struct mu_request late[2];
    static const uint64_t before = 0xdead;

    memset(much, 0xdd, sizeof much);
    CHECK(mu_comm_send(view, &before, sizeof before, 1 - mu_comm_rank(view), LATE_TAG, &late[0]) ==
          MU_OK);
    CHECK(mu_comm_send(view, much, sizeof much, 1 - mu_comm_rank(view), LATE_TAG, &late[1]) ==
          MU_OK);
}

static enum mu_status tell_nothing(void *context)
{
    (void)context;
    return MU_OK;
}

static void check_the_news(void)
{
    int place = -1, base_place = -1;
    enum mu_status st;

    while ((st = mu_comm_poll(view)) == MU_OK)
        if (mu_deadline_passed(patience))
            fail("it heard of no death");
    CHECK(mu_status_is_death(st));
    if (st == MU_REVOKED) /* of another rank's repair, which comes sooner than MPI's own word */
        return;
    CHECK(mu_comm_dead(base, &base_place, 1) == 1 && base_place == VICTIM);
    if (own / 2 == VICTIM / 2)
        CHECK(mu_comm_dead(view, &place, 1) == 1 && place == VICTIM % 2);
    else
        CHECK(mu_comm_dead(view, &place, 1) == 0);
}

static void repair(void)
{
    const int pair[] = {own / 2 * 2, own / 2 * 2 + 1};
    struct mu_comm *with_the_dead;
    int names[2], count = 0;

    check_the_news();
    CHECK(mu_comm_repair(base, false, tell_nothing, NULL) == MU_OK);
    CHECK(mu_comm_size(base) == RANKS - 1);
    CHECK(mu_comm_rank(base) == own - (own > VICTIM));
    for (int i = 0; i < 2; i++)
        if (pair[i] != VICTIM)
            names[count++] = pair[i];
    CHECK(mu_comm_view(base, pair, 2, 9, &with_the_dead) ==
          (own / 2 == VICTIM / 2 ? MU_PEER_LOST : MU_OK));
    mu_comm_view_close(with_the_dead);
    CHECK(mu_comm_view_keep(view, names, count) == MU_OK);
    CHECK(mu_comm_size(view) == count && mu_comm_name(view, 0) == own / 2 * 2);
    CHECK(mu_comm_rank(view) == own % 2);
    CHECK(mu_comm_poll(view) == MU_OK && mu_comm_dead(view, names, 2) == 0);
}

static void go_on(void)
{
    uint64_t heard = 0;

    if (mu_comm_size(view) == 1)
        return;
    CHECK(rounds(1) == MU_OK);
    CHECK(send(view, 0xa11e, 1 - mu_comm_rank(view), LATE_TAG) == MU_OK);
    CHECK(receive(view, &heard, 1 - mu_comm_rank(view), LATE_TAG) == MU_OK);
    CHECK(heard == 0xa11e); /* not what was sent before */
}

/* All have come here. */
static void meet(void)
{
    uint64_t done;

    for (int place = 1; place < mu_comm_size(base); place++) {
        if (mu_comm_rank(base) == 0)
            CHECK(receive(base, &done, place, TAG) == MU_OK);
        else if (mu_comm_rank(base) == place)
            CHECK(send(base, 1, 0, TAG) == MU_OK);
    }
    for (int place = 1; place < mu_comm_size(base); place++) {
        if (mu_comm_rank(base) == 0)
            CHECK(send(base, 1, place, TAG) == MU_OK);
        else if (mu_comm_rank(base) == place)
            CHECK(receive(base, &done, 0, TAG) == MU_OK);
    }
}

static void live_in_pairs(void)
{
    const int names[] = {own / 2 * 2, own / 2 * 2 + 1};
    enum mu_status st;

    CHECK(mu_comm_view(base, names, 2, (uint32_t)own / 2, &view) == MU_OK);
    CHECK(mu_comm_rank(view) == own % 2 && mu_comm_size(view) == 2);
    CHECK(mu_comm_name(view, 0) == names[0] && mu_comm_name(view, 1) == names[1]);
    CHECK(mu_comm_is_fault_tolerant(view));
    check_that_they_do_not_meet();
    check_that_a_closed_one_receives_nothing();
    leave_messages();
    CHECK(rounds(0) == MU_OK);
    meet(); /* so that the death finds nobody before */
    for (int round = 0;; round++) {
        if (own == VICTIM && round == ROUNDS / 2)
            mu_comm_die();
        st = exchange(0, round); /* until one hears of it */
        if (st != MU_OK)
            break;
    }
    CHECK(mu_status_is_death(st));
    repair();
    go_on();
    CHECK(mu_comm_repair(base, true, tell_nothing, NULL) ==
          MU_OK); /* who ends is a death to who polls */
    printf("rank %d went on as place %d of %d\n", own, mu_comm_rank(view), mu_comm_size(view));
}

static void live_alone(void)
{
    const int name = 0;
    int place;

    CHECK(mu_comm_view(base, &name, 1, 12345, &view) == MU_OK);
    CHECK(mu_comm_rank(view) == 0 && mu_comm_size(view) == 1 && mu_comm_name(view, 0) == 0);
    CHECK(!mu_comm_is_fault_tolerant(view) && mu_comm_dead(view, &place, 1) == 0);
    CHECK(mu_comm_poll(view) == MU_OK);
    mu_comm_revoke(view);
    mu_comm_tell_dead(view, 0, false);
    CHECK(mu_comm_view_keep(view, &name, 1) == MU_OK);
    printf("alone\n");
}

int main(void)
{
    patience = mu_deadline_in_ms(PATIENCE_MS);
    CHECK(mu_comm_open(&base) == MU_OK);
    own = mu_comm_rank(base);
    if (mu_comm_size(base) == RANKS)
        live_in_pairs();
    else if (mu_comm_size(base) == 1)
        live_alone();
    else
        fail("it is for %d ranks, or one", RANKS);
    fflush(stdout); /* a repaired communicator is closed by leaving at once */
    mu_comm_view_close(view);
    mu_comm_close(base, 0);
    return 0;
}

/* worker/comm/control where deaths are repaired: a round that was under way ends with MU_RECOVERED
 * everywhere, and the survivors' rounds begin again, counted from 0 in the new epoch, with the new
 * master; whoever died, and wherever in its rounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/log.h"
#include "tests/support/fake_comm.h"
#include "worker/comm/control.h"

enum { RANKS = 5, EPOCH = 3, ROUNDS = 12, PATIENCE_MS = 20000 };

static struct rank {
    struct mu_comm *comm;
    struct mu_poller poller;
    struct mu_control control;
    enum mu_status result;
    bool died;
    int recovered;  /* times it was told so */
    int heard, sum; /* of the last gathering, on the master: ranks, and their names */
} rank[RANKS];

static enum mu_status tell_nothing(void *context)
{
    (void)context;
    return MU_OK;
}

static enum mu_status repair(void *context)
{
    struct rank *r = context;
    enum mu_status st = mu_comm_repair(r->comm, false, tell_nothing, NULL);

    if (st == MU_OK)
        r->control = mu_control_init(r->comm, &r->poller, r->control.epoch + 1, PATIENCE_MS);
    return st;
}

static enum mu_status take_name(void *context, int place, struct mu_wire_reader *payload)
{
    struct rank *r = context;

    if (place != r->heard++)
        return MU_INTERNAL;
    r->sum += (int)mu_wire_get_u32(payload);
    return mu_wire_finished(payload) ? MU_OK : MU_INTERNAL;
}

/* A gathering and an agreement, which is two rounds. */
static enum mu_status round_of(struct rank *r)
{
    uint8_t bytes[4];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    enum mu_status st;

    r->heard = r->sum = 0;
    mu_wire_put_u32(&w, (uint32_t)mu_comm_name(r->comm, mu_comm_rank(r->comm)));
    MU_TRY(mu_control_gather(&r->control, MU_MESSAGE_HASHED, &w, take_name, r), st, failed);
    MU_TRY(mu_control_agree(&r->control, MU_OK), st, failed);
failed:
    return st;
}

static void live(void *context)
{
    struct rank *r = context;
    for (int k = 0; k < ROUNDS || r->recovered == 0; k++) { /* nobody leaves before the death */
        r->result = round_of(r);
        if (r->result == MU_RECOVERED) {
            r->recovered++;
            mu_poller_accept(&r->poller);
            k = -1;
        } else if (r->result != MU_OK) {
            break;
        }
    }
}

static void *run_rank(void *context)
{
    struct rank *r = context;

    r->died = !fake_live_as((int)(r - rank), live, r);
    return NULL;
}

static void play(int victim, struct fake_fate fate)
{
    pthread_t thread[RANKS];

    fake_open(RANKS, 17 + fate.let_through, 4);
    fake.fate[victim] = fate;
    for (int r = 0; r < RANKS; r++) {
        rank[r] = (struct rank){.comm = fake_comm(r)};
        mu_poller_init(&rank[r].poller, rank[r].comm, NULL);
        rank[r].poller.repair = repair;
        rank[r].poller.repair_context = &rank[r];
        rank[r].control = mu_control_init(rank[r].comm, &rank[r].poller, EPOCH, PATIENCE_MS);
    }
    for (int r = 0; r < RANKS; r++)
        assert_int_equal(pthread_create(&thread[r], NULL, run_rank, &rank[r]), 0);
    for (int r = 0; r < RANKS; r++)
        pthread_join(thread[r], NULL);
    fake_close();
}

static void assert_survived(int victim)
{
    const struct rank *master = &rank[victim == 0];

    for (int r = 0; r < RANKS; r++) {
        assert_int_equal(rank[r].died, r == victim);
        if (r == victim)
            continue;
        assert_int_equal(rank[r].result, MU_OK);
        assert_int_equal(rank[r].recovered, 1);
        assert_int_equal(rank[r].control.epoch, EPOCH + 1);
        assert_int_equal(rank[r].control.sequence, 3 * ROUNDS);
        assert_int_equal(rank[r].control.refused, 0);
    }
    assert_int_equal(master->heard, RANKS - 1);
    assert_int_equal(master->sum, 0 + 1 + 2 + 3 + 4 - victim);
}

static void rounds_begin_again_after_any_death(void **state)
{
    static const unsigned kinds[] = {FAKE_TEST, FAKE_SEND, FAKE_RECEIVE, FAKE_POLL};

    (void)state;
    for (int victim = 0; victim < RANKS; victim++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
            for (unsigned n = 0; n < 5; n++) {
                play(victim, (struct fake_fate){.kind = kinds[k], .let_through = n});
                assert_survived(victim);
            }
}

static int quiet(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    return 0;
}

/* The dead free nothing. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rounds_begin_again_after_any_death)};

    return cmocka_run_group_tests(tests, quiet, NULL);
}

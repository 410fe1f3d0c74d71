/* worker/comm/comm.h in memory: the ranks of a communicator as threads, or in turn, of one program,
 * for tests of what is built on it. Linked instead of comm_mpi.c, as every function of comm.h is
 * defined here.
 *
 * As MPI does, and no kinder: messages between two ranks with one tag are matched in order, others
 * overtake each other; a transfer happens at any time after both sides are posted, by draws of a
 * seed; a send is complete at once (its bytes are copied) or only after the transfer. Until its
 * transfer a receive's buffer holds garbage. A message that is longer than the receive is an error.
 * A death is told to whoever polls, and to whoever waits for the dead rank; a revocation to all. */
#ifndef MUSTER_TESTS_FAKE_COMM_H
#define MUSTER_TESTS_FAKE_COMM_H

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "worker/comm/comm.h"

enum { FAKE_RANKS = 16 };

struct mu_comm {
    int rank;
};

struct fake_operation {
    struct fake_operation *next; /* in order of posting */
    struct fake_operation *peer; /* a receive's send, and the other way round, once matched */
    bool is_send, done, abandoned;
    int self, other, tag; /* ranks: whose operation, and with whom */
    uint8_t *data, *copy; /* copy: of a send that was complete at once */
    size_t bytes, received;
    unsigned delay; /* looks until the transfer */
    enum mu_status status;
};

static struct {
    pthread_mutex_t lock;
    struct mu_comm comm[FAKE_RANKS];
    struct fake_operation *first;
    uint64_t seed, draws, transfers;
    unsigned most_delay;
    int size;
    bool dead[FAKE_RANKS], revoked;
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER};

static inline void fake_open(int size, uint64_t seed, unsigned most_delay)
{
    MU_ASSERT(size <= FAKE_RANKS && !fake.first);
    for (int r = 0; r < size; r++) {
        fake.comm[r].rank = r;
        fake.dead[r] = false;
    }
    fake.size = size;
    fake.seed = seed;
    fake.draws = fake.transfers = 0;
    fake.most_delay = most_delay;
    fake.revoked = false;
}

/* Operations that nobody waits for any more are kept where leak checkers find them: by contract
 * their buffers belong to the communicator for ever. */
static inline void fake_close(void)
{
    static struct fake_operation *graveyard;

    while (fake.first) {
        struct fake_operation *o = fake.first;

        fake.first = o->next;
        o->next = graveyard;
        graveyard = o;
    }
}

static inline struct mu_comm *fake_comm(int rank)
{
    return &fake.comm[rank];
}

static inline void fake_kill(int rank)
{
    pthread_mutex_lock(&fake.lock);
    fake.dead[rank] = true;
    pthread_mutex_unlock(&fake.lock);
}

static inline uint32_t fake_draw(uint32_t n)
{
    return n == 0 ? 0 : mu_rng_draw(fake.seed, MU_RNG_SYNTHETIC, 0xfa4e, fake.draws++).w[0] % n;
}

static inline void fake_remove(struct fake_operation *o)
{
    struct fake_operation **at = &fake.first;

    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    free(o->copy);
    free(o);
}

static inline void fake_match(struct fake_operation *send)
{
    for (struct fake_operation *o = fake.first; o; o = o->next)
        if (!o->is_send && !o->peer && !o->done && o->self == send->other &&
            o->other == send->self && o->tag == send->tag) {
            o->peer = send;
            send->peer = o;
            send->delay = fake_draw(fake.most_delay + 1);
            return;
        }
}

static inline void fake_transfer(struct fake_operation *send)
{
    struct fake_operation *receive = send->peer;
    const uint8_t *from = send->copy ? send->copy : send->data;

    if (send->bytes > receive->bytes)
        receive->status = MU_FAILED; /* MPI_ERR_TRUNCATE */
    else if (send->bytes > 0)
        memcpy(receive->data, from, send->bytes);
    receive->received = send->bytes;
    receive->done = send->done = true;
    receive->peer = send->peer = NULL;
    fake.transfers++;
    if (send->abandoned) /* it was complete before, for its rank */
        fake_remove(send);
}

/* Everybody's messages go on a little. */
static inline void fake_progress(void)
{
    for (struct fake_operation *o = fake.first, *next; o; o = next) {
        next = o->next;
        if (!o->is_send || (o->done && !o->abandoned))
            continue;
        if (!o->peer)
            fake_match(o);
        if (o->peer && o->delay-- == 0)
            fake_transfer(o);
    }
}

static inline enum mu_status fake_post(struct mu_comm *c, bool is_send, void *data, size_t bytes,
                                       int other, int tag, struct mu_request *request)
{
    struct fake_operation *o = calloc(1, sizeof *o), **at = &fake.first;

    MU_ASSERT(o && other >= 0 && other < fake.size && other != c->rank && !request->handle);
    *o = (struct fake_operation){.is_send = is_send,
                                 .self = c->rank,
                                 .other = other,
                                 .tag = tag,
                                 .data = data,
                                 .bytes = bytes};
    pthread_mutex_lock(&fake.lock);
    if (!is_send)
        memset(data, 0xa5, bytes);
    else if (fake_draw(2)) {
        o->copy = malloc(bytes + 1);
        MU_ASSERT(o->copy);
        memcpy(o->copy, data, bytes);
        o->data = NULL;
    }
    while (*at)
        at = &(*at)->next;
    *at = o;
    request->handle = o;
    pthread_mutex_unlock(&fake.lock);
    return MU_OK;
}

enum mu_status mu_comm_send(struct mu_comm *c, const void *data, size_t bytes, int to, int tag,
                            struct mu_request *request)
{
    return fake_post(c, true, (void *)(uintptr_t)data, bytes, to, tag, request);
}

enum mu_status mu_comm_receive(struct mu_comm *c, void *data, size_t bytes, int from, int tag,
                               struct mu_request *request)
{
    return fake_post(c, false, data, bytes, from, tag, request);
}

enum mu_status mu_comm_test(struct mu_comm *c, struct mu_request *request, bool *done,
                            size_t *received)
{
    struct fake_operation *o = request->handle;
    enum mu_status st = MU_OK;

    *done = true;
    if (!o)
        return MU_OK;
    MU_ASSERT(o->self == c->rank);
    pthread_mutex_lock(&fake.lock);
    fake_progress();
    if (o->done) {
        st = o->status;
        if (received && st == MU_OK)
            *received = o->received;
        fake_remove(o);
    } else if (fake.revoked || fake.dead[o->other]) {
        st = fake.revoked ? MU_REVOKED : MU_PEER_LOST;
        if (o->peer)
            o->peer->peer = NULL;
        fake_remove(o);
    } else if (o->copy) {
        o->abandoned = true; /* complete for its rank; the copy is on its way */
    } else {
        *done = false;
    }
    if (*done)
        request->handle = NULL;
    pthread_mutex_unlock(&fake.lock);
    return st;
}

enum mu_status mu_comm_poll(struct mu_comm *c)
{
    enum mu_status st = MU_OK;

    (void)c;
    pthread_mutex_lock(&fake.lock);
    fake_progress();
    for (int r = 0; r < fake.size; r++)
        if (fake.dead[r])
            st = MU_PEER_LOST;
    if (fake.revoked)
        st = MU_REVOKED;
    pthread_mutex_unlock(&fake.lock);
    return st;
}

int mu_comm_dead(struct mu_comm *c, int *ranks, int capacity)
{
    int count = 0;

    (void)c;
    pthread_mutex_lock(&fake.lock);
    for (int r = 0; r < fake.size; r++)
        if (fake.dead[r] && count++ < capacity)
            ranks[count - 1] = r;
    pthread_mutex_unlock(&fake.lock);
    return count;
}

void mu_comm_revoke(struct mu_comm *c)
{
    (void)c;
    pthread_mutex_lock(&fake.lock);
    fake.revoked = true;
    pthread_mutex_unlock(&fake.lock);
}

enum mu_status mu_comm_open(struct mu_comm **out)
{
    *out = NULL;
    return MU_FAIL(MU_INTERNAL, "the fake is opened by fake_open");
}

void mu_comm_close(struct mu_comm *c, int exit_code)
{
    (void)exit_code;
    (void)c;
}

void mu_comm_leave(struct mu_comm *c, int exit_code)
{
    (void)c;
    _Exit(exit_code);
}

void mu_comm_die(void)
{
    abort();
}

int mu_comm_rank(const struct mu_comm *c)
{
    return c->rank;
}

int mu_comm_size(const struct mu_comm *c)
{
    (void)c;
    return fake.size;
}

bool mu_comm_is_fault_tolerant(const struct mu_comm *c)
{
    (void)c;
    return true;
}

const char *mu_mpi_library_version(void)
{
    return "fake";
}

#endif

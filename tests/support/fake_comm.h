/* worker/comm/comm.h in memory: the ranks of a communicator as threads, or in turn, of one program,
 * for tests of what is built on it. Linked instead of comm_mpi.c, as every function of comm.h is
 * defined here.
 *
 * As MPI does, and no kinder: messages between two ranks with one tag are matched in order, others
 * overtake each other; a transfer happens at any time after both sides are posted, by draws of a
 * seed; a send is complete at once (its bytes are copied) or only after the transfer. Until its
 * transfer a receive's buffer holds garbage. A message that is longer than the receive is an error.
 * A death is told to whoever polls, and to whoever waits for the dead rank; a revocation to all.
 *
 * Deaths. fake_kill: of a rank that runs nothing. A rank that is a thread lives in fake_live_as:
 * there it dies where its fate says (at the n-th passage of a kind), or at its next passage after
 * fake_doom, by a jump out of wherever it is: what it wrote stays, its locks are not held, its
 * messages are lost but for those whose bytes were on their way.
 *
 * Repairs (fake_repair.h) do what ULFM promises: the same steps as comm_mpi.c's, in memory. */
#ifndef MUSTER_TESTS_FAKE_COMM_H
#define MUSTER_TESTS_FAKE_COMM_H

#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "worker/comm/comm.h"

enum { FAKE_RANKS = 16, FAKE_KINDS = 64 };

/* Kinds of passages; a test may number its own from FAKE_OTHERS. */
enum fake_kind {
    FAKE_POLL,
    FAKE_TEST,
    FAKE_SEND,
    FAKE_RECEIVE,
    FAKE_REPAIR,
    FAKE_SHRUNK,
    FAKE_GATHER,
    FAKE_GATHERED,
    FAKE_AGREE,
    FAKE_AGREED,
    FAKE_OTHERS
};

struct mu_comm {
    struct mu_comm *base; /* NULL: it is one */
    int self;             /* name */
    int place, size;
    int name[FAKE_RANKS];    /* by place */
    unsigned epoch, gathers; /* a view's epoch: of the base, when it was told who is left */
    int first_tag;
};

struct fake_operation {
    struct fake_operation *next; /* in order of posting */
    struct fake_operation *peer; /* a receive's send, and the other way round, once matched */
    bool is_send, done, abandoned;
    int self, other, tag; /* names: whose operation, and with whom */
    unsigned epoch;
    uint8_t *data, *copy; /* copy: of a send that was complete at once */
    size_t bytes, received;
    unsigned delay; /* looks until the transfer */
    enum mu_status status;
};

struct fake_fate {
    unsigned kind, let_through; /* passages of that kind; FAKE_KINDS: lives for ever */
    uint32_t takes_along;       /* ranks that are doomed with it */
};

/* Where all that live meet in a repair. */
struct fake_meeting {
    uint64_t number;
    uint32_t here;                        /* ranks */
    bool shrinks, all_say_yes, result[2]; /* of the last two */
    pthread_cond_t over;
};

/* A gathering; the one after it may have begun. */
struct fake_gathering {
    uint64_t id;
    uint32_t here;
    uint8_t *data; /* by name */
};

static struct {
    pthread_mutex_t lock;
    struct mu_comm comm[FAKE_RANKS];
    struct fake_operation *first;
    struct fake_meeting meeting;
    struct fake_gathering gathering[2];
    pthread_cond_t gathered;
    uint64_t seed, draws, transfers, repairs;
    unsigned most_delay;
    int size;
    bool dead[FAKE_RANKS], revoked;
    _Atomic uint32_t told; /* bits by name: mu_comm_tell_dead */
    _Atomic bool doomed[FAKE_RANKS];
    struct fake_fate fate[FAKE_RANKS];
    unsigned passed[FAKE_RANKS][FAKE_KINDS];
    _Atomic unsigned last_passed[FAKE_RANKS]; /* kind */
    jmp_buf end[FAKE_RANKS];                  /* of the thread's life */
} fake = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .gathered = PTHREAD_COND_INITIALIZER,
          .meeting.over = PTHREAD_COND_INITIALIZER};

static _Thread_local int fake_self = -1;

static inline void fake_open(int size, uint64_t seed, unsigned most_delay)
{
    MU_ASSERT(size <= FAKE_RANKS && !fake.first);
    for (int r = 0; r < size; r++) {
        fake.comm[r] = (struct mu_comm){.self = r, .place = r, .size = size};
        for (int i = 0; i < size; i++)
            fake.comm[r].name[i] = i;
        fake.dead[r] = false;
        fake.doomed[r] = false;
        fake.fate[r] = (struct fake_fate){.kind = FAKE_KINDS};
        fake.last_passed[r] = FAKE_KINDS;
    }
    memset(fake.passed, 0, sizeof fake.passed);
    fake.size = size;
    fake.told = 0;
    fake.seed = seed;
    fake.draws = fake.transfers = fake.repairs = 0;
    fake.most_delay = most_delay;
    fake.revoked = false;
    fake.meeting.here = 0;
    fake.gathering[0].id = fake.gathering[1].id = UINT64_MAX;
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
    for (int i = 0; i < 2; i++) {
        free(fake.gathering[i].data);
        fake.gathering[i].data = NULL;
    }
}

static inline struct mu_comm *fake_comm(int rank)
{
    return &fake.comm[rank];
}

static inline struct mu_comm *fake_base(struct mu_comm *c)
{
    return c->base ? c->base : c;
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
            o->other == send->self && o->tag == send->tag && o->epoch == send->epoch) {
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

static inline bool fake_one_is_dead(const struct mu_comm *c)
{
    for (int i = 0; i < c->size; i++)
        if (fake.dead[c->name[i]])
            return true;
    return false;
}

static inline void fake_look_at_meeting(void);

/* Whether an earlier message of the dead rank to the same receive queue is lost: no message takes
 * the place of one before it. */
static inline bool fake_comes_after_lost(const struct fake_operation *send)
{
    for (const struct fake_operation *o = fake.first; o != send; o = o->next)
        if (o->is_send && !o->copy && !o->done && o->self == send->self &&
            o->other == send->other && o->tag == send->tag && o->epoch == send->epoch)
            return true;
    return false;
}

/* What it had under way is lost, but for bytes that are their own by now. */
static inline void fake_bury(int rank)
{
    fake.dead[rank] = true;
    for (struct fake_operation *o = fake.first; o; o = o->next)
        if (o->self == rank && o->is_send && o->copy && !o->done && fake_comes_after_lost(o)) {
            free(o->copy);
            o->copy = NULL;
        }
    for (struct fake_operation *o = fake.first, *next; o; o = next) {
        next = o->next;
        if (o->self != rank)
            continue;
        if (o->is_send && o->copy && !o->done) {
            o->abandoned = true;
            continue;
        }
        if (o->peer)
            o->peer->peer = NULL;
        fake_remove(o);
    }
    fake_look_at_meeting();
    pthread_cond_broadcast(&fake.gathered);
}

static inline void fake_kill(int rank)
{
    pthread_mutex_lock(&fake.lock);
    fake_bury(rank);
    pthread_mutex_unlock(&fake.lock);
}

static inline void fake_doom(int rank)
{
    fake.doomed[rank] = true;
}

static inline void fake_die(int rank)
{
    for (int r = 0; r < fake.size; r++)
        if (fake.fate[rank].takes_along >> r & 1)
            fake_doom(r);
    fake_kill(rank);
    pthread_mutex_lock(&fake.lock); /* those who wait look whether they are doomed */
    pthread_cond_broadcast(&fake.meeting.over);
    pthread_cond_broadcast(&fake.gathered);
    pthread_mutex_unlock(&fake.lock);
    fake_self = -1;
    longjmp(fake.end[rank], 1);
}

/* This thread is that rank, and lives as `live` says. false: it has died in there. */
static inline bool fake_live_as(int rank, void (*live)(void *context), void *context)
{
    if (setjmp(fake.end[rank]) != 0)
        return false;
    fake_self = rank;
    live(context);
    return true;
}

static inline void fake_pass(unsigned kind)
{
    int r = fake_self;

    if (r < 0)
        return;
    fake.last_passed[r] = kind;
    if (fake.doomed[r] ||
        (fake.passed[r][kind]++ == fake.fate[r].let_through && fake.fate[r].kind == kind))
        fake_die(r);
}

static inline enum mu_status fake_post(struct mu_comm *c, bool is_send, void *data, size_t bytes,
                                       int other, int tag, struct mu_request *request)
{
    struct fake_operation *o, **at = &fake.first;

    fake_pass(is_send ? FAKE_SEND : FAKE_RECEIVE);
    o = calloc(1, sizeof *o);
    MU_ASSERT(o && other >= 0 && other < c->size && other != c->place && !request->handle);
    MU_ASSERT(c->epoch == fake_base(c)->epoch); /* else: mu_comm_view_keep */
    *o = (struct fake_operation){.is_send = is_send,
                                 .self = c->self,
                                 .other = c->name[other],
                                 .epoch = c->epoch,
                                 .tag = c->first_tag + tag,
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
    fake_pass(FAKE_TEST);
    MU_ASSERT(o->self == c->self && o->epoch == fake_base(c)->epoch);
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

    fake_pass(FAKE_POLL);
    pthread_mutex_lock(&fake.lock);
    fake_progress();
    if (fake_one_is_dead(fake_base(c)))
        st = MU_PEER_LOST;
    if (fake.revoked)
        st = MU_REVOKED;
    pthread_mutex_unlock(&fake.lock);
    return st;
}

void mu_comm_tell_dead(struct mu_comm *c, int name, bool everywhere)
{
    (void)c;
    (void)everywhere;
    atomic_fetch_or(&fake.told, 1u << name); /* that is all: deaths are known at once here */
}

int mu_comm_dead(struct mu_comm *c, int *places, int capacity)
{
    int count = 0;

    pthread_mutex_lock(&fake.lock);
    for (int i = 0; i < c->size; i++)
        if (fake.dead[c->name[i]] && count++ < capacity)
            places[count - 1] = i;
    pthread_mutex_unlock(&fake.lock);
    return count;
}

void mu_comm_revoke(struct mu_comm *c)
{
    (void)c;
    pthread_mutex_lock(&fake.lock);
    fake.revoked = true;
    pthread_cond_broadcast(&fake.gathered);
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
    return c->place;
}

int mu_comm_size(const struct mu_comm *c)
{
    return c->size;
}

int mu_comm_name(const struct mu_comm *c, int place)
{
    return c->name[place];
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

#include "tests/support/fake_repair.h"
#include "tests/support/fake_view.h"

#endif

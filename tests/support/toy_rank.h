/* A rank as a thread that lives as a job does after its start (orchestrator/master/job_run.c and
 * job_recover.c, without files): steps, now and then a look at the state that all agree on, repairs
 * inside polls, and an end that all know of; with a part of the ranks (a view) the end of that
 * part, and idleness until the others' ends; or a death (fake_comm.h) anywhere in it, also in the
 * device's work and in a shard. */
#ifndef MUSTER_TESTS_TOY_RANK_H
#define MUSTER_TESTS_TOY_RANK_H

#include "orchestrator/base/clock.h"
#include "tests/support/apart_device.h"
#include "tests/support/fake_fault.h"
#include "tests/support/toy.h"
#include "tests/support/toy_parts.h"
#include "worker/comm/control.h"
#include "worker/parts.h"
#include "worker/recover.h"
#include "worker/snapshot.h"

enum { STEPS = 5, MOST_RANKS = 9 };

/* Passages beside the communicator's and the named points. */
enum passage {
    GRADIENT = FAKE_AFTER_FAULTS,
    QUANTISE,
    ADAMW,
    ADD_INT32,
    MEETING,
    REDUCING,
    ABORTING,
    MOVING,
    PASSAGES
};

struct rank {
    uint32_t looks; /* bitmap of steps after which all hash the state */
    struct mu_roll roll;
    struct mu_poller poller;
    struct mu_recovery recovery;
    struct mu_control control;
    struct mu_worker worker;
    struct mu_segment segment;
    struct mu_snapshots copies; /* toy_copies.h; of no segment: none are made */
    struct toy toy;
    pthread_t thread;
    int64_t step, duties_done;
    uint32_t calm; /* steps since the last repair */
    bool over;
    _Atomic bool ended, died, idle;
    bool lost; /* died since a part of the state had no holder any more */
    /* what came out */
    enum mu_status status;
    struct mu_step_result result[STEPS];
    struct mu_hash hash[STEPS + 1];
    uint32_t hashed; /* bitmap of steps */
    bool has_full_pads;
    uint64_t downloaded; /* bytes, from its device */
    uint64_t downloaded_to_hash, downloaded_to_copy;
};

static struct rank rank[MOST_RANKS];
static _Atomic uint32_t ended; /* threads */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t one_ended = PTHREAD_COND_INITIALIZER;

/* ---- a device in whose work ranks die, and which polls at the end of it ---- */
static const struct mu_device_ops *plain;

static void quantise_add(struct mu_device *d, const struct mu_quantise *q)
{
    fake_pass(QUANTISE);
    plain->quantise_add(d, q);
    mu_device_poll(d);
}

static void adamw(struct mu_device *d, const struct mu_adamw *a)
{
    fake_pass(ADAMW);
    plain->adamw(d, a);
    mu_device_poll(d);
}

static uint32_t add_int32(struct mu_device *d, int32_t *a, const int32_t *b, int64_t n)
{
    uint32_t sum;

    fake_pass(ADD_INT32);
    sum = plain->add_int32(d, a, b, n);
    mu_device_poll(d);
    return sum;
}

static enum mu_status open_peers(struct mu_device *d, const struct mu_collective_id *id, int own,
                                 int size, struct mu_collective **out)
{
    fake_pass(MEETING);
    return toy_open_peers(d, id, own, size, out);
}

/* Before it has joined, or right after. */
static enum mu_status reduce_with_peers(struct mu_collective *c, const struct mu_all_reduce *list,
                                        int count)
{
    enum mu_status st;

    fake_pass(REDUCING);
    st = toy_all_reduce(c, list, count);
    fake_pass(REDUCING);
    return st;
}

static enum mu_status move_with_peers(struct mu_collective *c, const struct mu_move *list,
                                      int count)
{
    enum mu_status st;

    fake_pass(REDUCING);
    st = toy_move(c, list, count);
    fake_pass(REDUCING);
    return st;
}

/* Polls while it lasts, as the real one does; not in the end, outside of the rank's life. */
static enum mu_status abort_peers(struct mu_collective *c, uint64_t deadline_ms)
{
    fake_pass(ABORTING);
    for (uint64_t i = 0; fake_self >= 0 && i < fake.seed % 3; i++) {
        mu_clock_sleep_us(60);
        mu_device_poll(rank[fake_self].worker.device);
    }
    return toy_abort_peers(c, deadline_ms);
}

/* ---- where the state is the device's: memory that is reached by operations, which poll ---- */
static void move(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    fake_pass(MOVING);
    memmove(to, from, bytes);
    mu_clock_sleep_us(fake.seed % 2 * 20);
    if (fake_self >= 0)
        mu_device_poll(d);
}

static void download(struct mu_device *d, void *to, const void *from, size_t bytes)
{
    if (fake_self >= 0)
        rank[fake_self].downloaded += bytes;
    move(d, to, from, bytes);
}

static void clear(struct mu_device *d, void *to, size_t bytes)
{
    (void)d;
    memset(to, 0, bytes);
}

static void *take_memory(struct mu_device *d, size_t bytes)
{
    (void)d;
    return toy_zeroed(bytes + 1, 1);
}

static void free_memory(struct mu_device *d, void *memory)
{
    (void)d;
    free(memory);
}

static enum mu_status lend(struct mu_device *d, void *host, size_t bytes)
{
    (void)d;
    (void)host;
    (void)bytes;
    return MU_OK;
}

static void take_back(struct mu_device *d, void *host)
{
    (void)d;
    (void)host;
}

static struct mu_device_ops watched, watched_resident;
static struct mu_collective_ops watched_peers;

static void watch(const struct mu_device_ops *ops)
{
    plain = ops;
    watched = *plain;
    watched.quantise_add = quantise_add;
    watched.adamw = adamw;
    watched.add_int32 = add_int32;
    watched_resident = watched;
    watched_resident.alloc = watched_resident.alloc_lent = take_memory;
    watched_resident.free = watched_resident.free_lent = free_memory;
    watched_resident.lend = lend;
    watched_resident.take_back = take_back;
    watched_resident.upload = watched_resident.copy = move;
    watched_resident.download = download;
    watched_resident.clear = clear;
    watched_resident.resident = &toy_resident_ops;
    watched_resident.resident_parts = &toy_resident_parts_ops;
    watched_peers = toy_collective_ops;
    watched_peers.open = open_peers;
    watched_peers.all_reduce = reduce_with_peers;
    watched_peers.move = move_with_peers;
    watched_peers.close = watched_peers.abort = abort_peers;
    watched_resident.collective = &watched_peers;
}

/* resident: it keeps the state. apart: host memory is not its own. */
static enum mu_status open_device(struct mu_poller *poller, bool resident, bool apart,
                                  struct mu_device **out)
{
    const struct mu_device_options options = {.kind = MU_DEVICE_REFERENCE,
                                              .isa = MU_ISA_GENERIC,
                                              .threads = 1,
                                              .poll = mu_poll_hook,
                                              .poll_context = poller};
    enum mu_status st = mu_device_open(&options, out);

    if (st != MU_OK)
        return st;
    if (!plain)
        watch((*out)->ops);
    (*out)->ops = resident ? &watched_resident : &watched;
    if (apart)
        *out = apart_wrap(*out);
    return MU_OK;
}

static _Atomic uint64_t begun_in_shards; /* buckets, counted at every pause */

/* In the middle of a shard, and once its last gradients are final: some take long enough for a
 * death to be repaired there. */
static void pause_in_shard(uint64_t key, struct toy *t)
{
    struct rank *r = (struct rank *)(void *)((char *)t - offsetof(struct rank, toy));

    begun_in_shards += r->worker.resident.buckets.begun;
    fake_pass(GRADIENT);
    for (uint64_t i = 0; i < (key * 7 + fake.seed) % 4; i++) {
        mu_clock_sleep_us(60);
        mu_poll_hook(t->context);
    }
}

/* ---- the life of a rank, as job_run.c and job_recover.c live it ---- */
static enum mu_status repair(void *context)
{
    struct rank *r = context;
    enum mu_status st = mu_recover(&r->recovery);

    if (st == MU_OK)
        r->control =
            mu_control_init(r->worker.comm, &r->poller, r->recovery.epoch, r->control.deadline_ms);
    return st;
}

static enum mu_status accept_roll(struct rank *r)
{
    enum mu_status st = MU_OK;

    do {
        mu_poller_accept(&r->poller);
        if (r->worker.resident.state)
            st = mu_poller_take(&r->poller, mu_fetch_serve(&r->worker));
    } while (st == MU_RECOVERED);
    return st;
}

static void take_roll(struct rank *r)
{
    const struct mu_recovery_plan *p = &r->recovery.plan;

    if (accept_roll(r) != MU_OK)
        return; /* the poller keeps it */
    r->duties_done = p->duties < p->step ? p->step - 1 : p->step;
    r->recovery.duties = p->duties;
    r->over = false;
    r->calm = 0;
}

static enum mu_status duties(struct rank *r)
{
    uint64_t before = r->downloaded;
    enum mu_status st = MU_OK;

    if (r->looks >> r->step & 1) {
        MU_TRY(mu_worker_hash(&r->worker, &r->hash[r->step]), st, failed);
        r->hashed |= UINT32_C(1) << r->step;
        MU_TRY(mu_control_agree(&r->control, MU_OK), st, failed);
        r->downloaded_to_hash += r->downloaded - before;
    }
    before = r->downloaded;
    if (r->copies.segment.header)
        MU_TRY(mu_snapshots_take(&r->copies, &r->worker, &(struct mu_segment_origin){0},
                                 &r->result[r->step - 1]),
               st, failed);
    r->downloaded_to_copy += r->downloaded - before;
    r->duties_done = r->step;
    if (mu_comm_rank(r->worker.comm) == 0)
        r->recovery.duties = r->step;
failed:
    return st;
}

/* Pads of the committed weights are zero for ever. */
static bool pads_are_zero(const struct rank *r)
{
    const struct mu_layout *l = &r->worker.workload->layout;
    const float *weight = r->segment.half[mu_segment_half(&r->segment)].weight;

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        uint64_t at = t->offset + t->spec.rows * t->spec.cols;

        for (; at % MU_TENSOR_ALIGN != 0; at++)
            if (weight[at] != 0)
                return false;
    }
    return true;
}

static enum mu_status steps(struct rank *r)
{
    enum mu_status st = MU_OK;

    while (st == MU_OK && !r->over) {
        struct mu_step_result result;

        if (r->poller.status == MU_RECOVERED)
            return MU_RECOVERED;
        if (r->duties_done < r->step) {
            st = duties(r);
        } else if (r->step == STEPS) {
            r->over = true;
        } else {
            st = mu_worker_step(&r->worker, r->step, &result);
            if (st == MU_OK) {
                r->result[r->step++] = result;
                r->calm++;
                r->has_full_pads = r->has_full_pads || !pads_are_zero(r);
            }
            /* What others have fetched is kept until all have come to the next turn. */
            MU_ASSERT(!r->worker.resident.state || r->calm < 2 || !r->worker.fetch.served);
        }
    }
    return st;
}

/* Whether nobody has anything to do any more. */
static bool all_are_idle(void)
{
    bool all = true;

    pthread_mutex_lock(&fake.lock);
    for (int i = 0; i < fake.size; i++)
        all = all && (fake.dead[i] || rank[i].idle);
    pthread_mutex_unlock(&fake.lock);
    return all;
}

static bool all_said_idle(const struct rank *r)
{
    for (int i = 0; i < mu_comm_size(r->recovery.base); i++)
        if (r->recovery.word[i].phase != MU_RECOVERY_IDLE)
            return false;
    return true;
}

/* It takes part in the others' repairs, until all say that they are idle: in the last one. */
static enum mu_status be_idle(struct rank *r)
{
    enum mu_status st = MU_OK;

    r->recovery.ended = r->recovery.group;
    r->recovery.comm = NULL;
    r->recovery.phase = MU_RECOVERY_IDLE;
    mu_poller_accept(&r->poller);
    r->idle = true;
    for (;;) {
        st = mu_poll(&r->poller);
        if (st == MU_OK && all_are_idle())
            st = mu_poller_take(&r->poller, MU_REVOKED);
        if (st == MU_RECOVERED && all_said_idle(r))
            return MU_OK;
        if (st != MU_OK && st != MU_RECOVERED)
            return st;
        mu_poller_accept(&r->poller);
        mu_clock_sleep_us(100);
    }
}

static bool is_in_group(const struct rank *r)
{
    return r->recovery.comm != r->recovery.base;
}

static enum mu_status part(struct rank *r)
{
    enum mu_status st;

    MU_TRY(mu_control_agree(&r->control, MU_OK), st, failed);
    if (is_in_group(r))
        return be_idle(r);
    if (mu_comm_size(r->worker.comm) == 1)
        return MU_OK;
    r->recovery.phase = MU_RECOVERY_FINISHED;
    st = repair(r);
    r->recovery.phase = MU_RECOVERY_RUNNING;
    if (st == MU_OK && !r->recovery.plan.finished)
        return MU_RECOVERED;
failed:
    return st;
}

static void live(void *context)
{
    struct rank *r = context;
    enum mu_status st;

    for (;;) {
        st = r->recovery.comm ? steps(r) : be_idle(r);
        if (st == MU_OK && r->recovery.comm)
            st = part(r);
        if (st != MU_RECOVERED)
            break;
        take_roll(r);
        if (is_in_group(r) && r->recovery.plan.finished) { /* as others of the group know */
            st = be_idle(r);
            break;
        }
    }
    r->status = st;
    if (mu_parts_are_lost(r->worker.resident.parts)) { /* it exits, which the others see */
        r->lost = true;
        fake_die((int)(r - rank));
    }
}

static inline void *run_rank(void *context)
{
    struct rank *r = context;

    r->died = !fake_live_as((int)(r - rank), live, r);
    pthread_mutex_lock(&lock);
    r->ended = true;
    ended++;
    pthread_cond_broadcast(&one_ended);
    pthread_mutex_unlock(&lock);
    return NULL;
}

#endif

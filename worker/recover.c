/* The exchange, in the order that makes it right:
 *
 *   1. When the shrink returns, every living rank is in here: the segments stand still, but for
 *      what compute threads finish, whose bits do not depend on who writes them.
 *   2. Whoever of this host is not among them is made unable to write: killed, and waited for.
 *   3. Only then are the words read, told to all, and the plan made, by each rank for itself.
 *   4. The agreement: all have the plan, or all begin again.
 *
 * Two gatherings: the first, of a fixed size, tells whether the others hold a state at all; ranks
 * that die before that leave nothing to go on with, and the living begin again. */
#include "worker/recover.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"

enum { FENCE_DEADLINE_MS = 3000 /* before the repair is given up: MU_WATCH_REPAIR_MS */ };

/* What a rank tells in the second gathering: of its host. It goes as it lies in memory: all ranks
 * run the same program. Followed by the slots, then the bitmap of chunks. */
struct host_words {
    uint64_t state;
};

struct exchange {
    struct mu_recovery *recovery;
    struct mu_roll roll; /* to be */
    struct mu_recovery_plan plan;
    uint32_t most_slots, done_words;
    int *name; /* of everybody before */
    int count;
};

static size_t host_bytes(const struct exchange *x)
{
    return sizeof(struct host_words) + x->most_slots * sizeof(struct mu_slot_report) +
           x->done_words * sizeof(uint64_t);
}

static bool has_state(enum mu_recovery_phase phase)
{
    return phase == MU_RECOVERY_RUNNING || phase == MU_RECOVERY_FINISHED;
}

/* Quietly: who is not here yet may still be reading messages of before. */
static bool is_parting(enum mu_recovery_phase phase)
{
    return phase == MU_RECOVERY_FINISHED || phase == MU_RECOVERY_REFUSED;
}

static int64_t step_of(const struct mu_recovery *r)
{
    return has_state(r->phase) ? mu_segment_step(r->worker->segment) : 0;
}

static bool is_living(struct mu_comm *comm, int name)
{
    for (int i = 0; i < mu_comm_size(comm); i++)
        if (mu_comm_name(comm, i) == name)
            return true;
    return false;
}

/* Kills those of this host that were members before and are not now, and waits until they can write
 * no more: a rank that was only taken for dead may still write. */
static enum mu_status fence(struct exchange *x)
{
    struct mu_recovery *r = x->recovery;

    for (int i = 0; i < x->count; i++) {
        const struct mu_board_entry *e = mu_board_entry(r->board, x->name[i]);

        if (!e || is_living(r->comm, x->name[i]))
            continue;
        if (mu_board_end_process(atomic_load(&e->pid), atomic_load(&e->start_time),
                                 FENCE_DEADLINE_MS) != MU_OK)
            return MU_FAIL(MU_TIMEOUT, "rank %d is dead to MPI, and its process %u does not end",
                           x->name[i], atomic_load(&e->pid));
    }
    return MU_OK;
}

static struct mu_slot_report read_slot(const struct mu_rank_words *w)
{
    struct mu_slot_report s = {
        .entered = atomic_load(&w->entered),
        .adding = mu_segment_adding(w),
        .claim = atomic_load(&w->claim),
    };

    for (int i = 0; i < MU_SHARD_WORDS; i++)
        s.shards.word[i] = atomic_load(&w->shards[i]);
    return s;
}

/* Where the parts of a host's message lie. */
static struct mu_host_report place(const struct exchange *x, uint8_t *message)
{
    struct mu_slot_report *slot = (void *)(message + sizeof(struct host_words));
    struct host_words words;

    memcpy(&words, message, sizeof words);
    return (struct mu_host_report){
        .state = words.state, .slot = slot, .done = (void *)(slot + x->most_slots)};
}

static void read_host(const struct exchange *x, uint8_t *message)
{
    const struct mu_worker *w = x->recovery->worker;
    const struct mu_segment *s = w->segment;
    struct host_words words = {atomic_load(&s->header->state)};
    struct mu_host_report report;
    uint64_t turn;

    memset(message, 0, host_bytes(x));
    memcpy(message, &words, sizeof words);
    report = place(x, message);
    for (uint32_t i = 0; i < s->ranks; i++)
        report.slot[i] = read_slot(&s->rank[i]);
    turn = mu_recovery_host_turn(&report, s->ranks);
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (atomic_load(&s->chunk[c].reduced) == turn)
            report.done[c / 64] |= UINT64_C(1) << c % 64;
}

/* The roll of those that live now: homes tell who shares a host. */
static enum mu_status make_roll(struct exchange *x)
{
    struct mu_recovery *r = x->recovery;
    uint32_t size = (uint32_t)mu_comm_size(r->comm);
    uint64_t *home = calloc(size, sizeof *home);
    enum mu_status st = MU_NO_MEMORY;

    for (uint32_t i = 0; home && i < size; i++)
        home[i] = r->worker->fleet.home[mu_comm_name(r->comm, (int)i)];
    mu_roll_deinit(&x->roll);
    if (home)
        st = mu_roll_init(&x->roll, r->epoch + 1, home, size);
    free(home);
    return st;
}

/* all: a host's message from each place; the lowest place of a host speaks for it. */
static enum mu_status make_plan(struct exchange *x, const struct mu_rank_report *reports,
                                uint8_t *all)
{
    struct mu_recovery *r = x->recovery;
    const struct mu_worker *w = r->worker;
    struct mu_host_report *host = calloc(w->fleet.hosts, sizeof *host);
    enum mu_status st;

    if (!host)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a plan");
    MU_TRY(make_roll(x), st, done);
    for (uint32_t i = 0; i < x->roll.size; i++) {
        uint32_t home = w->fleet.home[reports[i].rank];

        if (!host[home].slot)
            host[home] = place(x, all + i * host_bytes(x));
    }
    st =
        mu_recovery_plan_init(&x->plan, &w->fleet, &x->roll, reports, host,
                              (uint32_t)w->workload->facts.shards, w->workload->layout.chunk_count);
done:
    free(host);
    return st;
}

/* The second gathering, and the plan. */
static enum mu_status exchange_hosts(struct exchange *x, const struct mu_rank_report *reports)
{
    struct mu_recovery *r = x->recovery;
    size_t bytes;
    uint8_t *own, *all;
    enum mu_status st = MU_NO_MEMORY;

    x->done_words = (r->worker->workload->layout.chunk_count + 63) / 64;
    for (uint32_t h = 0; h < r->worker->fleet.hosts; h++)
        if (r->worker->fleet.slots[h] > x->most_slots)
            x->most_slots = r->worker->fleet.slots[h];
    bytes = host_bytes(x);
    own = malloc(bytes);
    all = malloc(bytes * (size_t)mu_comm_size(r->comm));
    if (own && all) {
        read_host(x, own);
        st = mu_comm_allgather(r->comm, own, bytes, all);
    }
    if (st == MU_OK)
        st = make_plan(x, reports, all);
    free(own);
    free(all);
    return st;
}

static enum mu_status exchange(void *context)
{
    struct exchange *x = context;
    struct mu_recovery *r = x->recovery;
    struct mu_rank_report own = {.rank = (uint32_t)mu_comm_name(r->comm, mu_comm_rank(r->comm)),
                                 .phase = r->phase,
                                 .duties = r->duties};
    struct mu_rank_report *all = calloc((size_t)mu_comm_size(r->comm), sizeof *all);
    bool stateless = true, refused = true;
    enum mu_status st;

    if (!all)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the words of %d ranks", mu_comm_size(r->comm));
    mu_recovery_plan_deinit(&x->plan);
    MU_TRY(fence(x), st, done);
    mu_fault(MU_FAULT_EXCHANGE, step_of(r));
    MU_TRY(mu_comm_allgather(r->comm, &own, sizeof own, all), st, done);
    for (int i = 0; i < mu_comm_size(r->comm); i++) {
        stateless = stateless && !has_state((enum mu_recovery_phase)all[i].phase);
        refused = refused && all[i].phase == MU_RECOVERY_REFUSED;
    }
    x->plan.finished = refused;
    x->plan.restart = stateless && !refused;
    if (!stateless)
        MU_TRY(exchange_hosts(x, all), st, done);
    mu_fault(MU_FAULT_AGREE, step_of(r));
done:
    free(all);
    return st;
}

static void note_dead(struct mu_recovery *r, const struct exchange *x)
{
    r->dead_count = 0;
    for (int i = 0; i < x->count; i++)
        if (!is_living(r->comm, x->name[i]))
            r->dead[r->dead_count++] = x->name[i];
}

enum mu_status mu_recover_init(struct mu_recovery *r)
{
    r->duties = MU_DUTIES_UNKNOWN;
    r->dead = calloc((size_t)mu_comm_size(r->comm), sizeof *r->dead);
    return r->dead ? MU_OK : MU_FAIL(MU_NO_MEMORY, "no memory for the names of ranks");
}

void mu_recover_deinit(struct mu_recovery *r)
{
    free(r->dead);
    r->dead = NULL;
    mu_recovery_plan_deinit(&r->plan);
}

enum mu_status mu_recover(struct mu_recovery *r)
{
    struct exchange x = {.recovery = r, .count = mu_comm_size(r->comm)};
    enum mu_status st;

    r->began_ns = mu_clock_ns();
    mu_fault(MU_FAULT_SHRINK, step_of(r));
    x.name = calloc((size_t)x.count, sizeof *x.name);
    if (!x.name)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the names of %d ranks", x.count);
    for (int i = 0; i < x.count; i++)
        x.name[i] = mu_comm_name(r->comm, i);
    MU_TRY(mu_comm_repair(r->comm, is_parting(r->phase), exchange, &x), st, done);
    note_dead(r, &x);
    mu_recovery_plan_deinit(&r->plan);
    r->plan = x.plan;
    memset(&x.plan, 0, sizeof x.plan);
    r->epoch++;
    if (r->plan.restart || r->phase == MU_RECOVERY_REFUSED)
        goto done;
    mu_roll_deinit(r->roll);
    *r->roll = x.roll;
    memset(&x.roll, 0, sizeof x.roll);
    mu_worker_adopt(r->worker, &r->plan);
    if (!r->worker->resident.state) /* else once this rank is out of its device: mu_job_take_roll */
        st = mu_fetch_serve(r->worker);
    if (mu_status_is_death(st))
        st = MU_OK; /* somebody died again: the next poll finds it */
done:
    r->took_ns = mu_clock_ns() - r->began_ns;
    mu_recovery_plan_deinit(&x.plan);
    mu_roll_deinit(&x.roll);
    free(x.name);
    return st;
}

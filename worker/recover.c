/* The exchange, in the order that makes it right:
 *
 *   1. When the shrink returns, every living rank is in here: the segments stand still, but for
 *      what compute threads finish, whose bits do not depend on who writes them.
 *   2. Whoever of this host is not among them is made unable to write: killed, and waited for.
 *   3. Only then are the words read, told to all, and the plan made, by each rank for itself.
 *   4. The agreement: all have the plan, or all begin again.
 *
 * Two gatherings: the first, of a fixed size, tells who works with whom, and whether they hold a
 * state at all; ranks that die before that leave nothing to go on with, and the living begin again.
 * The second has room for the largest state, and is left out where nobody has any.
 *
 * All ranks take part in both, but each makes the roll and the plan of its own group alone, from
 * the words of that group's members: a group that nobody died in finds everything where it was. */
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
    bool has_plan; /* and a roll: else there was no state to go on with */
    uint32_t most_slots, done_words;
    int *name; /* of everybody before */
    int count;
    /* The living members of this rank's group, by place in it: */
    int *base_place, *member;
    int members;
};

/* Of this rank's group: all its members come to the same. */
static size_t host_bytes(struct exchange *x)
{
    const struct mu_worker *w = x->recovery->worker;

    x->done_words = (w->workload->layout.chunk_count + 63) / 64;
    x->most_slots = 0;
    for (uint32_t h = 0; h < w->fleet.hosts; h++)
        if (w->fleet.slots[h] > x->most_slots)
            x->most_slots = w->fleet.slots[h];
    return sizeof(struct host_words) + x->most_slots * sizeof(struct mu_slot_report) +
           x->done_words * sizeof(uint64_t);
}

static bool has_state(enum mu_recovery_phase phase)
{
    return phase == MU_RECOVERY_RUNNING || phase == MU_RECOVERY_FINISHED;
}

/* Quietly: who is not here yet may still be reading messages of before. */
static bool is_parting(const struct mu_recovery *r)
{
    return r->comm && (r->phase == MU_RECOVERY_FINISHED || r->phase == MU_RECOVERY_REFUSED);
}

static int64_t step_of(const struct mu_recovery *r)
{
    return r->comm && has_state(r->phase) ? mu_segment_step(r->worker->segment) : 0;
}

static bool has_name(struct mu_comm *comm, int name)
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

        if (!e || has_name(r->base, x->name[i]))
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

    memcpy(message, &words, sizeof words);
    report = place(x, message);
    for (uint32_t i = 0; i < s->ranks; i++)
        report.slot[i] = read_slot(&s->rank[i]);
    turn = mu_recovery_host_turn(&report, s->ranks);
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (atomic_load(&s->chunk[c].reduced) == turn)
            report.done[c / 64] |= UINT64_C(1) << c % 64;
}

/* The roll of those of the group that live now: homes tell who shares a host. */
static enum mu_status make_roll(struct exchange *x)
{
    const struct mu_recovery *r = x->recovery;
    uint64_t *home = calloc((size_t)x->members, sizeof *home);
    enum mu_status st = MU_NO_MEMORY;

    for (int i = 0; home && i < x->members; i++)
        home[i] = r->worker->fleet.home[x->member[i]];
    mu_roll_deinit(&x->roll);
    if (home)
        st = mu_roll_init(&x->roll, r->epoch + 1, home, (uint32_t)x->members);
    free(home);
    return st;
}

/* all: a host's message of `bytes` from each place of the base; the lowest place of a host speaks
 * for it. */
static enum mu_status make_plan(struct exchange *x, uint8_t *all, size_t bytes)
{
    const struct mu_recovery *r = x->recovery;
    const struct mu_worker *w = r->worker;
    struct mu_host_report *host = calloc(w->fleet.hosts, sizeof *host);
    struct mu_rank_report *report = calloc((size_t)x->members, sizeof *report);
    enum mu_status st = MU_OK;

    if (!host || !report)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for a plan");
    if (st == MU_OK)
        st = make_roll(x);
    for (int i = 0; st == MU_OK && i < x->members; i++) {
        const struct mu_rank_word *word = &r->word[x->base_place[i]];
        uint32_t home = w->fleet.home[word->name];

        report[i] = (struct mu_rank_report){(uint32_t)word->name, word->phase, word->duties};
        if (!host[home].slot)
            host[home] = place(x, all + (size_t)x->base_place[i] * bytes);
    }
    if (st == MU_OK)
        st = mu_recovery_plan_init(&x->plan, &w->fleet, &x->roll, report, host,
                                   (uint32_t)w->workload->facts.shards,
                                   w->workload->layout.chunk_count, mu_worker_is_dedicated(w));
    x->has_plan = st == MU_OK;
    free(host);
    free(report);
    return st;
}

/* The second gathering, and the plan. bytes: of the largest message. */
static enum mu_status exchange_hosts(struct exchange *x, bool has_plan, size_t bytes)
{
    const struct mu_recovery *r = x->recovery;
    uint8_t *own = calloc(1, bytes), *all = malloc(bytes * (size_t)mu_comm_size(r->base));
    enum mu_status st = MU_NO_MEMORY;

    if (own && all) {
        if (has_plan) {
            MU_ASSERT(host_bytes(x) <= bytes);
            read_host(x, own);
        }
        st = mu_comm_allgather(r->base, own, bytes, all);
    }
    if (st == MU_OK && has_plan)
        st = make_plan(x, all, bytes);
    free(own);
    free(all);
    return st;
}

static struct mu_rank_word own_word(struct exchange *x)
{
    const struct mu_recovery *r = x->recovery;
    struct mu_rank_word word = {.name = mu_comm_name(r->base, mu_comm_rank(r->base)),
                                .phase = MU_RECOVERY_IDLE,
                                .duties = MU_DUTIES_UNKNOWN,
                                .ended = r->ended};

    if (!r->comm)
        return word;
    word.phase = r->phase;
    word.duties = r->duties;
    word.group = r->group;
    word.trial = r->trial;
    word.step = step_of(r);
    word.bytes = has_state(r->phase) ? (uint32_t)host_bytes(x) : 0;
    return word;
}

/* Who is in this rank's group, and what all of them come to without a plan. */
static bool read_words(struct exchange *x, size_t *most_bytes)
{
    const struct mu_recovery *r = x->recovery;
    bool stateless = true, refused = true;

    x->members = 0;
    x->plan.finished = false;
    for (int i = 0; i < mu_comm_size(r->base); i++) {
        const struct mu_rank_word *word = &r->word[i];

        *most_bytes = word->bytes > *most_bytes ? word->bytes : *most_bytes;
        if (!r->comm)
            continue;
        x->plan.finished = x->plan.finished || word->ended == r->group;
        if (word->phase == MU_RECOVERY_IDLE || word->group != r->group)
            continue;
        stateless = stateless && !has_state((enum mu_recovery_phase)word->phase);
        refused = refused && word->phase == MU_RECOVERY_REFUSED;
        x->base_place[x->members] = i;
        x->member[x->members++] = word->name;
    }
    MU_ASSERT(r->comm != r->base || x->members == mu_comm_size(r->base));
    if (stateless && r->comm) {
        x->plan.finished = x->plan.finished || refused;
        x->plan.restart = !x->plan.finished;
    }
    return r->comm && !stateless;
}

static enum mu_status exchange(void *context)
{
    struct exchange *x = context;
    struct mu_recovery *r = x->recovery;
    struct mu_rank_word own = own_word(x);
    size_t most_bytes = 0;
    bool has_state_in_group, is_over;
    enum mu_status st;

    mu_recovery_plan_deinit(&x->plan);
    x->has_plan = false;
    MU_TRY(fence(x), st, failed);
    mu_fault(MU_FAULT_EXCHANGE, step_of(r));
    MU_TRY(mu_comm_allgather(r->base, &own, sizeof own, r->word), st, failed);
    has_state_in_group = read_words(x, &most_bytes);
    is_over = x->plan.finished;
    if (most_bytes > 0)
        MU_TRY(exchange_hosts(x, has_state_in_group, most_bytes), st, failed);
    x->plan.finished = x->plan.finished || is_over;
    mu_fault(MU_FAULT_AGREE, step_of(r));
failed:
    return st;
}

static void note_dead(struct mu_recovery *r, const struct exchange *x)
{
    r->dead_count = 0;
    for (int i = 0; i < x->count; i++)
        if (!has_name(r->base, x->name[i]))
            r->dead[r->dead_count++] = x->name[i];
}

/* Before the view is told who is left: it still has the names of before. */
static void note_lost(struct mu_recovery *r)
{
    r->lost_count = 0;
    for (int i = 0; r->comm && i < r->dead_count; i++)
        if (r->comm == r->base || has_name(r->comm, r->dead[i]))
            r->lost[r->lost_count++] = r->dead[i];
}

enum mu_status mu_recover_init(struct mu_recovery *r)
{
    const size_t size = (size_t)mu_comm_size(r->base);

    r->duties = MU_DUTIES_UNKNOWN;
    r->dead = calloc(size, sizeof *r->dead);
    r->lost = calloc(size, sizeof *r->lost);
    r->word = calloc(size, sizeof *r->word);
    if (r->dead && r->lost && r->word)
        return MU_OK;
    mu_recover_deinit(r);
    return MU_FAIL(MU_NO_MEMORY, "no memory for the words of %zu ranks", size);
}

void mu_recover_deinit(struct mu_recovery *r)
{
    free(r->dead);
    free(r->lost);
    free(r->word);
    r->dead = r->lost = NULL;
    r->word = NULL;
    mu_recovery_plan_deinit(&r->plan);
}

static enum mu_status init_exchange(struct exchange *x, struct mu_recovery *r)
{
    *x = (struct exchange){.recovery = r, .count = mu_comm_size(r->base)};
    x->name = calloc((size_t)x->count, sizeof *x->name);
    x->base_place = calloc((size_t)x->count, sizeof *x->base_place);
    x->member = calloc((size_t)x->count, sizeof *x->member);
    if (!x->name || !x->base_place || !x->member)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the names of %d ranks", x->count);
    for (int i = 0; i < x->count; i++)
        x->name[i] = mu_comm_name(r->base, i);
    return MU_OK;
}

static void deinit_exchange(struct exchange *x)
{
    mu_recovery_plan_deinit(&x->plan);
    mu_roll_deinit(&x->roll);
    free(x->name);
    free(x->base_place);
    free(x->member);
}

/* The group's part of what came out, where it has a state. */
static enum mu_status take_plan(struct mu_recovery *r, struct exchange *x)
{
    enum mu_status st = MU_OK;

    mu_roll_deinit(r->roll);
    *r->roll = x->roll;
    memset(&x->roll, 0, sizeof x->roll);
    mu_worker_adopt(r->worker, &r->plan);
    if (!r->worker->resident.state) /* else once this rank is out of its device: mu_job_take_roll */
        st = mu_fetch_serve(r->worker);
    return mu_status_is_death(st) ? MU_OK : st; /* somebody died again: the next poll finds it */
}

enum mu_status mu_recover(struct mu_recovery *r)
{
    struct exchange x;
    enum mu_status st;

    MU_ASSERT(!r->comm || r->group != 0);
    r->began_ns = mu_clock_ns();
    mu_fault(MU_FAULT_SHRINK, step_of(r));
    MU_TRY(init_exchange(&x, r), st, done);
    MU_TRY(mu_comm_repair(r->base, is_parting(r), exchange, &x), st, done);
    note_dead(r, &x);
    note_lost(r);
    mu_recovery_plan_deinit(&r->plan);
    r->plan = x.plan;
    memset(&x.plan, 0, sizeof x.plan);
    r->epoch++;
    if (r->comm && r->comm != r->base)
        MU_TRY(mu_comm_view_keep(r->comm, x.member, x.members), st, done);
    if (x.has_plan && !r->plan.restart)
        st = take_plan(r, &x);
done:
    r->took_ns = mu_clock_ns() - r->began_ns;
    deinit_exchange(&x);
    return st;
}

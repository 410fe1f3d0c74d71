/* One step: from half k, which everybody reads, to half k + 1, which becomes current by one store.
 *
 *   enter    a rank has done with the turn before                              rank.entered = turn
 *   shards   each rank adds the gradients of its shards to its own sum       rank.shards, its deal
 *   reduce   each chunk's owner adds the sums of all ranks and hosts          chunk.reduced = turn
 *   decide   from the chunks' words alone, so that everybody decides the same:
 *              non-finite gradients   stop, or skip the update
 *              too many escapes       raise predictions, reduce again in the next turn
 *              else                   go on
 *   update   each chunk's owner writes weights, moments and predictions   chunk.written = k + 1
 *   commit   anybody flips the state word once all chunks are written             state = k + 1
 *
 * Nothing is overwritten that another rank may still read in the same turn: see the invariants in
 * segment.h. Every phase looks at the words first and does only what is not done yet, so that a
 * rank that comes here again after a repair, with another deal and other chunks, goes on in the
 * middle; whatever it finds there is whole. A shard that is being computed during a repair is
 * finished and added all the same: the plan leaves it to the rank that claims it. */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/core/shards.h"
#include "worker/fast_sum.h"
#include "worker/prediction.h"
#include "worker/update.h"
#include "worker/worker.h"

/* What the words of all chunks say together. */
struct agreed {
    uint32_t flags;
    uint64_t escapes;
    double norm;
};

static bool owns(const struct mu_worker *w, uint32_t chunk)
{
    return mu_roll_owner(w->roll, w->host, chunk) == w->place;
}

static struct mu_shard_set deal_of(const struct mu_worker *w, uint64_t turn, uint32_t place)
{
    return mu_recovery_deal(w->plan, turn, place, w->crew, (uint32_t)w->workload->facts.shards);
}

/* What is whole in a slot's sum in a turn. */
static struct mu_shard_set whole_in(const struct mu_rank_words *words, uint64_t turn)
{
    struct mu_shard_set set = {{0}};

    if (mu_segment_adding(words) != turn << 1)
        return set;
    for (int i = 0; i < MU_SHARD_WORDS; i++)
        set.word[i] = atomic_load_explicit(&words->shards[i], memory_order_acquire);
    return set;
}

static void add_gradient(struct mu_worker *w, uint64_t turn, const int16_t *prediction,
                         const struct mu_shard_result *g, bool first)
{
    struct mu_sum *sum = &w->segment->sum[w->slot];

    mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_QUANTISE);
    if (w->resident.state)
        mu_resident_add(w, turn, prediction, g, first);
    else if (w->settings->batch_reduce == MU_REDUCE_FAST)
        mu_fast_sum_add(&w->exact, sum, g, first);
    else
        mu_exact_sum_add(&w->exact, sum, prediction, g, first);
    mu_timed_leave(mu_worker_timed(w));
}

static enum mu_status add_shard(struct mu_worker *w, uint64_t turn, uint32_t shard,
                                const int16_t *prediction, bool first)
{
    struct mu_segment *s = w->segment;
    struct mu_rank_words *words = &s->rank[w->slot];
    uint64_t state = atomic_load(&s->header->state), began_ns = mu_clock_ns();
    int64_t step = (int64_t)(state >> 1);
    struct mu_weights weights;
    struct mu_shard_result g;
    enum mu_status st;

    atomic_store_explicit(&words->claim, mu_recovery_claim(turn, shard), memory_order_release);
    MU_TRY(mu_device_weights_take(&w->weights, s, state, &weights), st, failed);
    mu_buckets_watch(w, turn, prediction, first);
    mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_GATHER);
    st = w->workload->ops->shard_gradient(w->workload, &weights, step, shard, &g);
    mu_timed_leave(mu_worker_timed(w));
    mu_buckets_unwatch(w);
    if (st != MU_OK) /* with a gradient that is in the sum by half nobody goes on */
        goto failed;
    mu_audit_note(w, turn, shard, &g);
    atomic_store_explicit(&words->adding, turn << 1 | 1, memory_order_seq_cst);
    mu_fault(MU_FAULT_ADDING, step);
    add_gradient(w, turn, prediction, &g, first);
    MU_TRY(mu_device_verify(w->device), st, failed); /* else the sum is as torn as a dead rank's */
    mu_wide_add(&words->scalars.loss, g.loss_nats);
    words->scalars.tokens += g.tokens;
    /* released on its own: a reader may have seen `adding` before this shard, and sees the bit */
    atomic_fetch_or_explicit(&words->shards[shard / 64], UINT64_C(1) << shard % 64,
                             memory_order_release);
    atomic_store_explicit(&words->adding, turn << 1, memory_order_release);
    atomic_store_explicit(&words->claim, 0, memory_order_release);
    mu_fault(MU_FAULT_ADDED, step);
    mu_board_note_shard(w->board, mu_clock_ns() - began_ns);
    st = mu_poll(w->poller);
failed:
    return st;
}

/* Until the turn is said to be entered, nothing of it is in the rank's slot. */
static void enter(struct mu_worker *w, uint64_t turn)
{
    struct mu_rank_words *words = &w->segment->rank[w->slot];

    if (atomic_load_explicit(&words->entered, memory_order_relaxed) >= turn)
        return;
    for (int i = 0; i < MU_SHARD_WORDS; i++)
        atomic_store_explicit(&words->shards[i], 0, memory_order_relaxed);
    memset(&words->scalars, 0, sizeof words->scalars);
    words->scalars.requests = w->requests;
    atomic_store_explicit(&words->entered, turn, memory_order_release);
}

/* Whether somebody has computed the shard before: in the step's first attempt, in a run that has
 * been here already, or a rank that died. */
static bool is_redone(const struct mu_worker *w, uint64_t turn, uint32_t shard)
{
    return turn % 2 == 0 || (int64_t)((turn - 1) / 2) < w->reached ||
           (w->plan && turn == w->plan->turn && mu_shard_set_has(&w->plan->again, shard));
}

static enum mu_status compute_shard(struct mu_worker *w, uint64_t turn, uint32_t shard,
                                    const int16_t *prediction, bool first)
{
    bool redone = is_redone(w, turn, shard);
    enum mu_ledger_kind before =
        mu_poller_enter(w->poller, redone ? MU_LEDGER_REDO : MU_LEDGER_COMPUTE);
    enum mu_status st = add_shard(w, turn, shard, prediction, first);

    mu_ledger_count(&w->poller->ledger, MU_LEDGER_SHARDS_REDONE, redone);
    mu_poller_enter(w->poller, before);
    return st;
}

/* All shards of this rank into its sum. */
static enum mu_status compute_shards(struct mu_worker *w, uint64_t turn, const int16_t *prediction)
{
    struct mu_shard_set all = deal_of(w, turn, w->place), have, missing;
    enum mu_status st;

    w->is_idle = mu_shard_set_is_empty(&all);
    enter(w, turn);
    MU_TRY(mu_poll(w->poller), st, failed);
    for (;;) {
        have = whole_in(&w->segment->rank[w->slot], turn);
        missing = mu_shard_set_minus(&all, &have);
        if (mu_shard_set_is_empty(&missing))
            break;
        w->resident.buckets.is_last = mu_shard_set_count(&missing) == 1;
        MU_TRY(compute_shard(w, turn, mu_shard_set_first(&missing), prediction,
                             mu_shard_set_is_empty(&have)),
               st, failed);
    }
failed:
    return st;
}

/* Every living rank of the host is in this turn, and has in its sum what it was dealt. */
static bool all_whole(struct mu_worker *w, uint64_t turn)
{
    for (uint32_t i = 0; i < w->local_count; i++) {
        uint32_t place = mu_roll_local(w->roll, w->host, i);
        const struct mu_rank_words *words = &w->segment->rank[mu_worker_slot(w, place)];
        struct mu_shard_set all = deal_of(w, turn, place), have, missing;
        uint64_t entered = atomic_load_explicit(&words->entered, memory_order_acquire);

        if (entered < turn)
            return false;
        if (entered > turn)
            continue; /* every chunk is reduced already */
        have = whole_in(words, turn);
        missing = mu_shard_set_minus(&all, &have);
        if (!mu_shard_set_is_empty(&missing))
            return false;
    }
    return true;
}

/* Which sums of this host make up the turn: of the living that were dealt something, and of the
 * dead that left theirs whole. */
static void list_sums(struct mu_worker *w, uint64_t turn)
{
    w->summed_count = 0;
    for (uint32_t i = 0; i < w->local_count; i++) {
        uint32_t place = mu_roll_local(w->roll, w->host, i);
        struct mu_shard_set deal = deal_of(w, turn, place);

        if (!mu_shard_set_is_empty(&deal))
            w->summed[w->summed_count++] = mu_worker_slot(w, place);
    }
    for (uint32_t r = 0; w->plan && turn == w->plan->turn && r < w->fleet.ranks; r++)
        if (w->fleet.home[r] == w->home && !mu_shard_set_is_empty(&w->plan->counted[r]))
            w->summed[w->summed_count++] = w->fleet.slot[r];
}

static bool all_reduced(struct mu_worker *w, uint64_t turn)
{
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (atomic_load_explicit(&w->segment->chunk[c].reduced, memory_order_acquire) < turn)
            return false;
    return true;
}

static bool all_written(struct mu_worker *w, uint64_t step)
{
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (atomic_load_explicit(&w->segment->chunk[c].written, memory_order_acquire) < step)
            return false;
    return true;
}

static enum mu_status reduce(struct mu_worker *w, uint64_t turn, const int16_t *prediction)
{
    enum mu_status st;

    if (w->resident.state)
        return all_reduced(w, turn) ? MU_OK : mu_resident_reduce(w, turn, prediction);
    MU_TRY(mu_worker_wait(w, all_whole, turn, "the shards of the other ranks"), st, failed);
    list_sums(w, turn);
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (owns(w, c) && atomic_load(&w->segment->chunk[c].reduced) < turn)
            MU_TRY(mu_reduce_chunk(w, c, turn, prediction), st, failed);
    MU_TRY(mu_worker_wait(w, all_reduced, turn, "the reduction of the other ranks' chunks"), st,
           failed);
failed:
    return st;
}

static struct agreed agree(const struct mu_worker *w)
{
    struct agreed a = {0};
    struct mu_wide norm = {0};

    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++) {
        a.flags |= w->segment->chunk[c].flags;
        a.escapes += w->segment->chunk[c].escapes;
        mu_wide_merge(&norm, &w->segment->chunk[c].norm);
    }
    a.norm = sqrt(mu_wide_value(&norm));
    if (!isfinite(a.norm))
        a.flags |= MU_SUM_NONFINITE; /* finite shards may have an infinite sum */
    return a;
}

/* From the words of the step's last attempt, which stand until this rank enters the next turn. */
static struct mu_step_result result_of(const struct mu_worker *w, int64_t step,
                                       const struct agreed *a)
{
    const struct mu_step_scalars *s = &w->segment->header->scalars;
    struct mu_step_result r = {
        .step = step + 1,
        .loss = s->tokens > 0 ? mu_wide_value(&s->loss) / (double)s->tokens : 0,
        .gradient_norm = a->norm,
        .tokens = s->tokens,
        .escapes = a->escapes,
        .requests = s->requests,
        .redone = w->segment->chunk[0].reduced == 2 * (uint64_t)step + 2,
        .skipped = a->flags & MU_SUM_NONFINITE,
    };

    mu_worker_adamw(w, step, a->norm, &r.lr);
    return r;
}

/* Where the state is the device's: all chunks at once. */
static void update_resident(struct mu_worker *w, int64_t step, uint32_t half,
                            const struct mu_adamw *adamw, bool skip)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_segment *s = w->segment;
    const int16_t *from = s->half[half].prediction;
    int16_t *to = s->half[!half].prediction;

    mu_fault(MU_FAULT_UPDATE, step);
    mu_resident_update(w, half, adamw, skip);
    if (skip)
        memcpy(to, from, l->blocks * sizeof *to);
    for (uint32_t c = 0; c < l->chunk_count; c++) {
        if (!skip)
            mu_predict_chunk(l, &l->chunks[c], from, s->largest, w->tensor_max, to);
        atomic_store_explicit(&s->chunk[c].written, (uint64_t)step + 1, memory_order_release);
    }
}

/* state: the word as it was when the step began. A rank that owns no chunk may come here when the
 * others have committed already; its own look at the word would then be of the next step. */
static enum mu_status update(struct mu_worker *w, uint64_t state, const struct agreed *a, bool skip)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_segment *s = w->segment;
    uint32_t half = state & 1;
    int64_t step = (int64_t)(state >> 1);
    double lr;
    struct mu_adamw adamw = mu_worker_adamw(w, step, a->norm, &lr);
    enum mu_status st;

    MU_TRY(mu_poll(w->poller), st, failed);
    mu_predict_tensor_maxima(l, s->half[half].prediction, s->largest, w->tensor_max);
    if (w->resident.state && !all_written(w, (uint64_t)step + 1)) {
        update_resident(w, step, half, &adamw, skip);
        /* A repair while the device worked: its plan says that this step is not committed here. */
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    for (uint32_t c = 0; c < l->chunk_count; c++) {
        if (!owns(w, c) || atomic_load(&s->chunk[c].written) > (uint64_t)step)
            continue;
        mu_fault(MU_FAULT_UPDATE, step);
        s->chunk[c].check[!half] = skip ? mu_update_copy_chunk(w, c, step, half)
                                        : mu_update_chunk(w, c, step, half, adamw);
        MU_TRY(mu_device_verify(w->device), st, failed);
        atomic_store_explicit(&s->chunk[c].written, (uint64_t)step + 1, memory_order_release);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    MU_TRY(
        mu_worker_wait(w, all_written, (uint64_t)step + 1, "the other ranks to write their chunks"),
        st, failed);
    /* All write the same; before the flip, so that who finds the step committed finds it too. */
    s->header->result[(step + 1) & 1] = result_of(w, step, a);
    mu_fault(MU_FAULT_FLIP, step);
    atomic_compare_exchange_strong(&s->header->state, &state,
                                   (uint64_t)(step + 1) << 1 | (~state & 1));
failed:
    return st;
}

/* The turn that this host has come to in a step that is not committed. */
static uint64_t turn_of_host(const struct mu_worker *w, int64_t step)
{
    uint64_t turn = 2 * (uint64_t)step + 1, last = turn + 1;

    for (uint32_t i = 0; i < w->segment->ranks; i++) {
        uint64_t entered = atomic_load_explicit(&w->segment->rank[i].entered, memory_order_acquire);

        if (entered > turn && entered <= last) /* beyond it: the others have just committed it */
            turn = entered;
    }
    return turn;
}

/* The predictions of a step's second attempt: from the maxima of the first, which stay as they are
 * until every rank of the host has entered the second. */
static const int16_t *raise_prediction(struct mu_worker *w, uint64_t turn,
                                       const int16_t *prediction)
{
    if (w->raised_turn != turn)
        mu_predict_raise(&w->workload->layout, prediction, w->segment->largest, w->raised);
    w->raised_turn = turn;
    return w->raised;
}

/* All attempts at a step: on return its totals stand in the segment. */
static enum mu_status sum_up(struct mu_worker *w, uint64_t state, struct agreed *a)
{
    const int16_t *committed = w->segment->half[state & 1].prediction, *prediction = committed;
    uint64_t first = 2 * (state >> 1) + 1, turn = turn_of_host(w, (int64_t)(state >> 1));
    enum mu_status st;

    for (;; turn++) {
        MU_ASSERT(turn <= first + 1); /* raised to its own maxima a step fits */
        if (turn > first)
            prediction = raise_prediction(w, turn, committed);
        MU_TRY(compute_shards(w, turn, prediction), st, failed);
        MU_TRY(mu_audit(w, turn), st, failed);
        mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_EXCHANGE);
        st = reduce(w, turn, prediction);
        mu_timed_leave(mu_worker_timed(w));
        if (st != MU_OK)
            goto failed;
        *a = agree(w);
        if ((a->flags & (MU_SUM_NONFINITE | MU_SUM_DISPUTED)) ||
            !mu_exact_sum_must_redo(a->escapes, w->exact.capacity, a->flags))
            break;
    }
failed:
    return st;
}

static enum mu_status take_step(struct mu_worker *w, int64_t step, struct mu_step_result *out)
{
    struct mu_segment *s = w->segment;
    uint64_t state = atomic_load(&s->header->state);
    enum mu_status st = MU_OK;
    struct agreed a;

    memset(out, 0, sizeof *out);
    if ((int64_t)(state >> 1) == step) {
        MU_TRY(sum_up(w, state, &a), st, failed);
        if ((a.flags & MU_SUM_DISPUTED) ||
            ((a.flags & MU_SUM_NONFINITE) && w->settings->run_on_nonfinite == MU_NONFINITE_STOP)) {
            out->stopped = true;
            out->disputed = a.flags & MU_SUM_DISPUTED;
            st = MU_FAILED;
            goto failed;
        }
        mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_UPDATE);
        st = update(w, state, &a, a.flags & MU_SUM_NONFINITE);
        mu_timed_leave(mu_worker_timed(w));
        if (st != MU_OK)
            goto failed;
    } else {
        MU_ASSERT((int64_t)(state >> 1) == step + 1); /* the others have committed it */
        a = agree(w);
    }
    *out = result_of(w, step, &a);
    w->requests = 0;
failed:
    return st;
}

enum mu_status mu_worker_step(struct mu_worker *w, int64_t step, struct mu_step_result *out)
{
    enum mu_status st;

    mu_timed_step(mu_worker_timed(w), step);
    mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_REST);
    st = take_step(w, step, out);
    mu_timed_leave(mu_worker_timed(w));
    return st;
}

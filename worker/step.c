/* One step: from half k, which everybody reads, to half k + 1, which becomes current by one store.
 *
 *   shards   each rank adds the gradients of its shards to its own sum           rank.whole = turn
 *   reduce   each chunk's owner adds the sums of all ranks and hosts          chunk.reduced = turn
 *   decide   from the chunks' words alone, so that everybody decides the same:
 *              non-finite gradients   stop, or skip the update
 *              too many escapes       raise predictions, reduce again in the next turn
 *              else                   go on
 *   update   each chunk's owner writes weights, moments and predictions   chunk.written = k + 1
 *   commit   anybody flips the state word once all chunks are written             state = k + 1
 *
 * Nothing is overwritten that another rank may still read in the same turn: see the invariants in
 * segment.h. */
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/core/schedule.h"
#include "orchestrator/core/shards.h"
#include "worker/fast_sum.h"
#include "worker/prediction.h"
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

static enum mu_status add_shard(struct mu_worker *w, uint64_t turn, uint32_t shard,
                                const int16_t *prediction, bool first)
{
    struct mu_segment *s = w->segment;
    struct mu_rank_words *words = &s->rank[w->local_index];
    uint32_t half = mu_segment_half(s);
    struct mu_weights weights = {s->half[half].weight, s->weight_bf16[half]};
    int64_t step = mu_segment_step(s);
    struct mu_shard_result g;
    enum mu_status st;

    MU_TRY(w->workload->ops->shard_gradient(w->workload, &weights, step, shard, &g), st, failed);
    MU_TRY(mu_poll(w->poller), st, failed);
    atomic_store_explicit(&words->adding, turn << 1 | 1, memory_order_seq_cst);
    mu_fault(MU_FAULT_ADDING, step);
    if (w->settings->batch_reduce == MU_REDUCE_FAST)
        mu_fast_sum_add(&w->exact, &s->sum[w->local_index], &g, first);
    else
        mu_exact_sum_add(&w->exact, &s->sum[w->local_index], prediction, &g, first);
    mu_wide_add(&words->scalars.loss, g.loss_nats);
    words->scalars.tokens += g.tokens;
    atomic_fetch_or_explicit(&words->shards[shard / 64], UINT64_C(1) << shard % 64,
                             memory_order_relaxed);
    atomic_store_explicit(&words->adding, turn << 1, memory_order_release);
    mu_fault(MU_FAULT_ADDED, step);
    st = mu_poll(w->poller);
failed:
    return st;
}

/* All shards of this rank into its sum. A rank without shards says so too: nobody reads its sum. */
static enum mu_status compute_shards(struct mu_worker *w, uint64_t turn, const int16_t *prediction,
                                     bool again)
{
    struct mu_range mine = mu_shards_of_worker(w->workload->facts.shards, w->place, w->roll->size);
    struct mu_rank_words *words = &w->segment->rank[w->local_index];
    enum mu_ledger_kind before =
        mu_poller_enter(w->poller, again ? MU_LEDGER_REDO : MU_LEDGER_COMPUTE);
    enum mu_status st = MU_OK;

    w->is_idle = mine.from == mine.to;
    if (again)
        mu_ledger_count(&w->poller->ledger, MU_LEDGER_SHARDS_REDONE, mine.to - mine.from);
    for (int i = 0; i < MU_SHARD_WORDS; i++)
        atomic_store_explicit(&words->shards[i], 0, memory_order_relaxed);
    memset(&words->scalars, 0, sizeof words->scalars);
    for (uint64_t shard = mine.from; shard < mine.to; shard++)
        MU_TRY(add_shard(w, turn, (uint32_t)shard, prediction, shard == mine.from), st, failed);
    words->scalars.requests = w->requests;
    atomic_store_explicit(&words->whole, turn, memory_order_release);
failed:
    mu_poller_enter(w->poller, before);
    return st;
}

static bool all_whole(struct mu_worker *w, uint64_t turn)
{
    for (uint32_t i = 0; i < w->local_count; i++)
        if (atomic_load_explicit(&w->segment->rank[i].whole, memory_order_acquire) < turn)
            return false;
    return true;
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

    MU_TRY(mu_worker_wait(w, all_whole, turn, "the shards of the other ranks"), st, failed);
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (owns(w, c))
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

static struct mu_adamw optimizer(const struct mu_worker *w, int64_t step, double norm, double *lr)
{
    const struct mu_settings *s = w->settings;
    struct mu_schedule schedule = {
        .kind = (enum mu_schedule_kind)s->schedule_kind,
        .steps = s->run_steps,
        .warmup = s->schedule_warmup,
        .peak = s->optim_lr,
        .cooldown = s->schedule_cooldown,
        .floor = s->schedule_floor,
    };
    double t = (double)(step + 1);

    *lr = mu_schedule_rate(&schedule, step);
    return (struct mu_adamw){
        .gradient_scale =
            s->optim_clip > 0 && norm > s->optim_clip ? (float)(s->optim_clip / norm) : 1.0f,
        .lr = (float)*lr,
        .beta1 = (float)s->optim_betas[0],
        .beta2 = (float)s->optim_betas[1],
        .eps = (float)s->optim_eps,
        .bias1 = (float)(1 - mu_det_pow(s->optim_betas[0], t)),
        .bias2 = (float)(1 - mu_det_pow(s->optim_betas[1], t)),
    };
}

/* Chunk c of half k + 1 from half k and the total. */
static void update_chunk(struct mu_worker *w, uint32_t chunk, uint32_t half, struct mu_adamw adamw)
{
    const struct mu_layout *l = &w->workload->layout;
    const struct mu_chunk *c = &l->chunks[chunk];
    struct mu_segment *s = w->segment;
    const struct mu_state_view *from = &s->half[half];
    struct mu_state_view *to = &s->half[!half];

    for (uint32_t i = c->first_span; i < c->first_span + c->span_count; i++) {
        const struct mu_span *span = &l->spans[i];
        uint64_t at = span->offset;

        adamw.count = (int64_t)span->count;
        adamw.weight = from->weight + at;
        adamw.m = from->m + at;
        adamw.v = from->v + at;
        adamw.gradient = s->total + at;
        adamw.weight_out = to->weight + at;
        adamw.m_out = to->m + at;
        adamw.v_out = to->v + at;
        adamw.weight_bf16 = s->weight_bf16[!half] ? s->weight_bf16[!half] + at : NULL;
        adamw.decay =
            l->tensors[span->tensor].spec.decay ? (float)w->settings->optim_weight_decay : 0.0f;
        w->device->ops->adamw(w->device, &adamw);
    }
    mu_predict_chunk(l, c, from->prediction, s->largest, w->tensor_max, to->prediction);
}

/* A skipped step: the state goes over as it is, and nothing is learned from the maxima. */
static void copy_chunk(struct mu_worker *w, uint32_t chunk, uint32_t half)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    struct mu_segment *s = w->segment;
    const struct mu_state_view *from = &s->half[half];
    struct mu_state_view *to = &s->half[!half];
    uint64_t at = c->offset, bytes = c->count * sizeof(float);

    memcpy(to->weight + at, from->weight + at, bytes);
    memcpy(to->m + at, from->m + at, bytes);
    memcpy(to->v + at, from->v + at, bytes);
    memcpy(to->prediction + c->first_block, from->prediction + c->first_block,
           c->block_count * sizeof(int16_t));
    if (s->weight_bf16[half])
        memcpy(s->weight_bf16[!half] + at, s->weight_bf16[half] + at, c->count * sizeof(uint16_t));
}

/* state: the word as it was when the step began. A rank that owns no chunk may come here when the
 * others have committed already; its own look at the word would then be of the next step. */
static enum mu_status update(struct mu_worker *w, uint64_t state, const struct agreed *a, bool skip,
                             double *lr)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_segment *s = w->segment;
    uint32_t half = state & 1;
    int64_t step = (int64_t)(state >> 1);
    struct mu_adamw adamw = optimizer(w, step, a->norm, lr);
    enum mu_status st = MU_OK;

    mu_predict_tensor_maxima(l, s->half[half].prediction, s->largest, w->tensor_max);
    for (uint32_t c = 0; c < l->chunk_count; c++) {
        if (!owns(w, c))
            continue;
        mu_fault(MU_FAULT_UPDATE, step);
        if (skip)
            copy_chunk(w, c, half);
        else
            update_chunk(w, c, half, adamw);
        atomic_store_explicit(&s->chunk[c].written, (uint64_t)step + 1, memory_order_release);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    MU_TRY(
        mu_worker_wait(w, all_written, (uint64_t)step + 1, "the other ranks to write their chunks"),
        st, failed);
    mu_fault(MU_FAULT_FLIP, step);
    atomic_compare_exchange_strong(&s->header->state, &state,
                                   (uint64_t)(step + 1) << 1 | (~state & 1));
failed:
    return st;
}

enum mu_status mu_worker_step(struct mu_worker *w, struct mu_step_result *out)
{
    struct mu_segment *s = w->segment;
    const struct mu_layout *l = &w->workload->layout;
    uint64_t state = atomic_load(&s->header->state);
    int64_t step = (int64_t)(state >> 1);
    const int16_t *prediction = s->half[state & 1].prediction;
    uint64_t turn = 2 * (uint64_t)step + 1;
    struct agreed a;
    struct mu_step_scalars scalars;
    enum mu_status st;

    memset(out, 0, sizeof *out);
    for (;; turn++) {
        MU_TRY(compute_shards(w, turn, prediction, out->redone || step < w->reached), st, failed);
        MU_TRY(reduce(w, turn, prediction), st, failed);
        a = agree(w);
        if ((a.flags & MU_SUM_NONFINITE) ||
            !mu_exact_sum_must_redo(a.escapes, w->exact.capacity, a.flags))
            break;
        MU_ASSERT(!out->redone); /* raised to its own maxima a step fits */
        out->redone = true;
        mu_predict_raise(l, prediction, s->largest, w->raised);
        prediction = w->raised;
    }
    scalars = s->header->scalars;
    out->skipped = a.flags & MU_SUM_NONFINITE;
    if (out->skipped && w->settings->run_on_nonfinite == MU_NONFINITE_STOP) {
        out->stopped = true;
        st = MU_FAILED;
        goto failed;
    }
    MU_TRY(update(w, state, &a, out->skipped, &out->lr), st, failed);
    w->requests = 0;
    out->step = step + 1;
    out->loss = scalars.tokens > 0 ? mu_wide_value(&scalars.loss) / (double)scalars.tokens : 0;
    out->gradient_norm = a.norm;
    out->tokens = scalars.tokens;
    out->escapes = a.escapes;
    out->requests = scalars.requests;
failed:
    return st;
}

/* Why it is right, whoever dies when. The words of this rank's segment are those of a host
 * (segment.h), and every chunk of a turn gets its word in one go: so a rank has all totals of a
 * turn, or those that it has fetched. From the plan alone, and so alike on all ranks:
 *  - every total stands somewhere: who lacks some fetches them;
 *  - else no rank has them all, so that none has begun to update from them: all reduce the whole
 *    turn once more, and what some had fetched they get again, with the same bits.
 * What the library of the collectives does in between is never believed: whatever was under way
 * when a death is seen is aborted, and its outputs are not used. */
#include "worker/resident.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "worker/parts.h"
#include "worker/worker.h"

enum { SCALARS = MU_WIDE_LIMBS + 2, CLOSE_DEADLINE_MS = 5000 };

/* ---- opening --------------------------------------------------------------------------------- */

static enum mu_status check_device(const struct mu_worker *w)
{
    if (!w->device->ops->resident)
        return MU_FAIL(MU_CONFIG,
                       "device.collective = \"nccl\" needs device.kind = \"cuda\": set that, or "
                       "device.collective = \"mpi\"");
    if (w->roll->size > 1 && !w->device->ops->collective)
        return MU_FAIL(MU_CONFIG, "device.collective = \"nccl\", but the CUDA module was built "
                                  "without NCCL: install NCCL's headers and build again, or set "
                                  "device.collective = \"mpi\"");
    return MU_OK;
}

struct mu_resident_options mu_resident_options_of(const struct mu_settings *settings,
                                                  const struct mu_workload *workload,
                                                  uint32_t ranks)
{
    return (struct mu_resident_options){
        .layout = &workload->layout,
        .shards = (uint32_t)workload->facts.shards,
        .slots = mu_exact_sum_capacity(&workload->layout),
        .parts = settings->optim_shard == MU_SWITCH_ON ? ranks : 0,
    };
}

enum mu_status mu_resident_init(struct mu_worker *w)
{
    const struct mu_resident_options options =
        mu_resident_options_of(w->settings, w->workload, w->roll->size);
    struct mu_worker_resident *r = &w->resident;
    struct mu_segment *s = w->segment;
    enum mu_status st;

    if (w->settings->device_collective != MU_COLLECTIVE_NCCL)
        return MU_OK;
    MU_TRY(check_device(w), st, failed);
    MU_TRY(w->device->ops->resident->open(w->device, &options, &r->state), st, failed);
    if (options.parts > 0)
        MU_TRY(mu_parts_init(w), st, failed);
    for (int h = 0; h < 2; h++) {
        s->half[h].weight = r->state->weight[h];
        s->half[h].m = r->state->m[h];
        s->half[h].v = r->state->v[h];
        s->weight_bf16[h] = r->state->weight_bf16[h];
    }
    s->total = r->state->total;
    if (w->settings->device_overlap == MU_SWITCH_ON && options.parts == 0)
        mu_buckets_plan(&r->buckets, &w->workload->layout);
failed:
    return st;
}

/* All ranks have agreed to leave: what the library still does is not worth this rank's exit code. */
void mu_resident_deinit(struct mu_worker *w)
{
    struct mu_worker_resident *r = &w->resident;
    bool left = false;

    if (!r->state)
        return;
    if (r->peers)
        left = w->device->ops->collective->close(r->peers, CLOSE_DEADLINE_MS) != MU_OK;
    r->peers = NULL;
    mu_resident_forget_forming(w);
    mu_parts_deinit(w);
    w->device->ops->resident->close(r->state);
    mu_worker_release_state(w);
    memset(r, 0, sizeof *r);
    r->left_behind = left;
}

float *mu_resident_result(struct mu_worker *w, uint64_t turn)
{
    const uint64_t word = atomic_load(&w->segment->header->state), made = (turn + 1) / 2;

    if (!w->resident.parts)
        return w->segment->total;
    return w->segment->half[(word >> 1) == made ? word & 1 : ~word & 1].weight;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

void mu_resident_begin(struct mu_worker *w, uint64_t turn, const int16_t *prediction)
{
    w->device->ops->resident->begin(w->resident.state, prediction);
    w->resident.begun = turn;
    w->resident.buckets.begun = 0;
}

void mu_resident_add(struct mu_worker *w, uint64_t turn, const int16_t *prediction,
                     const struct mu_shard_result *g, bool first)
{
    const struct mu_resident_ops *op = w->device->ops->resident;
    struct mu_resident_rows rows[sizeof g->rows / sizeof *g->rows];
    const uint32_t left = mu_buckets_tensors_left(w);

    if (first && left == w->workload->layout.tensor_count)
        mu_resident_begin(w, turn, prediction);
    if (left > 0)
        op->add_dense(w->resident.state, g->dense, 0, left);
    for (uint32_t i = 0; i < g->row_count; i++)
        rows[i] = (struct mu_resident_rows){.tensor = g->rows[i].tensor,
                                            .count = g->rows[i].count,
                                            .row = g->rows[i].row,
                                            .value = g->rows[i].value};
    op->add_rows(w->resident.state, rows, g->row_count);
}

static void put_scalars(const struct mu_step_scalars *s, int64_t out[SCALARS])
{
    memcpy(out, s->loss.limb, sizeof s->loss.limb);
    out[MU_WIDE_LIMBS] = s->loss.nonfinite;
    out[MU_WIDE_LIMBS + 1] = (int64_t)s->tokens;
}

void mu_resident_take_wide(const int64_t limbs[MU_RESIDENT_WIDE], struct mu_wide *out)
{
    struct mu_wide raw;

    _Static_assert(MU_RESIDENT_WIDE * sizeof *limbs == sizeof raw, "a wide sum has one form");
    memcpy(&raw, limbs, sizeof raw);
    memset(out, 0, sizeof *out);
    mu_wide_merge(out, &raw);
}

static void take_scalars(const int64_t in[SCALARS], struct mu_step_scalars *s)
{
    mu_resident_take_wide(in, &s->loss);
    s->tokens = (uint64_t)in[MU_WIDE_LIMBS + 1];
}

/* Maxima, escapes, flags and scalars of everybody. */
static enum mu_status agree(struct mu_worker *w, struct mu_resident_words *words)
{
    const struct mu_resident_ops *op = w->device->ops->resident;
    const struct mu_step_scalars *own = &w->segment->rank[w->slot].scalars;
    struct mu_step_scalars *all = &w->segment->header->scalars;
    struct mu_all_reduce list[MU_RESIDENT_LIST];
    int64_t scalars[SCALARS];
    enum mu_status st;
    int n;

    put_scalars(own, scalars);
    n = op->maxima(w->resident.state, own->requests, scalars, SCALARS, list);
    MU_TRY(mu_resident_all_reduce(w, list, n), st, failed);
    op->agree(w->resident.state, w->segment->largest, scalars, SCALARS, words);
    MU_TRY(mu_device_status(w->device), st, failed);
    take_scalars(scalars, all);
    all->requests = words->requests;
failed:
    return st;
}

void mu_resident_end_wrong_sum(void)
{
    mu_log(MU_LOG_ERROR,
           "the sum of the gradients is not what went into it: this rank ends, the others go "
           "on. Look at its machine's GPU");
    mu_comm_die();
}

/* The total, from the integers of everybody. */
static void finish(struct mu_worker *w, struct mu_wide *norm)
{
    int64_t squares[MU_RESIDENT_WIDE];

    if (!w->device->ops->resident->finish(w->resident.state, squares))
        mu_resident_end_wrong_sum();
    mu_resident_take_wide(squares, norm);
}

/* What is agreed on stands in the first chunk's words. */
static void stamp(struct mu_worker *w, uint64_t turn, const struct mu_resident_words *words,
                  const struct mu_wide *norm)
{
    struct mu_chunk_words *chunk = w->segment->chunk;
    const uint32_t chunks = w->workload->layout.chunk_count;

    for (uint32_t c = 0; c < chunks; c++) {
        memset(&chunk[c].norm, 0, sizeof chunk[c].norm);
        chunk[c].flags = chunk[c].escapes = 0;
    }
    chunk[0].norm = *norm;
    chunk[0].flags = words->flags;
    chunk[0].escapes = (uint32_t)words->escapes;
    for (uint32_t c = 0; c < chunks; c++)
        atomic_store_explicit(&chunk[c].reduced, turn, memory_order_release);
}

/* What of them was not begun in the last shard. */
static enum mu_status begin_buckets(struct mu_worker *w)
{
    enum mu_status st = mu_buckets_begin_rest(w);

    return st == MU_OK ? MU_OK : mu_resident_wait_for_news(w, st);
}

static enum mu_status reduce(struct mu_worker *w, uint64_t turn, const int16_t *prediction)
{
    const struct mu_resident_ops *op = w->device->ops->resident;
    struct mu_all_reduce list[MU_RESIDENT_LIST];
    struct mu_resident_words words;
    struct mu_wide norm = {{0}, 0};
    enum mu_status st;
    const bool in_parts = w->resident.parts != NULL;
    bool fits;

    MU_TRY(mu_resident_meet_peers(w), st, failed);
    if (in_parts)
        MU_TRY(mu_parts_deal(w), st, failed);
    if (w->resident.begun != turn) { /* it had no shard */
        mu_resident_begin(w, turn, prediction);
        op->add_dense(w->resident.state, NULL, 0, w->workload->layout.tensor_count);
    }
    if (!in_parts)
        MU_TRY(begin_buckets(w), st, failed);
    MU_TRY(agree(w, &words), st, failed);
    if (in_parts)
        mu_parts_settle(w);
    fits = !(words.flags & MU_SUM_NONFINITE) &&
           !mu_exact_sum_must_redo(words.escapes, w->exact.capacity, words.flags);
    if (fits && in_parts)
        MU_TRY(mu_parts_reduce(w, words.escapes, &norm), st, failed);
    else if (fits)
        MU_TRY(mu_resident_all_reduce(w, list,
                                      op->integers(w->resident.state, words.escapes,
                                                   mu_buckets_elements_left(w), list)),
               st, failed);
    /* From this look to the words no repair may come in between, or its plan takes the turn for one
     * that nobody has reduced, and the others wait for this rank to do it again. */
    mu_poller_hold(w->poller);
    st = mu_poll(w->poller);
    if (st == MU_OK && fits && !in_parts)
        finish(w, &norm);
    if (st == MU_OK)
        st = mu_device_status(w->device);
    if (st == MU_OK) {
        stamp(w, turn, &words, &norm);
        mu_fetch_tidy(w); /* of the turn before, which all have now */
    }
    mu_poller_release(w->poller);
failed:
    if (st != MU_OK)
        mu_resident_drop_peers(w);
    return st;
}

static enum mu_status fetch(struct mu_worker *w, uint64_t turn)
{
    enum mu_status st = MU_OK;
    uint32_t chunks = 0;

    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++) {
        if (atomic_load(&w->segment->chunk[c].reduced) >= turn)
            continue;
        MU_TRY(mu_fetch_chunk(w, c, turn, mu_recovery_server(w->plan, w->home, c, turn)), st,
               failed);
        atomic_store_explicit(&w->segment->chunk[c].reduced, turn, memory_order_release);
        chunks++;
    }
    if (w->resident.parts)
        mu_parts_fetched(w);
    mu_log(MU_LOG_DEBUG, "fetched %u chunk%s of the total", chunks, chunks == 1 ? "" : "s");
failed:
    return st;
}

enum mu_status mu_resident_reduce(struct mu_worker *w, uint64_t turn, const int16_t *prediction)
{
    enum mu_ledger_kind before = mu_poller_enter(w->poller, MU_LEDGER_COMMUNICATE);
    enum mu_status st =
        mu_recovery_is_reduced(w->plan, w->home, turn, w->workload->layout.chunk_count)
            ? fetch(w, turn)
            : reduce(w, turn, prediction);

    mu_poller_enter(w->poller, before);
    if (st == MU_OK) {
        w->resident.retries = 0;
        mu_fault(MU_FAULT_REDUCED, mu_segment_step(w->segment));
    }
    return st;
}

void mu_resident_update(struct mu_worker *w, uint32_t from, const struct mu_adamw *how, bool skip)
{
    struct mu_segment *s = w->segment;
    const struct mu_state_view *old = &s->half[from];
    struct mu_state_view *new = &s->half[!from];
    const size_t n = w->workload->layout.elements;

    if (w->resident.parts)
        mu_parts_advance(w, from, skip);
    if (w->resident.parts && !skip)
        return; /* the reduction has done so */
    if (!skip) {
        w->device->ops->resident->update(w->resident.state, from, how,
                                         (float)w->settings->optim_weight_decay);
        return;
    }
    mu_device_copy(w->device, new->weight, old->weight, n * sizeof(float));
    if (old->m) {
        mu_device_copy(w->device, new->m, old->m, n * sizeof(float));
        mu_device_copy(w->device, new->v, old->v, n * sizeof(float));
    }
    if (s->weight_bf16[from])
        mu_device_copy(w->device, s->weight_bf16[!from], s->weight_bf16[from],
                       n * sizeof(uint16_t));
}

/* To a state that is committed, and what of it is whole: initial values, loading, checks, the hash.
 * Each is cut into contiguous ranges (of rows, chunks, pieces), one a rank, which never meet:
 * nothing is locked, and whoever needs the whole waits for the others or agrees with them
 * afterwards. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/log.h"
#include "orchestrator/core/shards.h"
#include "worker/parts.h"
#include "worker/prediction.h"
#include "worker/state_check.h"
#include "worker/state_hash.h"
#include "worker/worker.h"

enum { INIT_SLICE = 1 << 17 }; /* elements between two polls: normals take some 3 ms */

static struct mu_range rows_of(const struct mu_worker *w, const struct mu_tensor *t)
{
    return mu_shards_of_worker(t->spec.rows, w->local_index, w->local_count);
}

/* The bf16 copy of this rank's rows of a half. */
static void round_rows(struct mu_worker *w, uint32_t half)
{
    const struct mu_layout *l = &w->workload->layout;
    uint16_t *bf16 = w->segment->weight_bf16[half];

    for (uint32_t i = 0; bf16 && i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        struct mu_range rows = rows_of(w, t);
        uint64_t at = t->offset + rows.from * t->spec.cols,
                 n = (rows.to - rows.from) * t->spec.cols;

        w->device->ops->to_act(w->device, bf16 + at, w->segment->half[half].weight + at,
                               (int64_t)n);
    }
}

/* Weights and moments of elements [from, to) of a tensor. */
static enum mu_status fill_elements(struct mu_worker *w, struct mu_state_view *view,
                                    uint32_t tensor, uint64_t from, uint64_t to)
{
    const uint64_t offset = w->workload->layout.tensors[tensor].offset;
    float *slice = w->resident.state ? malloc(INIT_SLICE * sizeof *slice) : NULL;
    enum mu_status st = MU_OK;

    if (w->resident.state && !slice)
        return MU_FAIL(MU_NO_MEMORY, "no memory for initial weights");
    while (from < to) {
        const uint64_t n = to - from < INIT_SLICE ? to - from : INIT_SLICE, at = offset + from;

        MU_TRY(mu_poll(w->poller), st, failed);
        w->workload->ops->init_tensor(w->workload, tensor, from, from + n,
                                      slice ? slice : view->weight + at);
        if (slice)
            mu_device_upload(w->device, view->weight + at, slice, n * sizeof *slice);
        if (view->m) {
            mu_device_clear(w->device, view->m + at, n * sizeof(float));
            mu_device_clear(w->device, view->v + at, n * sizeof(float));
        }
        from += n;
    }
failed:
    free(slice);
    return st;
}

enum mu_status mu_worker_fill_initial(struct mu_worker *w, uint32_t half)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_state_view *view = &w->segment->half[half];
    enum mu_status st = MU_OK;

    mu_device_weights_forget(&w->weights);
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        struct mu_range rows = rows_of(w, t),
                        blocks = {rows.from * t->blocks_per_row, rows.to * t->blocks_per_row};

        MU_TRY(fill_elements(w, view, i, rows.from * t->spec.cols, rows.to * t->spec.cols), st,
               failed);
        for (uint64_t b = blocks.from; b < blocks.to; b++)
            view->prediction[t->first_block + b] = MU_PREDICTION_NONE;
    }
    round_rows(w, half);
    if (w->resident.parts)
        mu_parts_clear(w, half);
failed:
    return st;
}

void mu_worker_forget_training(const struct mu_state_view *state, uint64_t share, uint64_t shares)
{
    const struct mu_layout *l = state->layout;

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        const struct mu_range rows = mu_shards_of_worker(t->spec.rows, share, shares);
        const uint64_t at = t->offset + rows.from * t->spec.cols;
        const size_t bytes = (rows.to - rows.from) * t->spec.cols * sizeof(float);

        memset(state->m + at, 0, bytes);
        memset(state->v + at, 0, bytes);
        for (uint64_t b = rows.from * t->blocks_per_row; b < rows.to * t->blocks_per_row; b++)
            state->prediction[t->first_block + b] = MU_PREDICTION_NONE;
    }
}

enum mu_status mu_worker_load(struct mu_worker *w, const char *folder, bool weights_only)
{
    const struct mu_checkpoint_poll poll = {mu_poll_hook, w->poller};
    const struct mu_state_view *half = &w->segment->half[0];
    enum mu_status st =
        w->resident.state ? mu_resident_load(w, folder, weights_only, &poll)
                          : mu_checkpoint_load(folder, half, w->local_index, w->local_count, &poll);

    if (weights_only && st == MU_OK && !w->resident.state)
        mu_worker_forget_training(half, w->local_index, w->local_count);
    mu_poller_forgive_gap(w->poller);
    mu_device_weights_forget(&w->weights);
    if (st == MU_OK)
        round_rows(w, 0);
    return st;
}

void mu_worker_commit(struct mu_worker *w, int64_t step)
{
    mu_device_weights_forget(&w->weights);
    if (w->local_index == 0)
        atomic_store(&w->segment->header->state, (uint64_t)step << 1);
}

enum mu_status mu_worker_seal(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_segment *s = w->segment;
    uint32_t half = mu_segment_half(s);
    enum mu_status st = MU_OK;

    /* What lies in a device's memory is never taken up. */
    for (uint32_t c = 0; c < l->chunk_count && !w->resident.state; c++) {
        if (mu_roll_owner(w->roll, w->host, c) != w->place)
            continue;
        s->chunk[c].check[half] =
            mu_state_check_chunk(&s->half[half], &l->chunks[c], mu_segment_step(s));
        MU_TRY(mu_poll(w->poller), st, failed);
    }
failed:
    return st;
}

static bool is_damaged(const struct mu_segment *s, const struct mu_chunk *chunk, uint32_t check)
{
    uint32_t half = mu_segment_half(s);
    const struct mu_state_view *view = &s->half[half];

    return mu_state_check_chunk(view, chunk, mu_segment_step(s)) != check ||
           (s->weight_bf16[half] && !mu_state_check_bf16(view, s->weight_bf16[half], chunk));
}

static void tell_damage(const struct mu_worker *w, uint32_t chunk)
{
    const struct mu_layout *l = &w->workload->layout;
    const struct mu_chunk *c = &l->chunks[chunk];
    const char *first = l->tensors[l->spans[c->first_span].tensor].spec.name;
    const char *last = l->tensors[l->spans[c->first_span + c->span_count - 1].tensor].spec.name;
    char host[64] = "";

    gethostname(host, sizeof host - 1);
    mu_log(MU_LOG_WARN,
           "the state of step %" PRId64 " in the memory of host %s is damaged (chunk %" PRIu32
           ", of %s%s%s): it is not used, but the newest checkpoint",
           mu_segment_step(w->segment), host, chunk, first, first == last ? "" : " to ",
           first == last ? "" : last);
}

enum mu_status mu_worker_verify(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    enum mu_status st = MU_OK;

    for (uint32_t c = 0; c < l->chunk_count; c++) {
        if (mu_roll_owner(w->roll, w->host, c) != w->place)
            continue;
        if (is_damaged(w->segment, &l->chunks[c],
                       w->segment->chunk[c].check[mu_segment_half(w->segment)])) {
            tell_damage(w, c);
            return MU_CORRUPT;
        }
        MU_TRY(mu_poll(w->poller), st, failed);
    }
failed:
    return st;
}

void mu_worker_settle(struct mu_worker *w, const struct mu_segment_origin *origin)
{
    if (w->local_index != 0 || w->resident.state)
        return;
    w->segment->header->origin = *origin;
    atomic_store(&w->segment->header->settled, 1);
}

static bool all_hashed(struct mu_worker *w, uint64_t mark)
{
    for (uint32_t i = 0; i < w->local_count; i++) {
        uint32_t slot = mu_worker_slot(w, mu_roll_local(w->roll, w->host, i));

        if (atomic_load_explicit(&w->segment->rank[slot].hashed, memory_order_acquire) < mark)
            return false;
    }
    return true;
}

static enum mu_status hash(struct mu_worker *w, struct mu_hash *out)
{
    uint64_t pieces = mu_state_hash_pieces(&w->workload->layout);
    struct mu_range mine = mu_shards_of_worker(pieces, w->local_index, w->local_count);
    struct mu_segment *s = w->segment;
    uint64_t mark = (uint64_t)w->roll->epoch << 40 | (uint64_t)mu_segment_step(s);
    const struct mu_state_view *state = &s->half[mu_segment_half(s)];
    enum mu_status st = MU_OK;

    if (w->resident.state)
        return mu_resident_hash(w, out);
    for (uint64_t p = mine.from; p < mine.to; p++) {
        s->piece[p] = mu_state_hash_piece(state, p);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    atomic_store_explicit(&s->rank[w->slot].hashed, mark, memory_order_release);
    MU_TRY(mu_worker_wait(w, all_hashed, mark, "the other ranks to hash their pieces"), st, failed);
    *out = mu_state_hash_combine(s->piece, pieces, mu_segment_step(s));
failed:
    return st;
}

enum mu_status mu_worker_hash(struct mu_worker *w, struct mu_hash *out)
{
    enum mu_status st;

    mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_HASH);
    st = hash(w, out);
    mu_timed_leave(mu_worker_timed(w));
    return st;
}

/* A rank's work besides the step: initial values, loading, the probe, evaluation, hashing. Each is
 * cut into contiguous ranges (of rows, pieces), one a rank, which never meet: nothing is locked,
 * and whoever needs the whole waits for the others or agrees with them afterwards.
 *
 * A wait cannot be bounded by what a step should take, as slow ranks are lawful: it goes on while
 * any other rank of the host still polls, by the board. */
#include "worker/worker.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/core/shards.h"
#include "worker/parts.h"
#include "worker/prediction.h"
#include "worker/state_check.h"
#include "worker/state_hash.h"

enum {
    STANDSTILL_MS = 60000, /* nobody on this host has polled for so long: a wait is given up */
    LONGEST_MS = 3600000,  /* whatever the others do: a step on one rank may take minutes */
    LOOK_MS = 500,         /* between two looks at the board while waiting */
    INIT_SLICE = 1 << 17,  /* elements between two polls: normals take some 3 ms */
};

void mu_worker_adopt(struct mu_worker *w, const struct mu_recovery_plan *plan)
{
    w->plan = plan;
    w->place = (uint32_t)mu_comm_rank(w->comm);
    w->host = w->roll->host_of[w->place];
    w->local_index = mu_roll_local_index(w->roll, w->place);
    w->local_count = w->roll->host[w->host].count;
    if (w->workers > w->roll->size) /* spares have taken the places as long as there were any */
        w->workers = w->roll->size;
}

static enum mu_status name_fleet(struct mu_worker *w)
{
    uint32_t size = w->roll->size, *name = calloc(size, sizeof *name);
    enum mu_status st;

    if (!name)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a fleet of %u ranks", size);
    for (uint32_t i = 0; i < size; i++)
        name[i] = (uint32_t)mu_comm_name(w->comm, (int)i);
    st = mu_fleet_init(&w->fleet, w->roll, name, name[size - 1] + 1);
    free(name);
    return st;
}

/* Making gigabytes known to a device may take as long as reading a file. */
static enum mu_status lend_segment(struct mu_worker *w)
{
    void *memory = w->segment->header;
    enum mu_status st = mu_device_lend(w->device, memory, w->segment->header->bytes);

    if (st == MU_OK)
        w->lent = memory;
    if (!mu_device_has_host_memory(w->device))
        mu_poller_forgive_gap(w->poller);
    return st;
}

void mu_worker_take_back(struct mu_worker *w)
{
    if (w->lent)
        mu_device_take_back(w->device, w->lent);
    w->lent = NULL;
}

enum mu_status mu_worker_init(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    enum mu_status st;

    w->workers = mu_recovery_workers(w->roll->size, (uint32_t)w->settings->run_spares,
                                     (uint32_t)w->workload->facts.shards);
    mu_worker_adopt(w, NULL);
    w->home = w->host;
    w->slot = w->local_index;
    MU_TRY(lend_segment(w), st, failed);
    MU_TRY(name_fleet(w), st, failed);
    MU_TRY(mu_exact_sum_init(&w->exact, l, w->device, (uint32_t)w->workload->facts.shards), st,
           failed);
    MU_TRY(mu_resident_init(w), st, failed);
    if (!w->resident.state)
        MU_TRY(mu_device_weights_init(&w->weights, w->device, l->elements), st, failed);
    MU_TRY(mu_reduction_init(w), st, failed);
    MU_TRY(mu_fetch_init(w), st, failed);
    MU_TRY(mu_audit_init(w), st, failed);
    w->raised = mu_device_alloc_lent(w->device, l->blocks * sizeof *w->raised);
    w->tensor_max = calloc(l->tensor_count, sizeof *w->tensor_max);
    w->summed = calloc(w->local_count, sizeof *w->summed);
    if (!w->raised || !w->tensor_max || !w->summed)
        st = MU_FAIL(MU_NO_MEMORY, "no memory for the predictions of %llu blocks",
                     (unsigned long long)l->blocks);
failed:
    return st;
}

void mu_worker_deinit(struct mu_worker *w)
{
    mu_resident_deinit(w);
    mu_exact_sum_deinit(&w->exact);
    mu_reduction_deinit(w);
    mu_fetch_deinit(w);
    mu_audit_deinit(w);
    mu_device_weights_deinit(&w->weights);
    mu_fleet_deinit(&w->fleet);
    mu_device_free_lent(w->device, w->raised);
    free(w->tensor_max);
    free(w->summed);
    w->raised = w->tensor_max = NULL;
    w->summed = NULL;
    mu_worker_take_back(w);
}

/* Grows as long as any other rank of this host moves, by the board. */
static uint64_t polls_of_others(const struct mu_worker *w)
{
    uint64_t polls = 0;

    for (uint32_t i = 0; i < w->local_count; i++) {
        uint32_t place = mu_roll_local(w->roll, w->host, i);
        const struct mu_board_entry *e =
            place == w->place ? NULL : mu_board_entry(w->board, mu_comm_name(w->comm, (int)place));

        if (e)
            polls += atomic_load_explicit(&e->polls, memory_order_relaxed);
    }
    return polls;
}

static enum mu_status wait(struct mu_worker *w, bool (*ready)(struct mu_worker *, uint64_t),
                           uint64_t mark, const char *what)
{
    struct mu_backoff pause = {0};
    struct mu_deadline standstill = mu_deadline_in_ms(STANDSTILL_MS);
    struct mu_deadline longest = mu_deadline_in_ms(LONGEST_MS);
    struct mu_deadline next_look = mu_deadline_in_ms(LOOK_MS);
    uint64_t polls = 0, now;

    while (!ready(w, mark)) {
        enum mu_status st = mu_poll(w->poller);

        if (st != MU_OK)
            return st;
        mu_backoff_pause(&pause);
        if (!mu_deadline_passed(next_look))
            continue;
        now = polls_of_others(w);
        if (now != polls)
            standstill = mu_deadline_in_ms(STANDSTILL_MS);
        if (mu_deadline_passed(standstill))
            return MU_FAIL(MU_TIMEOUT, "waited for %s, and no rank of this host has moved for %d s",
                           what, STANDSTILL_MS / 1000);
        if (mu_deadline_passed(longest))
            return MU_FAIL(MU_TIMEOUT, "waited %d s for %s", LONGEST_MS / 1000, what);
        polls = now;
        next_look = mu_deadline_in_ms(LOOK_MS);
    }
    return MU_OK;
}

enum mu_status mu_worker_wait(struct mu_worker *w, bool (*ready)(struct mu_worker *, uint64_t),
                              uint64_t mark, const char *what)
{
    enum mu_ledger_kind before =
        mu_poller_enter_at_work(w->poller, w->is_idle ? MU_LEDGER_IDLE : MU_LEDGER_WAIT);
    enum mu_status st;

    mu_timed_enter(mu_worker_timed(w), w->is_idle ? MU_TIMED_PART_IDLE : MU_TIMED_PART_WAIT);
    st = wait(w, ready, mark, what);
    mu_timed_leave(mu_worker_timed(w));
    mu_poller_enter(w->poller, before);
    return st;
}

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

/* A full piece of an evaluation and the last, which may be shorter. */
static enum mu_status probe_evaluation(struct mu_worker *w, const struct mu_weights *weights,
                                       struct mu_hash *out)
{
    const uint64_t pieces = w->workload->facts.eval_pieces, probed[2] = {0, pieces - 1};
    enum mu_status st = MU_OK;

    for (int i = 0; i < (pieces < 2 ? (int)pieces : 2); i++) {
        struct mu_piece_result r;

        MU_TRY(w->workload->ops->evaluate(w->workload, weights, 0, probed[i], &r), st, failed);
        MU_TRY(mu_poll(w->poller), st, failed);
        *out = mu_hash_bytes(&r.loss_nats, sizeof r.loss_nats, out->low ^ out->high);
    }
failed:
    return st;
}

static uint64_t bytes_of(const struct mu_tensor *t, uint64_t rows)
{
    return rows * t->spec.cols * sizeof(float);
}

/* Of the dense tensors, then of the rows. Each is hashed whole: what a device keeps to itself is
 * copied. */
static enum mu_status hash_gradient(struct mu_worker *w, const struct mu_shard_result *g,
                                    struct mu_hash h[2])
{
    const struct mu_layout *l = &w->workload->layout;
    void *copy = NULL;
    uint64_t most = 1;

    for (uint32_t i = 0; i < l->tensor_count; i++)
        if (bytes_of(&l->tensors[i], l->tensors[i].spec.rows) > most)
            most = bytes_of(&l->tensors[i], l->tensors[i].spec.rows);
    if (!mu_device_has_host_memory(w->device) && !(copy = malloc(most)))
        return MU_FAIL(MU_NO_MEMORY, "no memory for a gradient of %" PRIu64 " bytes", most);
    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        uint64_t n = bytes_of(t, t->spec.rows);

        if (t->spec.dense)
            h[0] = mu_hash_bytes(mu_device_view(w->device, g->dense + t->offset, n, copy), n,
                                 h[0].low ^ h[0].high);
    }
    for (uint32_t i = 0; i < g->row_count; i++) {
        uint64_t n = bytes_of(&l->tensors[g->rows[i].tensor], g->rows[i].count);

        h[1] = mu_hash_bytes(mu_device_view(w->device, g->rows[i].value, n, copy), n,
                             h[1].low ^ h[1].high);
    }
    free(copy);
    return mu_device_status(w->device);
}

/* The half is no committed state, and is written again: no copy of it is kept. */
enum mu_status mu_worker_probe(struct mu_worker *w, uint32_t half, struct mu_hash *out)
{
    struct mu_weights weights;
    struct mu_shard_result g;
    struct mu_hash h[4] = {{0}};
    enum mu_status st;

    mu_device_weights_forget(&w->weights);
    MU_TRY(mu_device_weights_take(&w->weights, w->segment, half, &weights), st, failed);
    MU_TRY(w->workload->ops->shard_gradient(w->workload, &weights, 0, 0, &g), st, failed);
    MU_TRY(hash_gradient(w, &g, h), st, failed);
    memcpy(&h[2], &g.loss_nats, sizeof g.loss_nats);
    MU_TRY(mu_poll(w->poller), st, failed);
    MU_TRY(probe_evaluation(w, &weights, &h[3]), st, failed);
    *out = mu_hash_bytes(h, sizeof h, 0);
failed:
    mu_device_weights_forget(&w->weights);
    return st;
}

/* Whoever computes a piece computes the same. */
static enum mu_status evaluate_piece(struct mu_worker *w, const struct mu_weights *weights,
                                     int64_t step, uint64_t piece)
{
    struct mu_eval_words *words = &w->segment->evaluated[piece];
    struct mu_piece_result r;
    enum mu_status st = w->workload->ops->evaluate(w->workload, weights, step, piece, &r);

    if (st != MU_OK)
        return st;
    words->loss_nats = r.loss_nats;
    words->bytes = r.bytes;
    words->tokens = r.tokens;
    atomic_store_explicit(&words->step, (uint64_t)step + 1, memory_order_release);
    return MU_OK;
}

enum mu_status mu_worker_evaluate(struct mu_worker *w, struct mu_eval_sum *out)
{
    struct mu_range mine =
        mu_shards_of_worker(w->workload->facts.eval_pieces, w->place, w->roll->size);
    uint64_t state = atomic_load(&w->segment->header->state);
    int64_t step = (int64_t)(state >> 1);
    struct mu_weights weights;
    enum mu_status st;

    memset(out, 0, sizeof *out);
    MU_TRY(mu_device_weights_take(&w->weights, w->segment, state, &weights), st, failed);
    for (uint64_t piece = mine.from; piece < mine.to; piece++) {
        struct mu_eval_words *words = &w->segment->evaluated[piece];

        mu_fault(MU_FAULT_EVALUATE, step);
        if (atomic_load_explicit(&words->step, memory_order_acquire) != (uint64_t)step + 1)
            MU_TRY(evaluate_piece(w, &weights, step, piece), st, failed);
        MU_TRY(mu_poll(w->poller), st, failed);
        mu_wide_add(&out->loss, words->loss_nats);
        mu_wide_add(&out->bytes, words->bytes);
        out->tokens += words->tokens;
    }
failed:
    return st;
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

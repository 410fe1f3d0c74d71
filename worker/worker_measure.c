/* What is computed with the weights besides a step: the probe, by which ranks find out whether they
 * compute the same bits, and evaluation. Pieces of an evaluation are dealt to ranks as contiguous
 * ranges; whoever computes one computes the same. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/core/shards.h"
#include "worker/worker.h"

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
enum mu_status mu_worker_probe(struct mu_worker *w, uint32_t half, struct mu_probe *out)
{
    struct mu_weights weights;
    struct mu_shard_result g;
    struct mu_hash h[3] = {{0}};
    enum mu_status st;

    mu_device_weights_forget(&w->weights);
    MU_TRY(mu_device_weights_take(&w->weights, w->segment, half, &weights), st, failed);
    MU_TRY(w->workload->ops->shard_gradient(w->workload, &weights, 0, 0, &g), st, failed);
    MU_TRY(hash_gradient(w, &g, h), st, failed);
    memcpy(&h[2], &g.loss_nats, sizeof g.loss_nats);
    MU_TRY(mu_poll(w->poller), st, failed);
    out->gradient = mu_hash_bytes(h, sizeof h, 0);
    out->evaluation = (struct mu_hash){0};
    MU_TRY(probe_evaluation(w, &weights, &out->evaluation), st, failed);
failed:
    mu_device_weights_forget(&w->weights);
    return st;
}

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

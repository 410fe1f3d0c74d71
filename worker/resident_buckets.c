/* A bucket goes through three hands: its tensors are final (the workload tells), it is in the sum
 * (added), its all-reduce has begun (begun). The first two are counted a shard, the last one a turn
 * and a communicator: a rank that gave one up begins again from the first bucket. Nothing is added
 * to a sum that a communicator of an earlier epoch may still be reading: it is given up before. */
#include "worker/resident_buckets.h"

#include <stdatomic.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "worker/worker.h"

enum { BUCKET = 1 << 21, /* elements: 8 MiB of integers */ SMALLEST_SHARE = 4 };

/* ---- the list -------------------------------------------------------------------------------- */

void mu_buckets_plan(struct mu_buckets *b, const struct mu_layout *l)
{
    const uint64_t share = l->elements / MU_BUCKETS_MAX, part = l->elements / SMALLEST_SHARE,
                   floor = part < BUCKET ? part : BUCKET, least = share > floor ? share : floor;
    uint64_t end = l->elements;

    memset(b, 0, sizeof *b);
    for (uint32_t t = l->tensor_count; t-- > 0 && l->tensors[t].spec.row_addends == 0;) {
        if (end - l->tensors[t].offset < least || b->count == MU_BUCKETS_MAX)
            continue;
        b->first[b->count] = t;
        b->from[b->count] = end = l->tensors[t].offset;
        b->count++;
    }
}

static uint32_t tensor_end(const struct mu_worker *w, uint32_t bucket)
{
    return bucket == 0 ? w->workload->layout.tensor_count : w->resident.buckets.first[bucket - 1];
}

static uint64_t element_end(const struct mu_worker *w, uint32_t bucket)
{
    return bucket == 0 ? w->workload->layout.elements : w->resident.buckets.from[bucket - 1];
}

/* ---- beginning them -------------------------------------------------------------------------- */

static enum mu_status begin_next(struct mu_worker *w)
{
    struct mu_worker_resident *r = &w->resident;
    const uint32_t i = r->buckets.begun++;
    const struct mu_all_reduce all =
        w->device->ops->resident->bucket(r->state, r->buckets.from[i], element_end(w, i));

    return w->device->ops->collective->all_reduce(r->peers, &all, 1);
}

/* A rank that has heard of a death gives up what it has begun. Its sum is untouched by that. */
static bool has_peers(struct mu_worker *w)
{
    if (w->resident.peers && w->resident.epoch != w->roll->epoch)
        mu_resident_drop_peers(w);
    return w->resident.peers != NULL;
}

enum mu_status mu_buckets_begin_rest(struct mu_worker *w)
{
    struct mu_buckets *b = &w->resident.buckets;

    if (w->resident.peers && b->count > 0)
        mu_log(MU_LOG_DEBUG, "%u of %u buckets were begun in the last shard", b->begun, b->count);
    while (w->resident.peers && b->failed == MU_OK && b->begun < b->count)
        b->failed = begin_next(w);
    return b->failed;
}

uint64_t mu_buckets_elements_left(const struct mu_worker *w)
{
    const struct mu_buckets *b = &w->resident.buckets;

    return w->resident.peers && b->count > 0 ? b->from[b->count - 1] : w->workload->layout.elements;
}

/* ---- in a shard ------------------------------------------------------------------------------ */

/* From here on the sum is torn, until all of the shard is in it. */
static void add_bucket(struct mu_worker *w, const float *dense)
{
    struct mu_buckets *b = &w->resident.buckets;
    const uint32_t i = b->added++;

    atomic_store_explicit(&w->segment->rank[w->slot].adding, b->turn << 1 | 1,
                          memory_order_seq_cst);
    if (i == 0 && b->first_shard)
        mu_resident_begin(w, b->turn, b->prediction);
    w->device->ops->resident->add_dense(w->resident.state, dense, b->first[i], tensor_end(w, i));
}

/* The gradients of tensors from `first` on are final. */
static void take_ready(void *context, const float *dense, uint32_t first)
{
    struct mu_worker *w = context;
    struct mu_buckets *b = &w->resident.buckets;
    bool done;

    while (b->added < b->count && b->first[b->added] >= first)
        add_bucket(w, dense);
    if (!has_peers(w) || b->failed != MU_OK || mu_device_status(w->device) != MU_OK)
        return;
    while (b->failed == MU_OK && b->begun < b->added)
        b->failed = begin_next(w);
    if (b->failed == MU_OK && b->begun > 0)
        b->failed = w->device->ops->collective->poll(w->resident.peers, &done);
}

void mu_buckets_watch(struct mu_worker *w, uint64_t turn, const int16_t *prediction, bool first)
{
    struct mu_buckets *b = &w->resident.buckets;

    b->added = 0;
    if (!has_peers(w) || !b->is_last)
        return;
    b->turn = turn;
    b->prediction = prediction;
    b->first_shard = first;
    w->workload->ready = (struct mu_ready){.tell = take_ready, .context = w};
}

void mu_buckets_unwatch(struct mu_worker *w)
{
    w->workload->ready.tell = NULL;
}

uint32_t mu_buckets_tensors_left(const struct mu_worker *w)
{
    const struct mu_buckets *b = &w->resident.buckets;

    return b->added == 0 ? w->workload->layout.tensor_count : b->first[b->added - 1];
}

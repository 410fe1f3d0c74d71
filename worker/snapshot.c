#include "worker/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "worker/parts.h"
#include "worker/state_check.h"

enum {
    LEAST_PAUSE_NS = 1000000000,
    SHARE = 99,        /* of a pause to the copy before it: 1 % of both */
    NAME = 0x736e6170, /* "snap": no host of the worker's own segments is called so */
};
/* Bytes a second through page-locked stages, and once more through the cache: until the first copy
 * has shown how long one takes. */
static const double first_guess = 4e9;

/* ---- who is where ---------------------------------------------------------------------------- */

/* The machines of the roll as it is now. */
static enum mu_status meet(struct mu_snapshots *s, const struct mu_worker *w)
{
    const uint32_t size = w->roll->size;
    struct mu_roll machines;
    uint64_t *key;
    enum mu_status st;

    if (s->machines.size > 0 && s->machines.epoch == w->roll->epoch)
        return MU_OK;
    key = calloc(size, sizeof *key);
    if (!key)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a roll of %u ranks", size);
    for (uint32_t i = 0; i < size; i++)
        key[i] = s->machine_key[w->fleet.home[mu_comm_name(w->comm, (int)i)]];
    st = mu_roll_init(&machines, w->roll->epoch, key, size);
    free(key);
    if (st != MU_OK)
        return st;
    mu_roll_deinit(&s->machines);
    s->machines = machines;
    mu_worker_adopt(&s->machine, NULL);
    return MU_OK;
}

enum mu_status mu_snapshots_init(struct mu_snapshots *s, const struct mu_worker *w,
                                 const uint64_t *machine_key)
{
    enum mu_status st;

    *s = (struct mu_snapshots){.machine_key = machine_key};
    s->machine = (struct mu_worker){
        .settings = w->settings,
        .comm = w->comm,
        .board = w->board,
        .poller = w->poller,
        .roll = &s->machines,
        .device = w->device,
        .workload = w->workload,
        .segment = &s->segment,
    };
    st = meet(s, w);
    s->first_machines = s->machines.hosts;
    return st;
}

void mu_snapshots_deinit(struct mu_snapshots *s)
{
    mu_roll_deinit(&s->machines);
    memset(s, 0, sizeof *s);
}

/* ---- the segment ----------------------------------------------------------------------------- */

static uint64_t share_bytes(const struct mu_snapshots *s)
{
    return 12 * s->machine.workload->layout.elements / s->machine.local_count;
}

uint64_t mu_snapshots_pause_ns(uint64_t cost_ns)
{
    return SHARE * cost_ns > LEAST_PAUSE_NS ? SHARE * cost_ns : LEAST_PAUSE_NS;
}

enum mu_status mu_snapshots_open(struct mu_snapshots *s, struct mu_segment_options how)
{
    const struct mu_worker *m = &s->machine;
    const uint64_t name[2] = {s->machine_key[m->place], NAME};
    enum mu_status st;

    how.layout = &m->workload->layout;
    how.host = (uint32_t)mu_hash_bytes(name, sizeof name, 0).low;
    how.ranks = m->local_count;
    how.slot = m->local_index;
    how.leader = m->local_index == 0;
    how.eval_pieces = 0;
    how.bf16 = how.words_only = false;
    how.state_only = true;
    s->bytes = mu_segment_bytes(&how);
    st = mu_segment_open(&s->segment, &how);
    mu_poller_forgive_gap(m->poller); /* memory is taken page by page */
    s->due_ns = mu_clock_ns() +
                mu_snapshots_pause_ns((uint64_t)(1e9 * (double)share_bytes(s) / first_guess));
    return st;
}

void mu_snapshots_close(struct mu_snapshots *s, bool unlink)
{
    mu_segment_close(&s->segment, unlink);
}

/* ---- making one ------------------------------------------------------------------------------ */

bool mu_snapshots_is_due(const struct mu_snapshots *s, const struct mu_worker *w, int64_t step)
{
    const int64_t every = w->settings->device_snapshot_every;

    if (!s->segment.header)
        return false;
    return every == MU_AUTO ? mu_clock_ns() >= s->due_ns : (step + 1) % every == 0;
}

/* Of a copy that its machine does not have, this rank's chunks that are not there. */
static bool lacks_chunk(const struct mu_snapshots *s, uint32_t chunk, uint64_t step)
{
    return atomic_load(&s->segment.header->state) >> 1 != step &&
           mu_roll_owner(&s->machines, s->machine.host, chunk) == s->machine.place &&
           atomic_load(&s->segment.chunk[chunk].written) < step;
}

/* Moments that lie in parts, into a half of the copy. All ranks take part in it, also those whose
 * machine has this copy already, as nobody knows of the others'. own: as mu_parts_gather. */
static enum mu_status gather_moments(struct mu_snapshots *s, struct mu_worker *w, uint32_t half,
                                     enum mu_status own)
{
    const struct mu_layout *l = &w->workload->layout;
    const uint64_t step = (uint64_t)mu_segment_step(w->segment);
    struct mu_parts_wish wish = {NULL, 0};
    enum mu_status st = own;

    if (st == MU_OK)
        st = mu_parts_wish_init(&wish, l->chunk_count);
    for (uint32_t c = 0; c < l->chunk_count && st == MU_OK; c++)
        if (lacks_chunk(s, c, step))
            mu_parts_wish_add(&wish, l->chunks[c].offset, l->chunks[c].count);
    st = mu_parts_gather(w, &s->segment.half[half], &wish, &wish, st);
    mu_parts_wish_deinit(&wish);
    if (st == MU_OK)
        st = mu_poll(w->poller); /* else the chunks are not those of this rank any more */
    return st;
}

/* A chunk of the state into a half of the copy; moments in parts are there. */
static enum mu_status copy_chunk(struct mu_snapshots *s, struct mu_worker *w, uint32_t chunk,
                                 uint32_t half)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    const struct mu_state_view *from = &w->segment->half[mu_segment_half(w->segment)];
    const struct mu_state_view *to = &s->segment.half[half];
    const int64_t step = mu_segment_step(w->segment);
    const size_t bytes = c->count * sizeof(float);
    enum mu_status st;

    mu_fault(MU_FAULT_SNAPSHOT, step);
    mu_device_download(w->device, to->weight + c->offset, from->weight + c->offset, bytes);
    if (!w->resident.parts) {
        mu_device_download(w->device, to->m + c->offset, from->m + c->offset, bytes);
        mu_device_download(w->device, to->v + c->offset, from->v + c->offset, bytes);
    }
    memcpy(to->prediction + c->first_block, from->prediction + c->first_block,
           c->block_count * sizeof *to->prediction);
    MU_TRY(mu_device_verify(w->device), st, failed);
    s->segment.chunk[chunk].check[half] = mu_state_check_chunk(to, c, step);
    atomic_store_explicit(&s->segment.chunk[chunk].written, (uint64_t)step, memory_order_release);
    st = mu_poll(w->poller);
failed:
    return st;
}

static bool all_copied(struct mu_worker *machine, uint64_t step)
{
    for (uint32_t c = 0; c < machine->workload->layout.chunk_count; c++)
        if (atomic_load_explicit(&machine->segment->chunk[c].written, memory_order_acquire) < step)
            return false;
    return true;
}

static enum mu_status take(struct mu_snapshots *s, struct mu_worker *w,
                           const struct mu_segment_origin *origin,
                           const struct mu_step_result *result)
{
    struct mu_segment_header *h = s->segment.header;
    const uint64_t step = (uint64_t)mu_segment_step(w->segment);
    uint64_t state = atomic_load(&h->state);
    const uint32_t half = ~state & 1;
    enum mu_status st = MU_OK;

    if (state >> 1 == step)
        return MU_OK;
    if (s->machine.local_index == 0) { /* the owner of chunk 0, without which nothing is whole */
        h->result[half] = *result;
        h->origin = *origin;
    }
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++)
        if (lacks_chunk(s, c, step))
            MU_TRY(copy_chunk(s, w, c, half), st, failed);
    MU_TRY(mu_worker_wait(&s->machine, all_copied, step, "the other ranks to copy their chunks"),
           st, failed);
    atomic_compare_exchange_strong(&h->state, &state, step << 1 | half);
    atomic_store(&h->settled, 1);
failed:
    return st;
}

enum mu_status mu_snapshots_take(struct mu_snapshots *s, struct mu_worker *w,
                                 const struct mu_segment_origin *origin,
                                 const struct mu_step_result *result)
{
    enum mu_ledger_kind before = mu_poller_enter(w->poller, MU_LEDGER_CHECKPOINT);
    const uint64_t began_ns = mu_clock_ns();
    enum mu_status st = meet(s, w);

    if (w->resident.parts)
        st = gather_moments(s, w, ~atomic_load(&s->segment.header->state) & 1, st);
    if (st == MU_OK)
        st = take(s, w, origin, result);
    s->due_ns = mu_clock_ns() + mu_snapshots_pause_ns(mu_clock_ns() - began_ns);
    mu_poller_enter(w->poller, before);
    if (st == MU_OK)
        mu_log(MU_LOG_DEBUG, "the state of step %lld was copied in %.1f ms",
               (long long)result->step, 1e-6 * (double)(mu_clock_ns() - began_ns));
    return st;
}

/* ---- taking one up --------------------------------------------------------------------------- */

void mu_snapshots_adopt_result(struct mu_snapshots *s)
{
    s->segment.header->result[mu_segment_half(&s->segment)] = *mu_segment_result(&s->segment);
}

enum mu_status mu_snapshots_upload(struct mu_snapshots *s, struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    const struct mu_state_view *from = &s->segment.half[mu_segment_half(&s->segment)];
    const struct mu_state_view *to = &w->segment->half[0];
    uint16_t *bf16 = w->segment->weight_bf16[0];
    enum mu_status st = mu_resident_upload(w, from);

    if (st != MU_OK)
        return st;
    memcpy(to->prediction, from->prediction, l->blocks * sizeof *to->prediction);
    if (bf16)
        w->device->ops->to_act(w->device, bf16, to->weight, (int64_t)l->elements);
    return mu_device_verify(w->device);
}

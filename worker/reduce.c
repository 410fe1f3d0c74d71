/* Runs on the chunk's owner only, one on each host, a chunk at a time: so there is one set of
 * buffers and no lock. What it reads, the ranks' sums, stands still in this turn (segment.h); what
 * it writes is the chunk's own part of the segment; its word `reduced` comes last and vouches for
 * it. The step's scalars ride on round A of chunk 0.
 *
 * Whether round B takes place is decided from what round A has made the same on every host, so
 * that no owner waits for one that does not send.
 *
 * A repair gives the chunk up wherever it is, but for its end: from the last look at the poller to
 * the word, nothing can happen in between, so that a plan never takes a chunk for undone that is
 * stamped a moment later, while the other hosts wait for its ring. */
#include "worker/reduce.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "orchestrator/base/log.h"
#include "orchestrator/core/shards.h"
#include "worker/comm/ring.h"
#include "worker/prediction.h"
#include "worker/worker.h"

/* Round A's message; one unit, handed round whole and merged in place at every hop. So it goes as
 * it lies in memory, not packed: both ends run the same program, checked at the start, so that
 * layout and byte order agree. */
struct round_a {
    struct mu_step_scalars scalars;
    uint32_t flags, padding;
    /* then: escaped words (uint64_t), then largest (a byte a block) */
};

static size_t escaped_words(const struct mu_chunk *c)
{
    return (size_t)((c->block_count + 63) / 64);
}

static size_t round_a_bytes(const struct mu_chunk *c)
{
    return sizeof(struct round_a) + escaped_words(c) * 8 + (size_t)c->block_count;
}

static uint64_t *escaped_of(uint8_t *message)
{
    return (uint64_t *)(void *)(message + sizeof(struct round_a));
}

static uint8_t *largest_of(uint8_t *message, const struct mu_chunk *c)
{
    return message + sizeof(struct round_a) + escaped_words(c) * 8;
}

static void merge_scalars(struct mu_step_scalars *into, const struct mu_step_scalars *from)
{
    mu_wide_merge(&into->loss, &from->loss);
    into->tokens += from->tokens;
    into->requests |= from->requests;
}

static void merge_round_a(void *context, void *into, const void *from, size_t bytes)
{
    const struct mu_chunk *c = context;
    uint8_t *a = into, *b = (uint8_t *)(uintptr_t)from;
    struct round_a *head = into;
    const struct round_a *other = from;

    MU_ASSERT(bytes == round_a_bytes(c));
    merge_scalars(&head->scalars, &other->scalars);
    head->flags |= other->flags;
    for (size_t i = 0; i < escaped_words(c); i++)
        escaped_of(a)[i] |= escaped_of(b)[i];
    for (size_t i = 0; i < c->block_count; i++)
        if (largest_of(b, c)[i] > largest_of(a, c)[i])
            largest_of(a, c)[i] = largest_of(b, c)[i];
}

/* The others' numbers went through this rank's device, and on to the next rank in the same call. */
static void die_with_device(const struct mu_device *d)
{
    if (mu_device_status(d) != MU_FAILED)
        return;
    mu_log(MU_LOG_ERROR, "this rank ends with its device; the others do its sums again");
    mu_comm_die();
}

static void merge_int32(void *context, void *into, const void *from, size_t bytes)
{
    struct mu_device *d = context;

    d->ops->add_int32(d, into, from, (int64_t)(bytes / 4));
    die_with_device(d);
}

static void merge_int64(void *context, void *into, const void *from, size_t bytes)
{
    int64_t *a = into;
    const int64_t *b = from;

    (void)context;
    for (size_t i = 0; i < bytes / 8; i++)
        a[i] += b[i];
}

static void merge_float(void *context, void *into, const void *from, size_t bytes)
{
    struct mu_device *d = context;

    d->ops->add(d, into, from, (int64_t)(bytes / 4), false);
    die_with_device(d);
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

enum mu_status mu_reduction_init(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_reduction *r = &w->reduction;
    uint32_t hosts = w->roll->hosts;
    size_t elements = 0, blocks = 0, message = 0, slots, scratch;

    for (uint32_t c = 0; c < l->chunk_count; c++) {
        elements = larger(elements, l->chunks[c].count);
        blocks = larger(blocks, l->chunks[c].block_count);
        message = larger(message, round_a_bytes(&l->chunks[c]));
    }
    slots = blocks < w->exact.capacity ? blocks : w->exact.capacity;
    if (hosts > 2)
        hosts = 2; /* after deaths pieces may be as large as between two */
    scratch = larger(mu_ring_scratch_bytes(1, message, hosts),
                     larger(mu_ring_scratch_bytes(elements + 1, 4, hosts),
                            mu_ring_scratch_bytes(slots * MU_BLOCK, 8, hosts)));
    r->round_a = mu_device_alloc_lent(w->device, message);
    r->dense = mu_device_alloc_lent(w->device, (elements + 1) * 4);
    r->wide = mu_device_alloc_lent(w->device, slots * MU_BLOCK * 8);
    r->ring_scratch = mu_device_alloc_lent(w->device, scratch);
    r->member = calloc(w->roll->hosts, sizeof *r->member);
    if (!r->round_a || !r->dense || !r->wide || !r->ring_scratch || !r->member)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the reduction of chunks of %llu elements",
                       (unsigned long long)elements);
    return MU_OK;
}

void mu_reduction_deinit(struct mu_worker *w)
{
    struct mu_reduction *r = &w->reduction;

    mu_device_free_lent(w->device, r->round_a);
    mu_device_free_lent(w->device, r->dense);
    mu_device_free_lent(w->device, r->wide);
    mu_device_free_lent(w->device, r->ring_scratch);
    free(r->member);
    memset(r, 0, sizeof *r);
}

/* Over the owners of the chunk on all hosts, polling. */
static enum mu_status exchange(struct mu_worker *w, uint32_t chunk, int tag, void *data,
                               size_t units, size_t unit_bytes, mu_ring_merge *merge, void *context)
{
    struct mu_deadline deadline = mu_deadline_in_ms(MU_EXCHANGE_DEADLINE_MS);
    struct mu_backoff pause = {0};
    enum mu_ledger_kind before;
    struct mu_ring ring;
    enum mu_status st;
    bool done = w->roll->hosts == 1 || units == 0;

    st = mu_poll(w->poller);
    if (st != MU_OK || done)
        return st;
    for (uint32_t h = 0; h < w->roll->hosts; h++)
        w->reduction.member[h] = mu_roll_owner(w->roll, h, chunk);
    before = mu_poller_enter(w->poller, MU_LEDGER_COMMUNICATE);
    mu_timed_enter(mu_worker_timed(w), MU_TIMED_PART_COMMUNICATE);
    mu_ring_start(&ring, w->comm, w->reduction.member, w->roll->hosts, w->host, tag, data, units,
                  unit_bytes, w->reduction.ring_scratch, merge, context);
    while (!done) {
        mu_poller_hold(w->poller); /* merging polls, and the ring's requests are of this roll */
        st = mu_ring_poll(&ring, &done);
        mu_poller_release(w->poller);
        MU_TRY(mu_poller_take(w->poller, st), st, failed);
        if (done)
            break;
        MU_TRY(mu_poll(w->poller), st, failed);
        if (mu_deadline_passed(deadline)) {
            st = MU_FAIL(MU_TIMEOUT,
                         "the exchange of chunk %u with other hosts did not end within %d s", chunk,
                         MU_EXCHANGE_DEADLINE_MS / 1000);
            goto failed;
        }
        mu_backoff_pause(&pause);
    }
failed:
    mu_timed_leave(mu_worker_timed(w));
    mu_poller_enter(w->poller, before);
    return st;
}

/* Of the sums that count; and what ranks without shards were asked for. */
static void merge_scalars_of_host(const struct mu_worker *w, struct mu_step_scalars *all)
{
    for (uint32_t i = 0; i < w->summed_count; i++)
        merge_scalars(all, &w->segment->rank[w->summed[i]].scalars);
    for (uint32_t i = 0; i < w->local_count; i++)
        all->requests |= w->segment->rank[mu_worker_slot(w, mu_roll_local(w->roll, w->host, i))]
                             .scalars.requests;
}

/* Round A: on return the message and the segment's words hold what everybody agrees on. */
static enum mu_status agree_on_maxima(struct mu_worker *w, uint32_t chunk, uint64_t turn,
                                      struct mu_chunk_maxima *m)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    uint8_t *message = w->reduction.round_a;
    struct round_a *head = (struct round_a *)(void *)message;
    struct mu_segment *s = w->segment;
    enum mu_status st;

    memset(head, 0, sizeof *head);
    m->escaped = escaped_of(message);
    m->largest = largest_of(message, c);
    mu_chunk_maxima_clear(m, c);
    for (uint32_t i = 0; i < w->summed_count; i++)
        mu_chunk_maxima_merge(m, c, &s->sum[w->summed[i]]);
    if (chunk == 0)
        merge_scalars_of_host(w, &head->scalars);
    head->flags = m->flags | (w->audit.disputed_turn == turn ? MU_SUM_DISPUTED : 0);
    MU_TRY(exchange(w, chunk, MU_TAG_MAXIMA, message, 1, round_a_bytes(c), merge_round_a,
                    (void *)(uintptr_t)c),
           st, failed);
    m->flags = head->flags;
    memcpy(s->largest + c->first_block, m->largest, (size_t)c->block_count);
    s->chunk[chunk].flags = m->flags;
    s->chunk[chunk].escapes = (uint32_t)mu_chunk_escapes(m, c);
    if (chunk == 0)
        s->header->scalars = head->scalars;
failed:
    return st;
}

/* The integers that went into a sum, added up mod 2^32, are those of the result: `dense` carries
 * theirs behind its last element, through the ring too, where it is added like the others. A rank
 * whose sum is another one has computed wrong, or its memory does not hold what was written. It
 * dies before the chunk is said to be reduced; the others do it again. */
static enum mu_status check_sum(const struct mu_worker *w, uint32_t chunk)
{
    const int32_t *dense = w->reduction.dense;
    uint64_t count = w->workload->layout.chunks[chunk].count;

    if (w->device->broken)
        return MU_FAILED; /* it has told what it is, and added nothing */
    if (mu_chunk_check(dense, count) == (uint32_t)dense[count])
        return MU_OK;
    mu_log(
        MU_LOG_ERROR,
        "the sum of chunk %" PRIu32
        " is not what went into it: this rank ends, the others go on. Look at its machine's memory "
        "and CPU",
        chunk);
    mu_comm_die();
}

static enum mu_status sum_exactly(struct mu_worker *w, uint32_t chunk, bool corrupt,
                                  const struct mu_chunk_maxima *m, const int16_t *prediction)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    struct mu_chunk_words *words = &w->segment->chunk[chunk];
    struct mu_reduction *r = &w->reduction;
    uint64_t wide_count = (uint64_t)words->escapes * MU_BLOCK;
    uint32_t check = 0;
    enum mu_status st = MU_OK;

    memset(&words->norm, 0, sizeof words->norm);
    if (mu_exact_sum_must_redo(words->escapes, w->exact.capacity, m->flags) ||
        (m->flags & MU_SUM_NONFINITE))
        return MU_OK; /* the step is redone or given up, whatever the other chunks say */
    memset(r->dense, 0, c->count * sizeof *r->dense);
    memset(r->wide, 0, wide_count * sizeof *r->wide);
    for (uint32_t i = 0; i < w->summed_count; i++) {
        check += mu_chunk_add(&w->exact, r->dense, r->wide, m, c, &w->segment->sum[w->summed[i]]);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    r->dense[c->count] = (int32_t)check;
    if (corrupt)
        r->dense[c->count / 2] ^= 1 << 9;
    MU_TRY(check_sum(w, chunk), st, failed);
    if (w->roll->hosts > 1) {
        MU_TRY(exchange(w, chunk, MU_TAG_DENSE, r->dense, c->count + 1, 4, merge_int32, w->device),
               st, failed);
        MU_TRY(check_sum(w, chunk), st, failed);
    }
    MU_TRY(exchange(w, chunk, MU_TAG_WIDE, r->wide, wide_count, 8, merge_int64, NULL), st, failed);
    mu_chunk_to_float(&w->exact, w->segment->total + c->offset, &words->norm, r->dense, r->wide, m,
                      c, prediction);
failed:
    return st;
}

/* batch.reduce = "fast": the ranks' sums are floats; order is by rank and host, and bits depend on
 * it. */
static enum mu_status sum_fast(struct mu_worker *w, uint32_t chunk)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    struct mu_chunk_words *words = &w->segment->chunk[chunk];
    float *total =
        (float *)(void *)w->reduction.dense; /* a repair may give the chunk away meanwhile */
    enum mu_status st = MU_OK;
    double squares = 0;

    memset(total, 0, c->count * sizeof *total);
    for (uint32_t i = 0; i < w->summed_count; i++) {
        const float *sum =
            (const float *)(const void *)(w->segment->sum[w->summed[i]].dense + c->offset);

        w->device->ops->add(w->device, total, sum, (int64_t)c->count, false);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    MU_TRY(exchange(w, chunk, MU_TAG_DENSE, total, c->count, 4, merge_float, w->device), st,
           failed);
    for (uint64_t i = 0; i < c->count; i++)
        squares += (double)total[i] * total[i];
    memcpy(w->segment->total + c->offset, total, c->count * sizeof *total);
    memset(&words->norm, 0, sizeof words->norm);
    mu_wide_add(&words->norm, squares);
failed:
    return st;
}

enum mu_status mu_reduce_chunk(struct mu_worker *w, uint32_t chunk, uint64_t turn,
                               const int16_t *prediction)
{
    int server = mu_recovery_server(w->plan, w->home, chunk, turn);
    struct mu_chunk_maxima m;
    enum mu_status st;
    bool corrupt;

    corrupt = mu_fault(MU_FAULT_REDUCE, mu_segment_step(w->segment));
    if (server != MU_RECOVERY_NOBODY) {
        MU_TRY(mu_fetch_chunk(w, chunk, turn, server), st, failed);
        goto whole;
    }
    MU_TRY(agree_on_maxima(w, chunk, turn, &m), st, failed);
    if (w->settings->batch_reduce == MU_REDUCE_FAST)
        MU_TRY(sum_fast(w, chunk), st, failed);
    else
        MU_TRY(sum_exactly(w, chunk, corrupt, &m, prediction), st, failed);
    MU_TRY(mu_device_status(w->device), st, failed);
whole:
    /* That may poll; but what is reduced here after a repair whose plan has it missing is sent to
     * this rank, or waited for. */
    mu_poller_hold(w->poller);
    st = mu_device_verify(w->device);
    mu_poller_release(w->poller);
    if (st != MU_OK)
        goto failed;
    atomic_store_explicit(&w->segment->chunk[chunk].reduced, turn, memory_order_release);
    mu_fault(MU_FAULT_REDUCED, mu_segment_step(w->segment));
failed:
    return st;
}

/* Who holds what. All ranks tell which chunks they hold, by one all-reduce of bytes, and from that
 * alone each knows what goes from whom to whom: a chunk's lowest holder sends it to those who are
 * to hold it and do not. Messages go in windows of chunks, the same ones on all ranks. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/log.h"
#include "orchestrator/core/shards.h"
#include "worker/parts.h"
#include "worker/worker.h"

enum {
    WINDOW = 32,  /* chunks whose moments are on their way at once */
    MESSAGES = 4, /* of a chunk, of one rank: two moments to two holders */
    ARRAYS = 6,   /* of a part */
};

static struct mu_range chunks_of(const struct mu_layout *l, uint32_t part, uint32_t size)
{
    return mu_shards_of_worker(l->chunk_count, part, size);
}

static uint64_t first_element(const struct mu_layout *l, uint64_t chunk)
{
    return chunk < l->chunk_count ? l->chunks[chunk].offset : l->elements;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Elements of an array of a part, aligned, with what lies before its first one. */
static uint64_t array_elements(const struct mu_layout *l, uint32_t part, uint32_t size)
{
    const struct mu_range chunks = chunks_of(l, part, size);
    const uint64_t from = first_element(l, chunks.from), to = first_element(l, chunks.to);

    return (from % MU_RESIDENT_PART_ALIGN + (to - from)) / MU_RESIDENT_PART_ALIGN *
               MU_RESIDENT_PART_ALIGN +
           MU_RESIDENT_PART_ALIGN;
}

static size_t part_bytes(const struct mu_layout *l, uint32_t part, uint32_t size)
{
    return ARRAYS * array_elements(l, part, size) * sizeof(float);
}

/* A byte for each chunk and whether there is room, of each rank. */
static size_t map_bytes(const struct mu_layout *l, uint32_t size)
{
    return size * ((size_t)l->chunk_count + 1);
}

uint64_t mu_parts_bytes(const struct mu_layout *l, uint32_t size)
{
    uint64_t most = 0;

    for (uint32_t place = 0; place < size; place++) {
        const uint64_t own = part_bytes(l, place, size),
                       both = size == 1
                                  ? own
                                  : own + part_bytes(l, mu_parts_partner_of(place, size), size);

        most = both > most ? both : most;
    }
    return most + map_bytes(l, size) + MU_PARTS_PIECE * sizeof(float);
}

static bool take_part(struct mu_worker *w, struct mu_deal *d, uint32_t number)
{
    const struct mu_layout *l = &w->workload->layout;
    const struct mu_range chunks = chunks_of(l, number, d->size);
    const uint64_t each = array_elements(l, number, d->size);
    struct mu_resident_part p = {.number = number,
                                 .first_chunk = (uint32_t)chunks.from,
                                 .chunk_count = (uint32_t)(chunks.to - chunks.from),
                                 .offset = first_element(l, chunks.from)};
    const uint64_t lead = p.offset % MU_RESIDENT_PART_ALIGN;
    float *at = mu_device_alloc(w->device, part_bytes(l, number, d->size));

    p.count = first_element(l, chunks.to) - p.offset;
    if (!at)
        return false;
    d->memory[d->count] = at;
    at += lead;
    for (int h = 0; h < 2; h++, at += 2 * each) {
        p.m[h] = at;
        p.v[h] = at + each;
    }
    p.total = at;
    p.integers = (int32_t *)(void *)(at + each);
    d->part[d->count++] = p;
    return true;
}

static void free_deal(struct mu_worker *w, struct mu_deal *d)
{
    for (int i = 0; d && i < d->count; i++)
        mu_device_free(w->device, d->memory[i]);
    free(d);
}

/* NULL: no room. */
static struct mu_deal *make_deal(struct mu_worker *w, uint32_t place, uint32_t size, uint32_t epoch)
{
    struct mu_deal *d = calloc(1, sizeof *d);

    if (!d)
        return NULL;
    *d = (struct mu_deal){.epoch = epoch, .place = place, .size = size};
    if (!take_part(w, d, place) ||
        (size > 1 && !take_part(w, d, mu_parts_partner_of(place, size)))) {
        free_deal(w, d);
        return NULL;
    }
    return d;
}

static void adopt(struct mu_worker *w, struct mu_deal *d)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_parts *p = w->resident.parts;

    d->older = p->newest;
    p->newest = d;
    for (uint32_t i = 0; i <= d->size; i++)
        p->bound[i] = i < d->size ? first_element(l, chunks_of(l, i, d->size).from) : l->elements;
}

enum mu_status mu_parts_init(struct mu_worker *w)
{
    const uint32_t size = w->roll->size, messages = WINDOW * MESSAGES;
    struct mu_parts *p = calloc(1, sizeof *p);
    struct mu_deal *d;

    w->resident.parts = p;
    if (p) {
        p->bound = calloc(size + 1, sizeof *p->bound);
        p->moves = calloc(size > messages ? size : messages, sizeof *p->moves);
        p->map = mu_device_alloc(w->device, map_bytes(&w->workload->layout, size));
        p->bounce = mu_device_alloc(w->device, MU_PARTS_PIECE * sizeof *p->bounce);
    }
    if (!p || !p->bound || !p->moves || !p->map || !p->bounce ||
        !(d = make_deal(w, w->place, size, w->roll->epoch)))
        return MU_FAIL(MU_NO_MEMORY,
                       "no room for this rank's parts of the state of a model of %.1f million "
                       "parameters on %u ranks: take more ranks, or larger GPUs",
                       1e-6 * (double)w->workload->layout.parameters, size);
    adopt(w, d);
    return MU_OK;
}

void mu_parts_settle(struct mu_worker *w)
{
    struct mu_deal *newest = w->resident.parts->newest;

    while (newest->older) {
        struct mu_deal *d = newest->older;

        newest->older = d->older;
        free_deal(w, d);
    }
}

void mu_parts_deinit(struct mu_worker *w)
{
    struct mu_parts *p = w->resident.parts;

    if (!p)
        return;
    if (p->newest)
        mu_parts_settle(w);
    free_deal(w, p->newest);
    mu_device_free(w->device, p->map);
    mu_device_free(w->device, p->bounce);
    free(p->bound);
    free(p->moves);
    free(p);
    w->resident.parts = NULL;
}

/* ---- who holds what -------------------------------------------------------------------------- */

/* A byte each: by place, chunks that it holds; then, by place, whether it has no room. */
struct holdings {
    uint8_t *byte;
    size_t count;
    uint32_t chunks, size;
};

static bool holds(const struct holdings *h, uint32_t place, uint32_t chunk)
{
    return h->byte[(size_t)place * h->chunks + chunk];
}

static bool has_no_room(const struct holdings *h, uint32_t place)
{
    return h->byte[(size_t)h->size * h->chunks + place];
}

/* The lowest holder; h->size: nobody. */
static uint32_t source_of(const struct holdings *h, uint32_t chunk)
{
    uint32_t place = 0;

    while (place < h->size && !holds(h, place, chunk))
        place++;
    return place;
}

static enum mu_status tell_holdings(struct mu_worker *w, struct holdings *h, uint32_t place,
                                    bool has_room)
{
    const struct mu_parts *p = w->resident.parts;
    const struct mu_all_reduce list = {MU_MAX_UINT8, p->map, p->map, h->count};
    enum mu_status st;

    for (const struct mu_deal *d = p->newest; d; d = d->older)
        for (int i = 0; i < d->count; i++)
            memset(h->byte + (size_t)place * h->chunks + d->part[i].first_chunk, 1,
                   d->part[i].chunk_count);
    h->byte[(size_t)h->size * h->chunks + place] = !has_room;
    mu_device_upload(w->device, p->map, h->byte, h->count);
    MU_TRY(mu_resident_all_reduce(w, &list, 1), st, failed);
    mu_device_download(w->device, h->byte, p->map, h->count);
    st = mu_device_status(w->device);
failed:
    return st;
}

/* All ranks come to the same; the lowest one says so. */
static enum mu_status check_holdings(const struct holdings *h, uint32_t place)
{
    uint32_t lost = 0, without_room = 0;

    for (uint32_t c = 0; c < h->chunks; c++)
        lost += source_of(h, c) == h->size;
    if (lost > 0 && place == 0)
        mu_log(MU_LOG_ERROR,
               "the optimizer's moments of %u of %u chunks were held by two ranks, and both are "
               "gone (optim.shard = \"on\"): going on needs the newest copy or checkpoint. `muster "
               "launch` takes it by itself; else run the same command again",
               lost, h->chunks);
    for (uint32_t i = 0; i < h->size; i++)
        without_room += has_no_room(h, i);
    if (lost == 0 && without_room > 0 && place == 0)
        mu_log(MU_LOG_ERROR,
               "%u of %u ranks have no room for their parts of the state, which grow when ranks "
               "die (optim.shard = \"on\"): going on needs the newest copy or checkpoint and more "
               "ranks. "
               "`muster launch` goes on by itself; else run the same command again",
               without_room, h->size);
    return lost + without_room > 0 ? MU_FAILED : MU_OK;
}

/* ---- moments go to where they belong --------------------------------------------------------- */

/* The chunk's m and v of a half, where this deal, or an older one, holds it. */
static bool find(const struct mu_deal *d, const struct mu_worker *w, uint32_t chunk, uint32_t half,
                 float *moment[2])
{
    const uint64_t offset = w->workload->layout.chunks[chunk].offset;

    for (; d; d = d->older)
        for (int i = 0; i < d->count; i++) {
            const struct mu_resident_part *p = &d->part[i];

            if (chunk - p->first_chunk >= p->chunk_count)
                continue;
            moment[0] = p->m[half] + (offset - p->offset);
            moment[1] = p->v[half] + (offset - p->offset);
            return true;
        }
    return false;
}

static int add_messages(struct mu_move *list, int n, enum mu_move_kind kind, uint32_t peer,
                        float *const moment[2], uint64_t count)
{
    for (int i = 0; i < 2; i++)
        list[n++] = (struct mu_move){.kind = kind,
                                     .peer = (int)peer,
                                     .to = kind == MU_RECEIVE ? moment[i] : NULL,
                                     .from = kind == MU_SEND ? moment[i] : NULL,
                                     .count = count};
    return n;
}

/* What this rank has to do so that `to` holds the chunk. */
static int move_chunk(struct mu_worker *w, const struct mu_deal *d, const struct holdings *h,
                      uint32_t chunk, uint32_t to, int n)
{
    const struct mu_parts *p = w->resident.parts;
    const uint32_t half = mu_segment_half(w->segment), from = source_of(h, chunk);
    const uint64_t count = w->workload->layout.chunks[chunk].count;
    float *old[2], *new[2];

    if (to == d->place)
        MU_ASSERT(find(d, w, chunk, half, new));
    if (holds(h, to, chunk) ? to == d->place : from == d->place)
        MU_ASSERT(find(p->newest, w, chunk, half, old));
    if (!holds(h, to, chunk)) {
        if (to == d->place)
            n = add_messages(p->moves, n, MU_RECEIVE, from, new, count);
        else if (from == d->place)
            n = add_messages(p->moves, n, MU_SEND, to, old, count);
    } else if (to == d->place) {
        for (int i = 0; i < 2; i++)
            mu_device_copy(w->device, new[i], old[i], count * sizeof(float));
    }
    return n;
}

/* d is not yet among those that are held. */
static enum mu_status move_moments(struct mu_worker *w, const struct mu_deal *d,
                                   const struct holdings *h)
{
    const struct mu_parts *p = w->resident.parts;
    enum mu_status st = MU_OK;
    uint32_t part = 0;
    int n = 0;

    for (uint32_t c = 0; c < h->chunks; c++) {
        const uint32_t last = c % WINDOW == WINDOW - 1 || c == h->chunks - 1;

        while (c >= chunks_of(&w->workload->layout, part, d->size).to)
            part++;
        n = move_chunk(w, d, h, c, part, n);
        if (d->size > 1)
            n = move_chunk(w, d, h, c, mu_parts_partner(part, d->size), n);
        if (last && n > 0)
            MU_TRY(mu_resident_move(w, p->moves, n, MU_FAULT_DEAL), st, failed);
        n = last ? 0 : n;
    }
    st = mu_device_status(w->device);
failed:
    return st;
}

enum mu_status mu_parts_deal(struct mu_worker *w)
{
    struct mu_parts *p = w->resident.parts;
    struct holdings h = {.chunks = w->workload->layout.chunk_count, .size = w->roll->size};
    const uint32_t epoch = w->roll->epoch, place = w->place;
    struct mu_deal *d = NULL;
    enum mu_status st;

    if (p->newest->epoch == epoch)
        return MU_OK;
    h.count = map_bytes(&w->workload->layout, h.size);
    h.byte = calloc(h.count, 1);
    if (!h.byte)
        return MU_FAIL(MU_NO_MEMORY, "no memory to deal %u chunks to %u ranks", h.chunks, h.size);
    if (!mu_fault(MU_FAULT_DEAL, mu_segment_step(w->segment)))
        d = make_deal(w, place, h.size, epoch);
    MU_TRY(tell_holdings(w, &h, place, d != NULL), st, failed);
    st = check_holdings(&h, place);
    if (st != MU_OK) {
        p->is_lost = true;
        goto failed;
    }
    MU_TRY(move_moments(w, d, &h), st, failed);
    adopt(w, d);
    mu_parts_clear_pads(w);
    d = NULL;
failed:
    if (st != MU_OK)
        mu_resident_drop_peers(w); /* before memory goes that messages may be on their way to */
    free_deal(w, d);
    free(h.byte);
    return st;
}

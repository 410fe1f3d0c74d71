/* A state that lies in a device's memory, on its way to the host and back. Every rank has all of it
 * and moves only its share: what is staged has the addresses of a whole state, but pages only where
 * it was touched, and none once it is released. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/fault.h"
#include "worker/checkpoint/format.h"
#include "worker/parts.h"
#include "worker/state_hash.h"
#include "worker/worker.h"

enum {
    PIECE = 1 << 20, /* elements between two polls */
};

/* ---- staging --------------------------------------------------------------------------------- */

static size_t staged_bytes(const struct mu_worker *w)
{
    return 3 * w->workload->layout.elements * sizeof(float);
}

static enum mu_status stage(struct mu_worker *w, int16_t *prediction, struct mu_state_view *state)
{
    const struct mu_layout *l = &w->workload->layout;
    float *staged = w->resident.staged;

    if (!staged) {
        void *memory = mmap(NULL, staged_bytes(w), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

        if (memory == MAP_FAILED)
            return MU_FAIL(MU_NO_MEMORY,
                           "no addresses for %.2f GiB of state on its way between device and disk",
                           (double)staged_bytes(w) / 0x1p30);
        w->resident.staged = staged = memory;
    }
    *state = (struct mu_state_view){.layout = l,
                                    .weight = staged,
                                    .m = staged + l->elements,
                                    .v = staged + 2 * l->elements,
                                    .prediction = prediction};
    return MU_OK;
}

void mu_worker_release_state(struct mu_worker *w)
{
    if (w->resident.staged)
        munmap(w->resident.staged, staged_bytes(w));
    w->resident.staged = NULL;
}

static enum mu_status move(struct mu_worker *w, float *to, float *from, uint64_t n, bool to_device)
{
    enum mu_status st = MU_OK;

    for (uint64_t at = 0; at < n; at += PIECE) {
        size_t bytes = (n - at < PIECE ? n - at : PIECE) * sizeof(float);

        if (to_device)
            mu_device_upload(w->device, to + at, from + at, bytes);
        else
            mu_device_download(w->device, to + at, from + at, bytes);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
failed:
    return st;
}

static enum mu_status move_arrays(struct mu_worker *w, const struct mu_state_view *to,
                                  const struct mu_state_view *from, uint64_t at, uint64_t n,
                                  bool to_device)
{
    enum mu_status st;

    MU_TRY(move(w, to->weight + at, from->weight + at, n, to_device), st, failed);
    if (w->resident.parts)
        return to_device ? mu_parts_upload(w, from, at, at + n) : MU_OK;
    MU_TRY(move(w, to->m + at, from->m + at, n, to_device), st, failed);
    MU_TRY(move(w, to->v + at, from->v + at, n, to_device), st, failed);
failed:
    return st;
}

/* A share of the rows of every tensor. */
static enum mu_status move_share(struct mu_worker *w, const struct mu_state_view *to,
                                 const struct mu_state_view *from, uint64_t share, uint64_t shares,
                                 bool to_device)
{
    const struct mu_layout *l = &w->workload->layout;
    enum mu_status st = MU_OK;

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        const struct mu_rows rows = mu_rows_share(t->spec.rows, share, shares);

        MU_TRY(move_arrays(w, to, from, t->offset + rows.first * t->spec.cols,
                           rows.count * t->spec.cols, to_device),
               st, failed);
    }
    MU_TRY(mu_device_verify(w->device), st, failed);
    st = mu_device_status(w->device);
failed:
    return st;
}

/* The moments of the share, where they lie in parts. own: as mu_parts_gather. */
static enum mu_status gather_share(struct mu_worker *w, const struct mu_state_view *to,
                                   uint64_t share, uint64_t shares, enum mu_status own)
{
    const struct mu_layout *l = &w->workload->layout;
    struct mu_parts_wish wish = {NULL, 0};
    enum mu_status st = own;

    if (st == MU_OK)
        st = mu_parts_wish_init(&wish, l->tensor_count);
    for (uint32_t i = 0; i < l->tensor_count && st == MU_OK; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        const struct mu_rows rows = mu_rows_share(t->spec.rows, share, shares);

        mu_parts_wish_add(&wish, t->offset + rows.first * t->spec.cols, rows.count * t->spec.cols);
    }
    st = mu_parts_gather(w, to, &wish, &wish, st);
    mu_parts_wish_deinit(&wish);
    return st;
}

enum mu_status mu_worker_state(struct mu_worker *w, uint64_t share, uint64_t shares,
                               struct mu_state_view *state)
{
    const struct mu_state_view *half = &w->segment->half[mu_segment_half(w->segment)];
    enum mu_status st = MU_OK;

    *state = *half;
    if (!w->resident.state)
        return MU_OK;
    st = stage(w, half->prediction, state);
    if (w->resident.parts)
        st = gather_share(w, state, share, shares, st);
    if (st == MU_OK)
        st = move_share(w, state, half, share, shares, false);

    return st;
}

enum mu_status mu_resident_upload(struct mu_worker *w, const struct mu_state_view *state)
{
    enum mu_status st;

    MU_TRY(move_arrays(w, &w->segment->half[0], state, 0, w->workload->layout.elements, true), st,
           failed);
    MU_TRY(mu_device_verify(w->device), st, failed);
    st = mu_device_status(w->device);
failed:
    return st;
}

enum mu_status mu_resident_load(struct mu_worker *w, const char *folder, bool weights_only,
                                const struct mu_checkpoint_poll *poll)
{
    const uint32_t shares = w->roll->size;
    struct mu_state_view state;
    enum mu_status st = MU_OK;

    for (uint32_t share = 0; share < shares; share++) {
        MU_TRY(stage(w, w->segment->half[0].prediction, &state), st, failed);
        MU_TRY(mu_checkpoint_load(folder, &state, share, shares, poll), st, failed);
        if (weights_only)
            mu_worker_forget_training(&state, share, shares);
        mu_poller_forgive_gap(w->poller);
        MU_TRY(move_share(w, &w->segment->half[0], &state, share, shares, true), st, failed);
        mu_worker_release_state(w);
    }
failed:
    mu_worker_release_state(w);
    return st;
}

/* ---- the hash -------------------------------------------------------------------------------- */

static struct mu_range pieces_of(const struct mu_worker *w, uint32_t place)
{
    return mu_shards_of_worker(mu_state_hash_pieces(&w->workload->layout), place, w->roll->size);
}

static bool is_moment(const struct mu_state_piece *piece)
{
    return piece->array == MU_ARRAY_M || piece->array == MU_ARRAY_V;
}

static enum mu_status wish_for_pieces(const struct mu_layout *l, struct mu_range mine,
                                      struct mu_parts_wish *m, struct mu_parts_wish *v)
{
    enum mu_status st;

    MU_TRY(mu_parts_wish_init(m, mine.to - mine.from), st, failed);
    MU_TRY(mu_parts_wish_init(v, mine.to - mine.from), st, failed);
    for (uint64_t p = mine.from; p < mine.to; p++) {
        const struct mu_state_piece piece = mu_state_piece_find(l, p);

        if (is_moment(&piece))
            mu_parts_wish_add(piece.array == MU_ARRAY_M ? m : v,
                              l->tensors[piece.tensor].offset + piece.number * MU_STATE_PIECE,
                              piece.bytes / sizeof(float));
    }
failed:
    return st;
}

/* The moments of this rank's pieces, where they lie in parts. */
static enum mu_status gather_pieces(struct mu_worker *w, struct mu_state_view *staged)
{
    struct mu_parts_wish m = {NULL, 0}, v = {NULL, 0};
    enum mu_status st = stage(w, NULL, staged);

    if (st == MU_OK)
        st = wish_for_pieces(&w->workload->layout, pieces_of(w, w->place), &m, &v);
    st = mu_parts_gather(w, staged, &m, &v, st);
    mu_parts_wish_deinit(&m);
    mu_parts_wish_deinit(&v);
    return st;
}

static enum mu_status hash_pieces(struct mu_worker *w, void *scratch)
{
    const struct mu_state_view *half = &w->segment->half[mu_segment_half(w->segment)];
    const struct mu_range mine = pieces_of(w, w->place);
    struct mu_state_view staged;
    enum mu_status st = MU_OK;

    if (w->resident.parts)
        MU_TRY(gather_pieces(w, &staged), st, failed);
    MU_TRY(mu_poll(w->poller), st, failed); /* else the pieces are not those of this place */
    for (uint64_t p = mine.from; p < mine.to; p++) {
        const struct mu_state_piece piece = mu_state_piece_find(half->layout, p);
        const bool is_staged = w->resident.parts && is_moment(&piece);
        const void *at = mu_state_piece_at(&piece, is_staged ? &staged : half);

        if (piece.array != MU_ARRAY_PREDICTION && !is_staged) {
            mu_device_download(w->device, scratch, at, piece.bytes);
            at = scratch;
        }
        w->segment->piece[p] = mu_state_piece_hash(&piece, at);
        MU_TRY(mu_poll(w->poller), st, failed);
    }
    MU_TRY(mu_device_verify(w->device), st, failed);
    st = mu_device_status(w->device);
failed:
    mu_worker_release_state(w);
    return st;
}

/* From one place to another, by both of them. */
static enum mu_status pass(struct mu_worker *w, struct mu_hash *hash, uint64_t count, uint32_t from,
                           uint32_t to, int tag)
{
    struct mu_deadline deadline = mu_deadline_in_ms(MU_EXCHANGE_DEADLINE_MS);
    struct mu_request request = {NULL};
    const size_t bytes = count * sizeof *hash;
    enum mu_status st = MU_OK;

    if (count == 0 || from == to || (w->place != from && w->place != to))
        return MU_OK;
    st = w->place == from ? mu_comm_send(w->comm, hash, bytes, (int)to, tag, &request)
                          : mu_comm_receive(w->comm, hash, bytes, (int)from, tag, &request);
    MU_TRY(mu_poller_take(w->poller, st), st, failed);
    st = mu_poller_complete(w->poller, &request, deadline, NULL);
    if (st == MU_TIMEOUT && mu_deadline_passed(deadline))
        return MU_FAIL(MU_TIMEOUT, "the hashes of the state did not pass from rank %d to rank %d",
                       mu_comm_name(w->comm, (int)from), mu_comm_name(w->comm, (int)to));
failed:
    return st;
}

/* A rank that is wrong would be so in the hash's pieces of others only: each looks through its own
 * copy, on its device. */
static void add_up(struct mu_worker *w)
{
    uint32_t sums[3] = {0};

    w->device->ops->resident->check(w->resident.state, mu_segment_half(w->segment), sums);
    sums[0] ^= mu_fault(MU_FAULT_HASH, mu_segment_step(w->segment));
    w->resident.sums = mu_hash_bytes(sums, sizeof sums, 0).low;
}

/* What is received stands in the segment: it may arrive when this rank has given up on it. */
enum mu_status mu_resident_hash(struct mu_worker *w, struct mu_hash *out)
{
    const uint64_t pieces = mu_state_hash_pieces(&w->workload->layout);
    struct mu_hash *piece = w->segment->piece;
    void *scratch = malloc(MU_STATE_PIECE * sizeof(float));
    enum mu_status st;

    if (!scratch)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a piece of the state");
    MU_TRY(hash_pieces(w, scratch), st, failed);
    add_up(w);
    /* The device's hook may have repaired the roll without a word; nothing may be sent on the new
     * one before all begin again there. */
    MU_TRY(mu_poll(w->poller), st, failed);
    for (uint32_t from = 1; from < w->roll->size; from++) {
        const struct mu_range range = pieces_of(w, from);

        MU_TRY(pass(w, piece + range.from, range.to - range.from, from, 0, MU_TAG_HASH_PIECES), st,
               failed);
    }
    if (w->place == 0)
        piece[0] = mu_state_hash_combine(piece, pieces, mu_segment_step(w->segment));
    for (uint32_t to = 1; to < w->roll->size; to++)
        MU_TRY(pass(w, piece, 1, 0, to, MU_TAG_HASH), st, failed);
    *out = piece[0];
    st = mu_device_status(w->device);
failed:
    free(scratch);
    return st;
}

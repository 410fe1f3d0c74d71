/* The turn, and the moments on their way to and from the host. Deals: parts_deal.c. A repair may
 * come in any poll, also inside the device's operations: from the dealing on only the deal is
 * looked at, not the roll, until a status tells of it. */
#include "worker/parts.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "worker/worker.h"

static const struct mu_resident_parts_ops *ops_of(const struct mu_worker *w)
{
    return w->device->ops->resident_parts;
}

/* ---- a turn ---------------------------------------------------------------------------------- */

/* What of the owners' part and of its partner's is made: integers of the total. */
static enum mu_status add_up(struct mu_worker *w, const struct mu_parts *p, uint64_t escapes)
{
    const struct mu_deal *d = p->newest;
    const struct mu_resident_part *own = &d->part[0], *other = &d->part[1];
    const int32_t *sum = ops_of(w)->sum(w->resident.state);
    struct mu_all_reduce list[MU_RESIDENT_LIST];
    enum mu_status st;
    int n = ops_of(w)->integers(w->resident.state, escapes, p->bound, d->size, list);

    MU_TRY(mu_resident_all_reduce(w, list, n), st, failed);
    for (uint32_t i = 0; i < d->size; i++)
        p->moves[i] = (struct mu_move){.kind = MU_REDUCE_INT32,
                                       .peer = (int)i,
                                       .to = i == d->place ? own->integers : NULL,
                                       .from = sum + p->bound[i],
                                       .count = p->bound[i + 1] - p->bound[i]};
    MU_TRY(mu_resident_move(w, p->moves, (int)d->size, MU_FAULT_REDUCE), st, failed);
    if (d->count == 1)
        return MU_OK;
    p->moves[0] = (struct mu_move){.kind = MU_SEND,
                                   .peer = (int)mu_parts_partner(d->place, d->size),
                                   .from = own->integers,
                                   .count = own->count};
    p->moves[1] = (struct mu_move){.kind = MU_RECEIVE,
                                   .peer = (int)other->number,
                                   .to = other->integers,
                                   .count = other->count};
    st = mu_resident_move(w, p->moves, 2, MU_FAULT_REDUCE);
failed:
    return st;
}

/* Totals as floats, own part last: it is the one whose norm counts. */
static enum mu_status finish(struct mu_worker *w, const struct mu_parts *p, struct mu_wide *norm)
{
    struct mu_all_reduce list[MU_RESIDENT_LIST];
    int64_t squares[MU_RESIDENT_WIDE];
    enum mu_status st;

    for (int i = p->newest->count - 1; i >= 0; i--)
        if (!ops_of(w)->finish(w->resident.state, &p->newest->part[i]))
            mu_resident_end_wrong_sum();
    MU_TRY(mu_resident_all_reduce(w, list, ops_of(w)->norm(w->resident.state, list)), st, failed);
    ops_of(w)->take_norm(w->resident.state, squares);
    MU_TRY(mu_device_status(w->device), st, failed);
    mu_resident_take_wide(squares, norm);
failed:
    return st;
}

/* Who is through knows that all have come to this point: so a word goes from those, too, whose part
 * is empty. */
static enum mu_status gather_weights(struct mu_worker *w, const struct mu_parts *p, uint32_t half)
{
    const struct mu_deal *d = p->newest;

    for (uint32_t i = 0; i < d->size; i++) {
        const uint64_t count = p->bound[i + 1] - p->bound[i];
        float *at = count > 0 ? w->resident.state->weight[half] + p->bound[i] : p->bounce;

        p->moves[i] = (struct mu_move){.kind = MU_BROADCAST,
                                       .peer = (int)i,
                                       .to = at,
                                       .from = at,
                                       .count = count > 0 ? count : 1};
    }
    return mu_resident_move(w, p->moves, (int)d->size, MU_FAULT_GATHER);
}

static uint32_t spare_half(const struct mu_worker *w)
{
    return ~atomic_load(&w->segment->header->state) & 1;
}

/* Copies for products of the spare half's weights. */
static void round_spare(struct mu_worker *w)
{
    const struct mu_resident *r = w->resident.state;
    const uint32_t spare = spare_half(w);

    if (r->weight_bf16[spare])
        w->device->ops->to_act(w->device, r->weight_bf16[spare], r->weight[spare],
                               (int64_t)w->workload->layout.elements);
}

enum mu_status mu_parts_reduce(struct mu_worker *w, uint64_t escapes, struct mu_wide *norm)
{
    const struct mu_parts *p = w->resident.parts;
    const uint64_t state = atomic_load(&w->segment->header->state);
    const int64_t step = (int64_t)(state >> 1);
    const uint32_t half = state & 1;
    struct mu_adamw adamw;
    enum mu_status st;
    double lr;

    MU_TRY(add_up(w, p, escapes), st, failed);
    MU_TRY(finish(w, p, norm), st, failed);
    if (!isfinite(sqrt(mu_wide_value(norm))))
        return MU_OK; /* of finite shards, too: the step stops or is skipped */
    mu_fault(MU_FAULT_UPDATE, step);
    adamw = mu_worker_adamw(w, step, sqrt(mu_wide_value(norm)), &lr);
    for (int i = 0; i < p->newest->count; i++)
        ops_of(w)->update(w->resident.state, half, &p->newest->part[i], &adamw,
                          (float)w->settings->optim_weight_decay);
    MU_TRY(gather_weights(w, p, !half), st, failed);
    round_spare(w);
failed:
    return st;
}

void mu_parts_clear_pads(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    float *weight = w->resident.state->weight[spare_half(w)];

    for (uint32_t i = 0; i < l->tensor_count; i++) {
        const struct mu_tensor *t = &l->tensors[i];
        const uint64_t end = t->offset + t->spec.rows * t->spec.cols, pad = -end % MU_TENSOR_ALIGN;

        if (pad > 0)
            mu_device_clear(w->device, weight + end, pad * sizeof *weight);
    }
}

void mu_parts_fetched(struct mu_worker *w)
{
    mu_parts_clear_pads(w);
    round_spare(w);
}

/* ---- moments, half by half ------------------------------------------------------------------- */

void mu_parts_advance(struct mu_worker *w, uint32_t from, bool skip)
{
    const struct mu_deal *d = w->resident.parts->newest;

    mu_parts_settle(w); /* a skipped turn may have been fetched from who saw the first all-reduce */
    for (int i = 0; i < d->count && skip; i++) {
        const struct mu_resident_part *p = &d->part[i];

        mu_device_copy(w->device, p->m[!from], p->m[from], p->count * sizeof(float));
        mu_device_copy(w->device, p->v[!from], p->v[from], p->count * sizeof(float));
    }
}

void mu_parts_clear(struct mu_worker *w, uint32_t half)
{
    const struct mu_deal *d = w->resident.parts->newest;

    for (int i = 0; i < d->count; i++) {
        mu_device_clear(w->device, d->part[i].m[half], d->part[i].count * sizeof(float));
        mu_device_clear(w->device, d->part[i].v[half], d->part[i].count * sizeof(float));
    }
}

enum mu_status mu_parts_upload(struct mu_worker *w, const struct mu_state_view *state,
                               uint64_t from, uint64_t to)
{
    const struct mu_deal *d = w->resident.parts->newest;
    enum mu_status st = MU_OK;

    for (int i = 0; i < d->count; i++) {
        const struct mu_resident_part *p = &d->part[i];
        const uint64_t end = to < p->offset + p->count ? to : p->offset + p->count;

        for (uint64_t at = from > p->offset ? from : p->offset; at < end; at += MU_PARTS_PIECE) {
            const size_t bytes =
                (end - at < MU_PARTS_PIECE ? end - at : MU_PARTS_PIECE) * sizeof(float);

            mu_device_upload(w->device, p->m[0] + (at - p->offset), state->m + at, bytes);
            mu_device_upload(w->device, p->v[0] + (at - p->offset), state->v + at, bytes);
            MU_TRY(mu_poll(w->poller), st, failed);
        }
    }
    MU_TRY(mu_device_verify(w->device), st, failed);
    st = mu_device_status(w->device);
failed:
    return st;
}

/* Whether all could prepare. */
static enum mu_status agree(struct mu_worker *w, const struct mu_parts *p, enum mu_status own)
{
    const struct mu_all_reduce list = {MU_MAX_UINT8, p->map, p->map, 1};
    uint8_t failed_anywhere = own != MU_OK;
    enum mu_status st;

    mu_device_upload(w->device, p->map, &failed_anywhere, 1);
    MU_TRY(mu_resident_all_reduce(w, &list, 1), st, failed);
    mu_device_download(w->device, &failed_anywhere, p->map, 1);
    MU_TRY(mu_device_status(w->device), st, failed);
    if (own == MU_OK && failed_anywhere)
        st = MU_FAIL(MU_FAILED, "another rank could not take the moments of the state");
    else
        st = own;
failed:
    return st;
}

enum mu_status mu_parts_wish_init(struct mu_parts_wish *wish, uint64_t most)
{
    *wish = (struct mu_parts_wish){.range = calloc(most + 1, sizeof *wish->range)};
    if (!wish->range)
        return MU_FAIL(MU_NO_MEMORY, "no memory to say which moments are wanted");
    return MU_OK;
}

void mu_parts_wish_add(struct mu_parts_wish *wish, uint64_t from, uint64_t count)
{
    if (count > 0)
        wish->range[wish->count++] = (struct mu_range){from, from + count};
}

void mu_parts_wish_deinit(struct mu_parts_wish *wish)
{
    free(wish->range);
    *wish = (struct mu_parts_wish){NULL, 0};
}

/* What is wished of a piece that has arrived. first: the first range that does not end before it. */
static uint64_t download(struct mu_worker *w, const struct mu_parts *p, float *to,
                         struct mu_range piece, const struct mu_parts_wish *wish, uint64_t first)
{
    while (first < wish->count && wish->range[first].to <= piece.from)
        first++;
    for (uint64_t i = first; i < wish->count && wish->range[i].from < piece.to; i++) {
        const struct mu_range *r = &wish->range[i];
        const uint64_t from = r->from > piece.from ? r->from : piece.from;
        const uint64_t end = r->to < piece.to ? r->to : piece.to;

        mu_device_download(w->device, to + from, p->bounce + (from - piece.from),
                           (end - from) * sizeof(float));
    }
    return first;
}

/* m or v: from the owners, piece by piece. */
static enum mu_status gather(struct mu_worker *w, const struct mu_parts *p, float *to,
                             const float *own, const struct mu_parts_wish *wish)
{
    const struct mu_deal *d = p->newest;
    enum mu_status st = MU_OK;
    uint64_t first = 0;

    for (uint32_t i = 0; i < d->size; i++) {
        for (uint64_t at = p->bound[i]; at < p->bound[i + 1]; at += MU_PARTS_PIECE) {
            const uint64_t left = p->bound[i + 1] - at,
                           n = left < MU_PARTS_PIECE ? left : MU_PARTS_PIECE;
            const struct mu_move move = {.kind = MU_BROADCAST,
                                         .peer = (int)i,
                                         .to = p->bounce,
                                         .from = i == d->place ? own + (at - p->bound[i]) : NULL,
                                         .count = n};

            MU_TRY(mu_resident_move(w, &move, 1, MU_FAULT_GATHER), st, failed);
            first = download(w, p, to, (struct mu_range){at, at + n}, wish, first);
        }
    }
    st = mu_device_verify(w->device);
failed:
    return st;
}

enum mu_status mu_parts_gather(struct mu_worker *w, const struct mu_state_view *state,
                               const struct mu_parts_wish *m, const struct mu_parts_wish *v,
                               enum mu_status own)
{
    struct mu_parts *p = w->resident.parts;
    const uint32_t half = mu_segment_half(w->segment);
    enum mu_status st;

    MU_TRY(mu_resident_meet_peers(w), st, failed);
    MU_TRY(mu_parts_deal(w), st, failed);
    MU_TRY(agree(w, p, own), st, failed);
    mu_parts_settle(w);
    MU_TRY(gather(w, p, state->m, p->newest->part[0].m[half], m), st, failed);
    MU_TRY(gather(w, p, state->v, p->newest->part[0].v[half], v), st, failed);
failed:
    if (st != MU_OK)
        mu_resident_drop_peers(w);
    return st;
}

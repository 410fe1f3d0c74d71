/* All state is the number of the hop and whether its two transfers are posted. A hop is one receive
 * and one send, both done before the next begins: neighbours never have two under way with the same
 * tag, and one piece of scratch is enough. In the first half pieces come into scratch and are
 * merged, in the second they come to where they belong. */
#include "worker/comm/ring.h"

#include <string.h>

static size_t piece_start(const struct mu_ring *r, uint32_t piece)
{
    return r->units * piece / r->members * r->unit_bytes;
}

static size_t piece_bytes(const struct mu_ring *r, uint32_t piece)
{
    return piece_start(r, piece + 1) - piece_start(r, piece);
}

size_t mu_ring_scratch_bytes(size_t units, size_t unit_bytes, uint32_t members)
{
    return (units / members + 1) * unit_bytes;
}

void mu_ring_start(struct mu_ring *r, struct mu_comm *comm, const uint32_t *member,
                   uint32_t members, uint32_t position, int tag, void *data, size_t units,
                   size_t unit_bytes, void *scratch, mu_ring_merge *merge, void *context)
{
    *r = (struct mu_ring){
        .comm = comm,
        .merge = merge,
        .context = context,
        .data = data,
        .scratch = scratch,
        .units = units,
        .unit_bytes = unit_bytes,
        .members = members,
        .position = position,
        .next = (int)member[(position + 1) % members],
        .previous = (int)member[(position + members - 1) % members],
        .tag = tag,
    };
}

/* In hop k of the first n-1, member i sends piece i-k and adds the piece i-k-1 that it receives;
 * after them it holds piece i+1 whole. In the n-1 that follow it sends piece i+1-k and stores piece
 * i-k. */
static uint32_t piece_at(const struct mu_ring *r, int offset)
{
    int n = (int)r->members;

    return (uint32_t)((((int)r->position + offset) % n + n) % n);
}

enum mu_status mu_ring_poll(struct mu_ring *r, bool *done)
{
    uint32_t reduce_hops = r->members - 1;
    enum mu_status st = MU_OK;

    *done = false;
    while (r->hop < 2 * reduce_hops) {
        bool reducing = r->hop < reduce_hops, sent, got;
        int k = (int)(reducing ? r->hop : r->hop - reduce_hops);
        uint32_t out = piece_at(r, reducing ? -k : 1 - k), in = piece_at(r, reducing ? -k - 1 : -k);
        uint8_t *target = reducing ? r->scratch : r->data + piece_start(r, in);

        if (!r->posted) {
            MU_TRY(mu_comm_receive(r->comm, target, piece_bytes(r, in), r->previous, r->tag,
                                   &r->receive),
                   st, failed);
            MU_TRY(mu_comm_send(r->comm, r->data + piece_start(r, out), piece_bytes(r, out),
                                r->next, r->tag, &r->send),
                   st, failed);
            r->posted = true;
        }
        MU_TRY(mu_comm_test(r->comm, &r->receive, &got, NULL), st, failed);
        MU_TRY(mu_comm_test(r->comm, &r->send, &sent, NULL), st, failed);
        if (!got || !sent)
            return MU_OK;
        if (reducing && piece_bytes(r, in) > 0)
            r->merge(r->context, r->data + piece_start(r, in), r->scratch, piece_bytes(r, in));
        r->posted = false;
        r->hop++;
    }
    *done = true;
failed:
    return st;
}

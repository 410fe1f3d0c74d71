/* Chunk by chunk, from its owner on the one host to its owner on each of the others, in the same
 * order on both sides: nobody waits for a chunk that is behind one that waits for him. */
#include "worker/hand_over.h"

#include "worker/worker.h"

enum { DEADLINE_MS = 600000, MOST_PARTS = 6 };

/* A range of memory of the state: the same on both sides, but for the half. */
struct part {
    void *at;
    size_t bytes;
};

static int parts_of(const struct mu_worker *w, uint32_t chunk, uint32_t half, struct part *part)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    const struct mu_state_view *v = &w->segment->half[half];
    uint16_t *bf16 = w->segment->weight_bf16[half];
    size_t bytes = c->count * sizeof(float);
    int n = 0;

    part[n++] = (struct part){v->weight + c->offset, bytes};
    part[n++] = (struct part){v->m + c->offset, bytes};
    part[n++] = (struct part){v->v + c->offset, bytes};
    part[n++] = (struct part){v->prediction + c->first_block, c->block_count * sizeof(int16_t)};
    if (bf16)
        part[n++] = (struct part){bf16 + c->offset, c->count * sizeof(uint16_t)};
    if (chunk == 0)
        part[n++] = (struct part){w->segment->header->result, sizeof w->segment->header->result};
    return n;
}

static enum mu_status wait_for(struct mu_worker *w, struct mu_request *request, uint32_t other)
{
    struct mu_deadline deadline = mu_deadline_in_ms(DEADLINE_MS);
    enum mu_status st = mu_poller_complete(w->poller, request, deadline, NULL);

    if (st == MU_TIMEOUT && mu_deadline_passed(deadline))
        return MU_FAIL(MU_TIMEOUT, "the state was not handed over with rank %d within %d s",
                       mu_comm_name(w->comm, (int)other), DEADLINE_MS / 1000);
    return st;
}

static enum mu_status move_chunk(struct mu_worker *w, uint32_t chunk, uint32_t other, bool sends)
{
    struct part part[MOST_PARTS];
    int n = parts_of(w, chunk, sends ? mu_segment_half(w->segment) : 0, part);
    enum mu_status st = MU_OK;

    for (int i = 0; i < n; i++) {
        struct mu_request request = {NULL};

        st = sends ? mu_comm_send(w->comm, part[i].at, part[i].bytes, (int)other, MU_TAG_HAND_OVER,
                                  &request)
                   : mu_comm_receive(w->comm, part[i].at, part[i].bytes, (int)other,
                                     MU_TAG_HAND_OVER, &request);
        MU_TRY(mu_poller_take(w->poller, st), st, failed);
        MU_TRY(wait_for(w, &request, other), st, failed);
    }
failed:
    return st;
}

enum mu_status mu_hand_over(struct mu_worker *w, uint32_t source, const bool *lacks)
{
    enum mu_status st = MU_OK;

    mu_device_weights_forget(&w->weights);
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++) {
        uint32_t from = mu_roll_owner(w->roll, source, c);

        for (uint32_t h = 0; h < w->roll->hosts; h++) {
            uint32_t to = mu_roll_owner(w->roll, h, c);

            if (lacks[h] && w->place == from)
                MU_TRY(move_chunk(w, c, to, true), st, failed);
            if (lacks[h] && w->place == to)
                MU_TRY(move_chunk(w, c, from, false), st, failed);
        }
    }
failed:
    return st;
}

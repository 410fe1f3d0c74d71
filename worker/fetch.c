/* A message in two: the head (flags, escapes, norm, the step's scalars, maxima) and the total as it
 * lies in the segment (mu_resident_result). What is served does not change while it is under way:
 * no chunk of the next turn is reduced before the host that fetches has entered that turn. */
#include "worker/fetch.h"

#include <stdlib.h>
#include <string.h>

#include "worker/worker.h"

/* Goes as it lies in memory: both ends run the same program. */
struct head {
    struct mu_step_scalars scalars;
    struct mu_wide norm;
    uint64_t turn;
    uint32_t flags, escapes;
    /* then: maxima, a byte a block */
};

struct mu_served {
    struct mu_served *next;
    struct mu_request head, total;
    uint32_t chunk;
    float *copy; /* of a total that lies in a device's memory: one for all who fetch the chunk */
    bool owns_copy;
    uint8_t bytes[];
};

static size_t head_bytes(const struct mu_chunk *c)
{
    return sizeof(struct head) + (size_t)c->block_count;
}

enum mu_status mu_fetch_init(struct mu_worker *w)
{
    const struct mu_layout *l = &w->workload->layout;
    size_t most = 0, elements = 0;

    for (uint32_t c = 0; c < l->chunk_count; c++) {
        most = head_bytes(&l->chunks[c]) > most ? head_bytes(&l->chunks[c]) : most;
        elements = l->chunks[c].count > elements ? l->chunks[c].count : elements;
    }
    w->fetch.head = malloc(most);
    if (w->resident.state)
        w->fetch.total = malloc(elements * sizeof *w->fetch.total);
    if (!w->fetch.head || (w->resident.state && !w->fetch.total))
        return MU_FAIL(MU_NO_MEMORY, "no memory to fetch chunks");
    return MU_OK;
}

static void forget_served(struct mu_worker *w)
{
    while (w->fetch.served) {
        struct mu_served *s = w->fetch.served;

        w->fetch.served = s->next;
        if (s->owns_copy)
            free(s->copy);
        free(s);
    }
}

void mu_fetch_deinit(struct mu_worker *w)
{
    forget_served(w);
    free(w->fetch.head);
    free(w->fetch.total);
    w->fetch.head = NULL;
    w->fetch.total = NULL;
}

/* What lies in the device's memory. The device polls: a repair in there has made another
 * plan, and another communicator, by which nothing of this one is to be sent. */
static enum mu_status copy_result(struct mu_worker *w, const float *result,
                                  const struct mu_chunk *c, struct mu_served *s)
{
    enum mu_status st;

    if (s->next && s->next->chunk == s->chunk) { /* the one before: chunks come one by one */
        s->copy = s->next->copy;
        return MU_OK;
    }
    s->copy = malloc(c->count * sizeof *s->copy);
    s->owns_copy = true;
    if (!s->copy)
        return MU_FAIL(MU_NO_MEMORY, "no memory to send a chunk");
    mu_device_download(w->device, s->copy, result, c->count * sizeof *s->copy);
    MU_TRY(mu_device_verify(w->device), st, failed);
    st = mu_poll(w->poller);
failed:
    return st;
}

static enum mu_status send_chunk(struct mu_worker *w, uint32_t chunk, uint64_t turn, uint32_t to)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    const struct mu_chunk_words *words = &w->segment->chunk[chunk];
    struct mu_served *s = calloc(1, sizeof *s + head_bytes(c));
    struct head head = {.scalars = w->segment->header->scalars,
                        .norm = words->norm,
                        .turn = turn,
                        .flags = words->flags,
                        .escapes = words->escapes};
    const float *result = mu_resident_result(w, turn) + c->offset;
    enum mu_status st;

    if (!s)
        return MU_FAIL(MU_NO_MEMORY, "no memory to send a chunk");
    s->chunk = chunk;
    s->next = w->fetch.served;
    w->fetch.served = s;
    memcpy(s->bytes, &head, sizeof head);
    memcpy(s->bytes + sizeof head, w->segment->largest + c->first_block, (size_t)c->block_count);
    if (w->resident.state)
        MU_TRY(copy_result(w, result, c, s), st, failed);
    MU_TRY(mu_comm_send(w->comm, s->bytes, head_bytes(c), (int)to, MU_TAG_FETCH_HEAD, &s->head), st,
           failed);
    MU_TRY(mu_comm_send(w->comm, s->copy ? s->copy : result, c->count * sizeof(float), (int)to,
                        MU_TAG_FETCH_TOTAL, &s->total),
           st, failed);
failed:
    return st;
}

static bool is_open(struct mu_worker *w, struct mu_request *request)
{
    bool done;

    return mu_comm_test(w->comm, request, &done, NULL) != MU_OK || !done;
}

void mu_fetch_tidy(struct mu_worker *w)
{
    for (struct mu_served *s = w->fetch.served; s; s = s->next)
        if (is_open(w, &s->head) || is_open(w, &s->total))
            return;
    forget_served(w);
}

static uint32_t home_of(const struct mu_worker *w, uint32_t host)
{
    return w->fleet.home[mu_comm_name(w->comm, (int)mu_roll_local(w->roll, host, 0))];
}

/* A host that is behind lacks totals of its own turn; one that is not, of the plan's. */
enum mu_status mu_fetch_serve(struct mu_worker *w)
{
    enum mu_status st = MU_OK;

    forget_served(w);
    for (uint32_t c = 0; c < w->workload->layout.chunk_count; c++) {
        if (mu_roll_owner(w->roll, w->host, c) != w->place)
            continue;
        for (uint32_t h = 0; h < w->roll->hosts; h++) {
            uint32_t home = home_of(w, h);
            uint64_t turn = w->plan->host_turn[home];

            if (h != w->host && mu_recovery_server(w->plan, home, c, turn) == (int)w->home)
                MU_TRY(send_chunk(w, c, turn, mu_roll_owner(w->roll, h, c)), st, failed);
        }
    }
failed:
    return st;
}

static enum mu_status receive(struct mu_worker *w, void *data, size_t bytes, uint32_t from, int tag)
{
    struct mu_deadline deadline = mu_deadline_in_ms(MU_EXCHANGE_DEADLINE_MS);
    struct mu_request request = {NULL};
    enum mu_status st;

    MU_TRY(
        mu_poller_take(w->poller, mu_comm_receive(w->comm, data, bytes, (int)from, tag, &request)),
        st, failed);
    st = mu_poller_complete(w->poller, &request, deadline, NULL);
    if (st == MU_TIMEOUT && mu_deadline_passed(deadline))
        return MU_FAIL(MU_TIMEOUT, "rank %d did not send a chunk within %d s",
                       mu_comm_name(w->comm, (int)from), MU_EXCHANGE_DEADLINE_MS / 1000);
failed:
    return st;
}

enum mu_status mu_fetch_chunk(struct mu_worker *w, uint32_t chunk, uint64_t turn, int server)
{
    const struct mu_chunk *c = &w->workload->layout.chunks[chunk];
    struct mu_chunk_words *words = &w->segment->chunk[chunk];
    float *result = mu_resident_result(w, turn) + c->offset;
    float *total = w->resident.state ? w->fetch.total : result;
    uint32_t from = 0, host = 0;
    struct head head;
    enum mu_status st;

    while (home_of(w, host) != (uint32_t)server) {
        host++;
        MU_ASSERT(host < w->roll->hosts);
    }
    from = mu_roll_owner(w->roll, host, chunk);
    MU_TRY(receive(w, w->fetch.head, head_bytes(c), from, MU_TAG_FETCH_HEAD), st, failed);
    MU_TRY(receive(w, total, c->count * sizeof *total, from, MU_TAG_FETCH_TOTAL), st, failed);
    if (w->resident.state) {
        mu_device_upload(w->device, result, total, c->count * sizeof *total);
        MU_TRY(mu_device_verify(w->device), st, failed);
        MU_TRY(mu_poll(w->poller), st, failed); /* repaired meanwhile: it is sent once more */
    }
    memcpy(&head, w->fetch.head, sizeof head);
    MU_ASSERT(head.turn == turn); /* both sides have read the same plan */
    memcpy(w->segment->largest + c->first_block, w->fetch.head + sizeof head,
           (size_t)c->block_count);
    words->norm = head.norm;
    words->flags = head.flags;
    words->escapes = head.escapes;
    if (chunk == 0)
        w->segment->header->scalars = head.scalars;
failed:
    return st;
}

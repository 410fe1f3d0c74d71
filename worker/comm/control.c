/* A star: the master receives from rank 1, 2, ... or sends to them, in this order. All count
 * rounds, and every message carries its round's number, so that a rank that lost its way is
 * found out at its first message. A failure to understand one rank does not end a gathering:
 * the others' messages are taken all the same, or the next round would find them. Buffers are
 * malloc'ed, since that of a transfer which was given up stays MPI's and is left to it. */
#include "worker/comm/control.h"

#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/fault.h"

struct mu_control mu_control_init(struct mu_comm *comm, struct mu_poller *poller, uint32_t epoch,
                                  uint64_t deadline_ms)
{
    return (struct mu_control){
        .comm = comm, .poller = poller, .epoch = epoch, .deadline_ms = deadline_ms};
}

static enum mu_status wait_for(struct mu_control *c, struct mu_request *request, size_t *received,
                               const char *what, int rank)
{
    struct mu_deadline deadline = mu_deadline_in_ms(c->deadline_ms);
    enum mu_status st = mu_poller_complete(c->poller, request, deadline, received);

    if (st == MU_TIMEOUT && mu_deadline_passed(deadline))
        return MU_FAIL(MU_TIMEOUT, "no %s with rank %d within %.0f s", what, rank,
                       1e-3 * (double)c->deadline_ms);
    return st;
}

static struct mu_message_head head_of(const struct mu_control *c, enum mu_message_type type,
                                      int sender)
{
    return (struct mu_message_head){(uint32_t)type, c->epoch, (uint32_t)sender, c->sequence};
}

/* The payload of a message that must be of this type, sender and round. */
static enum mu_status unpack(struct mu_control *c, enum mu_message_type type, int sender,
                             const uint8_t *message, size_t size, struct mu_wire_reader *payload)
{
    struct mu_message_head due = head_of(c, type, sender), got;

    if (mu_message_unpack(&due, message, size, &got, payload))
        return MU_OK;
    c->refused++;
    return MU_FAIL(MU_INTERNAL,
                   "rank %d sent %zu bytes, message type %u, epoch %u, sender %u, number %u where "
                   "%s, epoch %u, number %u was due",
                   sender, size, got.type, got.epoch, got.sender, got.sequence,
                   mu_message_name(type), c->epoch, c->sequence);
}

/* A buffer whose transfer was given up is MPI's, and is left to it: the process is about to end. A
 * repair has completed it. */
static bool is_free(enum mu_status st, const struct mu_request *request)
{
    return st == MU_OK || st == MU_RECOVERED || !request->handle;
}

static enum mu_status send_all(struct mu_control *c, int to, enum mu_message_type type,
                               const void *payload, size_t size)
{
    struct mu_request request = {NULL};
    struct mu_message_head head = head_of(c, type, mu_comm_rank(c->comm));
    uint8_t *message = malloc(MU_MESSAGE_HEADER_BYTES + size);
    enum mu_ledger_kind before;
    enum mu_status st;

    if (!message)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a message of %zu bytes", size);
    mu_message_pack(&head, payload, size, message);
    st = mu_poller_take(c->poller, mu_comm_send(c->comm, message, MU_MESSAGE_HEADER_BYTES + size,
                                                to, MU_TAG_ROUND, &request));
    before = mu_poller_enter_at_work(c->poller, MU_LEDGER_COMMUNICATE);
    if (st == MU_OK)
        st = wait_for(c, &request, NULL, mu_message_name(type), to);
    mu_poller_enter(c->poller, before);
    if (is_free(st, &request))
        free(message);
    return st;
}

static enum mu_status receive_from(struct mu_control *c, int from, enum mu_message_type type,
                                   mu_control_take *take, void *context)
{
    size_t capacity = MU_MESSAGE_HEADER_BYTES + mu_message_cap(type), size = 0;
    struct mu_request request = {NULL};
    struct mu_wire_reader payload;
    uint8_t *message = malloc(capacity);
    enum mu_ledger_kind before;
    enum mu_status st;

    if (!message)
        return MU_FAIL(MU_NO_MEMORY, "no memory for a message of %zu bytes", capacity);
    st = mu_poller_take(c->poller,
                        mu_comm_receive(c->comm, message, capacity, from, MU_TAG_ROUND, &request));
    before = mu_poller_enter_at_work(c->poller, MU_LEDGER_WAIT);
    if (st == MU_OK)
        st = wait_for(c, &request, &size, mu_message_name(type), from);
    mu_poller_enter(c->poller, before);
    if (st == MU_OK)
        st = unpack(c, type, from, message, size, &payload);
    if (st == MU_OK)
        st = take(context, from, &payload);
    if (is_free(st, &request))
        free(message);
    return st;
}

enum mu_status mu_control_gather(struct mu_control *c, enum mu_message_type type,
                                 const struct mu_wire_writer *payload, mu_control_take *take,
                                 void *context)
{
    enum mu_status st, first = MU_OK;

    MU_ASSERT(payload->ok);
    MU_TRY(mu_poll(c->poller), first, failed); /* a roll that is void already has no rounds */
    if (mu_comm_rank(c->comm) == 0) {
        struct mu_wire_reader own = mu_wire_read(payload->at, payload->size);

        first = take(context, 0, &own);
        for (int r = 1; r < mu_comm_size(c->comm); r++) {
            st = receive_from(c, r, type, take, context);
            first = first == MU_OK ? st : first;
            st = mu_poll(c->poller);
            first = first == MU_OK ? st : first;
            if (mu_control_is_broken(st))
                first = st;
            if (st != MU_OK)
                break; /* the others have not been heard */
        }
    } else {
        first = send_all(c, 0, type, payload->at, payload->size);
    }
    if (first != MU_RECOVERED) /* rounds are counted from 0 again */
        c->sequence++;
failed:
    return first;
}

struct copy_target {
    void *buffer;
    size_t capacity, *size;
};

static enum mu_status copy_payload(void *context, int rank, struct mu_wire_reader *payload)
{
    struct copy_target *t = context;

    (void)rank;
    if (payload->size > t->capacity)
        return MU_FAIL(MU_INTERNAL, "an announcement of %zu bytes where at most %zu were due",
                       payload->size, t->capacity);
    memcpy(t->buffer, payload->at, payload->size);
    *t->size = payload->size;
    return MU_OK;
}

enum mu_status mu_control_announce(struct mu_control *c, enum mu_message_type type, void *buffer,
                                   size_t capacity, size_t *size)
{
    struct copy_target target = {buffer, capacity, size};
    enum mu_status st;

    MU_TRY(mu_poll(c->poller), st, failed);
    if (mu_comm_rank(c->comm) == 0) {
        for (int r = 1; st == MU_OK && r < mu_comm_size(c->comm); r++) {
            mu_fault(MU_FAULT_TELL, r);
            st = send_all(c, r, type, buffer, *size);
        }
    } else {
        st = receive_from(c, 0, type, copy_payload, &target);
    }
    if (st != MU_RECOVERED)
        c->sequence++;
failed:
    return st;
}

enum mu_status mu_control_get_status(struct mu_wire_reader *payload)
{
    uint32_t st = mu_wire_get_u32(payload);

    payload->ok = payload->ok && st < MU_STATUS_COUNT;
    return payload->ok ? (enum mu_status)st : MU_INTERNAL;
}

static enum mu_status take_status(void *context, int rank, struct mu_wire_reader *payload)
{
    enum mu_status *verdict = context, st = mu_control_get_status(payload);

    if (!mu_wire_finished(payload))
        return MU_FAIL(MU_INTERNAL, "rank %d sent a status that is none", rank);
    if (*verdict == MU_OK)
        *verdict = st;
    return MU_OK;
}

enum mu_status mu_control_agree(struct mu_control *c, enum mu_status own)
{
    uint8_t bytes[8];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
    enum mu_status verdict = MU_OK, st;
    struct mu_wire_reader r;
    size_t size = 4;

    mu_wire_put_u32(&w, (uint32_t)own);
    st = mu_control_gather(c, MU_MESSAGE_STATUS, &w, take_status, &verdict);
    if (mu_control_is_broken(st))
        return st;
    verdict = st == MU_OK ? verdict : st; /* what could not be read is a failure like another */
    w = mu_wire_write(bytes, sizeof bytes);
    mu_wire_put_u32(&w, (uint32_t)verdict);
    MU_TRY(mu_control_announce(c, MU_MESSAGE_VERDICT, bytes, sizeof bytes, &size), st, failed);
    r = mu_wire_read(bytes, size);
    verdict = mu_control_get_status(&r);
    if (!mu_wire_finished(&r))
        return MU_FAIL(MU_INTERNAL, "the master sent a verdict that is none");
    c->verdict = verdict;
    return verdict;
failed:
    return st;
}

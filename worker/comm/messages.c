/* A receiver knows what is due, so a header is compared as a whole and not searched for meaning:
 * any difference refuses the message, and its payload is not looked at. */
#include "worker/comm/messages.h"

static const uint32_t magic = 0x314d554d; /* "MUM1" */

static const struct {
    const char *name;
    size_t cap;
} types[] = {
#define MU_MESSAGE_ROW(name, number, cap, direction, meaning) [number] = {#name, cap},
    MU_MESSAGE_TABLE(MU_MESSAGE_ROW)
#undef MU_MESSAGE_ROW
};

const char *mu_message_name(enum mu_message_type type)
{
    return types[type].name;
}

size_t mu_message_cap(enum mu_message_type type)
{
    return types[type].cap;
}

void mu_message_pack(const struct mu_message_head *head, const void *payload, size_t size,
                     uint8_t *out)
{
    struct mu_wire_writer w = mu_wire_write(out, MU_MESSAGE_HEADER_BYTES + size);

    MU_ASSERT(size <= types[head->type].cap);
    mu_wire_put_u32(&w, magic);
    mu_wire_put_u32(&w, head->type);
    mu_wire_put_u32(&w, head->epoch);
    mu_wire_put_u32(&w, head->sender);
    mu_wire_put_u32(&w, head->sequence);
    mu_wire_put_u32(&w, (uint32_t)size);
    mu_wire_put_bytes(&w, payload, size);
    MU_ASSERT(w.ok);
}

bool mu_message_unpack(const struct mu_message_head *due, const uint8_t *message, size_t size,
                       struct mu_message_head *got, struct mu_wire_reader *payload)
{
    struct mu_wire_reader r = mu_wire_read(message, size);
    uint32_t got_magic = mu_wire_get_u32(&r), length;

    got->type = mu_wire_get_u32(&r);
    got->epoch = mu_wire_get_u32(&r);
    got->sender = mu_wire_get_u32(&r);
    got->sequence = mu_wire_get_u32(&r);
    length = mu_wire_get_u32(&r);
    if (!r.ok || got_magic != magic || got->type != due->type || got->epoch != due->epoch ||
        got->sender != due->sender || got->sequence != due->sequence ||
        length != size - MU_MESSAGE_HEADER_BYTES || length > types[due->type].cap)
        return false;
    *payload = mu_wire_read(message + MU_MESSAGE_HEADER_BYTES, length);
    return true;
}

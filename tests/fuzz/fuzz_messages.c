/* Any bytes where a control message is due: refused, or exactly what its sender packed. Input:
 * which type of the table is due, then the message; what else is due is taken from its header, so
 * that the mutations get past it. */
#include <stdlib.h>
#include <string.h>

#include "worker/comm/messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const enum mu_message_type types[] = {
#define TYPE(name, number, cap, direction, meaning) MU_MESSAGE_##name,
    MU_MESSAGE_TABLE(TYPE)
#undef TYPE
};

/* Asked for another epoch, sender or number, the same bytes are refused. */
static void another_is_refused(struct mu_message_head due, const uint8_t *message, size_t size)
{
    uint32_t *const field[] = {&due.type, &due.epoch, &due.sender, &due.sequence};
    struct mu_message_head got;
    struct mu_wire_reader payload;

    for (size_t i = 1; i < sizeof field / sizeof *field; i++) {
        *field[i] ^= 1;
        MU_ASSERT(!mu_message_unpack(&due, message, size, &got, &payload));
        *field[i] ^= 1;
    }
    due.type = due.type == MU_MESSAGE_HELLO ? MU_MESSAGE_STATUS : MU_MESSAGE_HELLO;
    MU_ASSERT(!mu_message_unpack(&due, message, size, &got, &payload));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mu_message_head due = {.type = MU_MESSAGE_HELLO}, got;
    struct mu_wire_reader payload;
    const uint8_t *message;
    uint8_t *again;

    if (size < 1)
        return 0;
    message = data + 1;
    size--;
    MU_ASSERT(!mu_message_unpack(&due, message, size, &got, &payload) || got.epoch == 0);
    due = got;
    due.type = (uint32_t)types[data[0] % (sizeof types / sizeof *types)];
    if (!mu_message_unpack(&due, message, size, &got, &payload))
        return 0;
    MU_ASSERT(payload.ok && payload.used == 0 && payload.size == size - MU_MESSAGE_HEADER_BYTES);
    MU_ASSERT(payload.size <= mu_message_cap((enum mu_message_type)due.type));
    again = malloc(size);
    MU_ASSERT(again);
    mu_message_pack(&got, payload.at, payload.size, again);
    MU_ASSERT(memcmp(again, message, size) == 0);
    free(again);
    another_is_refused(due, message, size);
    return 0;
}

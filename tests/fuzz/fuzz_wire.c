/* Any bytes, read by any program of fields: never beyond the end, sticky after the first failure,
 * and what was read, written again, is what was there. Input: capacity of the writer, length of the
 * program, program, message. */
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/status.h"
#include "orchestrator/base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads one field and writes it again. */
static void step(uint8_t op, struct mu_wire_reader *r, struct mu_wire_writer *w)
{
    char text[24];
    uint8_t raw[40];

    switch (op % 6) {
    case 0:
        mu_wire_put_u8(w, mu_wire_get_u8(r));
        break;
    case 1:
        mu_wire_put_u32(w, mu_wire_get_u32(r));
        break;
    case 2:
        mu_wire_put_u64(w, mu_wire_get_u64(r));
        break;
    case 3:
        mu_wire_put_f64(w, mu_wire_get_f64(r));
        break;
    case 4:
        mu_wire_get_bytes(r, raw, op / 6u % sizeof raw);
        mu_wire_put_bytes(w, raw, op / 6u % sizeof raw);
        break;
    default: {
        size_t capacity = 1 + op / 6u % (sizeof text - 1);

        mu_wire_get_string(r, text, capacity);
        MU_ASSERT(memchr(text, 0, capacity));
        mu_wire_put_string(w, text);
        break;
    }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t capacity, length, message_size;
    const uint8_t *program, *message;
    struct mu_wire_reader r;
    struct mu_wire_writer w;
    uint8_t *written;

    if (size < 2 || size - 2 < data[1])
        return 0;
    capacity = data[0];
    length = data[1];
    program = data + 2;
    message = program + length;
    message_size = size - 2 - length;
    written = malloc(capacity ? capacity : 1);
    MU_ASSERT(written);
    r = mu_wire_read(message, message_size);
    w = mu_wire_write(written, capacity);
    for (size_t i = 0; i < length; i++) {
        const bool reading = r.ok, writing = w.ok;
        const size_t used = r.used, had = w.size;

        step(program[i], &r, &w);
        MU_ASSERT(r.used <= message_size && w.size <= capacity);
        MU_ASSERT(reading || (!r.ok && r.used == used));
        MU_ASSERT(writing || (!w.ok && w.size == had));
        if (r.ok && w.ok)
            MU_ASSERT(w.size == r.used && memcmp(written, message, w.size) == 0);
        MU_ASSERT(mu_wire_finished(&r) == (r.ok && r.used == message_size));
    }
    free(written);
    return 0;
}

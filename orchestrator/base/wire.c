#include "orchestrator/base/wire.h"

#include <string.h>

#include "orchestrator/base/status.h"

struct mu_wire_writer mu_wire_write(void *buffer, size_t capacity)
{
    return (struct mu_wire_writer){.at = buffer, .capacity = capacity, .ok = true};
}

static void put(struct mu_wire_writer *w, uint64_t v, size_t bytes)
{
    uint8_t raw[8];

    for (size_t i = 0; i < bytes; i++)
        raw[i] = (uint8_t)(v >> (8 * i));
    mu_wire_put_bytes(w, raw, bytes);
}

void mu_wire_put_u8(struct mu_wire_writer *w, uint8_t v)
{
    put(w, v, 1);
}

void mu_wire_put_u32(struct mu_wire_writer *w, uint32_t v)
{
    put(w, v, 4);
}

void mu_wire_put_u64(struct mu_wire_writer *w, uint64_t v)
{
    put(w, v, 8);
}

void mu_wire_put_f64(struct mu_wire_writer *w, double v)
{
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    put(w, bits, 8);
}

void mu_wire_put_bytes(struct mu_wire_writer *w, const void *data, size_t size)
{
    if (!w->ok || size > w->capacity - w->size) {
        w->ok = false;
        return;
    }
    if (size > 0)
        memcpy(w->at + w->size, data, size);
    w->size += size;
}

void mu_wire_put_string(struct mu_wire_writer *w, const char *text)
{
    size_t size = strlen(text);

    MU_ASSERT(size <= UINT32_MAX);
    mu_wire_put_u32(w, (uint32_t)size);
    mu_wire_put_bytes(w, text, size);
}

struct mu_wire_reader mu_wire_read(const void *buffer, size_t size)
{
    return (struct mu_wire_reader){.at = buffer, .size = size, .ok = true};
}

static uint64_t get(struct mu_wire_reader *r, size_t bytes)
{
    uint8_t raw[8] = {0};
    uint64_t v = 0;

    mu_wire_get_bytes(r, raw, bytes);
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)raw[i] << (8 * i);
    return v;
}

uint8_t mu_wire_get_u8(struct mu_wire_reader *r)
{
    return (uint8_t)get(r, 1);
}

uint32_t mu_wire_get_u32(struct mu_wire_reader *r)
{
    return (uint32_t)get(r, 4);
}

uint64_t mu_wire_get_u64(struct mu_wire_reader *r)
{
    return get(r, 8);
}

double mu_wire_get_f64(struct mu_wire_reader *r)
{
    uint64_t bits = get(r, 8);
    double v;

    memcpy(&v, &bits, sizeof v);
    return v;
}

void mu_wire_get_bytes(struct mu_wire_reader *r, void *data, size_t size)
{
    if (!r->ok || size > r->size - r->used) {
        r->ok = false;
        memset(data, 0, size);
        return;
    }
    if (size > 0)
        memcpy(data, r->at + r->used, size);
    r->used += size;
}

void mu_wire_get_string(struct mu_wire_reader *r, char *text, size_t capacity)
{
    uint32_t size = mu_wire_get_u32(r);

    text[0] = 0;
    if (!r->ok || size >= capacity || size > r->size - r->used ||
        memchr(r->at + r->used, 0, size)) {
        r->ok = false;
        return;
    }
    mu_wire_get_bytes(r, text, size);
    text[size] = 0;
}

bool mu_wire_finished(const struct mu_wire_reader *r)
{
    return r->ok && r->used == r->size;
}

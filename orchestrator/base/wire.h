/* Fields packed one by one, little-endian, into a buffer of fixed size, and read back with every
 * bound checked. Both sides are sticky: after the first overrun nothing more happens and `ok` stays
 * false, so that a whole message is written or read first and checked once. */
#ifndef MUSTER_BASE_WIRE_H
#define MUSTER_BASE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mu_wire_writer {
    uint8_t *at;
    size_t size, capacity;
    bool ok;
};
struct mu_wire_reader {
    const uint8_t *at;
    size_t used, size;
    bool ok;
};

struct mu_wire_writer mu_wire_write(void *buffer, size_t capacity);
void mu_wire_put_u8(struct mu_wire_writer *w, uint8_t v);
void mu_wire_put_u32(struct mu_wire_writer *w, uint32_t v);
void mu_wire_put_u64(struct mu_wire_writer *w, uint64_t v);
void mu_wire_put_f64(struct mu_wire_writer *w, double v);
/* bytes: without a length; string: u32 length, then bytes. */
void mu_wire_put_bytes(struct mu_wire_writer *w, const void *data, size_t size);
void mu_wire_put_string(struct mu_wire_writer *w, const char *text);

struct mu_wire_reader mu_wire_read(const void *buffer, size_t size);
uint8_t mu_wire_get_u8(struct mu_wire_reader *r);
uint32_t mu_wire_get_u32(struct mu_wire_reader *r);
uint64_t mu_wire_get_u64(struct mu_wire_reader *r);
double mu_wire_get_f64(struct mu_wire_reader *r);
void mu_wire_get_bytes(struct mu_wire_reader *r, void *data, size_t size);
/* Into text[capacity], always terminated; a string that does not fit, or holds a zero byte, makes
 * the reader not ok. */
void mu_wire_get_string(struct mu_wire_reader *r, char *text, size_t capacity);
bool mu_wire_finished(const struct mu_wire_reader *r); /* ok, and nothing left over */

#endif

#include "orchestrator/generate/text.h"

#include <string.h>

/* Bytes of the character that begins so; 0: none does. */
static size_t length_of(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first <= 0xdf)
        return 2;
    if (first >= 0xe0 && first <= 0xef)
        return 3;
    return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/* Unicode, table 3-7: the second byte's range depends on the first. */
static bool may_follow(const uint8_t *held, size_t count, uint8_t byte)
{
    uint8_t least = 0x80, most = 0xbf;

    if (count == 1) {
        least = held[0] == 0xe0 ? 0xa0 : held[0] == 0xf0 ? 0x90 : least;
        most = held[0] == 0xed ? 0x9f : held[0] == 0xf4 ? 0x8f : most;
    }
    return byte >= least && byte <= most;
}

/* C0 and C1 but for tab and newline, and DEL. */
static bool is_control(const uint8_t *c, size_t count)
{
    if (count == 1)
        return (c[0] < 0x20 && c[0] != '\n' && c[0] != '\t') || c[0] == 0x7f;
    return count == 2 && c[0] == 0xc2 && c[1] < 0xa0;
}

static size_t put(struct mu_text *t, char *out, const void *bytes, size_t count)
{
    memcpy(out, bytes, count);
    if (count > 0)
        t->on_line = out[count - 1] != '\n';
    return count;
}

static size_t put_replacement(struct mu_text *t, char *out)
{
    t->held_count = 0;
    return put(t, out, "\xef\xbf\xbd", 3);
}

static size_t take_byte(struct mu_text *t, uint8_t byte, char *out)
{
    size_t n = 0;

    if (t->held_count > 0 && !may_follow(t->held, t->held_count, byte))
        n = put_replacement(t, out);
    t->held[t->held_count++] = byte;
    if (length_of(t->held[0]) == 0)
        return n + put_replacement(t, out + n);
    if (t->held_count < length_of(t->held[0]))
        return n;
    if (is_control(t->held, t->held_count))
        return n + put_replacement(t, out + n);
    n += put(t, out + n, t->held, t->held_count);
    t->held_count = 0;
    return n;
}

size_t mu_text_take(struct mu_text *t, const uint8_t *bytes, size_t count, char *out)
{
    size_t n = 0;

    if (t->raw)
        return put(t, out, bytes, count);
    for (size_t i = 0; i < count; i++)
        n += take_byte(t, bytes[i], out + n);
    return n;
}

/* base/wire: any list of fields, written and read again, is what it was, bit for bit; whatever is
 * cut off its end, or of the writer's room, is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/rng.h"
#include "orchestrator/base/wire.h"
#include "tests/support/seed.h"

enum kind { U8, U32, U64, F64, BYTES, STRING, KINDS };
enum { MOST_FIELDS = 12, MOST_TEXT = 40, MOST_BYTES = MOST_FIELDS * (MOST_TEXT + 4) };

struct field {
    enum kind kind;
    uint64_t value; /* of numbers; the bits of a double */
    char text[MOST_TEXT];
    size_t size; /* of BYTES */
};

static uint64_t draws;

static uint64_t draw(void)
{
    const struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_SYNTHETIC, 0, draws++);

    return (uint64_t)x.w[0] << 32 | x.w[1];
}

static struct field any_field(void)
{
    struct field f = {.kind = (enum kind)(draw() % KINDS), .value = draw()};
    size_t length = draw() % MOST_TEXT;

    if (f.kind == U8)
        f.value &= 0xff;
    if (f.kind == U32)
        f.value &= 0xffffffff;
    f.size = draw() % MOST_TEXT;
    for (size_t i = 0; i < sizeof f.text; i++)
        f.text[i] = (char)(1 + draw() % 255);
    if (f.kind == STRING)
        f.text[length] = 0;
    return f;
}

static void write_field(struct mu_wire_writer *w, const struct field *f)
{
    double d;

    memcpy(&d, &f->value, sizeof d);
    switch (f->kind) {
    case U8:
        mu_wire_put_u8(w, (uint8_t)f->value);
        break;
    case U32:
        mu_wire_put_u32(w, (uint32_t)f->value);
        break;
    case U64:
        mu_wire_put_u64(w, f->value);
        break;
    case F64:
        mu_wire_put_f64(w, d);
        break;
    case BYTES:
        mu_wire_put_bytes(w, f->text, f->size);
        break;
    default:
        mu_wire_put_string(w, f->text);
    }
}

/* Reads a field as `f` says; whether it is `f`'s value. */
static bool read_field(struct mu_wire_reader *r, const struct field *f)
{
    char text[MOST_TEXT];
    uint64_t bits;
    double d;

    switch (f->kind) {
    case U8:
        return mu_wire_get_u8(r) == f->value;
    case U32:
        return mu_wire_get_u32(r) == f->value;
    case U64:
        return mu_wire_get_u64(r) == f->value;
    case F64:
        d = mu_wire_get_f64(r);
        memcpy(&bits, &d, sizeof bits);
        return bits == f->value;
    case BYTES:
        mu_wire_get_bytes(r, text, f->size);
        return memcmp(text, f->text, f->size) == 0;
    default:
        mu_wire_get_string(r, text, sizeof text);
        return strcmp(text, f->text) == 0;
    }
}

/* The first `size` bytes, in memory that ends there. */
static void check_cut(const struct field *fields, size_t count, const uint8_t *whole, size_t size)
{
    uint8_t *cut = malloc(size ? size : 1);
    struct mu_wire_reader r;

    assert_non_null(cut);
    memcpy(cut, whole, size);
    r = mu_wire_read(cut, size);
    for (size_t i = 0; i < count; i++)
        if (!read_field(&r, &fields[i]))
            assert_false(r.ok); /* never a wrong value that passes for read */
    assert_false(r.ok);
    assert_false(mu_wire_finished(&r));
    assert_true(r.used <= size);
    assert_int_equal(mu_wire_get_u64(&r), 0); /* sticky */
    assert_false(r.ok);
    free(cut);
}

static void check_small_writer(const struct field *fields, size_t count, size_t capacity)
{
    uint8_t *room = malloc(capacity ? capacity : 1);
    struct mu_wire_writer w;

    assert_non_null(room);
    w = mu_wire_write(room, capacity);
    for (size_t i = 0; i < count; i++)
        write_field(&w, &fields[i]);
    assert_false(w.ok);
    assert_true(w.size <= capacity);
    free(room);
}

static void decode_after_encode_is_identity(void **state)
{
    struct field fields[MOST_FIELDS];
    uint8_t bytes[MOST_BYTES];

    (void)state;
    for (int k = 0; k < 3000; k++) {
        size_t count = draw() % (MOST_FIELDS + 1);
        struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);
        struct mu_wire_reader r;

        for (size_t i = 0; i < count; i++) {
            fields[i] = any_field();
            write_field(&w, &fields[i]);
        }
        assert_true(w.ok);
        r = mu_wire_read(bytes, w.size);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(mu_wire_finished(&r), r.used == w.size);
            assert_true(read_field(&r, &fields[i]));
        }
        assert_true(r.ok && mu_wire_finished(&r));
        for (size_t size = 0; size < w.size; size++)
            check_cut(fields, count, bytes, size);
        if (w.size > 0)
            check_small_writer(fields, count, draw() % w.size);
    }
}

static void bytes_are_little_endian(void **state)
{
    static const uint8_t expected[] = {0xab, 0x04, 0x03, 0x02, 0x01, 0x18, 0x17, 0x16, 0x15,
                                       0x14, 0x13, 0x12, 0x11, 0,    0,    0,    0,    0,
                                       0,    0xf0, 0x3f, 2,    0,    0,    0,    'h',  'i'};
    uint8_t bytes[64];
    struct mu_wire_writer w = mu_wire_write(bytes, sizeof bytes);

    (void)state;
    mu_wire_put_u8(&w, 0xab);
    mu_wire_put_u32(&w, 0x01020304);
    mu_wire_put_u64(&w, 0x1112131415161718);
    mu_wire_put_f64(&w, 1.0); /* 0x3ff0 0000 0000 0000 */
    mu_wire_put_string(&w, "hi");
    assert_int_equal(w.size, sizeof expected);
    assert_memory_equal(bytes, expected, sizeof expected);
}

static void strings_that_lie_are_refused(void **state)
{
    static const uint8_t beyond[] = {0xff, 0xff, 0xff, 0xff, 'h', 'i'},
                         zero[] = {2, 0, 0, 0, 'h', 0}, fits[] = {3, 0, 0, 0, 'h', 'i', '!'};
    char text[4];
    struct mu_wire_reader r = mu_wire_read(beyond, sizeof beyond);

    (void)state;
    mu_wire_get_string(&r, text, sizeof text);
    assert_false(r.ok);
    assert_string_equal(text, "");
    r = mu_wire_read(zero, sizeof zero);
    mu_wire_get_string(&r, text, sizeof text);
    assert_false(r.ok);
    r = mu_wire_read(fits, sizeof fits);
    mu_wire_get_string(&r, text, 3); /* no room for the end */
    assert_false(r.ok);
    r = mu_wire_read(fits, sizeof fits);
    mu_wire_get_string(&r, text, 4);
    assert_true(mu_wire_finished(&r));
    assert_string_equal(text, "hi!");
}

static void nothing_reads_as_nothing(void **state)
{
    struct mu_wire_reader r = mu_wire_read(NULL, 0);

    (void)state;
    assert_true(mu_wire_finished(&r));
    mu_wire_get_bytes(&r, NULL, 0);
    assert_true(mu_wire_finished(&r));
    assert_int_equal(mu_wire_get_u8(&r), 0);
    assert_false(r.ok);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decode_after_encode_is_identity),
        cmocka_unit_test(bytes_are_little_endian),
        cmocka_unit_test(strings_that_lie_are_refused),
        cmocka_unit_test(nothing_reads_as_nothing),
    };

    return cmocka_run_group_tests(tests, print_seed, NULL);
}

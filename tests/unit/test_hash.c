/* base/hash: it is xxh3-128, by the vectors of the xxHash library's own self-test, and its text
 * form reads back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "orchestrator/base/hash.h"

/* The buffer that xxhsum's self-test hashes: the high bytes of the powers of a prime. */
static void fill(uint8_t *out, size_t size)
{
    uint64_t x = 2654435761u;

    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)(x >> 56);
        x *= UINT64_C(11400714785074694797);
    }
}

static void the_published_vectors(void **state)
{
    static const struct {
        size_t size;
        uint64_t low, high;
    } known[] = {
        {0, 0x6001C324468D497F, 0x99AA06D3014798D8},
        {1, 0xC44BDFF4074EECDB, 0xA6CD5E9392000F6A},
        {6, 0x3E7039BDDA43CFC6, 0x082AFE0B8162D12A},
        {12, 0x061A192713F69AD9, 0x6E3EFD8FC7802B18},
        {24, 0x1E7044D28B1B901D, 0x0CE966E4678D3761},
        {48, 0xF942219AED80F67B, 0xA002AC4E5478227E},
        {81, 0x5E8BAFB9F95FB803, 0x4952F58181AB0042},
        {222, 0xF1AEBD597CEC6B3A, 0x337E09641B948717},
        {403, 0xCDEB804D65C6DEA4, 0x1B6DE21E332DD73D},
        {512, 0x617E49599013CB6B, 0x18D2D110DCC9BCA1},
    };
    uint8_t bytes[512];

    (void)state;
    fill(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct mu_hash h = mu_hash_bytes(bytes, known[i].size, 0);

        assert_true(h.low == known[i].low && h.high == known[i].high);
    }
}

static void the_seed_counts(void **state)
{
    struct mu_hash a = mu_hash_bytes("abc", 3, 0), b = mu_hash_bytes("abc", 3, 1);

    (void)state;
    assert_false(mu_hash_equal(a, b));
    assert_true(mu_hash_equal(a, mu_hash_bytes("abcd", 3, 0)));
    assert_false(mu_hash_equal(a, (struct mu_hash){a.high, a.low ^ 1}));
    assert_false(mu_hash_equal(a, (struct mu_hash){a.high ^ 1, a.low}));
}

static void text_reads_back(void **state)
{
    const struct mu_hash h = {0x00000000000000ab, 0xcd00000000000001};
    struct mu_hash back;

    (void)state;
    assert_string_equal(mu_hash_print(h).text, "00000000000000abcd00000000000001");
    assert_true(mu_hash_parse("00000000000000abcd00000000000001", &back));
    assert_true(mu_hash_equal(h, back));
    assert_true(mu_hash_parse("00000000000000ABCD00000000000001", &back));
    assert_true(mu_hash_equal(h, back));
    for (uint64_t i = 0; i < 1000; i++) {
        struct mu_hash any = mu_hash_bytes(&i, sizeof i, 0);

        assert_true(mu_hash_parse(mu_hash_print(any).text, &back));
        assert_true(mu_hash_equal(any, back));
    }
}

static void what_is_not_32_digits_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "0",
                                        "0000000000000000000000000000000",
                                        "000000000000000000000000000000000",
                                        "0000000000000000000000000000000g",
                                        "0x000000000000000000000000000000",
                                        " 0000000000000000000000000000000",
                                        "0000000000000000 000000000000000",
                                        "-0000000000000000000000000000000"};
    struct mu_hash h = {1, 2};

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(mu_hash_parse(wrong[i], &h));
    assert_true(h.high == 1 && h.low == 2);
}

static void the_library_names_itself(void **state)
{
    (void)state;
    assert_memory_equal(mu_hash_library_version(), "xxHash 0.", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors),
        cmocka_unit_test(the_seed_counts),
        cmocka_unit_test(text_reads_back),
        cmocka_unit_test(what_is_not_32_digits_is_refused),
        cmocka_unit_test(the_library_names_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

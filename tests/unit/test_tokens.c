/* Token files: what is written is what is read, and every kind of damage is refused with a status
 * (and never read beyond the end: this runs under AddressSanitizer too). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "orchestrator/base/log.h"
#include "worker/data/sniff.h"
#include "worker/data/token_writer.h"
#include "worker/data/tokens.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    mu_log_set_level(MU_LOG_SILENT); /* refusals are expected here */
    strcpy(folder, "/tmp/muster-tokens-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

static const char *in_folder(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void put_file(const char *path, const void *data, size_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(mu_file_write_all(fd, data, size, path), MU_OK);
    close(fd);
}

/* The i-th token of the files below: below `vocab`, and nothing that repeats with a power of
 * two. */
static uint32_t token_of(uint64_t i, uint32_t vocab)
{
    return (uint32_t)((i * 2654435761u + 17u) % vocab);
}

static void write_tokens(const char *path, uint32_t token_bytes, uint32_t vocab, uint64_t count)
{
    struct mu_token_writer w;

    assert_int_equal(mu_token_writer_open(&w, path, token_bytes, vocab, "test"), MU_OK);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t t = token_of(i, vocab);
        uint8_t raw[4] = {(uint8_t)t, (uint8_t)(t >> 8), (uint8_t)(t >> 16), (uint8_t)(t >> 24)};

        assert_int_equal(mu_token_writer_put(&w, raw, token_bytes), MU_OK);
    }
    assert_int_equal(mu_token_writer_finish(&w, 3 * count), MU_OK);
    assert_int_equal(mu_token_writer_publish(&w), MU_OK);
    mu_token_writer_abandon(&w);
}

static void test_written_is_read(void **state)
{
    /* sizes below, at and beyond a piece of 1 MiB */
    static const struct {
        uint32_t token_bytes, vocab;
        uint64_t count;
    } cases[] = {{1, 256, 1},        {1, 7, 4096},
                 {1, 256, 1u << 20}, {1, 256, (1u << 20) + 1},
                 {2, 50257, 600001}, {4, 128256, 300007}};
    (void)state;

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        const char *path = in_folder("round.bin");
        struct mu_tokens t;
        int32_t some[5];

        write_tokens(path, cases[c].token_bytes, cases[c].vocab, cases[c].count);
        assert_int_equal(mu_tokens_open(&t, path), MU_OK);
        assert_int_equal(t.count, cases[c].count);
        assert_int_equal(t.vocab, cases[c].vocab);
        assert_int_equal(t.token_bytes, cases[c].token_bytes);
        assert_int_equal(t.source_bytes, 3 * cases[c].count);
        assert_string_equal(t.format, "muster test");
        assert_int_equal((uintptr_t)t.data % 4096, 0);
        assert_int_equal(mu_tokens_verify(&t, path), MU_OK);
        for (uint64_t from = 0; from < t.count; from += 1 + t.count / 997) {
            uint64_t n = t.count - from < 5 ? t.count - from : 5;

            mu_tokens_copy(&t, from, n, some);
            for (uint64_t i = 0; i < n; i++)
                assert_int_equal(some[i], token_of(from + i, t.vocab));
        }
        mu_tokens_copy(&t, t.count, 0, some); /* nothing, at the very end: allowed */
        mu_tokens_close(&t);
        mu_tokens_close(&t); /* closed ones are allowed */
    }
}

static void test_identity_follows_content(void **state)
{
    struct mu_tokens a, b, c;
    (void)state;

    write_tokens(in_folder("a.bin"), 2, 300, 1000);
    assert_int_equal(mu_tokens_open(&a, in_folder("a.bin")), MU_OK);
    write_tokens(in_folder("b.bin"), 2, 300, 1000);
    assert_int_equal(mu_tokens_open(&b, in_folder("b.bin")), MU_OK);
    write_tokens(in_folder("c.bin"), 2, 301, 1000);
    assert_int_equal(mu_tokens_open(&c, in_folder("c.bin")), MU_OK);
    assert_true(mu_hash_equal(a.identity, b.identity));
    assert_false(mu_hash_equal(a.identity, c.identity));
    mu_tokens_close(&a);
    mu_tokens_close(&b);
    mu_tokens_close(&c);
}

/* The layout of token_format.h, written down a second time from its comment. */
static size_t handmade(uint8_t *file, uint32_t version, uint32_t token_bytes, uint32_t vocab,
                       uint64_t count)
{
    XXH128_hash_t piece, content, sum;
    uint8_t chain[32] = {0};
    uint64_t words[2];
    size_t data = (size_t)count * token_bytes;

    memset(file, 0, 4096);
    memcpy(file, "\x8aMUTOK\r\n", 8);
    memcpy(file + 8, &version, 4);
    memcpy(file + 12, (uint32_t[]){4096}, 4);
    memcpy(file + 16, &token_bytes, 4);
    memcpy(file + 20, &vocab, 4);
    memcpy(file + 24, &count, 8);
    for (size_t i = 0; i < data; i++)
        file[4096 + i] = (uint8_t)(i % 5);
    piece = XXH3_128bits(file + 4096, data);
    memcpy(chain + 16, &piece.high64, 8);
    memcpy(chain + 24, &piece.low64, 8);
    content = XXH3_128bits(chain, 32);
    memcpy(file + 40, &content.high64, 8);
    memcpy(file + 48, &content.low64, 8);
    memcpy(file + 56, "bytes", 5);
    sum = XXH3_128bits(file, 4080);
    words[0] = sum.high64;
    words[1] = sum.low64;
    memcpy(file + 4080, words, 16);
    return 4096 + data;
}

static void test_layout_is_as_documented(void **state)
{
    uint8_t *file = malloc(8192);
    struct mu_tokens t;
    size_t size;
    (void)state;

    size = handmade(file, 1, 1, 256, 100);
    assert_int_equal(mu_tokens_view(&t, file, size, "handmade"), MU_OK);
    assert_int_equal(mu_tokens_verify(&t, "handmade"), MU_OK);
    assert_string_equal(t.format, "muster bytes");
    file[size - 1] ^= 1;
    assert_int_equal(mu_tokens_view(&t, file, size, "one bit of a token"), MU_OK);
    assert_int_equal(mu_tokens_verify(&t, "one bit of a token"), MU_CORRUPT);
    free(file);
}

static void test_impossible_headers_are_refused(void **state)
{
    static const struct {
        uint32_t version, token_bytes, vocab;
        uint64_t said, real;
    } cases[] = {
        {2, 1, 256, 100, 100},      {1, 3, 256, 100, 100},
        {1, 0, 256, 100, 100},      {1, 1, 257, 100, 100},
        {1, 2, 65537, 100, 100},    {1, 1, 0, 100, 100},
        {1, 1, 256, 0, 0},          {1, 1, 256, 101, 100},
        {1, 1, 256, 99, 100},       {1, 4, 256, 1ull << 62, 100},
        {1, 2, 256, 1ull << 63, 0},
    };
    uint8_t *file = malloc(8192);
    struct mu_tokens t;
    (void)state;

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        XXH128_hash_t sum;

        handmade(file, cases[c].version, cases[c].token_bytes, cases[c].vocab, cases[c].real);
        memcpy(file + 24, &cases[c].said, 8);
        sum = XXH3_128bits(file, 4080);
        memcpy(file + 4080, &sum.high64, 8);
        memcpy(file + 4088, &sum.low64, 8);
        assert_int_equal(mu_tokens_view(&t, file, 4096 + cases[c].real * cases[c].token_bytes, "x"),
                         MU_CORRUPT);
    }
    free(file);
}

/* Any one changed byte of the header's meaning, and any shorter or longer file, is refused. */
static void test_damage_is_refused(void **state)
{
    uint8_t *file = malloc(8192), *exact;
    size_t size = handmade(file, 1, 2, 256, 100);
    struct mu_tokens t;
    (void)state;

    for (size_t at = 0; at < 4096; at++) {
        file[at] ^= 0x10;
        assert_int_equal(mu_tokens_view(&t, file, size, "flipped"), MU_CORRUPT);
        file[at] ^= 0x10;
    }
    for (size_t cut = 0; cut < size; cut += cut < 40 ? 1 : 13) {
        exact = malloc(cut ? cut : 1); /* so that a read beyond the end is seen */
        memcpy(exact, file, cut);
        assert_int_equal(mu_tokens_view(&t, exact, cut, "cut"), MU_CORRUPT);
        free(exact);
    }
    assert_int_equal(mu_tokens_view(&t, file, size + 1, "one more"), MU_CORRUPT);
    assert_int_equal(mu_tokens_view(&t, file, size + 2, "two more"), MU_CORRUPT);
    assert_int_equal(mu_tokens_view(&t, file, size, "whole"), MU_OK);
    free(file);
}

static void test_token_beyond_vocabulary(void **state)
{
    uint8_t *file = malloc(8192);
    size_t size = handmade(file, 1, 1, 4, 100); /* holds 0..4 */
    struct mu_tokens t;
    (void)state;

    assert_int_equal(mu_tokens_view(&t, file, size, "x"), MU_OK);
    assert_int_equal(mu_tokens_verify(&t, "x"), MU_CORRUPT);
    free(file);
}

static void test_llmc(void **state)
{
    int32_t header[256] = {20240520, 1, 5};
    uint8_t file[2048];
    uint16_t gpt2[5] = {50256, 0, 1, 50256, 65};
    uint32_t llama[3] = {128000, 0, 128255};
    int32_t out[5];
    struct mu_hash identity;
    struct mu_tokens t;
    (void)state;

    memcpy(file, header, 1024);
    memcpy(file + 1024, gpt2, 10);
    put_file(in_folder("gpt2.bin"), file, 1034);
    assert_int_equal(mu_tokens_open(&t, in_folder("gpt2.bin")), MU_OK);
    assert_int_equal(t.count, 5);
    assert_int_equal(t.vocab, 50257);
    assert_int_equal(t.token_bytes, 2);
    assert_int_equal(t.source_bytes, 0);
    mu_tokens_copy(&t, 0, 5, out);
    assert_int_equal(out[0], 50256);
    assert_int_equal(out[4], 65);
    assert_int_equal(mu_tokens_verify(&t, "gpt2.bin"), MU_OK);
    identity = t.identity;
    assert_int_equal(mu_tokens_require(&t, "gpt2.bin", 50257, 5), MU_OK);
    assert_int_equal(mu_tokens_require(&t, "gpt2.bin", 50304, 5), MU_OK); /* a padded model */
    assert_int_equal(mu_tokens_require(&t, "gpt2.bin", 256, 5), MU_CONFIG);
    assert_int_equal(mu_tokens_require(&t, "gpt2.bin", 50257, 6), MU_CONFIG);
    mu_tokens_close(&t);

    assert_int_equal(mu_tokens_view(&t, file, 1033, "cut"), MU_CORRUPT);
    assert_int_equal(mu_tokens_view(&t, file, 1036, "longer"), MU_CORRUPT);
    assert_int_equal(mu_tokens_view(&t, file, 1000, "cut in the header"), MU_CORRUPT);
    memcpy(file + 1026, (uint16_t[]){50257}, 2);
    assert_int_equal(mu_tokens_view(&t, file, 1034, "x"), MU_OK);
    assert_false(mu_hash_equal(t.identity, identity)); /* the same header, other tokens */
    assert_int_equal(mu_tokens_verify(&t, "x"), MU_CORRUPT);
    memcpy(file + 4, (int32_t[]){2}, 4);
    assert_int_equal(mu_tokens_view(&t, file, 1034, "version 2"), MU_CORRUPT);

    memcpy(header, (int32_t[]){20240801, 7, 3}, 12);
    memcpy(file, header, 1024);
    memcpy(file + 1024, llama, 12);
    assert_int_equal(mu_tokens_view(&t, file, 1036, "llama"), MU_OK);
    assert_int_equal(t.vocab, 128256);
    mu_tokens_copy(&t, 2, 1, out);
    assert_int_equal(out[0], 128255);
    assert_int_equal(mu_tokens_verify(&t, "llama"), MU_OK);
}

static void test_foreign_files(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *looks, *decompressor;
    } cases[] = {
        {"Once upon a time\n", 17, "text", NULL},    {"\xc3\xa9t\xc3\xa9\n", 6, "text", NULL},
        {"\x1f\x8b\x08\0\0\0", 6, "gzip", "zcat"},   {"\x28\xb5\x2f\xfd\x04", 5, "zstd", "zstdcat"},
        {"\x89HDF\r\n\x1a\n\0\0", 10, "HDF5", NULL}, {"\x93NUMPY\1\0", 8, "NumPy array", NULL},
        {"\0\1\2\3\4\5\6\7", 8, NULL, NULL},         {"\x7f", 1, NULL, NULL},
    };
    struct mu_tokens t;
    (void)state;

    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        struct mu_sniff s = mu_sniff_bytes((const uint8_t *)cases[c].bytes, cases[c].size);

        if (cases[c].looks)
            assert_string_equal(s.what, cases[c].looks);
        else
            assert_null(s.what);
        if (cases[c].decompressor)
            assert_string_equal(s.decompressor, cases[c].decompressor);
        else
            assert_null(s.decompressor);
        assert_int_equal(mu_tokens_view(&t, cases[c].bytes, cases[c].size, "x"), MU_CORRUPT);
    }
    put_file(in_folder("empty.bin"), "", 0);
    assert_int_equal(mu_tokens_open(&t, in_folder("empty.bin")), MU_CORRUPT);
    assert_null(t.map);
    assert_int_equal(mu_tokens_open(&t, in_folder("none.bin")), MU_NOT_FOUND);
    assert_int_equal(mu_tokens_open(&t, folder), MU_FAILED);
}

static void test_abandoned_leaves_nothing(void **state)
{
    struct mu_token_writer w = {0};
    char lone[64];
    (void)state;

    mu_token_writer_abandon(&w); /* a zeroed one is allowed */
    strcpy(lone, in_folder("lone"));
    assert_int_equal(mkdir(lone, 0700), 0);
    assert_int_equal(mu_token_writer_open(&w, in_folder("lone/x.bin"), 1, 256, "test"), MU_OK);
    assert_int_equal(mu_token_writer_put(&w, "abc", 3), MU_OK);
    mu_token_writer_abandon(&w);
    assert_int_equal(mu_token_writer_open(&w, in_folder("lone/y.bin"), 1, 256, "test"), MU_OK);
    assert_int_equal(mu_token_writer_put(&w, "abc", 3), MU_OK);
    assert_int_equal(mu_token_writer_finish(&w, 3), MU_OK);
    mu_token_writer_abandon(&w);
    assert_int_equal(rmdir(lone), 0); /* only an empty folder can be removed so */
    assert_int_equal(mu_token_writer_open(&w, in_folder("no/x.bin"), 1, 256, "test"), MU_FAILED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_written_is_read),
        cmocka_unit_test(test_identity_follows_content),
        cmocka_unit_test(test_layout_is_as_documented),
        cmocka_unit_test(test_impossible_headers_are_refused),
        cmocka_unit_test(test_damage_is_refused),
        cmocka_unit_test(test_token_beyond_vocabulary),
        cmocka_unit_test(test_llmc),
        cmocka_unit_test(test_foreign_files),
        cmocka_unit_test(test_abandoned_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

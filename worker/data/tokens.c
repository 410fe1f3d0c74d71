/* Reading token files. Everything in a header is checked against the size of the file before a
 * token is touched, so that no header, however damaged, leads outside of the mapping. */
#include "worker/data/tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/wire.h"
#include "worker/data/sniff.h"
#include "worker/data/token_format.h"

enum { LLMC_HEADER_BYTES = 1024, IDENTITY_END_BYTES = 64 << 10 };

/* llm.c: dev/data/data_common.py */
static const struct llmc_format {
    uint32_t magic, version, token_bytes, vocab;
    const char *name;
} llmc_formats[] = {
    {20240520, 1, 2, 50257, "llm.c gpt-2"},
    {20240801, 7, 4, 128256, "llm.c llama-3"},
};

static enum mu_status foreign(const uint8_t *bytes, size_t size, const char *path)
{
    struct mu_sniff looks = mu_sniff_bytes(bytes, size);
    char first[3 * 8 + 1];

    if (looks.what && strcmp(looks.what, "text") == 0)
        return MU_FAIL(MU_CORRUPT,
                       "%s is not a token file: it looks like text; make one from it: muster "
                       "tokenize %s --out PREFIX",
                       path, path);
    if (looks.decompressor)
        return MU_FAIL(MU_CORRUPT,
                       "%s is not a token file: it looks like %s; for a compressed text: %s %s | "
                       "muster tokenize - --out PREFIX",
                       path, looks.what, looks.decompressor, path);
    for (size_t i = 0; i < 8 && i < size; i++)
        snprintf(first + 3 * i, sizeof first - 3 * i, " %02x", bytes[i]);
    return MU_FAIL(MU_CORRUPT,
                   "%s is not a token file: it begins with%s%s%s%s; expected a file from `muster "
                   "tokenize`, or llm.c's .bin (magic 20240520)",
                   path, first, looks.what ? " (looks like " : "", looks.what ? looks.what : "",
                   looks.what ? ")" : "");
}

/* The tokens must fill the file behind the header exactly. */
static enum mu_status check_size(const struct mu_tokens *t, size_t header_bytes, const char *path)
{
    uint64_t have = t->map_bytes - header_bytes;

    if (t->count == 0)
        return MU_FAIL(MU_CORRUPT, "%s holds no tokens", path);
    if (have % t->token_bytes == 0 && have / t->token_bytes == t->count)
        return MU_OK;
    if (have / t->token_bytes < t->count)
        return MU_FAIL(MU_CORRUPT,
                       "%s is truncated: its header says %" PRIu64 " tokens of %u bytes, there are "
                       "%" PRIu64 "; copy or make it again",
                       path, t->count, t->token_bytes, have / t->token_bytes);
    return MU_FAIL(MU_CORRUPT,
                   "%s is longer than it says: %" PRIu64 " bytes follow the header, %" PRIu64
                   " tokens of %u bytes were expected; copy or make it again",
                   path, have, t->count, t->token_bytes);
}

static enum mu_status view_muster(struct mu_tokens *t, const char *path)
{
    struct mu_token_header h;
    enum mu_status st;

    if (t->map_bytes < MU_TOKEN_HEADER_BYTES)
        return MU_FAIL(MU_CORRUPT,
                       "%s is truncated: %zu bytes, the header alone has %d; copy or make it again",
                       path, t->map_bytes, MU_TOKEN_HEADER_BYTES);
    st = mu_token_header_decode(t->map, path, &h);
    if (st != MU_OK)
        return st;
    t->data = (const uint8_t *)t->map + MU_TOKEN_HEADER_BYTES;
    t->count = h.count;
    t->token_bytes = h.token_bytes;
    t->vocab = h.vocab;
    t->source_bytes = h.source_bytes;
    t->identity = mu_hash_bytes(t->map, MU_TOKEN_HEADER_BYTES, 0);
    snprintf(t->format, sizeof t->format, "muster %s", h.tokenizer);
    return check_size(t, MU_TOKEN_HEADER_BYTES, path);
}

/* llm.c's headers say nothing of the content, and all full shards of a data set have the same
 * one. */
static struct mu_hash identity_of_ends(const uint8_t *file, size_t size)
{
    const size_t end = size < IDENTITY_END_BYTES ? size : IDENTITY_END_BYTES;
    struct mu_hash head = mu_token_content_add((struct mu_hash){0, 0}, file, end);

    return mu_token_content_add(head, file + size - end, end);
}

static enum mu_status view_llmc(struct mu_tokens *t, const struct llmc_format *f, uint32_t version,
                                uint32_t count, const char *path)
{
    if (version != f->version)
        return MU_FAIL(MU_CORRUPT,
                       "%s is an llm.c token file of version %u; version %u was expected", path,
                       version, f->version);
    if (t->map_bytes < LLMC_HEADER_BYTES)
        return MU_FAIL(MU_CORRUPT,
                       "%s is truncated: %zu bytes, the header of an llm.c token file alone has %d",
                       path, t->map_bytes, LLMC_HEADER_BYTES);
    t->data = (const uint8_t *)t->map + LLMC_HEADER_BYTES;
    t->count = count;
    t->token_bytes = f->token_bytes;
    t->vocab = f->vocab;
    t->source_bytes = 0;
    t->identity = identity_of_ends(t->map, t->map_bytes);
    snprintf(t->format, sizeof t->format, "%s", f->name);
    return check_size(t, LLMC_HEADER_BYTES, path);
}

enum mu_status mu_tokens_view(struct mu_tokens *t, const void *bytes, size_t size, const char *path)
{
    struct mu_wire_reader r = mu_wire_read(bytes, size);
    uint32_t magic = mu_wire_get_u32(&r), version = mu_wire_get_u32(&r);
    uint32_t count = mu_wire_get_u32(&r);

    *t = (struct mu_tokens){.map = bytes, .map_bytes = size};
    if (size == 0)
        return MU_FAIL(MU_CORRUPT, "%s is empty; expected a file from `muster tokenize`", path);
    if (size >= MU_TOKEN_MAGIC_BYTES && memcmp(bytes, mu_token_magic, MU_TOKEN_MAGIC_BYTES) == 0)
        return view_muster(t, path);
    for (size_t i = 0; r.ok && i < sizeof llmc_formats / sizeof *llmc_formats; i++)
        if (magic == llmc_formats[i].magic)
            return view_llmc(t, &llmc_formats[i], version, count, path);
    return foreign(bytes, size, path);
}

enum mu_status mu_tokens_open(struct mu_tokens *t, const char *path)
{
    enum mu_status st = MU_OK;
    void *map = MAP_FAILED;
    struct stat s = {0};
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    *t = (struct mu_tokens){0};
    if (fd < 0)
        return MU_FAIL(errno == ENOENT ? MU_NOT_FOUND : MU_FAILED, "cannot open token file %s: %s",
                       path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        st = MU_FAIL(MU_FAILED, "%s is not a regular file; expected a file from `muster tokenize`",
                     path);
        goto done;
    }
    if (s.st_size == 0) { /* cannot be mapped */
        st = mu_tokens_view(t, "", 0, path);
        goto done;
    }
    map = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        st = MU_FAIL(MU_FAILED, "cannot map the %lld bytes of %s: %s", (long long)s.st_size, path,
                     strerror(errno));
        goto done;
    }
    /* Samples come in random order: reading ahead would mostly read what is not wanted. */
    (void)madvise(map, (size_t)s.st_size, MADV_RANDOM);
    MU_TRY(mu_tokens_view(t, map, (size_t)s.st_size, path), st, done);
done:
    if (st != MU_OK) {
        *t = (struct mu_tokens){0};
        if (map != MAP_FAILED)
            munmap(map, (size_t)s.st_size);
    }
    close(fd);
    return st;
}

void mu_tokens_close(struct mu_tokens *t)
{
    if (t->map)
        munmap((void *)(uintptr_t)t->map, t->map_bytes);
    *t = (struct mu_tokens){0};
}

enum mu_status mu_tokens_identify(const char *path, struct mu_hash_text *out)
{
    struct mu_tokens tokens;

    *out = (struct mu_hash_text){""};
    if (!path[0])
        return MU_OK;
    if (mu_tokens_open(&tokens, path) != MU_OK)
        return MU_CONFIG;
    *out = mu_hash_print(tokens.identity);
    mu_tokens_close(&tokens);
    return MU_OK;
}

enum mu_status mu_tokens_require(const struct mu_tokens *t, const char *path, uint32_t vocab,
                                 uint64_t least)
{
    if (t->vocab > vocab)
        return MU_FAIL(MU_CONFIG,
                       "%s (%s) has tokens up to %u, but the model's vocabulary is %u: set "
                       "model.vocab to \"auto\" or to %u or more, or use other data",
                       path, t->format, t->vocab - 1, vocab, t->vocab);
    if (t->count < least)
        return MU_FAIL(MU_CONFIG,
                       "%s holds %" PRIu64 " tokens; at least %" PRIu64 " are needed: use more "
                       "data, or a shorter model.context",
                       path, t->count, least);
    return MU_OK;
}

static uint32_t token_at(const struct mu_tokens *t, uint64_t i)
{
    const uint8_t *p = t->data + i * t->token_bytes;

    switch (t->token_bytes) {
    case 1:
        return p[0];
    case 2:
        return (uint32_t)p[0] | (uint32_t)p[1] << 8;
    default:
        return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
}

void mu_tokens_copy(const struct mu_tokens *t, uint64_t from, uint64_t n, int32_t *out)
{
    MU_ASSERT(from <= t->count && n <= t->count - from);
    for (uint64_t i = 0; i < n; i++)
        out[i] = (int32_t)token_at(t, from + i);
}

enum mu_status mu_tokens_verify(const struct mu_tokens *t, const char *path)
{
    const uint64_t data_bytes = t->count * t->token_bytes;
    struct mu_token_header h;
    struct mu_hash content = {0, 0};

    for (uint64_t i = 0; i < t->count; i++)
        if (token_at(t, i) >= t->vocab)
            return MU_FAIL(MU_CORRUPT,
                           "token %" PRIu64 " of %s is %u; the vocabulary has %u: the file is "
                           "damaged, or not what its header says",
                           i, path, token_at(t, i), t->vocab);
    if (memcmp(t->map, mu_token_magic, MU_TOKEN_MAGIC_BYTES) != 0)
        return MU_OK; /* llm.c's files have no checksum */
    if (mu_token_header_decode(t->map, path, &h) != MU_OK)
        return MU_CORRUPT;
    for (uint64_t at = 0; at < data_bytes; at += MU_TOKEN_PIECE_BYTES) {
        uint64_t left = data_bytes - at;
        size_t piece = left < MU_TOKEN_PIECE_BYTES ? (size_t)left : MU_TOKEN_PIECE_BYTES;

        content = mu_token_content_add(content, t->data + at, piece);
    }
    if (!mu_hash_equal(content, h.content))
        return MU_FAIL(MU_CORRUPT,
                       "the tokens of %s are damaged: their hash is %s, the header says %s; copy "
                       "or make the file again",
                       path, mu_hash_print(content).text, mu_hash_print(h.content).text);
    return MU_OK;
}

#include "worker/data/token_format.h"

#include <string.h>

#include "orchestrator/base/wire.h"

enum { CHECKSUM_AT = 4080 };

const uint8_t mu_token_magic[MU_TOKEN_MAGIC_BYTES] = {0x8A, 'M', 'U', 'T', 'O', 'K', '\r', '\n'};

static void put_hash(struct mu_wire_writer *w, struct mu_hash h)
{
    mu_wire_put_u64(w, h.high);
    mu_wire_put_u64(w, h.low);
}

static struct mu_hash get_hash(struct mu_wire_reader *r)
{
    uint64_t high = mu_wire_get_u64(r);

    return (struct mu_hash){high, mu_wire_get_u64(r)};
}

void mu_token_header_encode(const struct mu_token_header *h, uint8_t out[MU_TOKEN_HEADER_BYTES])
{
    struct mu_wire_writer w = mu_wire_write(out, CHECKSUM_AT), sum;

    MU_ASSERT(memchr(h->tokenizer, 0, sizeof h->tokenizer));
    memset(out, 0, MU_TOKEN_HEADER_BYTES);
    mu_wire_put_bytes(&w, mu_token_magic, sizeof mu_token_magic);
    mu_wire_put_u32(&w, MU_TOKEN_VERSION);
    mu_wire_put_u32(&w, MU_TOKEN_HEADER_BYTES);
    mu_wire_put_u32(&w, h->token_bytes);
    mu_wire_put_u32(&w, h->vocab);
    mu_wire_put_u64(&w, h->count);
    mu_wire_put_u64(&w, h->source_bytes);
    put_hash(&w, h->content);
    mu_wire_put_bytes(&w, h->tokenizer, strlen(h->tokenizer));
    sum = mu_wire_write(out + CHECKSUM_AT, sizeof(struct mu_hash));
    put_hash(&sum, mu_hash_bytes(out, CHECKSUM_AT, 0));
    MU_ASSERT(w.ok && sum.ok);
}

enum mu_status mu_token_header_decode(const uint8_t in[MU_TOKEN_HEADER_BYTES], const char *path,
                                      struct mu_token_header *h)
{
    struct mu_wire_reader r = mu_wire_read(in, CHECKSUM_AT);
    struct mu_wire_reader sum = mu_wire_read(in + CHECKSUM_AT, sizeof(struct mu_hash));
    struct mu_hash found = mu_hash_bytes(in, CHECKSUM_AT, 0), said = get_hash(&sum);
    uint8_t magic[MU_TOKEN_MAGIC_BYTES];
    uint32_t version, header_bytes;

    mu_wire_get_bytes(&r, magic, sizeof magic);
    version = mu_wire_get_u32(&r);
    /* Before the checksum: a later version may place it elsewhere. */
    if (version != MU_TOKEN_VERSION)
        return MU_FAIL(MU_CORRUPT,
                       "%s is a token file of version %u; this muster reads version %d: make the "
                       "file again with this muster's `muster tokenize`, or use a newer muster",
                       path, version, MU_TOKEN_VERSION);
    if (!mu_hash_equal(found, said))
        return MU_FAIL(MU_CORRUPT,
                       "the header of %s is damaged: its checksum is %s, the header says %s; copy "
                       "the file again or make it again with `muster tokenize`",
                       path, mu_hash_print(found).text, mu_hash_print(said).text);
    header_bytes = mu_wire_get_u32(&r);
    h->token_bytes = mu_wire_get_u32(&r);
    h->vocab = mu_wire_get_u32(&r);
    h->count = mu_wire_get_u64(&r);
    h->source_bytes = mu_wire_get_u64(&r);
    h->content = get_hash(&r);
    mu_wire_get_bytes(&r, h->tokenizer, sizeof h->tokenizer);
    if (header_bytes != MU_TOKEN_HEADER_BYTES)
        return MU_FAIL(MU_CORRUPT, "%s says that its header has %u bytes; %d were expected", path,
                       header_bytes, MU_TOKEN_HEADER_BYTES);
    if (h->token_bytes != 1 && h->token_bytes != 2 && h->token_bytes != 4)
        return MU_FAIL(MU_CORRUPT, "%s says that a token has %u bytes; 1, 2 or 4 were expected",
                       path, h->token_bytes);
    if (h->vocab < 1 || h->vocab > INT32_MAX || (h->vocab - 1) >> (8 * h->token_bytes - 1) > 1)
        return MU_FAIL(MU_CORRUPT,
                       "%s says that its vocabulary is %u, which does not fit tokens of %u bytes",
                       path, h->vocab, h->token_bytes);
    if (h->tokenizer[sizeof h->tokenizer - 1] != 0)
        return MU_FAIL(MU_CORRUPT, "the name of the tokenizer of %s does not end", path);
    return MU_OK;
}

struct mu_hash mu_token_content_add(struct mu_hash content, const void *piece, size_t bytes)
{
    uint8_t both[2 * sizeof(struct mu_hash)];
    struct mu_wire_writer w = mu_wire_write(both, sizeof both);

    put_hash(&w, content);
    put_hash(&w, mu_hash_bytes(piece, bytes, 0));
    return mu_hash_bytes(both, w.size, 0);
}

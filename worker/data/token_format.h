/* Bit layout of Muster's token files: one page of header, then the tokens. All integers are
 * little-endian. Reader (tokens.c) and writer (token_writer.c) share this file and nothing else.
 *
 *   offset  size  field
 *        0     8  magic 8A 4D 55 54 4F 4B 0D 0A: "MUTOK", and bytes that a text-mode copy would
 *                 change
 *        8     4  version, 1
 *       12     4  bytes of header, 4096: tokens begin on a page
 *       16     4  bytes of a token: 1, 2 or 4
 *       20     4  vocabulary: every token is below it
 *       24     8  number of tokens
 *       32     8  bytes of source text; 0: unknown
 *       40    16  content: hash of the tokens, high word first (mu_token_content_add)
 *       56    24  name of the tokenizer, filled up with zero bytes, the last of which is always 0
 *       80  4000  zero
 *     4080    16  xxh3-128 of bytes 0..4079, high word first
 *     4096     -  tokens, each little-endian; nothing after the last
 */
#ifndef MUSTER_WORKER_DATA_TOKEN_FORMAT_H
#define MUSTER_WORKER_DATA_TOKEN_FORMAT_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"

enum {
    MU_TOKEN_VERSION = 1,
    MU_TOKEN_HEADER_BYTES = 4096,
    MU_TOKEN_MAGIC_BYTES = 8,
    MU_TOKENIZER_NAME_MAX = 24, /* with the zero byte */
    MU_TOKEN_PIECE_BYTES = 1 << 20,
};
extern const uint8_t mu_token_magic[MU_TOKEN_MAGIC_BYTES];

struct mu_token_header {
    uint32_t token_bytes, vocab;
    uint64_t count, source_bytes;
    struct mu_hash content;
    char tokenizer[MU_TOKENIZER_NAME_MAX];
};

void mu_token_header_encode(const struct mu_token_header *h, uint8_t out[MU_TOKEN_HEADER_BYTES]);
/* Magic has been looked at. MU_CORRUPT with what was found; `path` is for the message only. */
enum mu_status mu_token_header_decode(const uint8_t in[MU_TOKEN_HEADER_BYTES], const char *path,
                                      struct mu_token_header *h) MU_CHECKED;

/* The content hash goes over fixed pieces of 1 MiB (the last may be shorter), so that it can be
 * written in one pass and checked by many threads: content = H(content || H(piece)), from zero. */
struct mu_hash mu_token_content_add(struct mu_hash content, const void *piece, size_t bytes);

#endif

/* A file of tokens, memory-mapped read-only. Formats:
 *
 *   Muster's  token_format.h: 1, 2 or 4 bytes a token, vocabulary, bytes of source text, checksums
 *   llm.c's   256 int32 of header (magic, version, count), then tokens: uint16 of GPT-2's
 *             vocabulary (magic 20240520, version 1) or uint32 of Llama 3's (magic 20240801,
 *             version 7)
 *
 * A truncated or foreign file is refused with what was found and what was expected. A file must
 * not be shortened while it is mapped: reading beyond its end would be a SIGBUS. */
#ifndef MUSTER_WORKER_DATA_TOKENS_H
#define MUSTER_WORKER_DATA_TOKENS_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"

struct mu_tokens {
    const void *map; /* whole file */
    size_t map_bytes;
    const uint8_t *data; /* first token */
    uint64_t count;
    uint32_t token_bytes; /* 1, 2 or 4 */
    uint32_t vocab;
    uint64_t source_bytes; /* of text; 0: unknown */
    /* Of what was trained on: of the header and, through it, the content; of llm.c's files, whose
     * header knows no content, of their first and last 64 KiB. */
    struct mu_hash identity;
    char format[32]; /* "muster bytes", "llm.c gpt-2" */
};

/* MU_NOT_FOUND when there is no such file, MU_CORRUPT when it is not a whole token file, both
 * reported. Tokens themselves are not looked at: see mu_tokens_verify. */
enum mu_status mu_tokens_open(struct mu_tokens *t, const char *path) MU_CHECKED;
void mu_tokens_close(struct mu_tokens *t); /* zeroed ones are allowed */
/* The same from memory that the caller keeps; not to be closed. `path` is for messages. */
enum mu_status mu_tokens_view(struct mu_tokens *t, const void *bytes, size_t size,
                              const char *path) MU_CHECKED;
/* The identity of what a run reads, as it is written down: "" where it reads no file. MU_CONFIG: it
 * cannot be read. */
enum mu_status mu_tokens_identify(const char *path, struct mu_hash_text *out) MU_CHECKED;
/* MU_CONFIG when the file cannot feed a model of this vocabulary (its own may be smaller: models
 * pad theirs), or holds fewer than `least` tokens. */
enum mu_status mu_tokens_require(const struct mu_tokens *t, const char *path, uint32_t vocab,
                                 uint64_t least) MU_CHECKED;
/* out[i] = token from + i, i < n. Range checked (our bug otherwise). Tokens of a damaged file may
 * be vocab or more: users of a file that was never verified check what they index with. */
void mu_tokens_copy(const struct mu_tokens *t, uint64_t from, uint64_t n, int32_t *out);
/* Reads every token and checks content hash (Muster's files) and range: MU_CORRUPT with the
 * place. */
enum mu_status mu_tokens_verify(const struct mu_tokens *t, const char *path) MU_CHECKED;

#endif

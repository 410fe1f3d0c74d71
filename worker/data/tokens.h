/* A file of tokens, memory-mapped read-only. Two formats:
 *   Muster's  (see tokens.c for the layout): 1, 2 or 4 bytes a token, vocabulary, bytes of source
 * text, checksum; llm.c's   256 int32 of header (magic 20240520, version 1, count), then uint16
 * tokens of GPT-2's vocabulary (50257). A truncated or foreign file is refused with what was found
 * and what was expected. */
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
    uint64_t source_bytes;   /* of text; 0: unknown */
    struct mu_hash identity; /* of header and, in Muster's files, content: what was trained on */
    char format[32];         /* "muster bytes", "llm.c" */
};

enum mu_status mu_tokens_open(struct mu_tokens *t, const char *path) MU_CHECKED;
void mu_tokens_close(struct mu_tokens *t); /* zeroed ones are allowed */
/* out[i] = token from + i, i < n. Range checked (our bug otherwise). */
void mu_tokens_copy(const struct mu_tokens *t, uint64_t from, uint64_t n, int32_t *out);
/* Reads every token and checks checksum and range: MU_CORRUPT with the place. */
enum mu_status mu_tokens_verify(const struct mu_tokens *t, const char *path) MU_CHECKED;

#endif

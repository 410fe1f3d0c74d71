/* Writes a Muster token file in one pass and constant memory: beside its final name, which a reader
 * sees only whole. open, put..., finish, publish; abandon at any point leaves nothing behind. */
#ifndef MUSTER_WORKER_DATA_TOKEN_WRITER_H
#define MUSTER_WORKER_DATA_TOKEN_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"
#include "worker/data/token_format.h"

/* A zeroed one is closed. */
struct mu_token_writer {
    int fd;
    char path[MU_PATH_MAX], beside[MU_PATH_MAX]; /* beside: "" when no such file is ours */
    uint8_t *piece; /* MU_TOKEN_PIECE_BYTES, malloc'ed; NULL: not open for put */
    size_t filled;
    struct mu_token_header header;
};

/* token_bytes 1, 2 or 4; tokenizer: its name, under MU_TOKENIZER_NAME_MAX characters. */
enum mu_status mu_token_writer_open(struct mu_token_writer *w, const char *path,
                                    uint32_t token_bytes, uint32_t vocab,
                                    const char *tokenizer) MU_CHECKED;
/* Tokens as they stand in the file (little-endian); a multiple of token_bytes. */
enum mu_status mu_token_writer_put(struct mu_token_writer *w, const void *tokens,
                                   size_t bytes) MU_CHECKED;
/* Header and fsync: all but the name. w->header is complete afterwards. source_bytes: of text. */
enum mu_status mu_token_writer_finish(struct mu_token_writer *w, uint64_t source_bytes) MU_CHECKED;
/* Gives a finished file its name, durably; replaces what has that name. */
enum mu_status mu_token_writer_publish(struct mu_token_writer *w) MU_CHECKED;
/* Removes what was not published, closes; always allowed. */
void mu_token_writer_abandon(struct mu_token_writer *w);

#endif

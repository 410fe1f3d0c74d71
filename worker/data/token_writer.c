/* The header's page is left as a hole until everything is known, so that a file cut off at any
 * moment has no valid one. `piece` and `beside` are the state:
 *
 *   open (piece) --finish--> whole, on the disk (beside) --publish--> at its final name (neither)
 *
 * Content is hashed as pieces fill up; abandon removes what `beside` names. */
#include "worker/data/token_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum mu_status mu_token_writer_open(struct mu_token_writer *w, const char *path,
                                    uint32_t token_bytes, uint32_t vocab, const char *tokenizer)
{
    enum mu_status st = MU_OK;
    char beside[MU_PATH_MAX];

    *w = (struct mu_token_writer){.fd = -1};
    w->header = (struct mu_token_header){.token_bytes = token_bytes, .vocab = vocab};
    MU_ASSERT(strlen(tokenizer) < sizeof w->header.tokenizer);
    strcpy(w->header.tokenizer, tokenizer);
    MU_TRY(mu_path_format(w->path, "%s", path), st, failed);
    MU_TRY(mu_path_format(beside, "%s.tmp.%ld", path, (long)getpid()), st, failed);
    w->piece = malloc(MU_TOKEN_PIECE_BYTES);
    if (!w->piece) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to write %s", path);
        goto failed;
    }
    w->fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (w->fd < 0) {
        st = MU_FAIL(MU_FAILED, "cannot create %s: %s", beside, strerror(errno));
        goto failed;
    }
    strcpy(w->beside, beside);
    if (lseek(w->fd, MU_TOKEN_HEADER_BYTES, SEEK_SET) < 0) { /* the header comes last */
        st = MU_FAIL(MU_FAILED, "cannot seek in %s: %s", beside, strerror(errno));
        goto failed;
    }
    return MU_OK;
failed:
    mu_token_writer_abandon(w);
    return st;
}

static enum mu_status flush_piece(struct mu_token_writer *w)
{
    w->header.content = mu_token_content_add(w->header.content, w->piece, w->filled);
    w->header.count += w->filled / w->header.token_bytes;
    return mu_file_write_all(w->fd, w->piece, w->filled, w->beside);
}

enum mu_status mu_token_writer_put(struct mu_token_writer *w, const void *tokens, size_t bytes)
{
    const uint8_t *at = tokens;

    MU_ASSERT(w->piece && bytes % w->header.token_bytes == 0);
    while (bytes > 0) {
        size_t room = MU_TOKEN_PIECE_BYTES - w->filled, n = bytes < room ? bytes : room;

        memcpy(w->piece + w->filled, at, n);
        w->filled += n;
        at += n;
        bytes -= n;
        if (w->filled == MU_TOKEN_PIECE_BYTES) {
            enum mu_status st = flush_piece(w);

            if (st != MU_OK)
                return st;
            w->filled = 0;
        }
    }
    return MU_OK;
}

enum mu_status mu_token_writer_finish(struct mu_token_writer *w, uint64_t source_bytes)
{
    uint8_t page[MU_TOKEN_HEADER_BYTES];
    enum mu_status st = MU_OK;
    int fd = w->fd;

    MU_ASSERT(w->piece);
    if (w->filled > 0)
        MU_TRY(flush_piece(w), st, done);
    free(w->piece);
    w->piece = NULL;
    w->header.source_bytes = source_bytes;
    mu_token_header_encode(&w->header, page);
    if (lseek(fd, 0, SEEK_SET) != 0) {
        st = MU_FAIL(MU_FAILED, "cannot seek in %s: %s", w->beside, strerror(errno));
        goto done;
    }
    MU_TRY(mu_file_write_all(fd, page, sizeof page, w->beside), st, done);
    if (fsync(fd) != 0) {
        st = MU_FAIL(MU_FAILED, "cannot sync %s: %s", w->beside, strerror(errno));
        goto done;
    }
    w->fd = -1;
    if (close(fd) != 0)
        st = MU_FAIL(MU_FAILED, "cannot close %s: %s", w->beside, strerror(errno));
done:
    return st;
}

enum mu_status mu_token_writer_publish(struct mu_token_writer *w)
{
    enum mu_status st;

    MU_ASSERT(!w->piece && w->beside[0]);
    st = mu_file_rename_durably(w->beside, w->path);
    if (st == MU_OK)
        w->beside[0] = 0;
    return st;
}

void mu_token_writer_abandon(struct mu_token_writer *w)
{
    const bool opened = w->path[0] != 0;

    free(w->piece);
    w->piece = NULL;
    if (opened && w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    if (w->beside[0])
        unlink(w->beside);
    w->beside[0] = 0;
}

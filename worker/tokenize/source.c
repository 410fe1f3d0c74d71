/* Where a byte lies follows from two numbers of its part: where the part begins in the input
 * (`first`) and in its file (`at`). Reads are preads from there, so that no position is kept
 * and order costs nothing. All parts that had to be copied share one spool file, one after the
 * other. */
#include "worker/tokenize/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/log.h"
#include "worker/data/sniff.h"

enum { COPY_BYTES = 1 << 20 };

enum mu_status mu_source_check_stop(const volatile sig_atomic_t *stop)
{
    if (stop && *stop)
        return MU_FAIL(MU_FAILED, "stopped by a signal; nothing was written");
    return MU_OK;
}

/* Compressed bytes could be trained on, but nobody means that. */
static enum mu_status refuse_what_is_no_text(const struct mu_source_part *p)
{
    uint8_t head[MU_SNIFF_BYTES];
    ssize_t n = pread(p->fd, head, sizeof head, 0);
    struct mu_sniff looks = {0};

    if (n < 0)
        return MU_FAIL(MU_FAILED, "cannot read %s: %s", p->path, strerror(errno));
    looks = mu_sniff_bytes(head, (size_t)n);
    if (looks.decompressor)
        return MU_FAIL(
            MU_FAILED,
            "%s looks like %s, not like text: %s %s | muster tokenize - ... reads what is "
            "in it (and cat its bytes as they are)",
            p->path, looks.what, looks.decompressor, p->path);
    if (looks.what && strcmp(looks.what, "muster token file") == 0)
        return MU_FAIL(MU_FAILED, "%s is a token file already; expected text", p->path);
    return MU_OK;
}

static enum mu_status make_spool(struct mu_source *s, const char *path)
{
    if (s->spool >= 0)
        return MU_OK;
    s->spool = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (s->spool < 0)
        return MU_FAIL(MU_FAILED, "cannot create %s: %s", path, strerror(errno));
    if (unlink(path) != 0)
        return MU_FAIL(MU_FAILED, "cannot unlink %s: %s", path, strerror(errno));
    return MU_OK;
}

/* Copies all of `from` to the end of the spool file; the part then lies there. */
static enum mu_status spool(struct mu_source *s, const struct mu_source_options *o,
                            struct mu_source_part *p, int from)
{
    enum mu_status st = MU_OK;
    char *buffer = malloc(COPY_BYTES);

    if (!buffer)
        return MU_FAIL(MU_NO_MEMORY, "no memory to read %s", p->path);
    MU_TRY(make_spool(s, o->spool_path), st, done);
    p->fd = s->spool;
    p->at = s->spooled;
    for (;;) {
        ssize_t n = read(from, buffer, COPY_BYTES);

        MU_TRY(mu_source_check_stop(o->stop), st, done); /* a signal also ends the read, EINTR */
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            st = MU_FAIL(MU_FAILED, "cannot read %s: %s", p->path, strerror(errno));
            goto done;
        }
        if (n == 0)
            break;
        MU_TRY(mu_file_write_all(s->spool, buffer, (size_t)n, o->spool_path), st, done);
        s->spooled += (uint64_t)n;
        if (o->progress)
            o->progress(o->context, s->spooled, 0);
    }
    p->bytes = s->spooled - p->at;
done:
    free(buffer);
    return st;
}

static enum mu_status open_part(struct mu_source *s, const struct mu_source_options *o,
                                const char *path)
{
    const bool is_stdin = strcmp(path, "-") == 0;
    struct mu_source_part *p = &s->parts[s->count];
    enum mu_status st;
    struct stat info;
    int fd;

    *p = (struct mu_source_part){.path = is_stdin ? "standard input" : path, .fd = -1};
    if (is_stdin)
        return spool(s, o, p, STDIN_FILENO);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EMFILE)
        return MU_FAIL(MU_FAILED,
                       "cannot open %s: too many files for this system's limit; join them: cat "
                       "FILES | muster tokenize - ...",
                       path);
    if (fd < 0)
        return MU_FAIL(MU_FAILED, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, &info) != 0)
        st = MU_FAIL(MU_FAILED, "cannot stat %s: %s", path, strerror(errno));
    else if (S_ISDIR(info.st_mode))
        st = MU_FAIL(MU_FAILED, "%s is a folder; name the files in it", path);
    else if (!S_ISREG(info.st_mode))
        st = spool(s, o, p, fd);
    else {
        p->fd = fd;
        p->bytes = (uint64_t)info.st_size;
        st = refuse_what_is_no_text(p);
    }
    if (st != MU_OK || p->fd != fd) {
        close(fd);
        if (p->fd == fd)
            p->fd = -1;
    }
    return st;
}

enum mu_status mu_source_open(struct mu_source *s, const struct mu_source_options *o)
{
    enum mu_status st = MU_OK;

    *s = (struct mu_source){.spool = -1};
    s->parts = calloc(o->count, sizeof *s->parts);
    if (!s->parts)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the names of %zu files", o->count);
    for (size_t i = 0; i < o->count; i++) {
        MU_TRY(open_part(s, o, o->paths[i]), st, failed);
        if (s->parts[s->count].bytes == 0)
            mu_log(MU_LOG_WARN, "%s is empty", s->parts[s->count].path);
        s->parts[s->count].first = s->bytes;
        s->bytes += s->parts[s->count].bytes;
        s->count++;
    }
    if (s->bytes == 0) {
        st = MU_FAIL(MU_FAILED, "there is nothing to tokenize: the input is empty");
        goto failed;
    }
    return MU_OK;
failed:
    mu_source_close(s);
    return st;
}

void mu_source_close(struct mu_source *s)
{
    if (!s->parts)
        return;
    for (size_t i = 0; i < s->count; i++)
        if (s->parts[i].fd != s->spool)
            close(s->parts[i].fd);
    if (s->spool >= 0)
        close(s->spool);
    free(s->parts);
    *s = (struct mu_source){.spool = -1};
}

/* The part that byte number `at` lies in: the last one that begins at or before it and is not
 * empty. */
static const struct mu_source_part *part_of(const struct mu_source *s, uint64_t at)
{
    size_t low = 0, high = s->count; /* the answer is in [low, high) */

    MU_ASSERT(at < s->bytes);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;

        if (s->parts[middle].first <= at)
            low = middle;
        else
            high = middle;
    }
    return &s->parts[low];
}

enum mu_status mu_source_read(const struct mu_source *s, uint64_t from, size_t bytes, void *out)
{
    char *at = out;

    while (bytes > 0) {
        const struct mu_source_part *p = part_of(s, from);
        uint64_t inside = from - p->first, left = p->bytes - inside;
        ssize_t n = pread(p->fd, at, bytes < left ? bytes : (size_t)left, (off_t)(p->at + inside));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return MU_FAIL(MU_FAILED, "cannot read %s: %s", p->path, strerror(errno));
        if (n == 0)
            return MU_FAIL(MU_FAILED, "%s became shorter while it was read", p->path);
        at += n;
        from += (uint64_t)n;
        bytes -= (size_t)n;
    }
    return MU_OK;
}

void mu_source_prefetch(const struct mu_source *s, uint64_t from, size_t bytes)
{
    const struct mu_source_part *p = part_of(s, from);

    /* A chunk that goes over into the next file is rare: its second part is read when needed. */
    (void)posix_fadvise(p->fd, (off_t)(p->at + from - p->first), (off_t)bytes, POSIX_FADV_WILLNEED);
}

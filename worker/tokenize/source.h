/* The input of a tokenizer: files one after another as a single run of bytes that can be read at
 * any place. What cannot be (standard input, pipes) is first copied to a spool file beside the
 * output, which has no name any more once it is open, so that nothing is left of it however we end.
 * Memory does not depend on the size of the input. */
#ifndef MUSTER_WORKER_TOKENIZE_SOURCE_H
#define MUSTER_WORKER_TOKENIZE_SOURCE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

/* Told now and then how far the work is; total 0: not known. */
typedef void mu_tokenize_progress(void *context, uint64_t done_bytes, uint64_t total_bytes);

struct mu_source_part {
    const char *path;
    int fd;
    uint64_t at;    /* where the part begins in fd: 0, or a place in the spool file */
    uint64_t first; /* number of its first byte in the whole input */
    uint64_t bytes;
};
struct mu_source {
    struct mu_source_part *parts;
    size_t count;
    uint64_t bytes; /* of all parts */
    int spool;      /* -1: none was needed */
    uint64_t spooled;
};

struct mu_source_options {
    const char *const *paths; /* "-": standard input; kept by reference */
    size_t count;
    const char *spool_path;
    const volatile sig_atomic_t *stop; /* not 0: give up; NULL: never */
    mu_tokenize_progress *progress;    /* NULL: none */
    void *context;
};

/* MU_OK, or an error once a signal has asked to stop. */
enum mu_status mu_source_check_stop(const volatile sig_atomic_t *stop) MU_CHECKED;

/* Opens everything, so that a missing file is found before any work. Empty ones are warned of; no
 * bytes at all are an error, and so are compressed files and token files, by their first bytes. */
enum mu_status mu_source_open(struct mu_source *s, const struct mu_source_options *o) MU_CHECKED;
void mu_source_close(struct mu_source *s); /* zeroed ones are allowed */
/* `bytes` bytes from number `from` on, all within the input. */
enum mu_status mu_source_read(const struct mu_source *s, uint64_t from, size_t bytes,
                              void *out) MU_CHECKED;
/* Tells the kernel what will be read soon, so that scattered reads wait for the disk together. */
void mu_source_prefetch(const struct mu_source *s, uint64_t from, size_t bytes);

#endif

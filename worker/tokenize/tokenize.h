/* Text to a training and a validation file of tokens, in constant memory.
 *
 * The input is cut into chunks. Texts are often sorted (a dictionary is alphabetical), so that
 * validation must be drawn from everywhere: whether chunk i is for validation is a function of
 * (seed, i) alone. A longer input with the same beginning therefore never moves a chunk from
 * validation to training. Both files hold their chunks in an order that is a permutation of all
 * chunks keyed by the seed. The same input and options give the same files, bit by bit.
 *
 * Chunks are cut at bytes, not at letters: at 4 KiB that touches one character in some thousand. */
#ifndef MUSTER_WORKER_TOKENIZE_TOKENIZE_H
#define MUSTER_WORKER_TOKENIZE_TOKENIZE_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"
#include "worker/data/token_format.h"
#include "worker/tokenize/source.h"

enum { MU_CHUNK_BYTES_MIN = 16, MU_CHUNK_BYTES_MAX = 1 << 20, MU_CHUNK_BYTES = 4096 };

struct mu_tokenize_job {
    const char *const *inputs; /* files; "-" at most once: standard input */
    size_t input_count;
    const char *prefix;    /* PREFIX-train.bin and PREFIX-valid.bin; folders are made */
    double valid_fraction; /* 0: no validation file; at most 0.5 */
    uint64_t seed;
    uint32_t chunk_bytes;
    bool force;                        /* replace existing files */
    const volatile sig_atomic_t *stop; /* not 0: give up; NULL: never */
    mu_tokenize_progress *progress;    /* NULL: none */
    void *context;
};

struct mu_tokenize_file {
    char path[MU_PATH_MAX];
    struct mu_token_header header; /* count 0: not made */
    uint64_t chunks;
};
struct mu_tokenize_result {
    struct mu_tokenize_file train, valid;
    uint64_t source_bytes;
};

/* One token a byte, vocabulary 256. When it fails there is no output, and what was there before is
 * as it was; only a crash between the two renames can leave one new and one old file. MU_USAGE when
 * an output exists and may not be replaced. */
enum mu_status mu_tokenize_bytes(const struct mu_tokenize_job *job,
                                 struct mu_tokenize_result *result) MU_CHECKED;

#endif

/* What a function that can fail returns.
 *
 * Three kinds of error, three treatments:
 *   our bug         MU_ASSERT: always on, says where, dies by a signal, so that peers see the death
 *   local failure   a status upward; told in full once, at its origin, with MU_FAIL
 *   peer failure    MU_PEER_LOST, MU_REVOKED: a status upward to the one recovery loop.
 *                   MU_RECOVERED: it has been repaired inside mu_poll; whatever was held by the
 *                   old roll (a round, a chunk) is void, and the loop goes on from the new one
 *
 * MU_TRY passes a status on: the first error is the one that is kept. */
#ifndef MUSTER_BASE_STATUS_H
#define MUSTER_BASE_STATUS_H

#include <stdbool.h>
#include <stddef.h>

/* X(name, exit code of the process, meaning) */
#define MU_STATUS_TABLE(X)                                                             \
    X(OK, 0, "ok")                                                                     \
    X(FAILED, 1, "failed")                                                             \
    X(RUNNING, 2, "it still runs (muster status --exit-code)")                         \
    X(UNCOMPARED, 2, "it could not be compared (muster diff)")                         \
    X(DIFFER, 1, "what was compared differs (muster diff)")                            \
    X(USAGE, 64, "wrong command line")                                                 \
    X(CONFIG, 78, "wrong configuration")                                               \
    X(REQUEUE, 75, "stopped on request with a checkpoint: run the same command again") \
    X(INTERNAL, 70, "internal error")                                                  \
    X(NO_MEMORY, 1, "out of memory")                                                   \
    X(NOT_FOUND, 1, "not found")                                                       \
    X(CORRUPT, 1, "damaged data")                                                      \
    X(TIMEOUT, 1, "deadline passed")                                                   \
    X(PEER_LOST, 1, "a rank died")                                                     \
    X(REVOKED, 1, "the communicator was revoked")                                      \
    X(RECOVERED, 1, "the ranks go on without one that died")

enum mu_status {
#define MU_STATUS_ENUM(name, code, meaning) MU_##name,
    MU_STATUS_TABLE(MU_STATUS_ENUM)
#undef MU_STATUS_ENUM
        MU_STATUS_COUNT
};

/* A peer failure that is not repaired yet. */
static inline bool mu_status_is_death(enum mu_status st)
{
    return st == MU_PEER_LOST || st == MU_REVOKED;
}

#define MU_CHECKED __attribute__((warn_unused_result))

const char *mu_status_name(enum mu_status st);    /* "PEER_LOST" */
const char *mu_status_meaning(enum mu_status st); /* "a rank died" */
int mu_status_exit_code(enum mu_status st);       /* 0 1 2 64 70 75 78 */
/* Those that people are told of, by their exit codes: all but those that share the code of a plain
 * failure. Gives back how many. */
size_t mu_status_told(enum mu_status out[MU_STATUS_COUNT]);

/* Reports an error at its origin (printf style) and gives back `st`:
 * `return MU_FAIL(MU_FAILED, ...)`. */
#define MU_FAIL(st, ...) mu_status_report((st), __FILE__, __LINE__, __VA_ARGS__)
enum mu_status mu_status_report(enum mu_status st, const char *file, int line, const char *format,
                                ...) __attribute__((format(printf, 4, 5)));

/* Runs `call`; when it fails, keeps its status in `st`, leaves a trace line at log level debug, and
 * goes to `label`. */
#define MU_TRY(call, st, label)                               \
    do {                                                      \
        (st) = (call);                                        \
        if ((st) != MU_OK) {                                  \
            mu_status_trace((st), __FILE__, __LINE__, #call); \
            goto label;                                       \
        }                                                     \
    } while (0)
void mu_status_trace(enum mu_status st, const char *file, int line, const char *call);

#define MU_ASSERT(condition)                                  \
    do {                                                      \
        if (__builtin_expect(!(condition), 0))                \
            mu_assert_failed(#condition, __FILE__, __LINE__); \
    } while (0)
__attribute__((noreturn)) void mu_assert_failed(const char *condition, const char *file, int line);

#endif

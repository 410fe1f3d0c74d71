/* The journal: what must be durable before it is acted upon, one file per generation and epoch
 * under journal/, made with O_EXCL (that is the token against two masters). Records carry a length
 * and a checksum; a bad tail is dropped. */
#ifndef MUSTER_RUN_JOURNAL_H
#define MUSTER_RUN_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

/* X(name, number, meaning of the text); numbers are forever */
#define MU_JOURNAL_TABLE(X)                                                                 \
    X(GENERATION, 1, "a generation began: ranks, hosts, step it goes on from, fingerprint") \
    X(CHECKPOINT, 2, "a checkpoint was published: step, state hash, seconds")               \
    X(EVENT, 3, "something that a person may ask about later")                              \
    X(END, 4, "the generation ended: outcome, step")                                        \
    X(SWEEP_START, 5, "a sweep began, or went on: number of the start")                     \
    X(SWEEP_ASSIGN, 6, "ranks were given a trial: its name, number of the group")           \
    X(SWEEP_RELEASE, 7, "a rank has left a trial that has not ended, or is dead")           \
    X(SWEEP_TRIAL, 8, "a trial has ended: how, losses, hash")                               \
    X(ANSWER, 9, "a request of control/ was obeyed, or not: its name, how, step")

enum mu_journal_type {
#define MU_JOURNAL_ENUM(name, number, meaning) MU_JOURNAL_##name = number,
    MU_JOURNAL_TABLE(MU_JOURNAL_ENUM)
#undef MU_JOURNAL_ENUM
};

enum { MU_JOURNAL_RECORD_MAX = 1 << 20 }; /* bytes of JSON in a record */

struct mu_journal;

/* Opens the next file: number = highest found + 1. MU_FAILED when another master made it first. The
 * folder must exist. */
enum mu_status mu_journal_open(const char *folder, struct mu_journal **out,
                               uint32_t *generation) MU_CHECKED;
void mu_journal_close(struct mu_journal *j); /* NULL is allowed */
/* Durable when it returns (fdatasync). `json`: one JSON object. A record that could not be written
 * is cut off again, so that the next one can be read; after a failed sync, when nobody knows what
 * is on the disk, every later append fails. */
enum mu_status mu_journal_append(struct mu_journal *j, enum mu_journal_type type,
                                 const char *json) MU_CHECKED;

/* Calls `take` for each whole record of each file, oldest first; a bad tail ends its file (reported
 * at debug level). Records of types that this version does not know are passed over. `json` has no
 * zero byte behind it. A missing folder has no records. */
typedef void mu_journal_take(void *context, uint32_t generation, enum mu_journal_type type,
                             const char *json, size_t size);
enum mu_status mu_journal_replay(const char *folder, mu_journal_take *take,
                                 void *context) MU_CHECKED;

/* What is behind the last whole record of a file: a crash leaves a part of a record in the newest
 * one; whole records behind it are there when the file was damaged later. */
struct mu_journal_tail {
    const char *path;
    size_t whole, size; /* bytes: those that are a journal, and all */
    bool newest;        /* no later generation has a file */
    bool goes_on;       /* the record after the bad one is whole */
};
typedef void mu_journal_take_tail(void *context, const struct mu_journal_tail *tail);
/* mu_journal_replay that also tells of bad tails (take_tail may be NULL). */
enum mu_status mu_journal_check(const char *folder, mu_journal_take *take,
                                mu_journal_take_tail *take_tail, void *context) MU_CHECKED;

/* The same for the bytes of one file; any bytes will do. Gives back how many of them, from the
 * first, are a whole journal; the rest is a bad tail. */
size_t mu_journal_scan(const void *bytes, size_t size, uint32_t generation, mu_journal_take *take,
                       void *context);

#endif

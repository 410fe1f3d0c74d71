/* Messages between the master and the other ranks: one table. A message is a header and fields
 * packed one by one (orchestrator/base/wire.h), little-endian; what is unknown, stale or too long
 * is refused, never trusted.
 *
 *   magic u32 "MUM1" | type u32 | epoch u32 | sender u32 | sequence u32 | length u32 | payload */
#ifndef MUSTER_WORKER_COMM_MESSAGES_H
#define MUSTER_WORKER_COMM_MESSAGES_H

#include "orchestrator/base/status.h"
#include "orchestrator/base/wire.h"

/* X(name, number, most bytes of payload, who sends, meaning); numbers are forever */
#define MU_MESSAGE_TABLE(X)                                                                       \
    X(HELLO, 1, 1024, "every rank to the master",                                                 \
      "who and where I am, what my CPU can do, which build I am")                                 \
    X(WELCOME, 2, 1 << 20, "master to all",                                                       \
      "roll, resolved configuration, instruction set, where to go on")                            \
    X(RESUME, 8, 1 << 14, "master to all", "which checkpoint to load, or that there is none")     \
    X(CHOICES, 12, 1 << 20, "master to all",                                                      \
      "what devices are to choose among algorithms that differ in their bits")                    \
    X(HELD, 11, 64, "every rank to the master",                                                   \
      "which state an earlier generation left in memory")                                         \
    X(GPUS, 13, 4096, "every rank to the master", "which GPUs I see")                             \
    X(DEALT, 14, 1 << 18, "master to all", "which rank takes which GPU")                          \
    X(DUTIES, 10, 16, "master to all", "after a recovery, or before a branch: what is done")      \
    X(READY, 3, 256, "every rank to the master",                                                  \
      "state attached and loaded; hash of the probe, of the state")                               \
    X(STATUS, 4, 16, "every rank to the master", "how my part of what we did together ended")     \
    X(VERDICT, 5, 16, "master to all", "how it ended for all: the first failure")                 \
    X(EVALUATED, 6, 2048, "every rank to the master", "exact sums of my pieces of an evaluation") \
    X(HASHED, 7, 64, "every rank to the master", "hash of my host's state")                       \
    X(LEDGER, 9, 128, "every rank to the master", "where my time went since I last said so")      \
    X(PROCESS, 15, 512, "every rank to the master", "which process I am, and where")              \
    X(PROFILED, 20, 1 << 20, "every rank to the master", "what a profile of my steps has found")

enum mu_message_type {
#define MU_MESSAGE_ENUM(name, number, cap, direction, meaning) MU_MESSAGE_##name = number,
    MU_MESSAGE_TABLE(MU_MESSAGE_ENUM)
#undef MU_MESSAGE_ENUM
};

enum { MU_MESSAGE_HEADER_BYTES = 24 };

/* What a header says, besides the length. The type is a number until it has been compared. */
struct mu_message_head {
    uint32_t type, epoch, sender, sequence;
};

const char *mu_message_name(enum mu_message_type type); /* "HELLO" */
size_t mu_message_cap(enum mu_message_type type);       /* of the payload */

/* Header and payload, into out[MU_MESSAGE_HEADER_BYTES + size]. size: at most the type's cap. */
void mu_message_pack(const struct mu_message_head *head, const void *payload, size_t size,
                     uint8_t *out);
/* The payload of a message that is to be the one that is `due`; false when anything differs: magic,
 * type, epoch, sender, number, or a length that is not that of the bytes, or beyond the cap. `got`
 * is what the header says (zeros where the bytes end before), for the one who reports it. */
bool mu_message_unpack(const struct mu_message_head *due, const uint8_t *message, size_t size,
                       struct mu_message_head *got, struct mu_wire_reader *payload) MU_CHECKED;

#endif

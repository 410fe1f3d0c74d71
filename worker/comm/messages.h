/* Messages between the master and the other ranks: one table. A message is a header and fields
 * packed one by one (orchestrator/base/wire.h), little-endian; what is unknown, stale or too long
 * is refused, never trusted.
 *
 *   magic u32 "MUM1" | type u32 | epoch u32 | sender u32 | sequence u32 | length u32 | payload */
#ifndef MUSTER_WORKER_COMM_MESSAGES_H
#define MUSTER_WORKER_COMM_MESSAGES_H

/* X(name, number, most bytes of payload, who sends, meaning); numbers are forever */
#define MU_MESSAGE_TABLE(X)                                                                       \
    X(HELLO, 1, 1024, "every rank to the master",                                                 \
      "who and where I am, what my CPU can do, which build I am")                                 \
    X(WELCOME, 2, 1 << 20, "master to all",                                                       \
      "roll, resolved configuration, instruction set, where to go on")                            \
    X(RESUME, 8, 1 << 13, "master to all", "which checkpoint to load, or that there is none")     \
    X(READY, 3, 256, "every rank to the master",                                                  \
      "state attached and loaded; hash of the probe, of the state")                               \
    X(STATUS, 4, 16, "every rank to the master", "how my part of what we did together ended")     \
    X(VERDICT, 5, 16, "master to all", "how it ended for all: the first failure")                 \
    X(EVALUATED, 6, 2048, "every rank to the master", "exact sums of my pieces of an evaluation") \
    X(HASHED, 7, 64, "every rank to the master", "hash of my host's state")

enum mu_message_type {
#define MU_MESSAGE_ENUM(name, number, cap, direction, meaning) MU_MESSAGE_##name = number,
    MU_MESSAGE_TABLE(MU_MESSAGE_ENUM)
#undef MU_MESSAGE_ENUM
};

#endif

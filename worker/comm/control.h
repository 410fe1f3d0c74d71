/* What the ranks do together besides training: rounds in which every rank tells the master
 * something, or the master tells all. Every rank takes part in the same rounds in the same order.
 * Each wait polls, has a deadline, and ends with MU_PEER_LOST, MU_REVOKED or (where deaths are
 * repaired) MU_RECOVERED when a rank dies. */
#ifndef MUSTER_WORKER_COMM_CONTROL_H
#define MUSTER_WORKER_COMM_CONTROL_H

#include "orchestrator/base/wire.h"
#include "worker/comm/comm.h"
#include "worker/comm/messages.h"
#include "worker/poller.h"

struct mu_control {
    struct mu_comm *comm;
    struct mu_poller *poller;
    uint32_t epoch, sequence;
    uint64_t deadline_ms;   /* of each round */
    enum mu_status verdict; /* the last failure that all ranks know of alike; MU_OK: none */
    uint64_t refused;       /* messages that were not what was due */
};

/* A round that ended so cannot be followed by another one of the same roll. */
static inline bool mu_control_is_broken(enum mu_status st)
{
    return mu_status_is_death(st) || st == MU_TIMEOUT || st == MU_RECOVERED;
}

struct mu_control mu_control_init(struct mu_comm *comm, struct mu_poller *poller, uint32_t epoch,
                                  uint64_t deadline_ms);

/* Called on the master once for each rank, its own included, in order of rank. */
typedef enum mu_status mu_control_take(void *context, int rank, struct mu_wire_reader *payload);
/* Every rank sends `payload`; on the master `take` sees all of them. The first failure of take is
 * returned there. */
enum mu_status mu_control_gather(struct mu_control *c, enum mu_message_type type,
                                 const struct mu_wire_writer *payload, mu_control_take *take,
                                 void *context) MU_CHECKED;
/* The master's payload reaches all: on the others buffer[capacity] receives it, and `size` tells
 * how much. */
enum mu_status mu_control_announce(struct mu_control *c, enum mu_message_type type, void *buffer,
                                   size_t capacity, size_t *size) MU_CHECKED;
/* A status out of a message; makes the reader not ok when it is none. */
enum mu_status mu_control_get_status(struct mu_wire_reader *payload);
/* One rank's failure becomes everyone's: MU_OK when all say so, else the failure of the lowest rank
 * that has one. Failures of the communicator itself come first. */
enum mu_status mu_control_agree(struct mu_control *c, enum mu_status own) MU_CHECKED;

#endif

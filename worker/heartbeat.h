/* Signs of life for the launcher: every rank of a generation with ranks on other machines holds a
 * TCP connection to the launcher, and sends a byte twice a second. So the launcher knows
 *
 *   that it is closed            the rank is dead: its kernel closed it. One whose connection
 *                                breaks ends itself, so that it cannot be otherwise
 *   that nothing comes any more  its machine hangs, or the link to it is cut
 *
 * MUSTER_HEARTBEAT is "PORT ADDRESS ADDRESS ...", the launcher's addresses; the first that answers
 * counts. The rank begins with "muster-heartbeat JOB RANK HOST\n" and is answered "JOB\n" (JOB:
 * MUSTER_JOB, which nobody can guess). A rank that finds no way to the launcher goes on without:
 * then the lease (worker/lease.h) is all that is known of it. */
#ifndef MUSTER_WORKER_HEARTBEAT_H
#define MUSTER_WORKER_HEARTBEAT_H

#include "orchestrator/base/status.h"

enum { MU_HEARTBEAT_MS = 500, MU_HEARTBEAT_HELLO_MAX = 384 };
#define MU_HEARTBEAT_VARIABLE "MUSTER_HEARTBEAT"
#define MU_HEARTBEAT_WORD     "muster-heartbeat"

/* A thread that does it, in a rank that was started by such a launcher; nothing in any other
 * process. Before MPI_Init. */
enum mu_status mu_heartbeat_begin(void) MU_CHECKED;

#endif

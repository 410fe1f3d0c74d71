/* Holding a run: of all launchers, on this machine and on others that see the run directory, one at
 * a time starts ranks for it. The file is worker/lease.h's; here it is taken and renewed. */
#ifndef MUSTER_LAUNCH_HOLD_H
#define MUSTER_LAUNCH_HOLD_H

#include <stdbool.h>

#include "orchestrator/base/status.h"
#include "worker/lease.h"

struct mu_hold;

/* On one machine at once: the lock goes with its process, however that ends. MU_FAILED, with the
 * holder's pid and host, while another launcher lives. A holder on another machine, or one on a
 * file system without locks, must first be silent for MU_LEASE_TAKE_MS. *previous: what the last
 * holder left, to be fenced and cleared away before anything is started (pid 0: nothing). Waits
 * ask give_up(context) several times a second: MU_REQUEUE when it says true. */
enum mu_status mu_hold_take(const char *run, bool (*give_up)(void *context), void *context,
                            struct mu_lease_record *previous, struct mu_hold **out) MU_CHECKED;
/* Makes the file tell of no holder; waits for MU_LEASE_END_MS at most. NULL is allowed. */
void mu_hold_release(struct mu_hold *hold);

/* What the next holder would have to clear away; written at once, or the hold is not good any more:
 * waits for MU_LEASE_END_MS at most. Only job, mpirun, mpi_files and folder are looked at. */
void mu_hold_describe(struct mu_hold *hold, const struct mu_lease_record *generation);
/* false: another launcher has the run, or may have it soon: the generation must end now. */
bool mu_hold_is_good(const struct mu_hold *hold);
/* Other machines may see the run directory: ranks must watch the lease too. */
bool mu_hold_is_shared(const struct mu_hold *hold);
const char *mu_hold_path(const struct mu_hold *hold);

/* Does somebody hold the run? Looks for up to two renewals when only the count can tell. */
bool mu_hold_is_taken(const char *run);
/* This machine, until it is started again: "name/boot". */
void mu_hold_machine(char out[256]);

#endif

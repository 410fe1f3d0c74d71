/* What signals ask of a rank. Installed before MPI_Init, so that a signal during the start is not
 * lost.
 *
 *   USR1, TERM, INT   checkpoint at the next step boundary and stop, exit code 75;
 *                     a second TERM or INT ends at once
 *   USR2              checkpoint at the next step boundary, go on
 *
 * Under a launcher a TERM from mpirun itself asks for nothing: see signals.c. */
#ifndef MUSTER_WORKER_SIGNALS_H
#define MUSTER_WORKER_SIGNALS_H

#include <stdint.h>

#include "orchestrator/base/status.h"

void mu_signals_install(void);
/* enum mu_request_flag of all signals since the last call with the same answer taken: they stay
 * until cleared. */
uint32_t mu_signals_requests(void);
void mu_signals_clear(uint32_t requests);

/* This process is to die with its parent (mpirun): PR_SET_PDEATHSIG, and a look whether it is gone
 * already. Nothing is done when it was not started by mpirun: then the parent is a shell, which may
 * be left. */
enum mu_status mu_signals_die_with_parent(void) MU_CHECKED;

#endif

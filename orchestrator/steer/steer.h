/* The asking side: `muster stop`, `muster checkpoint`, `muster resize`. Without MPI; whoever sees
 * the folder of the run can ask. */
#ifndef MUSTER_STEER_STEER_H
#define MUSTER_STEER_STEER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/steer/request.h"

struct mu_steer_order {
    const char *run;   /* its folder; of a stop also a sweep's */
    int64_t timeout_s; /* for the answer */
    bool no_wait;
};

/* MU_OK: it is done, and stdout says what; or nobody waited. MU_FAILED, with what to look at:
 * nobody trains the run (then nothing was written), it could not be done, or no answer came in
 * time (then the request stays). */
enum mu_status mu_steer_ask(const struct mu_steer_order *order, enum mu_steer_kind kind) MU_CHECKED;
/* The launcher is asked, and the ranks that it starts are the answer. */
enum mu_status mu_steer_resize(const struct mu_steer_order *order, uint32_t ranks) MU_CHECKED;
/* How many ranks the run has or had, as far as is known; 0: unknown. */
int64_t mu_steer_ranks(const char *run);
/* For `muster status`: a line for each request that has no answer yet. */
void mu_steer_print_pending(const char *run, FILE *out);
/* The pid of a rank, alone on stdout; of another host's with a word about that on stderr.
 * MU_FAILED: there is no such rank, or it is dead. */
enum mu_status mu_steer_print_pid(const char *run, int64_t rank) MU_CHECKED;

#endif

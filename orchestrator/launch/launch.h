/* A run that goes on when mpirun, a node or all ranks die: starts mpirun, watches it, and starts
 * it again as core/ladder.h decides, until the run is complete, stopped, or hopeless.
 *
 *   launch.c     from the lock of the run to the last line
 *   watch.c      what is looked at and obeyed while a generation lives
 *   resize.h     what is asked of it, and what it asks of the ranks, in control/
 *   tell.c       the line for each event
 *   hold.h       one launcher a run; lease.h (worker/) on other machines
 *   generation.h one mpirun; ranks.h: its ranks; remains.h: what it leaves
 *   mpirun.h     its command line and environment; hosts.h: where; outcome.h: what the ranks wrote
 *
 * Signals: TERM, INT, HUP, USR1 ask the ranks for a checkpoint and an end (75); a second TERM or
 * INT ends everything at once, and the launcher dies by that signal. USR2: a checkpoint. */
#ifndef MUSTER_LAUNCH_LAUNCH_H
#define MUSTER_LAUNCH_LAUNCH_H

#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

struct mu_launch_request {
    const struct mu_settings *settings; /* already checked */
    int64_t ranks;                      /* 0: as many as there are slots, or cores to use */
    const char *hosts, *hostfile;       /* at most one; NULL: this machine */
    const char *mpirun, *mpirun_args;   /* NULL: muster's own; none */
    int64_t most_restarts, most_still, start_deadline_s, stall_deadline_s, cool_off_s;
    char *const *words; /* train CONFIG ... */
    int word_count;
};

enum mu_status mu_launch_run(const struct mu_launch_request *request) MU_CHECKED;

#endif

/* A run that goes on when mpirun, a node or all ranks die: starts mpirun, watches it, and starts
 * it again as core/ladder.h decides, until the run is complete, stopped, or hopeless. A sweep is
 * watched like a run whose committed step is the sum of those of its trials.
 *
 *   launch.c     from the lock of the run to the last line
 *   watch.c      what is looked at and obeyed while a generation lives
 *   resize.h     what is asked of it, and what it asks of the ranks, in control/
 *   tell.c       the line for each event
 *   hold.h       one launcher a run; lease.h (worker/) on other machines
 *   generation.h one mpirun; ranks.h: its ranks; remains.h: what it leaves
 *   heartbeats.h which ranks live on other machines; judge.c: which of these are of use still
 *   trials.h     how far a sweep has come
 *   allotted.c   the end of an allocation's time
 *   mpirun.h     its command line and environment; hosts.h: where; outcome.h: what the ranks wrote
 *
 * Signals: TERM, INT, HUP, USR1 ask the ranks for a checkpoint and an end (75); a second TERM or
 * INT ends everything at once, and the launcher dies by that signal. USR2: a checkpoint. */
#ifndef MUSTER_LAUNCH_LAUNCH_H
#define MUSTER_LAUNCH_LAUNCH_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/slurm/allocation.h"

/* As cool_off_s: Slurm gives a node that has failed not back to the same job. */
enum { MU_LAUNCH_REST_OF_JOB_S = 1000000 };

struct mu_launch_request {
    const char *folder; /* run.dir/NAME, by a configuration that is already checked */
    bool is_sweep;
    int64_t ranks;                    /* 0: as many as there are slots, or cores to use */
    const char *hosts, *hostfile;     /* at most one; NULL: this machine */
    const char *mpirun, *mpirun_args; /* NULL: muster's own; none */
    bool by_srun;                     /* mpirun is an srun (slurm/step.h), or there is none */
    int64_t most_restarts, most_still, start_deadline_s, stall_deadline_s, host_deadline_s,
        cool_off_s;
    char *const *words; /* train CONFIG ..., sweep SWEEP ... */
    int word_count;
    struct mu_slurm_allocation *allocation; /* NULL: none */
    bool sets_time_limit;                   /* of the ranks, by the end of the allocation */
    bool requeue;                           /* once it has stopped and is to go on */
};

/* Its hosts are those of the allocation. */
static inline bool mu_launch_is_by_slurm(const struct mu_launch_request *r)
{
    return r->allocation && !r->hosts && !r->hostfile;
}

enum mu_status mu_launch_run(const struct mu_launch_request *request) MU_CHECKED;

#endif

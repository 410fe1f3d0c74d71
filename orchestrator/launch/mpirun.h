/* Starts an mpirun, or srun in its place, in a session of its own and bound to die with the
 * launcher. */
#ifndef MUSTER_LAUNCH_MPIRUN_H
#define MUSTER_LAUNCH_MPIRUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "orchestrator/base/status.h"

struct mu_mpirun_request {
    const char *mpirun; /* NULL: the one that muster was built with */
    const char *extra;  /* further arguments, separated by spaces; NULL: none */
    const char *hosts;  /* "a:4,b:4"; NULL: this machine */
    uint32_t ranks;
    const char *program; /* NULL: this one */
    char *const *words;  /* train CONFIG ... */
    int word_count;
    const char *job;       /* MUSTER_JOB */
    const char *lease;     /* MUSTER_LEASE; NULL: none */
    const char *heartbeat; /* MUSTER_HEARTBEAT; NULL, "": none */
    const char *folder;    /* TMPDIR */
    int64_t time_limit_s;  /* MUSTER_RUN_TIME_LIMIT; 0: none */
    bool by_slurm;         /* its daemons are started with srun (slurm/agent.h) */
    bool by_srun;     /* it is none: the ranks are a step of a job (slurm/step.h), on `hosts` */
    bool with_faults; /* hand MUSTER_FAULT on */
    bool with_bar;    /* a person watches stderr */
    int output;       /* what becomes its stdout and stderr; 0: this process's */
};

/* *pid is also its session. It does not read from stdin. A program that cannot be started is
 * MU_FAILED. The calling thread must live as long as mpirun is
 * to: PR_SET_PDEATHSIG follows the thread. */
enum mu_status mu_mpirun_start(const struct mu_mpirun_request *request, pid_t *pid) MU_CHECKED;

#endif

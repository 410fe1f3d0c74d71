/* `muster submit`: a batch script that launches a run or a sweep, checked before it is queued. */
#ifndef MUSTER_SLURM_SUBMIT_H
#define MUSTER_SLURM_SUBMIT_H

#include <stdbool.h>

#include "orchestrator/base/status.h"

struct mu_submit_request {
    char *const *words; /* train CONFIG key=value..., sweep SWEEP ... */
    int word_count;
    char *const *options; /* for sbatch */
    int option_count;
    unsigned deadline_ms; /* that sbatch has */
    bool measure;         /* how fast this machine is with it, as muster plan does: some 20 s */
    bool dry_run;         /* show the script and the command, and write nothing */
};

/* MU_CONFIG, MU_USAGE: it could not run; nothing was written. MU_FAILED: sbatch refused it, in its
 * own words, or did not answer; or another job has the run, or will have it. */
enum mu_status mu_submit_run(const struct mu_submit_request *request) MU_CHECKED;

/* Seconds of sbatch's --time: "90" minutes, "90:00", "1:30:00", "2-0", "2-0:30", "2-0:30:00"; -1:
 * not understood, 0: no limit. */
long long mu_submit_seconds(const char *text);

#endif

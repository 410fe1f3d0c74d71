/* `muster profile`: where the time of a step goes. Every rank lives it:
 *
 *   profile.c   meet; train in a scratch folder, as a trial (master/trial_job.h), with the stopwatch
 *               of kernels/timed.h; the folder goes again
 *   found.c     what each rank has found comes to the master
 *   sums.c      and is added up: rows, shares, rates
 *   show.c      as a table
 *   files.c     as JSON, and as a trace of one step for Perfetto
 *
 * The bits are those of `muster train` with the same configuration after as many steps. */
#ifndef MUSTER_PROFILE_PROFILE_H
#define MUSTER_PROFILE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"

/* As on the command line; only the first rank's paths are looked at. */
struct mu_profile_request {
    const char *config_path;
    char *const *overrides;
    int override_count;
    int64_t steps, warm_up; /* timed; before */
    bool json;
    const char *trace_path; /* NULL: none */
};

/* By every rank, in place of mu_job_run: MPI is begun and ended. MU_OK on ranks that have nothing
 * to tell. Does not return where this rank alone cannot go on. */
enum mu_status mu_profile_run(const struct mu_profile_request *request) MU_CHECKED;

#endif

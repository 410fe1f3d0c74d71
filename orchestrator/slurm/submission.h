/* What the parts of `muster submit` share. Private to orchestrator/slurm/submit*.c. */
#ifndef MUSTER_SLURM_SUBMISSION_H
#define MUSTER_SLURM_SUBMISSION_H

#include "orchestrator/base/file.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/slurm/submit.h"

#define MU_SUBMITTED_FILE "job.id" /* the number of the job that was submitted last */

struct mu_submission {
    const struct mu_submit_request *request;
    bool is_sweep;
    struct mu_settings settings;
    char folder[MU_PATH_MAX], path[MU_PATH_MAX]; /* of the run, and of the batch script */
    long long time_s;                            /* 0: not given, or none */
    int64_t ranks;                               /* 0: not known */
    char *script;
};

/* submit_options.c. The value of an option of sbatch's, as "-t V", "-tV", "--time V", "--time=V";
 * NULL: not given. */
const char *mu_submit_option(const struct mu_submit_request *r, const char *brief,
                             const char *name);
/* Options that make no sense here, and what can be learned of time and tasks. MU_USAGE. */
enum mu_status mu_submit_read_options(struct mu_submission *s) MU_CHECKED;
/* Before the end of its time the job is warned. */
long long mu_submit_warning_s(const struct mu_submission *s);

/* submit_check.c: the plan, the disk, and how many jobs it takes, where a speed is known. */
enum mu_status mu_submit_check(struct mu_submission *s) MU_CHECKED;
/* Nobody is to have the run, and no job of it to be queued. MU_FAILED. Asks Slurm, for some seconds
 * at most. */
enum mu_status mu_submit_check_free(const struct mu_submission *s) MU_CHECKED;

#endif

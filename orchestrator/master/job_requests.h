/* What is asked of a run in its control/ (orchestrator/steer/request.h), as its master has it. */
#ifndef MUSTER_MASTER_JOB_REQUESTS_H
#define MUSTER_MASTER_JOB_REQUESTS_H

#include "orchestrator/steer/request.h"

struct mu_job;

struct mu_job_requests {
    uint64_t looked_ns; /* into control/; 0: not yet */
    double save_s;      /* what the newest save took */
    char stopper[160];  /* who asked for the end that is under way; "": nobody by file */
    uint32_t count;
    /* seen --rides on a step--> obeyed --journal--> answered --its file is gone--> (forgotten) */
    struct mu_job_asked {
        struct mu_steer_request request;
        enum { MU_ASKED_SEEN, MU_ASKED_RIDING, MU_ASKED_OBEYED, MU_ASKED_ANSWERED } state;
        bool is_refused;   /* it cannot be read, and could not be set aside either */
        uint64_t tried_ns; /* when its answer could not be written, or its file not be removed */
        struct mu_steer_answer answer;
    } asked[MU_STEER_MOST];
};

/* All of these are the master's, and do nothing on others, or in a trial. */

/* When a job begins: what was asked of an earlier start is not obeyed, unless a launcher has
 * bridged the two. */
void mu_job_requests_begin(struct mu_job *job);
/* Before each step; looks into control/ a few times a second. Gives back enum mu_request_flag. */
uint32_t mu_job_requests_take(struct mu_job *job);
/* After a step's duties. tried: a save was among them. */
void mu_job_requests_saved(struct mu_job *job, bool tried);
/* control/stop was found. */
void mu_job_requests_note_stop(struct mu_job *job);
/* At the end of the job, which is known to all: everything is answered, but for a stop that had no
 * part in it where a launcher may go on. */
void mu_job_requests_end(struct mu_job *job, bool stopped);

#endif

/* What the master has all ranks load (RESUME), with what a rank must know to be the master some
 * day. For job_load.c. */
#ifndef MUSTER_MASTER_JOB_ORDER_H
#define MUSTER_MASTER_JOB_ORDER_H

#include "orchestrator/master/job.h"

enum { MU_JOB_ORDER_HOSTS = 4096 };

struct mu_job_order {
    int64_t step;             /* 0: no steps are taken yet */
    char folder[MU_PATH_MAX]; /* "": from initial weights */
    struct mu_hash state_hash;
    uint64_t tokens;
    double peak_flops;
    struct mu_hash_text data_identity;
    int64_t reached;   /* by status.json */
    bool from_memory;  /* the state of `step` is there already */
    bool weights_only; /* of `folder`, and nothing else: as step 0 */
    int64_t saved;     /* step of the newest checkpoint of its own; -1: none */
    /* from_memory: the probe of those who computed it; which hosts lack it, and who gives it. */
    struct mu_hash probe;
    uint32_t source;
    bool lacks[MU_JOB_ORDER_HOSTS];
};

/* The master's choice, and its status `st`, reach all: every rank calls it, and gets both. */
enum mu_status mu_job_exchange_order(struct mu_job *job, struct mu_job_order *order,
                                     enum mu_status st) MU_CHECKED;

#endif

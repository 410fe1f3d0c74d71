/* R1: the survivors of a death go on inside the job. Called by mu_poll on every rank, wherever it
 * is; at a start, where not every rank holds the state yet, after the round that failed; and by all
 * before they leave, to know that everybody has finished. Nothing of the state is touched: words
 * are read, the roll and the plan change (orchestrator/core/recovery.h), and totals are put on
 * their way. */
#ifndef MUSTER_WORKER_RECOVER_H
#define MUSTER_WORKER_RECOVER_H

#include "worker/worker.h"

struct mu_recovery {
    struct mu_comm *comm;
    struct mu_board *board;
    struct mu_worker *worker; /* initialised when `phase` is RUNNING or FINISHED */
    struct mu_roll *roll;     /* replaced by each recovery */
    /* This rank's own word, kept up to date by its owner. */
    enum mu_recovery_phase phase;
    /* The newest step whose duties it knows to be done: the master after each step, the others as
     * of the beginning or the last recovery. */
    int64_t duties;
    /* What came out. */
    struct mu_recovery_plan plan;
    uint32_t epoch;
    uint64_t began_ns, took_ns;
    int *dead; /* names of those that died since the epoch before, ascending */
    int dead_count;
};
#define MU_DUTIES_UNKNOWN INT64_MIN

enum mu_status mu_recover_init(struct mu_recovery *r) MU_CHECKED;
void mu_recover_deinit(struct mu_recovery *r);
/* With MU_OK the communicator is the survivors', and unless plan.restart is set, or all were
 * REFUSED, roll, plan and worker are those of the new epoch. Else this rank cannot go on. */
enum mu_status mu_recover(struct mu_recovery *r) MU_CHECKED;

#endif

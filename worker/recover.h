/* R1: the survivors of a death go on inside the job. Called by mu_poll on every rank, wherever it
 * is; at a start, where not every rank holds the state yet, after the round that failed; and by all
 * before they leave, to know that everybody has finished. Nothing of the state is touched: words
 * are read, the roll and the plan change (orchestrator/core/recovery.h), and totals are put on
 * their way. */
#ifndef MUSTER_WORKER_RECOVER_H
#define MUSTER_WORKER_RECOVER_H

#include "worker/worker.h"

/* What every rank says of itself in a repair, to all. */
struct mu_rank_word {
    int32_t name;
    uint32_t phase; /* enum mu_recovery_phase */
    int64_t duties; /* the newest step whose duties it knows to be done */
    uint64_t group; /* that it works in; of `muster train`: 1; 0: none, it is IDLE */
    uint64_t ended; /* the last group whose work it knows to be done; 0: none */
    uint32_t trial; /* of the group */
    uint32_t bytes; /* of its host's words in the second gathering; 0: it holds no state */
    int64_t step;   /* committed */
};

struct mu_recovery {
    struct mu_comm *base; /* what is repaired */
    struct mu_board *board;
    uint64_t ended; /* see struct mu_rank_word */

    /* The job that this rank is in; comm NULL: none. Groups: ranks that die in one cost the others
     * a repair, and nothing more. Its members, when the repair ends, are the living ones that work
     * in it: mu_comm_view_keep. */
    struct mu_comm *comm; /* a view of base, or base itself */
    uint64_t group;
    uint32_t trial;
    struct mu_worker *worker; /* initialised when `phase` is RUNNING or FINISHED */
    struct mu_roll *roll;     /* replaced by each recovery */
    /* This rank's own word, kept up to date by its owner. */
    enum mu_recovery_phase phase;
    /* The newest step whose duties it knows to be done: the master after each step, the others as
     * of the beginning or the last recovery. */
    int64_t duties;
    /* What came out. plan.finished also where another rank knows that the group's work is done:
     * then this one has nothing to do any more. */
    struct mu_recovery_plan plan;
    uint32_t epoch;
    uint64_t began_ns, took_ns;
    int *dead; /* names of those of base that died since the epoch before, ascending */
    int dead_count;
    int *lost; /* those of them that were in the group, ascending */
    int lost_count;
    struct mu_rank_word *word; /* of everybody, by place in base, as of the last repair */
};
#define MU_DUTIES_UNKNOWN INT64_MIN

enum mu_status mu_recover_init(struct mu_recovery *r) MU_CHECKED;
void mu_recover_deinit(struct mu_recovery *r);
/* With MU_OK the communicator is the survivors', and unless plan.restart is set, or all were
 * REFUSED, roll, plan and worker are those of the new epoch. Else this rank cannot go on. */
enum mu_status mu_recover(struct mu_recovery *r) MU_CHECKED;

#endif

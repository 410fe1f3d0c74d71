/* What a rank and the sweep's master say to each other, in one message each: kind, then fields
 * packed one by one (orchestrator/base/wire.h). What cannot be read is nobody's: a bug. Everything
 * may be said again after a repair; groups' numbers tell what is stale. */
#ifndef MUSTER_SWEEP_RUN_MESSAGES_H
#define MUSTER_SWEEP_RUN_MESSAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/master/trial_job.h"

/* X(name, number, who sends, meaning) */
#define MU_SWEEP_MESSAGE_TABLE(X)                                                          \
    X(READY, 1, "rank to master", "it has nothing to do; how its last group ended")        \
    X(PROGRESS, 2, "leader of a group to master", "step, loss and speed of its trial")     \
    X(ORDER, 3, "master to rank", "a trial to run, in a group")                            \
    X(MAKE_WAY, 4, "master to leader", "the group is to leave its trial at the next step") \
    X(STOP, 5, "master to rank", "its trial is to stop with a checkpoint")                 \
    X(END, 6, "master to rank", "the sweep is over")
enum mu_sweep_message {
#define MU_SWEEP_MESSAGE_ENUM(name, number, direction, meaning) MU_SWEEP_SAY_##name = number,
    MU_SWEEP_MESSAGE_TABLE(MU_SWEEP_MESSAGE_ENUM)
#undef MU_SWEEP_MESSAGE_ENUM
};
enum {
    MU_SWEEP_UP_BYTES = 1024,      /* of the largest message to the master */
    MU_SWEEP_DOWN_BYTES = 1 << 20, /* from it */
    MU_SWEEP_CONFIG_BYTES = 1 << 18,
    MU_SWEEP_NOT_OVER = -1,
};

struct mu_sweep_up {
    enum mu_sweep_message kind;
    uint64_t group; /* READY: the last one; 0: none yet */
    /* READY */
    bool has_outcome, wants_stop;
    struct mu_trial_outcome outcome;
    struct mu_ledger_sum idle; /* of this process's life, outside of trials */
    int over;                  /* enum mu_status as END said, or MU_SWEEP_NOT_OVER */
    /* PROGRESS */
    int64_t first, step; /* of the group, that it told of */
    double loss, tokens_per_s;
};
/* Gives back how many bytes of out[MU_SWEEP_UP_BYTES] it takes. */
size_t mu_sweep_up_pack(const struct mu_sweep_up *up, uint8_t *out);
bool mu_sweep_up_read(const uint8_t *bytes, size_t size, struct mu_sweep_up *up);

/* An order with its memory; names, config, branches of `order` point into it. */
struct mu_sweep_order {
    struct mu_trial_order order;
    int *names;
    char *config, sweep_path[MU_PATH_MAX], run_path[MU_PATH_MAX];
    struct mu_trial_branch *branches;
};
void mu_sweep_order_deinit(struct mu_sweep_order *o);

struct mu_sweep_down {
    enum mu_sweep_message kind;
    uint64_t group;              /* MAKE_WAY */
    int over;                    /* END: enum mu_status */
    struct mu_sweep_order order; /* ORDER; the receiver's to free */
};
/* malloc'ed, *size bytes; NULL: no memory, or an order that is too large (reported). */
uint8_t *mu_sweep_order_pack(const struct mu_trial_order *order, size_t *size);
/* The others, into out[MU_SWEEP_UP_BYTES]. */
size_t mu_sweep_down_pack(const struct mu_sweep_down *down, uint8_t *out);
bool mu_sweep_down_read(const uint8_t *bytes, size_t size, struct mu_sweep_down *down);

#endif

/* What is due at a step boundary: a pure function of the step, the configuration and what was asked
 * for, so that every rank comes to the same list without a word. */
#ifndef MUSTER_CORE_DUTY_H
#define MUSTER_CORE_DUTY_H

#include <stdbool.h>
#include <stdint.h>

struct mu_duty_plan {
    int64_t steps;                                               /* of the whole run */
    int64_t log_every, eval_every, hash_every, checkpoint_every; /* 0: never by count */
    int64_t save_at; /* a checkpoint after this step, whatever else is due; 0: none */
    bool can_evaluate;
};

struct mu_duties {
    bool log, evaluate, hash, save, end; /* end: no step after this */
};

/* step: steps committed. checkpoint, stop: asked for by signals or files. The last step logs,
 * evaluates, hashes and saves; a stop saves; every save hashes. */
struct mu_duties mu_duties_at(const struct mu_duty_plan *plan, int64_t step, bool checkpoint,
                              bool stop);

#endif

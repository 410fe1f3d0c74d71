#include "orchestrator/core/duty.h"

static bool due(int64_t step, int64_t every)
{
    return every > 0 && step % every == 0;
}

struct mu_duties mu_duties_at(const struct mu_duty_plan *plan, int64_t step, bool checkpoint,
                              bool stop)
{
    bool last = step >= plan->steps;
    struct mu_duties d = {
        .log = last || stop || due(step, plan->log_every),
        .evaluate =
            plan->can_evaluate && plan->eval_every > 0 && (last || due(step, plan->eval_every)),
        .save = last || stop || checkpoint || due(step, plan->checkpoint_every) ||
                (plan->save_at > 0 && step == plan->save_at),
        .end = last || stop,
    };

    d.hash = d.save || due(step, plan->hash_every);
    d.log = d.log || d.evaluate || d.hash;
    return d;
}

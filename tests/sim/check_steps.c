/* Committed steps never regress: whatever goes on, goes on from the newest state left to it. */
#include "tests/sim/sim.h"

void check_steps(struct sim *s, int64_t step)
{
    for (uint32_t i = 0; i < s->room; i++) {
        const struct rank *r = &s->rank[i];
        const struct segment *g = &s->host[r->host].segment;

        if (r->alive && !r->declared_dead && !s->host[r->host].cut && g->state != NO_STATE &&
            (int64_t)(g->state >> 1) > step)
            sim_violation(s, "the job goes on from step %lld, host %u has committed %llu",
                          (long long)step, r->host, (unsigned long long)(g->state >> 1));
    }
    if (newest_checkpoint(s) > step && s->newest_epoch == 0)
        sim_violation(s, "the job goes on from step %lld, there is a checkpoint of %lld",
                      (long long)step, (long long)newest_checkpoint(s));
}

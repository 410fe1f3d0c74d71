/* When faults stop, the job ends: with everybody's state at the last step, and all written. */
#include "tests/sim/sim.h"

void check_end(struct sim *s)
{
    if (s->violation[0] != 0)
        return;
    s->ended = false;
    if (s->gave_up)
        return; /* generation after generation was hit before it committed anything */
    if (!s->finished)
        sim_violation(s, "the job does not end");
    else if (newest_checkpoint(s) != s->steps)
        sim_violation(s, "there is no checkpoint of the last step");
    check_records(s);
    check_work(s);
}

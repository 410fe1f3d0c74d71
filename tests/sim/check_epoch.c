/* One live epoch: once a member of a newer communicator has acted, nobody acts in an older one.
 * What a rank does inside a repair touches nothing that others rely on. */
#include "tests/sim/sim.h"

void check_epoch(struct rank *r)
{
    struct sim *s = r->sim;

    if (r->in_repair)
        return;
    if (r->comm->id < s->newest_epoch)
        sim_violation(s, "rank %u of host %u acts in epoch %u, others have acted in %u", r->id,
                      r->host, r->comm->id, s->newest_epoch);
    else
        s->newest_epoch = r->comm->id;
}

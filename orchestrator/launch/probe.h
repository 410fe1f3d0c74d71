/* Which hosts can still be used: asked after a failure, since mpirun does not tell. */
#ifndef MUSTER_LAUNCH_PROBE_H
#define MUSTER_LAUNCH_PROBE_H

#include <stdbool.h>

#include "orchestrator/core/ladder.h"
#include "orchestrator/launch/launch.h"

/* An mpirun of one trivial process on each host of the plan, all at the same time, for some
 * seconds at most; asked once more where no answer comes soon. Hosts that are not asked (this
 * machine) answer. When none answers, it is the question that is wrong: then all do. */
void mu_probe_hosts(const struct mu_launch_request *request, const struct mu_ladder *ladder,
                    const struct mu_ladder_plan *plan, bool answers[MU_LADDER_HOSTS]);

#endif

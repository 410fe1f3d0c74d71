#include "orchestrator/base/cores.h"

#include <sched.h>

int mu_cores_usable(void)
{
    cpu_set_t mask;

    if (sched_getaffinity(0, sizeof mask, &mask) == 0 && CPU_COUNT(&mask) > 0)
        return CPU_COUNT(&mask);
    return 1;
}

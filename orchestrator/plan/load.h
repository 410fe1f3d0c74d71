/* Processes that do what a host's other workers would do, while this one is timed. */
#ifndef MUSTER_PLAN_LOAD_H
#define MUSTER_PLAN_LOAD_H

#include <stdint.h>
#include <sys/types.h>

#include "orchestrator/base/status.h"

enum { MU_LOAD_MAX = 255 };
struct mu_load {
    pid_t pid[MU_LOAD_MAX];
    uint32_t count;
};

/* Each calls work(context) again and again until the load is closed, or this process ends. To be
 * called before there are threads. What they say goes nowhere. MU_FAILED, with none of them left. */
enum mu_status mu_load_open(struct mu_load *load, uint32_t count, void (*work)(void *context),
                            void *context) MU_CHECKED;
void mu_load_close(struct mu_load *load); /* zeroed ones are allowed */

#endif

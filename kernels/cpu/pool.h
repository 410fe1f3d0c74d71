/* Threads of a device: fork and join over numbered tasks. The caller takes part.
 *
 * Which task exists is the caller's affair and must not depend on the number of threads; which
 * worker runs it is chance. So a task's result may depend on its number alone, and two tasks of one
 * run never write the same place. */
#ifndef MUSTER_KERNELS_CPU_POOL_H
#define MUSTER_KERNELS_CPU_POOL_H

#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_pool;

/* `worker` is 0 for the caller, up to threads - 1: names scratch memory. */
typedef void mu_task(void *job, int64_t task, int worker);

struct mu_pool_options {
    int threads;                 /* with the caller */
    void (*enter)(void);         /* run once on every thread but the caller's */
    void (*poll)(void *context); /* NULL: none; called on the caller's thread */
    void *poll_context;
};

enum mu_status mu_pool_open(const struct mu_pool_options *options, struct mu_pool **out) MU_CHECKED;
void mu_pool_close(struct mu_pool *pool); /* NULL is allowed */

/* Runs tasks 0 .. count - 1 and returns when all are done. Not from inside a task. */
void mu_pool_run(struct mu_pool *pool, mu_task *task, void *job, int64_t count);

/* Calls the poll hook when worker is 0 and the last call was a while ago. mu_pool_run does so
 * between tasks; long tasks do it themselves. */
void mu_pool_poll(struct mu_pool *pool, int worker);

#endif

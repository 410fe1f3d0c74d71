/* Called between pieces of work while a checkpoint is written or read, so that a rank that saves
 * still answers others and hears of deaths. Anything but MU_OK ends the work and is passed up as it
 * is: whoever found it has reported it. It may be called from inside HDF5: it must not use HDF5,
 * nor this checkpoint. */
#ifndef MUSTER_WORKER_CHECKPOINT_POLL_H
#define MUSTER_WORKER_CHECKPOINT_POLL_H

#include <stddef.h>

#include "orchestrator/base/status.h"

struct mu_checkpoint_poll {
    enum mu_status (*poll)(void *context);
    void *context;
};

/* NULL: nobody is to be asked. */
static inline enum mu_status mu_checkpoint_ask(const struct mu_checkpoint_poll *p)
{
    return p ? p->poll(p->context) : MU_OK;
}

#endif

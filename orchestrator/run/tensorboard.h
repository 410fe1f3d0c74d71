/* tb/events.out.tfevents.*: the scalars of metrics.jsonl for TensorBoard. Written by the run
 * directory only. */
#ifndef MUSTER_RUN_TENSORBOARD_H
#define MUSTER_RUN_TENSORBOARD_H

#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/clock.h"
#include "orchestrator/base/status.h"
#include "orchestrator/run/run_dir.h"

struct mu_tensorboard {
    int fd; /* -1: closed */
    uint64_t
        size; /* of whole records in the file: what a write that failed halfway is cut back to */
    uint8_t buffer[16384]; /* whole records that are not in the file yet */
    size_t used, head;     /* bytes; the head is those that every file begins with */
    uint64_t waiting;      /* steps in the buffer */
    int64_t first_waiting;
    struct mu_deadline flush_at;
    uint64_t lost; /* steps that could not be written */
};

/* Begins a file of its own in the folder `path`/tb, which is there. Steps beyond resume_step in
 * earlier files are declared void. */
enum mu_status mu_tensorboard_open(struct mu_tensorboard *tb, const char *path,
                                   int64_t resume_step) MU_CHECKED;
void mu_tensorboard_close(struct mu_tensorboard *tb);
/* A failure is warned of the first time, and costs the steps that were to be written. */
void mu_tensorboard_put(struct mu_tensorboard *tb, const struct mu_metrics *m);
/* Writes what has waited for a second. Cheap: call it now and then. */
void mu_tensorboard_poll(struct mu_tensorboard *tb);

#endif

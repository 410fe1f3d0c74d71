/* tb/events.out.tfevents.*: the scalars of metrics.jsonl for TensorBoard. Written by the run
 * directory only. */
#ifndef MUSTER_RUN_TENSORBOARD_H
#define MUSTER_RUN_TENSORBOARD_H

#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/run/run_dir.h"

struct mu_tensorboard {
    int fd;        /* -1: closed */
    uint64_t size; /* of whole records: what a write that failed halfway is cut back to */
    int64_t resume_step;
    uint64_t lost; /* records that could not be written */
};

/* Begins a file of its own in the folder `path`/tb, which is there. Steps beyond resume_step in
 * earlier files are declared void. */
enum mu_status mu_tensorboard_open(struct mu_tensorboard *tb, const char *path,
                                   int64_t resume_step) MU_CHECKED;
void mu_tensorboard_close(struct mu_tensorboard *tb);
/* A failure is warned of the first time. */
void mu_tensorboard_put(struct mu_tensorboard *tb, const struct mu_metrics *m);

#endif

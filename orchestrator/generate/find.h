/* Which checkpoints a name on the command line means, newest first. */
#ifndef MUSTER_GENERATE_FIND_H
#define MUSTER_GENERATE_FIND_H

#include <stdint.h>

#include "orchestrator/base/file.h"

struct mu_found {
    char folder[MU_PATH_MAX]; /* of the one that was named, or of those in `steps` */
    int64_t *steps;           /* ascending; NULL: one was named */
    uint32_t left;            /* not given out yet */
};

/* Names as in mu_trained_open. MU_NOT_FOUND, reported, when there is none. */
enum mu_status mu_find_checkpoints(const char *name, struct mu_found *out) MU_CHECKED;
enum mu_status mu_found_next(struct mu_found *found, char folder[MU_PATH_MAX]) MU_CHECKED;
void mu_found_deinit(struct mu_found *found);

#endif

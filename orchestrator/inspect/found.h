/* What lies at a path that a user gave, by the names in it alone: inspect, diff and verify go on
 * from there. */
#ifndef MUSTER_INSPECT_FOUND_H
#define MUSTER_INSPECT_FOUND_H

#include "orchestrator/base/file.h"

enum mu_found {
    MU_FOUND_NOTHING,    /* the path is not there */
    MU_FOUND_FILE,       /* a file, and not a checkpoint's */
    MU_FOUND_CHECKPOINT, /* a folder with checkpoint.h5 or part-00000.h5, or checkpoint.h5 itself */
    MU_FOUND_PART,       /* one part of a checkpoint */
    MU_FOUND_SWEEP,      /* sweep.json */
    MU_FOUND_RUN,        /* checkpoints/ or status.json */
    MU_FOUND_CHECKPOINTS, /* a folder of whole checkpoints, step-... */
    MU_FOUND_RUNS,        /* a folder of runs or sweeps */
    MU_FOUND_OTHER,       /* a folder of something else */
};

/* `folder`: what is to be opened: of checkpoint.h5 and of a part the folder that they lie in. A
 * failure: the path is too long, or a folder cannot be read. */
enum mu_status mu_found_at(const char *path, enum mu_found *out,
                           char folder[MU_PATH_MAX]) MU_CHECKED;

/* Whether the folder is a run directory, begun at least; a sweep's is not. */
bool mu_found_is_run(const char *folder);
/* MU_NOT_FOUND, reported, of MU_FOUND_NOTHING: of RUN@STEP with the steps that there are. */
enum mu_status mu_found_nothing(const char *path);
/* MU_NOT_FOUND, reported: a folder that was to be a checkpoint has no checkpoint.h5. */
enum mu_status mu_found_no_checkpoint(const char *folder);

/* "expected a run directory (...), ...": the end of a line that refuses MU_FOUND_OTHER. */
const char *mu_found_expected(void);

#endif

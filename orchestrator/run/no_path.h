/* A path that is not there: "did you mean" for the names of runs. */
#ifndef MUSTER_RUN_NO_PATH_H
#define MUSTER_RUN_NO_PATH_H

#include "orchestrator/base/file.h"

/* MU_NOT_FOUND, reported: "there is no runs/mien; did you mean runs/mine?", when its folder holds
 * something of a name that near, or, of a name alone, when runs/ does; otherwise with `expected`
 * ("; expected ..."; may be ""). `path` may end in @STEP. */
enum mu_status mu_no_path(const char *path, const char *expected) MU_CHECKED;

#endif

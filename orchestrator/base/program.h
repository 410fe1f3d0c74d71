/* Where this program's file lies; others are looked for beside it. */
#ifndef MUSTER_BASE_PROGRAM_H
#define MUSTER_BASE_PROGRAM_H

#include "orchestrator/base/file.h"

/* "" where /proc cannot be read. */
void mu_program_path(char out[MU_PATH_MAX]);
/* Its folder, without a slash at the end. */
void mu_program_folder(char out[MU_PATH_MAX]);

#endif

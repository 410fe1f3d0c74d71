/* status.json: where the run stands, for scripts that ask. Private to the run directory. */
#ifndef MUSTER_RUN_STATUS_FILE_H
#define MUSTER_RUN_STATUS_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/run/run_dir.h"

struct mu_status_file {
    char path[MU_PATH_MAX], beside[MU_PATH_MAX];
    struct mu_run_status newest;
    bool given, pending; /* `newest` holds something; it is not in the file yet */
    bool warned;
    uint64_t written_ns;
    struct mu_run_kept kept; /* what an earlier generation has left */
};

/* Reads what is to be carried on (kept); a file that is missing or damaged keeps nothing. */
enum mu_status mu_status_file_open(struct mu_status_file *file, const char *folder) MU_CHECKED;
/* Both give back whether the file was written now; closing writes what is pending. */
bool mu_status_file_put(struct mu_status_file *file, const struct mu_run_status *s);
bool mu_status_file_close(struct mu_status_file *file);

#endif

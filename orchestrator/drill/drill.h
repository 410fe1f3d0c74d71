/* Faults, tried on short runs of a configuration on this machine: each run is started with `muster
 * launch`, something is killed, stopped or cut, and the result is held against that of a run that
 * was left alone.
 *
 *   cases.h  what is tried
 *   child.h  a launch, and its processes
 *   read.h   what it left, and the verdict
 *
 * All files lie below run.dir/drill-PID, and go at the end; the user's runs are not touched. */
#ifndef MUSTER_DRILL_DRILL_H
#define MUSTER_DRILL_DRILL_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

struct mu_drill_request {
    const struct mu_settings *settings; /* already checked */
    int64_t ranks, steps;
    int64_t deadline_s; /* of a case; 0: from what the undisturbed run takes */
    const char *only;   /* mu_drill_is_meant */
    const char *json;   /* where to write the results, for programs; NULL: nowhere */
    bool keep;          /* the files stay */
};

/* The table goes to stdout while the cases run. MU_FAILED when a result differs or a case does not
 * end well. A signal that ends the drill ends it as if it had not been caught. */
enum mu_status mu_drill_run(const struct mu_drill_request *request) MU_CHECKED;

#endif

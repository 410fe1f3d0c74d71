/* What becomes of a run that stands in its directory under the settings of today: `muster train`
 * acts on it, `muster plan` tells it. Reads the directory only. */
#ifndef MUSTER_MASTER_GO_ON_H
#define MUSTER_MASTER_GO_ON_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"

enum mu_go_on_kind {
    MU_GO_ON_AS_IT_IS, /* from its newest checkpoint, as far as it has come */
    MU_GO_ON_FROM,     /* with another schedule: from `from_step`; what came later is put aside */
    MU_GO_ON_REFUSED,  /* reported: by keys or by its schedule it is another run */
};
struct mu_go_on {
    enum mu_go_on_kind kind;
    int64_t common_steps; /* that both schedules take at the same rates; INT64_MAX: all */
    int64_t from_step;    /* FROM: of the checkpoint, its own or the one that it forked from */
    int64_t last_step;    /* FROM: that it has come to */
};

/* The settings that it was trained with so far; malloc'ed. MU_NOT_FOUND (not reported): no run
 * stands there. */
enum mu_status mu_go_on_read(const char *run_path, struct mu_settings **before) MU_CHECKED;

/* `is_trial`: its schedule is the sweep's, and may not be another. Keys that differ, and why it is
 * refused with the ways out, are logged. */
enum mu_status mu_go_on_decide(const char *run_path, bool is_trial,
                               const struct mu_settings *before, const struct mu_settings *now,
                               struct mu_go_on *out) MU_CHECKED;

/* Steps of the newest checkpoint up to step `limit`, its own or else the one that it forked from;
 * 0: none. *last_step: what is recorded or saved, and must not be lost silently. */
enum mu_status mu_go_on_reach(const char *run_path, int64_t limit, int64_t *newest_step,
                              int64_t *last_step) MU_CHECKED;

#endif

/* The table of a drill: a line for each case while it goes, a last line, and the same as JSON.
 * Private to orchestrator/drill/. */
#ifndef MUSTER_DRILL_TELL_H
#define MUSTER_DRILL_TELL_H

#include <jansson.h>

#include "orchestrator/drill/drill.h"
#include "orchestrator/drill/read.h"

struct mu_drill_tally {
    int tried, survived, not_reached;
    double slowest_s;
    char slowest[40]; /* which case that was */
    struct mu_drill_result undisturbed;
    json_t *json; /* the lines, for programs */
};
void mu_drill_tally_deinit(struct mu_drill_tally *tally);

void mu_drill_tell_begin(struct mu_drill_tally *tally, const struct mu_drill_request *request,
                         const struct mu_drill_course *undisturbed);
void mu_drill_tell_case(struct mu_drill_tally *tally, const struct mu_drill_case *c,
                        const struct mu_drill_course *course, enum mu_drill_verdict verdict);
/* MU_FAILED when not all survived, or the JSON could not be written. */
enum mu_status mu_drill_tell_end(const struct mu_drill_tally *tally,
                                 const struct mu_drill_request *request) MU_CHECKED;

#endif

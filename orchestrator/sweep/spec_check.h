/* What the parts of a sweep must satisfy together. */
#ifndef MUSTER_SWEEP_SPEC_CHECK_H
#define MUSTER_SWEEP_SPEC_CHECK_H

#include "orchestrator/config/mistakes.h"
#include "orchestrator/sweep/spec.h"

/* Sorts sizes, budgets and the like on the way. place: the file. */
void mu_sweep_check(struct mu_sweep_spec *spec, const struct mu_settings *base,
                    struct mu_place place, struct mu_mistakes *m);

#endif

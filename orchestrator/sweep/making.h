/* A sweep's list of trials as it is made, part after part: the same code for `muster plan`, which
 * makes all at once, and for stages.c, which makes each part when the results it hangs on are
 * there. Trials are appended; those that are there keep their index. */
#ifndef MUSTER_SWEEP_MAKING_H
#define MUSTER_SWEEP_MAKING_H

#include "orchestrator/config/mistakes.h"
#include "orchestrator/sweep/trial.h"
#include "orchestrator/sweep/trials.h"

struct mu_sweep_making {
    const struct mu_sweep_spec *spec;
    const struct mu_settings *base;
    const char *file;
    struct mu_sweep_trials *trials;
    uint32_t before; /* trials that were there */
    struct mu_sweep_laws laws;
    struct mu_mistakes mistakes;
};

/* coefficient, exponent: of the law that was tuned; 0: it is not known, and the configuration's own
 * value stands. End in any case. */
enum mu_status mu_sweep_making_begin(struct mu_sweep_making *mk, const struct mu_sweep_spec *spec,
                                     const struct mu_settings *base, const char *file,
                                     struct mu_sweep_trials *trials, double coefficient,
                                     double exponent) MU_CHECKED;
/* What came of it: st, or MU_CONFIG when there were mistakes, which are told; then the trials are
 * those from before. */
enum mu_status mu_sweep_making_end(struct mu_sweep_making *mk, enum mu_status st) MU_CHECKED;

/* Mistakes go to mk->mistakes, and end a part. */
enum mu_status mu_sweep_make_tuning(struct mu_sweep_making *mk) MU_CHECKED;
/* Cells by budget and size, and their controls; trunks are shared. */
enum mu_status mu_sweep_make_cells(struct mu_sweep_making *mk) MU_CHECKED;
/* All seeds of one more size of a budget; extension: the how manieth of the budget, from 1. */
enum mu_status mu_sweep_make_more(struct mu_sweep_making *mk, double size, double budget,
                                  int64_t extension) MU_CHECKED;

/* trials.c */
enum mu_status mu_sweep_trials_add(struct mu_sweep_trials *t,
                                   const struct mu_sweep_trial *trial) MU_CHECKED;
/* Cells of one size and seed share the trunk of the longest of them. */
void mu_sweep_trials_share(struct mu_sweep_trials *t);
/* Trunks of the cells that are extensions, while trunks are shared: see
 * mu_sweep_trial.extension. */
void mu_sweep_trials_join(struct mu_sweep_trials *t);
void mu_sweep_trials_truncate(struct mu_sweep_trials *t, uint32_t count);
void mu_sweep_trials_add_up(struct mu_sweep_trials *t);

/* names.c */
enum { MU_SWEEP_AXES_MAX = 96, MU_SWEEP_AXIS_MAX = 60 };
/* How an axis stands in a trial's name: "lr1e-3-", or its value's number, "train2-" or "2-". */
enum mu_sweep_axis_style {
    MU_SWEEP_STYLE_VALUE,
    MU_SWEEP_STYLE_INDEX,
    MU_SWEEP_STYLE_BARE,
};
/* The most telling style in which the names of all combinations have room. */
enum mu_sweep_axis_style mu_sweep_axis_style_of(const struct mu_sweep_spec *s);
size_t mu_sweep_axis_name(const struct mu_sweep_axis *axis, uint64_t value,
                          enum mu_sweep_axis_style style, char text[MU_SWEEP_AXIS_MAX]);
/* axes: what a grid calls it; "" else. */
void mu_sweep_trial_name(const struct mu_sweep_spec *spec, struct mu_sweep_trial *t,
                         const char *axes);

#endif

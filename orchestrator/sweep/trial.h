/* One trial's configuration: sizes, laws and budgets put into the run configuration. */
#ifndef MUSTER_SWEEP_TRIAL_H
#define MUSTER_SWEEP_TRIAL_H

#include "orchestrator/config/mistakes.h"
#include "orchestrator/sweep/formula.h"
#include "orchestrator/sweep/trials.h"

/* What laws are evaluated with; opened once for all trials. */
struct mu_sweep_laws {
    const struct mu_sweep_spec *spec;
    uint32_t count;
    struct mu_formula *formula; /* parser NULL: that law is tuned */
    /* What is tuned is coefficient * N^exponent; coefficient 0: not known yet. */
    double tuned_coefficient, tuned_exponent;
};

enum mu_status mu_sweep_laws_init(struct mu_sweep_laws *l,
                                  const struct mu_sweep_spec *spec) MU_CHECKED;
void mu_sweep_laws_deinit(struct mu_sweep_laws *l);
/* Whether a law follows D or C, so that runs of one size that differ in length differ from their
 * first step: its key; NULL: none does. */
const char *mu_sweep_laws_of_length(const struct mu_sweep_laws *l);

/* t->size, budget, multiple, factor, settings (the base, with what an axis of a grid says) and the
 * seed are given; fills in the rest but for name and trunk. Mistakes are added. */
enum mu_status mu_sweep_trial_fill(struct mu_sweep_trial *t, struct mu_sweep_laws *laws,
                                   struct mu_place place, struct mu_mistakes *m) MU_CHECKED;
/* n and flops_per_token alone, which hang on the size and on laws of it. */
enum mu_status mu_sweep_trial_count(struct mu_sweep_trial *t, struct mu_sweep_laws *laws,
                                    struct mu_place place, struct mu_mistakes *m) MU_CHECKED;
/* Puts a value into a trial's settings: key as for mu_sweep_key. */
void mu_sweep_trial_set(struct mu_sweep_trial *t, const char *key, const char *text,
                        struct mu_place place, struct mu_mistakes *m);
/* Of a key that holds a real number. */
double mu_sweep_trial_value(const struct mu_sweep_trial *t, const char *key);

#endif

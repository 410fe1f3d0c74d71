/* The trials of a sweep, before any has run: a pure function of the file. Each is a whole run
 * configuration with the numbers that decide it. */
#ifndef MUSTER_SWEEP_TRIALS_H
#define MUSTER_SWEEP_TRIALS_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/sweep/spec.h"

/* X(name, word) */
#define MU_SWEEP_ROLE_TABLE(X) X(CELL, "cell") X(TUNE, "tune") X(CONTROL, "control")
enum mu_sweep_role {
#define MU_SWEEP_ROLE_ENUM(name, word) MU_SWEEP_##name,
    MU_SWEEP_ROLE_TABLE(MU_SWEEP_ROLE_ENUM)
#undef MU_SWEEP_ROLE_ENUM
};
const char *mu_sweep_role_word(enum mu_sweep_role role);

#define MU_TRIAL_ALONE UINT32_MAX
enum { MU_TRIALS_MAX = 20000 };

struct mu_sweep_trial {
    char name[128];
    enum mu_sweep_role role;
    double size;                 /* value of the size's key; 0 in a grid */
    double budget;               /* FLOPs asked for; 0: the steps say */
    double multiple;             /* ladder: tokens a parameter; else 0 */
    double factor;               /* tune: times the configuration's value; else 1 */
    struct mu_settings settings; /* resolved; run.steps, run.seed and run.name are its own */
    double n, flops_per_token;   /* as spec->count and spec->flops have it */
    double tokens_per_step;
    double tokens, flops; /* of all its steps, alone */
    uint32_t trunk;       /* the trial whose trunk it shares: the longest of its size and seed; or
                             MU_TRIAL_ALONE */
    int64_t shared;       /* steps that are the trunk's; 0: none */
    /* 0: it was planned; else which extension of its budget it came with. These run alone, since
     * the trunk may have passed, or end before, the step at which they would branch off. Their
     * beginnings have the bits of the trunk all the same, and so its luck: `trunk` is that of their
     * size and seed, for fits, which resample such runs together, and `shared` 0. */
    int64_t extension;
};

struct mu_sweep_trials {
    struct mu_sweep_trial *item;
    uint32_t count, capacity;
    double flops_alone, flops_shared; /* without trunks, and with them where they are shared */
};

/* Tuning first, then cells by budget and size, then controls. Where something is tuned, the others
 * have the configuration's value until it is known. Mistakes are told: MU_CONFIG. */
enum mu_status mu_sweep_trials_make(const struct mu_sweep_spec *spec,
                                    const struct mu_settings *base, const char *file,
                                    struct mu_sweep_trials *out) MU_CHECKED;
void mu_sweep_trials_deinit(struct mu_sweep_trials *t);

/* FLOPs that its trunk spares it. */
double mu_sweep_saved_flops(const struct mu_sweep_trial *t);
/* The cell that control i runs once more, without a trunk; MU_TRIAL_ALONE: i is no control. A
 * branch has the bits of the run done alone, so that both end with the same hash and loss: what
 * sharing a trunk costs in loss is nothing, and what it spares is mu_sweep_saved_flops() of the
 * cell. */
uint32_t mu_sweep_control_of(const struct mu_sweep_trials *t, uint32_t i);

#endif

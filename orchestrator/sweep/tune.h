/* What tuning has found: an optimum for each cell of `tune`, and a law through them.
 *
 * A cell's optimum is the vertex of the parabola in ln(value) through its best loss and the nearest
 * complete ones on each side of it (a step of successive parabolic interpolation, Brent 1973, ch.
 * 5). Not through all: the loss rises far more steeply towards divergence than towards small
 * values, and a parabola through all is drawn off by its far end; Porian et al. 2024 interpolate
 * between neighbours for the same reason. Since the middle one is the best, the vertex lies between
 * the outer two. Diverged values are in no parabola, but are worse than the best: where the next
 * value diverged, the optimum is bracketed, and the best value is taken for it.
 *
 * A law of the rate in N is not for muP, under which the optimum does not move with the width (Yang
 * et al. 2022). */
#ifndef MUSTER_SWEEP_TUNE_H
#define MUSTER_SWEEP_TUNE_H

#include "orchestrator/sweep/stages.h"

/* Whether all trials that tune have ended; result[i] of trials->item[i], i < count. */
bool mu_sweep_tune_has_ended(const struct mu_sweep_trials *trials,
                             const struct mu_sweep_result *result, uint32_t count);
/* Then: sets *out. A best value at the edge of those tried is a warning; a cell without any loss is
 * a mistake, MU_CONFIG. */
enum mu_status mu_sweep_tune(const struct mu_sweep_spec *spec, const char *file,
                             const struct mu_sweep_trials *trials,
                             const struct mu_sweep_result *result, struct mu_sweep_tuned *out,
                             void (*warn)(void *context, const char *line),
                             void *context) MU_CHECKED;
/* One warning when trials from `from` on lie outside [least_n, most_n] by more than a factor of
 * two. */
void mu_sweep_tune_check_range(const struct mu_sweep_spec *spec, const struct mu_sweep_tuned *tuned,
                               const struct mu_sweep_trials *trials, uint32_t from,
                               void (*warn)(void *context, const char *line), void *context);

#endif

/* The sizes of each budget of an isoflop sweep: whether its minimum has enough of them on each
 * side, and which are to come. A size's loss is the mean over its seeds; one of them diverged, and
 * the size is worse than any other. Trials without a result and without hope of one are skipped: a
 * size that has no others is not there. */
#ifndef MUSTER_SWEEP_WINDOWS_H
#define MUSTER_SWEEP_WINDOWS_H

#include "orchestrator/sweep/stages.h"

/* Sets first and last, the sizes that extensions may reach: as many as window.extend allows beyond
 * those there are; a size whose run cannot be (its warm-up does not fit, say) ends the ladder.
 * *reached: all the trials that extensions can add, which the caller deinits. The cells are made
 * already; coefficient and exponent: of what was tuned, or 0. Other kinds of sweeps: nothing. */
enum mu_status mu_sweep_windows_reach(const struct mu_sweep_spec *spec,
                                      const struct mu_settings *base, const char *file,
                                      const struct mu_sweep_trials *trials, double coefficient,
                                      double exponent, struct mu_sweep_trials *reached,
                                      struct mu_sweep_window window[MU_SWEEP_LIST]) MU_CHECKED;
/* Brings budget b up to date; result[i] of trials->item[i], i < count. size[]: those that it wants
 * now; how many. */
uint32_t mu_sweep_window_look(const struct mu_sweep_spec *spec,
                              const struct mu_sweep_trials *trials,
                              const struct mu_sweep_result *result, uint32_t count, uint32_t b,
                              struct mu_sweep_window *window, double size[MU_SWEEP_LIST]);
/* No more sizes will come, whatever its results. */
bool mu_sweep_window_is_final(const struct mu_sweep_window *w);

#endif

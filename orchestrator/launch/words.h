/* What is launched: "train CONFIG key=value...", or "sweep SWEEP ...". */
#ifndef MUSTER_LAUNCH_WORDS_H
#define MUSTER_LAUNCH_WORDS_H

#include "orchestrator/base/file.h"
#include "orchestrator/config/settings.h"
#include "orchestrator/sweep/part.h"

/* Its configuration, of a sweep that of all trials, and the folder of the run, of the sweep or of
 * that part of it. A mistake in it would be made again by every start: MU_CONFIG, or whatever it
 * is, reported. So is what others do on a sweep that does not go together with this: MU_FAILED. */
enum mu_status mu_launch_check_words(char *const *words, int count, struct mu_sweep_part part,
                                     struct mu_settings *settings,
                                     char folder[MU_PATH_MAX]) MU_CHECKED;

#endif

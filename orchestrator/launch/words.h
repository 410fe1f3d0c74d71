/* What is launched: "train CONFIG key=value...", or "sweep SWEEP ...". */
#ifndef MUSTER_LAUNCH_WORDS_H
#define MUSTER_LAUNCH_WORDS_H

#include "orchestrator/base/file.h"
#include "orchestrator/config/settings.h"

/* Its configuration, of a sweep that of all trials, and the folder of the run or the sweep. A
 * mistake in it would be made again by every start: MU_CONFIG, or whatever it is, reported. */
enum mu_status mu_launch_check_words(char *const *words, int count, struct mu_settings *settings,
                                     char folder[MU_PATH_MAX]) MU_CHECKED;

#endif

/* The checkpoint that a person names: a checkpoint's folder (or its checkpoint.h5), a run (its newest
 * checkpoint that is whole), or RUN@STEP. */
#ifndef MUSTER_RUN_WHICH_CHECKPOINT_H
#define MUSTER_RUN_WHICH_CHECKPOINT_H

#include <stdbool.h>

#include "orchestrator/base/file.h"
#include "worker/checkpoint/checkpoint.h"

/* Whether `named` is RUN@STEP, and no folder of that very name: where the checkpoint would be. */
bool mu_which_step(const char *named, char folder[MU_PATH_MAX]);

/* The folder, without symbolic links and "..", and what it says; the caller deinits *info. Parts are
 * there, their contents are not looked at. MU_NOT_FOUND, reported, with what was expected and what
 * there is; MU_CORRUPT, reported, when it is damaged. */
enum mu_status mu_which_checkpoint(const char *named, char folder[MU_PATH_MAX],
                                   struct mu_checkpoint_info *info) MU_CHECKED;
/* For when its contents turn out to be damaged: of a run that was named the newest one before that
 * of *info, which becomes that one's. MU_NOT_FOUND, unreported: there is none, as there is none of
 * what is no run. */
enum mu_status mu_which_checkpoint_older(const char *run, char folder[MU_PATH_MAX],
                                         struct mu_checkpoint_info *info) MU_CHECKED;

#endif

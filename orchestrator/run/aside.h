/* What a run was, kept when it begins again or takes another end: nothing is overwritten. Under the
 * run's lock. */
#ifndef MUSTER_RUN_ASIDE_H
#define MUSTER_RUN_ASIDE_H

#include <stdint.h>

#include "orchestrator/base/file.h"

/* For --fresh: the directory of a run that was begun becomes PATH.1, or the next number that is
 * free, under its lock, with a line that says so; a restart by Slurm of a job that has done it
 * already goes on instead. MU_FAILED, reported, while somebody trains it. */
enum mu_status mu_run_aside_for_fresh(const char *path) MU_CHECKED;

/* The end that the run has had so far, whose last step is `last`: everything but the checkpoints of
 * steps up to `step`, from which it goes on, is in ended-LAST of the run directory then, which is a
 * run directory itself (config.cfg, status.json, metrics, journal, those checkpoints). The files
 * remain, too. May be repeated after a crash in the middle. `aside`: its path. */
enum mu_status mu_run_aside_end(const char *path, int64_t step, int64_t last,
                                char aside[MU_PATH_MAX]) MU_CHECKED;

#endif

/* What a run was, kept when it begins again or takes another end: nothing is overwritten. Under the
 * run's lock. */
#ifndef MUSTER_RUN_ASIDE_H
#define MUSTER_RUN_ASIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/file.h"

/* For --fresh: the directory of a run that was begun becomes PATH.1, or the next number that is
 * free, under its lock, with a line that says so; a restart by Slurm of a job that has done it
 * already goes on instead. MU_FAILED, reported, while somebody trains it. */
enum mu_status mu_run_aside_for_fresh(const char *path) MU_CHECKED;
/* Slurm has started this job again: an earlier start of it has done what --fresh asks for. */
bool mu_run_aside_was_done(void);
/* Before that, with --from: MU_CONFIG, reported, when the checkpoint lies in the run's directory. */
enum mu_status mu_run_aside_leaves(const char *path, const char *checkpoint) MU_CHECKED;

/* The end that the run has had so far, whose last step is `last`: everything but the checkpoints of
 * steps up to `step`, from which it goes on, is in ended-LAST of the run directory then, which is a
 * run directory itself (config.cfg, status.json, metrics, journal, those checkpoints). The files
 * remain, too. May be repeated after a crash in the middle. `aside`: its path. */
enum mu_status mu_run_aside_end(const char *path, int64_t step, int64_t last,
                                char aside[MU_PATH_MAX]) MU_CHECKED;
/* Removes what writers have left that were killed in the middle: half an end, half a file. */
enum mu_status mu_run_aside_tidy(const char *path) MU_CHECKED;

/* Of a run that could not begin, the directory that was made for it: nothing but what a start makes
 * goes, and nothing where a run, a launcher or anybody's files are. Takes the lock for it. */
void mu_run_aside_forget(const char *path);

#endif

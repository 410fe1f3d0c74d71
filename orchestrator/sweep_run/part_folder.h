/* Where parts of a split sweep are kept: SWEEPDIR/parts/K-of-M, which is a sweep's folder like any
 * other (lock, journal, control, sweep.json, tables), but that its trials lie in SWEEPDIR/trials.
 * So a trial that is done is done for any number of parts, and for none. */
#ifndef MUSTER_SWEEP_RUN_PART_FOLDER_H
#define MUSTER_SWEEP_RUN_PART_FOLDER_H

#include <stdbool.h>

#include "orchestrator/base/file.h"
#include "orchestrator/sweep/part.h"

/* SWEEPDIR/parts/K-of-M; of 0: SWEEPDIR itself. */
enum mu_status mu_sweep_part_path(char out[MU_PATH_MAX], const char *whole,
                                  struct mu_sweep_part part) MU_CHECKED;
/* SWEEPDIR of that; which part it is. of 0, and the path as it is: it is no part's. */
struct mu_sweep_part mu_sweep_part_of_path(char whole[MU_PATH_MAX], const char *path);

/* The folders of parts that are there, by `of` and number; malloc'ed, NULL: none. */
struct mu_sweep_part *mu_sweep_part_list(const char *whole, uint32_t *count);
/* Whether there is one. */
bool mu_sweep_part_is_any(const char *whole);

/* ---- who works on it ---- */
/* A process of this machine has the lock of SWEEPDIR, or of any part of it. */
bool mu_sweep_is_locked(const char *path);
/* A launcher has it, or any part of it. Takes up to two seconds for each that has died. */
bool mu_sweep_is_launched(const char *path);

/* Before anything is written: nobody may work at this time on the same sweep who deals its trials
 * otherwise, by another number of parts or another file. What runs on other machines is known by
 * its files changing, so that this may take three seconds. MU_FAILED, told. */
enum mu_status mu_sweep_part_admit(const char *whole, struct mu_sweep_part part,
                                   const struct mu_sweep_spec *spec, const struct mu_settings *base,
                                   const char *file) MU_CHECKED;

#endif

/* What a sweep leaves for people and programs, in its folder; written aside and renamed, so that each
 * can be read at any time.
 *
 *   results.csv    a line a trial that has ended, sorted by name; only what is reproducible: `muster
 *                  fit` reads it as it is
 *   timing.csv     rank-seconds, retries, deaths, moves, groups of each trial
 *   sweep.json     where it stands, for `muster status` and scripts
 *   timeline.csv   who trained what when (state.h: spans)
 *   fit.json, report.html   of `muster fit FOLDER`, which reads all of these */
#ifndef MUSTER_SWEEP_RUN_RECORDS_H
#define MUSTER_SWEEP_RUN_RECORDS_H

#include "orchestrator/base/status.h"
#include "orchestrator/sweep_run/state.h"

enum mu_status mu_sweep_write_results(const struct mu_sweep_state *s) MU_CHECKED;
enum mu_status mu_sweep_write_timing(const struct mu_sweep_state *s) MU_CHECKED;
enum mu_status mu_sweep_write_status(const struct mu_sweep_state *s) MU_CHECKED; /* sweep.json */

/* report.html and fit.json by a `muster fit FOLDER` of its own process, at low priority, which dies
 * with this one: never blocks. One at a time; asked for while one runs, another follows. */
struct mu_sweep_reporter {
    int pid; /* 0: none runs */
    bool again;
    uint64_t next_ns; /* not sooner */
    char path[MU_PATH_MAX];
};
void mu_sweep_reporter_init(struct mu_sweep_reporter *r, const char *sweep_path);
void mu_sweep_reporter_ask(struct mu_sweep_reporter *r); /* results have come */
void mu_sweep_reporter_poll(struct mu_sweep_reporter *r);
/* The last one: waits for it, polling, under a deadline. MU_TIMEOUT, MU_FAILED: told. */
enum mu_status mu_sweep_reporter_finish(struct mu_sweep_reporter *r, void (*poll)(void *context),
                                        void *context) MU_CHECKED;

#endif

/* How a sweep looks on a terminal, live and in `muster status`: the same table from the same data,
 * there out of sweep.json. */
#ifndef MUSTER_SWEEP_RUN_SHOW_H
#define MUSTER_SWEEP_RUN_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/run/progress_text.h"
#include "orchestrator/sweep_run/state.h"

/* The table's contents, as sweep.json has them. */
struct mu_sweep_view;
enum mu_status mu_sweep_view_make(const struct mu_sweep_state *s,
                                  struct mu_sweep_view **out) MU_CHECKED;
/* MU_NOT_FOUND (not reported): no sweep.json stands there. MU_CORRUPT. */
enum mu_status mu_sweep_view_read(const char *sweep_path, struct mu_sweep_view **out) MU_CHECKED;
void mu_sweep_view_free(struct mu_sweep_view *v);
/* Whether those who wrote it were started by a launcher; and: one has it now, and starts it again,
 * so that it runs, whoever was killed. */
bool mu_sweep_view_was_launched(const struct mu_sweep_view *v);
void mu_sweep_view_set_launched(struct mu_sweep_view *v);
/* Trials that train, then what changed last, then counts: cell, N, D, C, group, step/total, tok/s,
 * loss, ETA, retries; a bar of the fleet; a line a budget: "minimum bracketed? yes/left/right".
 * columns, rows: of the terminal; rows 0: everything. */
void mu_sweep_view_print(FILE *out, const struct mu_sweep_view *v, int columns, int rows);

/* Where the whole stands: an end, and trials that failed, by the counts; killed, by the lock of its
 * folder (view_read only). */
enum mu_sweep_standing {
    MU_SWEEP_RUNS,
    MU_SWEEP_WAS_KILLED,
    MU_SWEEP_STOPPED, /* trials are left: the same command goes on */
    MU_SWEEP_COMPLETE,
    MU_SWEEP_HAS_FAILURES /* all have ended, some without a result */
};
enum mu_sweep_standing mu_sweep_view_standing(const struct mu_sweep_view *v);
/* "sweep NAME  23 of 96 trials ended  4 train  10 of 16 ranks busy  81k tok/s  goodput 97.3 %
 * 12:05  ETA 3:32" */
struct mu_progress_text mu_sweep_view_line(const struct mu_sweep_view *v);

/* The master's: on a terminal the table in place, redrawn at most twice a second; else a line for
 * each trial that ends and one of progress each 30 s. NULL is allowed in all of them. */
struct mu_sweep_screen;
struct mu_sweep_screen *mu_sweep_screen_open(void);
void mu_sweep_screen_put(struct mu_sweep_screen *screen, const struct mu_sweep_state *s);
/* Trial i has ended: cell[i]. */
void mu_sweep_screen_tell(struct mu_sweep_screen *screen, const struct mu_sweep_state *s,
                          uint32_t trial);
void mu_sweep_screen_close(struct mu_sweep_screen *screen, const struct mu_sweep_state *s);

#endif

/* How a sweep looks on a terminal, live and in `muster status`: the same table from the same data,
 * there out of sweep.json. */
#ifndef MUSTER_SWEEP_RUN_SHOW_H
#define MUSTER_SWEEP_RUN_SHOW_H

#include <stdbool.h>
#include <stdio.h>

#include "orchestrator/base/status.h"
#include "orchestrator/sweep_run/state.h"

/* The table's contents, as sweep.json has them. */
struct mu_sweep_view;
enum mu_status mu_sweep_view_make(const struct mu_sweep_state *s,
                                  struct mu_sweep_view **out) MU_CHECKED;
enum mu_status mu_sweep_view_read(const char *sweep_path, struct mu_sweep_view **out) MU_CHECKED;
void mu_sweep_view_free(struct mu_sweep_view *v);
/* Trials that train, then what changed last, then counts: cell, N, D, C, group, step/total, tok/s,
 * loss, ETA, retries; a bar of the fleet; a line a budget: "minimum bracketed? yes/left/right".
 * columns, rows: of the terminal; rows 0: everything. */
void mu_sweep_view_print(FILE *out, const struct mu_sweep_view *v, int columns, int rows);

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

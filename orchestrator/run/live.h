/* Text that stands at the end of a terminal and is redrawn in place: a progress bar, a table. Log
 * lines come before it and do not tear it. No colours. */
#ifndef MUSTER_RUN_LIVE_H
#define MUSTER_RUN_LIVE_H

#include <stdbool.h>

/* Whether fd wants such text: it is a terminal (not TERM=dumb), or MUSTER_PROGRESS=bar says so, as
 * under mpirun stderr is a pipe even when a person watches it. MUSTER_PROGRESS=lines: never. */
bool mu_live_wanted(int fd);

/* Of the terminal; else of COLUMNS and LINES, where the environment has them; else 80 x 24. */
struct mu_live_size {
    int columns, rows;
};
struct mu_live_size mu_live_size(int fd);

struct mu_live;

/* One at a time in a process, since it takes the log's guard. NULL: no memory; allowed below. */
struct mu_live *mu_live_open(int fd);
/* In the place of what stands there; "": nothing. Without a newline in it, text is a bar in the
 * cursor's line; else it ends with one, and whatever kills the process leaves the cursor below it.
 * No line may reach the terminal's last column (some wrap there), and their number must be below
 * that of its rows. */
void mu_live_put(struct mu_live *l, const char *text);
/* Whole lines that stay, before what is redrawn. */
void mu_live_say(struct mu_live *l, const char *lines);
/* keep: what stands there stays, and is redrawn no more. */
void mu_live_close(struct mu_live *l, bool keep);

#endif

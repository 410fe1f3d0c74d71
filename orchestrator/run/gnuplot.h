/* gnuplot in a process of its own, at low priority and under a deadline: for the loss curve of a
 * run (run/loss_svg.h), the pictures of a report (report/pictures.h) and those of `muster plot`
 * (plot/picture.h).
 *
 *            start                       ended, or killed at the deadline
 *   (idle) --------> (drawing: pid > 0) ----------------------------------> (idle) */
#ifndef MUSTER_RUN_GNUPLOT_H
#define MUSTER_RUN_GNUPLOT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "orchestrator/base/clock.h"

struct mu_gnuplot {
    pid_t pid;  /* 0: idle */
    int errors; /* what it says on stderr; -1: none */
    int output; /* what it writes to stdout, kept in memory; -1: not wanted */
    struct mu_deadline deadline;
};

#define MU_GNUPLOT_IDLE ((struct mu_gnuplot){.errors = -1, .output = -1})

/* Starts it inside `folder` (NULL: here) with a script of any size. 0 or an errno; ENOENT: there is
 * no gnuplot. Never blocks. */
int mu_gnuplot_start(struct mu_gnuplot *g, const char *folder, const char *script, size_t size,
                     bool keep_output, unsigned deadline_ms);

/* True once it has ended, or was ended at its deadline with all it started; `status` is then as
 * of waitpid (0 also when somebody else has waited for it). mu_gnuplot_close must follow. Cheap. */
bool mu_gnuplot_poll(struct mu_gnuplot *g, int *status);
/* Why it ended with `status`: "gnuplot ended with 2: no such terminal". Before mu_gnuplot_close. */
void mu_gnuplot_explain(const struct mu_gnuplot *g, int status, char *text, size_t size);
/* All it wrote to stdout, with a zero byte after it; the caller frees. NULL: nothing, or no memory.
 * Before mu_gnuplot_close. */
char *mu_gnuplot_output(const struct mu_gnuplot *g, size_t *size);
void mu_gnuplot_close(struct mu_gnuplot *g);

#endif

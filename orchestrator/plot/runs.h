/* Which runs the words of a command line mean: the folder of a run, of a sweep (its trials), or of
 * runs. */
#ifndef MUSTER_PLOT_RUNS_H
#define MUSTER_PLOT_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "orchestrator/base/file.h"
#include "orchestrator/base/status.h"

struct mu_plot_run {
    char *path;
    char *name; /* for people: the last part of the path, or more where that is not unique */
    bool named; /* by the user, and not found in a folder */
    dev_t device;
    ino_t inode;
};

struct mu_plot_runs {
    struct mu_plot_run *run; /* each folder once, in the order given, those of a folder by name */
    size_t count;
};

/* MU_NOT_FOUND, reported, where a word is none of the three. Free with mu_plot_runs_deinit. */
enum mu_status mu_plot_runs_find(char *const *word, int count, struct mu_plot_runs *out) MU_CHECKED;
void mu_plot_runs_deinit(struct mu_plot_runs *runs);

#endif

/* A `muster launch` that the drill starts, as a user would, and what belongs to it: its mpirun, and
 * the ranks. Bound to die with the drill. */
#ifndef MUSTER_DRILL_CHILD_H
#define MUSTER_DRILL_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "orchestrator/base/status.h"
#include "orchestrator/drill/cases.h"

struct mu_drill_child {
    pid_t pid; /* 0: none */
    int status;
};

/* `words` follow "muster launch"; NULL ends them. What it says is added to the file `log`. fault:
 * MUSTER_FAULT, "" for none. No other MUSTER_ variable is handed on, but MUSTER_HOSTS. */
enum mu_status mu_drill_child_start(struct mu_drill_child *child, const char *const *words,
                                    const char *log, const char *fault) MU_CHECKED;
/* true: it has ended, and child->status is what waitpid gave. */
bool mu_drill_child_has_ended(struct mu_drill_child *child);
/* Asks it to end at once, with all it started, and sees to it. */
void mu_drill_child_end(struct mu_drill_child *child);

/* The processes of a launch, as /proc has them now. */
enum { MU_DRILL_RANKS = 256 };
struct mu_drill_family {
    pid_t launcher, mpirun; /* 0: not there */
    struct mu_drill_member {
        pid_t pid; /* 0: not there */
        uint64_t start_time;
    } rank[MU_DRILL_RANKS];
};
void mu_drill_family_find(const struct mu_drill_child *child, struct mu_drill_family *out);
/* Whether there was anybody to send it to. */
bool mu_drill_family_signal(const struct mu_drill_family *family, const struct mu_drill_signal *s);
/* SIGCONT to the ranks that are still those of `family`. */
void mu_drill_family_continue(const struct mu_drill_family *family);

#endif

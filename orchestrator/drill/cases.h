/* The faults that a drill tries, one after the other, as data: what is done to a run, and what must
 * have happened for the fault to count as tried. Pure.
 *
 * A fault is given by name (base/fault.h) where the ranks themselves know the moment, and sent as a
 * signal by the drill where they do not. */
#ifndef MUSTER_DRILL_CASES_H
#define MUSTER_DRILL_CASES_H

#include <stdbool.h>
#include <stdint.h>

enum mu_drill_target {
    MU_DRILL_RANK,
    MU_DRILL_EVERY_RANK,
    MU_DRILL_ALL_BUT_ONE, /* every rank but the highest */
    MU_DRILL_MPIRUN,
    MU_DRILL_LAUNCHER,
};

struct mu_drill_signal {
    enum mu_drill_target target;
    int rank; /* MU_DRILL_RANK */
    int number;
};

enum { MU_DRILL_CASES = 64, MU_DRILL_SIGNALS = 2 };

struct mu_drill_case {
    char name[40], what[160]; /* for --only; for people */
    char fault[256];          /* MUSTER_FAULT of the first launch; "": none */
    char fault_after[64];     /* of the second */
    const char *setting;      /* one more key=value; NULL: none */
    uint32_t points;          /* a bit for each named point whose faults count */
    int64_t ranks;            /* of this case */
    int expected;             /* faults at these points, or signals, or damaged checkpoints */
    int signals;              /* sent when `at_step` steps have been recorded */
    struct mu_drill_signal signal[MU_DRILL_SIGNALS];
    int64_t at_step;
    bool continue_late; /* SIGCONT for what was stopped, after it should have been given up */
    bool forget;        /* before the second launch: the state in memory is removed, */
    bool tear;          /* and the newest checkpoint is cut */
};

/* Fills out[MU_DRILL_CASES] for runs of `ranks` ranks (at least 2) and `steps` steps (at least 12);
 * gives back how many. */
int mu_drill_cases(int64_t ranks, int64_t steps, struct mu_drill_case *out);

/* Is its name meant by `only`: patterns with commas between them, each of which may stand anywhere
 * in the name ("worker", "kill-*-flip")? NULL means all. */
bool mu_drill_is_meant(const struct mu_drill_case *c, const char *only);

#endif

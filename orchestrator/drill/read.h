/* What the runs of a drill have left: the lines they said, their status and their losses; and what
 * is to be made of it. Reading files apart, pure. */
#ifndef MUSTER_DRILL_READ_H
#define MUSTER_DRILL_READ_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/fault.h"
#include "orchestrator/base/status.h"
#include "orchestrator/drill/cases.h"

/* Of all lines of a case, at MUSTER_LOG=debug. */
struct mu_drill_lines {
    int hits[MU_FAULT_COUNT]; /* faults at each named point */
    int repairs, relaunches;  /* in the job; generations that the launcher started again */
    int passed_over;          /* checkpoints that were found to be damaged */
    uint64_t shards_again;    /* that repairs had computed again */
    /* The longest of each, in s: repair in the job; from a generation's end to training again; how
     * long a rank stood still until it was ended. */
    double repair_s, relaunch_s, fenced_s;
    double start_s; /* of the last launch: from mpirun to training */
    enum {
        MU_DRILL_NOWHERE,
        MU_DRILL_FRESH,
        MU_DRILL_CHECKPOINT,
        MU_DRILL_MEMORY
    } from; /* newest */
};
void mu_drill_read_lines(const char *text, struct mu_drill_lines *out);

/* What a run has come to. */
struct mu_drill_result {
    bool complete;
    char hash[40];
    uint64_t shards_redone, steps_lost;
    int64_t steps;   /* records; each step must stand there once */
    uint64_t losses; /* of all records, in order: steps, losses, validation losses */
};
/* From the run directory; what cannot be read is empty. */
void mu_drill_read_result(const char *run, struct mu_drill_result *out);
int64_t mu_drill_count_records(const char *run); /* lines of its metrics */

/* How the launches of a case went. */
struct mu_drill_course {
    int launches, sent; /* signals that found whom they were for */
    int exit_code;      /* of the last launch; -1: by a signal */
    bool late;          /* it had to be ended: its deadline had passed */
    bool requeued;      /* a launch ended with 75 */
    double seconds;     /* in all */
    struct mu_drill_lines said;
    struct mu_drill_result result;
};

enum mu_drill_verdict {
    MU_DRILL_SURVIVED,
    MU_DRILL_NOT_REACHED, /* the same result, but the fault did not happen, or only in part */
    MU_DRILL_DIFFERS,
    MU_DRILL_NOT_COMPLETE,
    MU_DRILL_TOO_LATE,
};
enum mu_drill_verdict mu_drill_judge(const struct mu_drill_case *c,
                                     const struct mu_drill_course *course,
                                     const struct mu_drill_result *undisturbed);
const char *mu_drill_verdict_words(enum mu_drill_verdict v);
/* "R1 in the job", "R3 from memory", ...; "-": nothing had to be done. */
const char *mu_drill_rung(const struct mu_drill_course *course);
/* From noticing to being at work again, in s; of several times, the longest. -1: nothing had to be
 * done, or nobody has seen how long it took. */
double mu_drill_repair_s(const struct mu_drill_course *course);
/* What an undisturbed run computes twice by itself (its first step) is not counted. */
uint64_t mu_drill_shards_again(const struct mu_drill_course *course,
                               const struct mu_drill_result *undisturbed);

#endif

/* What the ranks of a generation wrote into status.json, or those of a sweep into sweep.json: the
 * launcher believes nothing else. */
#ifndef MUSTER_LAUNCH_OUTCOME_H
#define MUSTER_LAUNCH_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/core/ladder.h"

struct mu_outcome {
    bool is_there;                  /* a status that can be read */
    bool is_of_job;                 /* written by this generation */
    bool is_running;                /* of it: past the start */
    enum mu_ladder_outcome outcome; /* of it */
    bool agreed;
    bool was_stopped;    /* of it: somebody wanted that, who is not the launcher making room */
    int dead_rank;       /* the first that did; -1: none */
    uint64_t signs;      /* changes with everything that stands there, but for times of a sweep */
    int64_t step, steps; /* as in the file, whoever wrote it; -1: none, or a sweep (trials.h) */
    double left_s;       /* of a sweep, estimated; NAN */
};

/* run: the folder of a run, or of a sweep. Never fails: what cannot be read is not there. */
struct mu_outcome mu_outcome_read(const char *run, const char *job);

/* Step of the newest checkpoint, whole or not; 0: there is none. */
int64_t mu_outcome_saved(const char *run);

#endif

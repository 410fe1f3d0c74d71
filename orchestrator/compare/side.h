/* One of the two things that are compared, read once: a run directory or a checkpoint. What a run
 * recorded, and what its checkpoints say, become one list with an entry a step. */
#ifndef MUSTER_COMPARE_SIDE_H
#define MUSTER_COMPARE_SIDE_H

#include "orchestrator/base/file.h"
#include "orchestrator/base/hash.h"

struct mu_side_record {
    int64_t step;
    double loss, gradient_norm; /* NaN also where that came out */
    double valid_loss;          /* NaN: not evaluated */
    bool has_metrics;           /* those three were recorded; else only the hash is known */
    bool has_hash;
    struct mu_hash hash; /* of the state after this step */
};

struct mu_side_checkpoint {
    int64_t step;
    struct mu_hash hash;
    char *folder;
};

struct mu_side {
    char path[MU_PATH_MAX];
    bool is_run;
    struct mu_side_record *record; /* ascending, one a step */
    size_t count, room;
    struct mu_side_checkpoint *checkpoint; /* those that are whole, ascending */
    uint32_t checkpoints;
    int64_t saved;          /* step of the newest checkpoint that the journal tells of; 0: none */
    int64_t end;            /* the last step that it tells of; 0: of none */
    char *config;           /* text, resolved; NULL: none */
    char fingerprint[1024]; /* of who computed it, at last; "": not known */
    char data[64];          /* identity of the training data; "": not known */
};

/* Reads a run's metrics, journal and checkpoints, or a checkpoint. A step that was recorded again,
 * after a restart, counts as it was recorded last; what a restart passed over does not count.
 * MU_NOT_FOUND when it is neither. */
enum mu_status mu_side_read(const char *path, struct mu_side *out) MU_CHECKED;
void mu_side_deinit(struct mu_side *s);
/* What metrics and journal of the run at `s->path` say alone, without its checkpoints; *s is zero
 * but for the path. */
enum mu_status mu_side_read_records(struct mu_side *s) MU_CHECKED;

/* NULL: no such step. */
const struct mu_side_record *mu_side_find(const struct mu_side *s, int64_t step);
const struct mu_side_checkpoint *mu_side_find_checkpoint(const struct mu_side *s, int64_t step);

#endif

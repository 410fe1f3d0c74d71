/* What a sweep's journal says of earlier masters and starts: which trials have ended, and how; who
 * trained what when; and which assignments nobody has written the end of. By names of trials, whose
 * numbers may be others now. */
#ifndef MUSTER_SWEEP_RUN_PAST_H
#define MUSTER_SWEEP_RUN_PAST_H

#include "orchestrator/sweep_run/state.h"

struct mu_sweep_past_trial {
    char name[128];
    struct mu_cell cell; /* as of its last record; phase: an end, or READY */
};
/* What is in the files that trials read, as their identities: "": none is read. */
struct mu_sweep_data {
    struct mu_hash_text train, valid;
};

/* A rank in a group; while it is `open`, as far as is written. */
struct mu_sweep_past_part {
    uint64_t group;
    struct mu_sweep_span span; /* trial: in this struct */
    bool is_open;
};

struct mu_sweep_past {
    struct mu_sweep_past_trial *trial;
    uint32_t trials, trial_capacity;
    uint32_t *slot; /* by hash of the name: index + 1 */
    uint32_t slots;
    struct mu_sweep_past_part *part;
    uint32_t parts, part_capacity;
    uint32_t first_open; /* no part before it is open */
    uint32_t start;      /* number of the newest; 0: none */
    double began, last;  /* dates of the first start and the last record; 0: none */
    struct mu_ledger_sum goodput;
    bool has_data;
    struct mu_sweep_data data; /* as the first start had it */
    enum mu_status status;
};

/* folder: the journal's. */
enum mu_status mu_sweep_past_read(struct mu_sweep_past *past, const char *folder) MU_CHECKED;
void mu_sweep_past_deinit(struct mu_sweep_past *past);
/* Everybody of before is gone, as a new start knows: nothing is open, and what had failed is tried
 * again. */
void mu_sweep_past_close(struct mu_sweep_past *past);
const struct mu_sweep_past_trial *mu_sweep_past_find(const struct mu_sweep_past *past,
                                                     const char *name);

#endif

/* What `muster inspect` finds out about a checkpoint, apart from how it is shown. */
#ifndef MUSTER_INSPECT_CHECKPOINT_H
#define MUSTER_INSPECT_CHECKPOINT_H

#include <stdbool.h>
#include <stdio.h>

#include "worker/checkpoint/checkpoint.h"

struct mu_inspected_tensor {
    double weight_norm; /* L2; deep only */
    uint64_t nonfinite; /* weights that are NaN or Inf; deep only */
};

/* PRESENT: there, and of this checkpoint; its checksums were not read. OK: they were, and are
 * right. */
enum mu_inspected_state { MU_PART_PRESENT, MU_PART_OK, MU_PART_MISSING, MU_PART_DAMAGED };
struct mu_inspected_part {
    char file[32];
    uint64_t bytes;
    enum mu_inspected_state state;
};

struct mu_inspected {
    char folder[MU_PATH_MAX];
    struct mu_checkpoint_info info;
    struct mu_layout layout;
    struct mu_inspected_tensor *tensors;
    struct mu_inspected_part *parts;
    uint64_t bytes;       /* of all files */
    uint32_t parts_bad;   /* missing or damaged */
    bool views_bad;       /* deep: checkpoint.h5 shows other programs something else */
    bool deep;            /* asked for */
    bool read;            /* deep: every checksum of the parts that are there was looked at */
    bool whole;           /* read, and every checksum is right */
    struct mu_hash state; /* deep and whole: computed from the tensors */
};

/* MU_OK also when parts are missing or damaged: that is what is to be shown. */
enum mu_status mu_inspect_checkpoint(const char *folder, bool deep,
                                     struct mu_inspected *out) MU_CHECKED;
void mu_inspected_deinit(struct mu_inspected *c);
/* Nothing that was looked at is wrong. */
bool mu_inspected_good(const struct mu_inspected *c);

/* inspect_show.c. `all`: every tensor; otherwise the first ones, and those with numbers that are not
 * finite. */
void mu_inspected_print(const struct mu_inspected *c, bool all, FILE *out);
struct json_t *mu_inspected_json(const struct mu_inspected *c); /* NULL: no memory */

#endif

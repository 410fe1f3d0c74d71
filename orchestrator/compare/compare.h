/* muster diff: where two runs or checkpoints part, and how far. Reads only. */
#ifndef MUSTER_COMPARE_COMPARE_H
#define MUSTER_COMPARE_COMPARE_H

#include <stdio.h>

#include "orchestrator/compare/side.h"
#include "orchestrator/compare/tensors.h"
#include "orchestrator/config/schema.h"

/* Steps that both have recorded. A hash vouches for the whole state of a step, a loss for the step
 * that was computed: losses and norms that differ are a sign that the states before did. */
struct mu_records_compared {
    uint64_t common, hashes; /* steps that both tell something of; state hashes that both have */
    int64_t hash_until;      /* the last of them that is the same, before they part; -1: none */
    int64_t until;           /* the last step of which all is the same, before they part; -1 */
    int64_t parts_at;        /* the first step of which something differs; -1: none */
    const struct mu_side_record *a, *b;         /* of that step */
    bool loss, gradient_norm, valid_loss, hash; /* what differs there */
};
void mu_records_compare(const struct mu_side *a, const struct mu_side *b,
                        struct mu_records_compared *out);

struct mu_key_difference {
    const struct mu_key *key;
    char *value[2]; /* as in a configuration; malloc'ed */
};

enum mu_compared_result { MU_SAME_BITS, MU_DIFFERENT };

struct mu_compared {
    struct mu_side side[2];
    struct mu_records_compared records;
    const struct mu_side_checkpoint *pair[2]; /* whose numbers were compared; NULL: no two */
    struct mu_tensors_compared tensors;
    bool config_known; /* both have one that this version can read */
    struct mu_key_difference *key;
    uint32_t keys; /* that differ */
    enum mu_compared_result result;
};

/* MU_CORRUPT, MU_NOT_FOUND, MU_FAILED, reported: they could not be compared. */
enum mu_status mu_compare(const char *a, const char *b, struct mu_compared *out) MU_CHECKED;
void mu_compared_deinit(struct mu_compared *c);

/* tell.c. `all`: every array of every tensor that differs, however many. */
void mu_compared_print(const struct mu_compared *c, bool all, FILE *out);
struct json_t *mu_compared_json(const struct mu_compared *c); /* NULL: no memory */

#endif

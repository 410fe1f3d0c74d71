/* What the name of a column says that it holds, and in which unit. Case, spaces and punctuation do
 * not matter; of a path ("train/tokens_seen", "eval.loss") the last part counts as well. */
#ifndef MUSTER_POINTS_HEADS_H
#define MUSTER_POINTS_HEADS_H

#include <stdbool.h>

#include "orchestrator/points/points_csv.h"

enum { MU_HEAD_NONE = 999, MU_HEAD_NO_UNIT = -1 };

struct mu_head_match {
    int rank;          /* lower is better; MU_HEAD_NONE: it is something else */
    int exponent;      /* unit, as a power of ten */
    bool unit_unknown; /* else it would match */
    bool needs_steps;  /* a match only beside a column of steps */
};

struct mu_head_match mu_head_match(enum mu_column column, const char *head);
/* Of a column that the user named, as a power of ten; MU_HEAD_NO_UNIT: in brackets, and unknown. */
int mu_head_unit(enum mu_column column, const char *head);

bool mu_head_is_alike(const char *head, const char *want); /* up to case, spaces, punctuation */
bool mu_head_is_step(const char *head);                    /* steps of a training run */
bool mu_head_is_perplexity(const char *head);              /* and not its logarithm */

const char *mu_column_option(enum mu_column column);  /* as typed, without dashes */
const char *mu_column_meaning(enum mu_column column); /* for messages: "training tokens", "seed" */
bool mu_column_is_amount(enum mu_column column);
bool mu_column_is_number(enum mu_column column); /* else a name */

#endif

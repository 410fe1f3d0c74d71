/* What has to hold of a rank that lived through a run (toy_rank.h): the bits of the run in which
 * nobody died. */
#ifndef MUSTER_TESTS_TOY_OUTCOME_H
#define MUSTER_TESTS_TOY_OUTCOME_H

#include "tests/support/toy_rank.h"

static inline bool is_same_result(const struct mu_step_result *a, const struct mu_step_result *b)
{
    return a->step == b->step && memcmp(&a->loss, &b->loss, sizeof a->loss) == 0 &&
           memcmp(&a->gradient_norm, &b->gradient_norm, sizeof a->gradient_norm) == 0 &&
           a->lr == b->lr && a->tokens == b->tokens && a->escapes == b->escapes &&
           a->redone == b->redone && a->skipped == b->skipped;
}

/* What is wrong with a rank that lived; NULL: nothing. */
static inline const char *fault_of(const struct rank *r, const struct rank *right,
                                   const struct mu_layout *layout)
{
    if (r->status != MU_OK)
        return "a survivor failed";
    for (int k = 0; k < STEPS; k++)
        if (!is_same_result(&r->result[k], &right->result[k]))
            return "a step's result is not that of the undisturbed run";
    for (int k = 1; k <= STEPS; k++)
        if ((r->hashed >> k & 1) && !mu_hash_equal(r->hash[k], right->hash[k]))
            return "the state on the way is not that of the undisturbed run";
    if (mu_segment_step(&r->segment) != STEPS)
        return "the last step is not committed";
    if (r->has_full_pads)
        return "the pads of some state are not zero";
    if (!r->worker.resident.parts && /* else it was looked at, since nobody has all of it */
        !mu_hash_equal(toy_hash(&r->segment, layout), right->hash[STEPS]))
        return "the last state is not that of the undisturbed run";
    return NULL;
}

#endif

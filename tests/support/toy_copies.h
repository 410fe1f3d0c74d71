/* Copies of the states of toy ranks' devices (worker/snapshot.h): each rank makes its part of one
 * after every step, on machines that are pretended, and may die in it. Include after toy_rank.h. */
#ifndef MUSTER_TESTS_TOY_COPIES_H
#define MUSTER_TESTS_TOY_COPIES_H

#include "tests/support/toy_rank.h"
#include "worker/state_check.h"

static uint64_t toy_machine[MOST_RANKS]; /* by rank */

static inline enum mu_status toy_copies_never(void *context)
{
    (void)context;
    return MU_OK;
}

/* By the first rank of a machine before its others, which share it by number modulo machines. */
static inline bool toy_copies_open(struct rank *r, uint32_t machines, uint64_t run_key)
{
    const struct mu_segment_options how = {
        .run_key = run_key, .generation = 1, .deadline_ms = 60000, .poll = toy_copies_never};

    for (uint32_t i = 0; i < MOST_RANKS; i++)
        toy_machine[i] = i % machines;
    return mu_snapshots_init(&r->copies, &r->worker, toy_machine) == MU_OK &&
           mu_snapshots_open(&r->copies, how) == MU_OK;
}

static inline void toy_copies_close(struct rank *r)
{
    mu_snapshots_close(&r->copies, true);
    mu_snapshots_deinit(&r->copies);
}

/* What is wrong with the copy on a rank's machine, whoever has died there; NULL: nothing. right:
 * hashes by step. */
static inline const char *toy_copies_fault(const struct rank *r, const struct mu_layout *layout,
                                           const struct mu_hash *right, bool nobody_died)
{
    const struct mu_segment *s = &r->copies.segment;
    const struct mu_state_view *half;
    const int64_t step = s->header ? mu_segment_step(s) : 0;

    if (!s->header)
        return NULL;
    if (nobody_died && step != STEPS)
        return "the copy is not of the last step";
    if (!s->header->settled)
        return nobody_died ? "the copy may not be taken up" : NULL;
    if (step < 1 || step > STEPS)
        return "the copy is of no step";
    half = &s->half[mu_segment_half(s)];
    for (uint32_t c = 0; c < layout->chunk_count; c++)
        if (s->chunk[c].check[mu_segment_half(s)] !=
            mu_state_check_chunk(half, &layout->chunks[c], step))
            return "the copy's check is not that of its chunk";
    if (!mu_hash_equal(toy_hash(s, layout), right[step]))
        return "the copy is not the state of its step";
    if (mu_segment_result(s)->step != step)
        return "the copy's result is not that of its step";
    return NULL;
}

#endif

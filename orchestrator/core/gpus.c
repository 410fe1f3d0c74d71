#include "orchestrator/core/gpus.h"

#include <stdlib.h>
#include <string.h>

static const uint32_t nobody = UINT32_MAX;

/* One sight of one GPU; `gpu` is its number among all that are seen by anybody. */
struct seen {
    struct mu_gpu_id id;
    uint32_t rank, index, gpu;
};

struct chooser {
    uint32_t rank, count;
};

struct deal {
    const struct mu_gpu_sight *sight;
    uint32_t ranks, *first; /* gpu_of[first[rank] + index] */
    uint32_t *gpu_of;
    uint32_t *owner; /* by GPU: a rank, or nobody */
    uint32_t *users; /* by GPU: that share it */
    uint32_t *asked; /* by GPU: 1 + the rank whose search came by last */
    int32_t *taken;
};

static int by_id(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct mu_gpu_id)); /* the id stands first */
}

static int by_count_and_rank(const void *a, const void *b)
{
    const struct chooser *x = a, *y = b;

    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

/* Equal ids get one number. */
static void number(struct deal *d, struct seen *seen, uint32_t count)
{
    uint32_t gpu = 0, at = 0;

    for (uint32_t r = 0; r < d->ranks; r++) {
        d->first[r] = at;
        for (uint32_t i = 0; i < d->sight[r].count; i++)
            seen[at++] = (struct seen){d->sight[r].gpu[i], r, i, 0};
    }
    qsort(seen, count, sizeof *seen, by_id);
    for (uint32_t k = 0; k < count; k++) {
        gpu += k > 0 && by_id(&seen[k], &seen[k - 1]) != 0;
        d->gpu_of[d->first[seen[k].rank] + seen[k].index] = gpu;
    }
}

static bool take(struct deal *d, uint32_t rank, uint32_t index)
{
    d->owner[d->gpu_of[d->first[rank] + index]] = rank;
    d->taken[rank] = (int32_t)index;
    return true;
}

/* A GPU for `rank`: a free one, else one whose owner finds another (an augmenting path; no GPU is
 * asked for twice, so that its length and the search end). */
static bool find(struct deal *d, uint32_t rank, uint32_t search)
{
    const uint32_t *gpu = &d->gpu_of[d->first[rank]];

    for (uint32_t i = 0; i < d->sight[rank].count; i++)
        if (d->owner[gpu[i]] == nobody)
            return take(d, rank, i);
    for (uint32_t i = 0; i < d->sight[rank].count; i++) {
        if (d->asked[gpu[i]] == search + 1)
            continue;
        d->asked[gpu[i]] = search + 1;
        if (find(d, d->owner[gpu[i]], search))
            return take(d, rank, i);
    }
    return false;
}

/* The one with the fewest users. */
static void join(struct deal *d, uint32_t rank)
{
    const uint32_t *gpu = &d->gpu_of[d->first[rank]];
    uint32_t best = 0;

    for (uint32_t i = 1; i < d->sight[rank].count; i++)
        if (d->users[gpu[i]] < d->users[gpu[best]])
            best = i;
    d->users[gpu[best]]++;
    d->taken[rank] = (int32_t)best;
}

static void deal(struct deal *d, struct chooser *order, bool share)
{
    for (uint32_t r = 0; r < d->ranks; r++) {
        order[r] = (struct chooser){r, d->sight[r].count};
        d->taken[r] = MU_GPU_NONE;
    }
    qsort(order, d->ranks, sizeof *order, by_count_and_rank);
    for (uint32_t k = 0; k < d->ranks; k++)
        (void)find(d, order[k].rank, order[k].rank); /* who finds none keeps MU_GPU_NONE */
    for (uint32_t r = 0; share && r < d->ranks; r++)
        if (d->taken[r] == MU_GPU_NONE && d->sight[r].count > 0)
            join(d, r);
}

enum mu_status mu_gpus_deal(const struct mu_gpu_sight *sight, uint32_t ranks, bool share,
                            int32_t *taken)
{
    uint32_t count = 0;
    struct deal d = {.sight = sight, .ranks = ranks, .taken = taken};
    struct chooser *order = calloc(ranks + 1, sizeof *order);
    struct seen *seen;
    enum mu_status st = MU_OK;

    for (uint32_t r = 0; r < ranks; r++)
        count += sight[r].count;
    seen = calloc(count + 1, sizeof *seen);
    d.first = calloc(ranks + 1, sizeof *d.first);
    d.gpu_of = calloc(count + 1, sizeof *d.gpu_of);
    d.owner = malloc((count + 1) * sizeof *d.owner);
    d.users = calloc(count + 1, sizeof *d.users);
    d.asked = calloc(count + 1, sizeof *d.asked);
    if (!order || !seen || !d.first || !d.gpu_of || !d.owner || !d.users || !d.asked) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory to deal GPUs to %u ranks", ranks);
    } else {
        memset(d.owner, 0xff, (count + 1) * sizeof *d.owner);
        number(&d, seen, count);
        deal(&d, order, share);
    }
    free(order);
    free(seen);
    free(d.first);
    free(d.gpu_of);
    free(d.owner);
    free(d.users);
    free(d.asked);
    return st;
}

uint32_t mu_gpus_owner(const struct mu_gpu_sight *sight, uint32_t ranks, const int32_t *taken,
                       uint32_t rank)
{
    for (uint32_t r = 0; sight[rank].count > 0 && r < ranks; r++)
        if (taken[r] != MU_GPU_NONE && by_id(&sight[r].gpu[taken[r]], &sight[rank].gpu[0]) == 0)
            return r;
    return ranks;
}

/* Weights, gradients and the update in arithmetic mod 2^32: the total of a step is the same whoever
 * adds which shard, and anything else than each shard once, from the right weights and with the
 * right prediction, ends in another state. */
#include "tests/sim/sim.h"

uint32_t model_mix(uint32_t x)
{
    x = (x ^ x >> 16) * 0x7feb352du;
    x = (x ^ x >> 15) * 0x846ca68bu;
    return x ^ x >> 16;
}

uint32_t model_initial(uint32_t element)
{
    return model_mix(element + 12345);
}

/* The first attempt at such a step is redone in the next turn, with predictions raised to the
 * maxima of the first. */
bool model_overflows(const struct sim *s, uint64_t step)
{
    return model_mix((uint32_t)(step * 2654435761u + s->redo_salt)) % 3 == 0;
}

uint32_t model_sample(uint64_t step, uint32_t shard)
{
    return model_mix((uint32_t)step * 0x85ebca6bu ^ (shard + 1) * 0xc2b2ae35u);
}

/* raised: what the prediction was raised to; 0 in a first attempt. */
uint32_t model_gradient(uint32_t weight, uint32_t element, uint64_t step, uint32_t shard,
                        uint32_t raised)
{
    return model_mix(weight ^ element * 0x9e3779b9u ^ model_sample(step, shard) ^ raised);
}

uint32_t model_update(uint32_t weight, uint32_t total, uint32_t norm)
{
    return model_mix(weight + 3 * total + norm);
}

uint32_t model_hash(const struct sim *s, const uint32_t *weights)
{
    uint32_t h = 1;

    for (uint32_t e = 0; e < s->chunks * CHUNK; e++)
        h = model_mix(h ^ weights[e]);
    return h;
}

/* What a chunk's totals are remembered by: its part of the norm, and its maxima. */
uint32_t model_fold(const uint32_t *total, uint32_t chunk)
{
    return model_mix(total[0] ^ model_mix(total[1] + chunk));
}

static void totals(const struct sim *s, uint64_t step, uint32_t raised, uint32_t *total)
{
    for (uint32_t e = 0; e < s->chunks * CHUNK; e++) {
        total[e] = 0;
        for (uint32_t i = 0; i < s->shards; i++)
            total[e] += model_gradient(s->reference[step][e], e, step, i, raised);
    }
}

static uint32_t fold_all(const struct sim *s, const uint32_t *total)
{
    uint32_t h = 0;

    for (uint32_t c = 0; c < s->chunks; c++)
        h = model_mix(h ^ model_fold(total + c * CHUNK, c));
    return h;
}

void model_reference(struct sim *s)
{
    uint32_t total[MAX_ELEMENTS];

    for (uint32_t e = 0; e < s->chunks * CHUNK; e++)
        s->reference[0][e] = model_initial(e);
    for (uint32_t k = 0; k < s->steps; k++) {
        totals(s, k, 0, total);
        if (model_overflows(s, k))
            totals(s, k, fold_all(s, total) | 1, total);
        s->norm[k + 1] = fold_all(s, total);
        for (uint32_t e = 0; e < s->chunks * CHUNK; e++)
            s->reference[k + 1][e] = model_update(s->reference[k][e], total[e], s->norm[k + 1]);
    }
}

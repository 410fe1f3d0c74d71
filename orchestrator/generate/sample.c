#include "orchestrator/generate/sample.h"

#include <math.h> /* isnan */
#include <string.h>

#include "orchestrator/base/detmath.h"
#include "orchestrator/base/log.h"
#include "orchestrator/base/rng.h"

/* Integers in the order of the floats that they are made of; both zeros are one. */
static uint32_t key_of(float x)
{
    uint32_t bits;

    x += 0.0f;
    memcpy(&bits, &x, sizeof bits);
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* Which tokens may be drawn: those above `key`, and the first `ties` of those at it. */
struct admitted {
    uint32_t key;
    int64_t ties;
};

static int64_t count_above(const float *logits, int64_t count, uint32_t key)
{
    int64_t n = 0;

    for (int64_t i = 0; i < count; i++)
        n += key_of(logits[i]) > key;
    return n;
}

/* The k likeliest: the least key that fewer than k tokens are above, by bisection. */
static struct admitted admit(const float *logits, int64_t count, int64_t k)
{
    uint32_t low = 0, high = UINT32_MAX;

    if (k == 0 || k >= count)
        return (struct admitted){0, count};
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;

        if (count_above(logits, count, middle) < k)
            high = middle;
        else
            low = middle + 1;
    }
    return (struct admitted){low, k - count_above(logits, count, low)};
}

static int32_t likeliest(const float *logits, int64_t count)
{
    int64_t best = 0;

    for (int64_t i = 1; i < count; i++)
        best = logits[i] > logits[best] ? i : best;
    return (int32_t)best;
}

/* Adds up weights in the order of the tokens, until the sum is beyond `until`. Gives back the sum,
 * and the last token that was added. */
static double add_weights(const struct mu_sampling *s, const float *logits, int64_t count,
                          double until, int32_t *last)
{
    const double largest = (double)logits[likeliest(logits, count)];
    struct admitted in = admit(logits, count, s->top_k);
    double sum = 0;

    for (int64_t i = 0; i < count && sum <= until; i++) {
        const uint32_t key = key_of(logits[i]);

        if (key < in.key || (key == in.key && in.ties-- <= 0))
            continue;
        sum += mu_det_exp(((double)logits[i] - largest) / s->temperature);
        *last = (int32_t)i;
    }
    return sum;
}

enum mu_status mu_sample(const struct mu_sampling *s, const float *logits, int64_t count,
                         uint64_t place, int32_t *token)
{
    double sum, until;

    for (int64_t i = 0; i < count; i++)
        if (isnan(logits[i]) || logits[i] == (float)INFINITY)
            return MU_FAIL(
                MU_FAILED,
                "the model gives no number for token %lld: its weights have grown beyond "
                "what can be computed with; take an earlier checkpoint",
                (long long)i);
    *token = likeliest(logits, count);
    if (s->temperature <= 0)
        return MU_OK;
    sum = add_weights(s, logits, count, (double)INFINITY, token);
    until = sum * mu_rng_uniform(mu_rng_draw(s->seed, MU_RNG_GENERATE, 0, place).w[0]);
    add_weights(s, logits, count, until, token);
    return MU_OK;
}

/* The permutation is a Feistel network in mixed radix (Black and Rogaway, "Ciphers with arbitrary
 * finite domains", CT-RSA 2002, method 3): index = left + a * right with left in Z_a, right in Z_b,
 * a = ceil(sqrt n), b = ceil(n / a); rounds add to one half, modulo its radix, a keyed function of
 * the other. The a * b < n + a results are walked until one is below n, which by the choice of a is
 * the first one but for one time in sqrt n. */
#include "worker/data/sampler.h"

#include "orchestrator/base/rng.h"
#include "orchestrator/base/status.h"

enum { ROUNDS = 8 };

struct network {
    uint64_t a, b, keys[ROUNDS];
};

uint64_t mu_sampler_windows(uint64_t tokens, uint32_t context)
{
    MU_ASSERT(context > 0);
    return tokens == 0 ? 0 : (tokens - 1) / context;
}

uint64_t mu_sampler_start(const struct mu_sampler *s, uint64_t sample)
{
    MU_ASSERT(s->windows > 0);
    return s->context *
           mu_sampler_permute(s->seed, sample / s->windows, s->windows, sample % s->windows);
}

static uint64_t ceil_sqrt(uint64_t n)
{
    uint64_t low = 1, high = 1ull << 32; /* high * high >= n always */

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if ((unsigned __int128)middle * middle >= n)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

static struct network network_of(uint64_t seed, uint64_t epoch, uint64_t n)
{
    struct network net = {.a = ceil_sqrt(n)};

    net.b = n / net.a + (n % net.a != 0);
    for (uint32_t i = 0; i < ROUNDS; i += 2) {
        struct mu_rng_words x = mu_rng_draw(seed, MU_RNG_ORDER, i, epoch);

        net.keys[i] = (uint64_t)x.w[1] << 32 | x.w[0];
        net.keys[i + 1] = (uint64_t)x.w[3] << 32 | x.w[2];
    }
    return net;
}

/* A keyed function into [0, radix): the finaliser of SplitMix64 (Steele, Lea and Flood, "Fast
 * splittable pseudorandom number generators", OOPSLA 2014), then a multiplication instead of a
 * remainder. */
static uint64_t round_function(uint64_t key, uint64_t x, uint64_t radix)
{
    x += key;
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
    x = (x ^ x >> 27) * 0x94D049BB133111EBu;
    x ^= x >> 31;
    return mu_rng_below(radix, (uint32_t)(x >> 32), (uint32_t)x);
}

static uint64_t encipher(const struct network *net, uint64_t index)
{
    uint64_t left = index % net->a, right = index / net->a;

    for (int i = 0; i < ROUNDS; i += 2) {
        left = (left + round_function(net->keys[i], right, net->a)) % net->a;
        right = (right + round_function(net->keys[i + 1], left, net->b)) % net->b;
    }
    return left + net->a * right;
}

uint64_t mu_sampler_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t index)
{
    struct network net;

    MU_ASSERT(index < n);
    net = network_of(seed, epoch, n);
    do {
        index = encipher(&net, index);
    } while (index >= n);
    return index;
}

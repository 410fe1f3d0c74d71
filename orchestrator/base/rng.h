/* Random numbers without state: a number is a function of a key and a counter, so that it does not
 * matter who draws it, when, or how often. Philox4x32-10 (Salmon et al., "Parallel random numbers:
 * as easy as 1, 2, 3", SC 2011). */
#ifndef MUSTER_BASE_RNG_H
#define MUSTER_BASE_RNG_H

#include <stdint.h>

/* What a stream is for; part of the key, so that two uses never share numbers. Numbers are
 * forever. */
enum mu_rng_stream {
    MU_RNG_INIT = 1,      /* initial weights: counter (tensor, element / 4) */
    MU_RNG_ORDER = 2,     /* order of samples: the permutation's round keys */
    MU_RNG_SPLIT = 3,     /* tokenize: which pieces go to validation, and their order */
    MU_RNG_SYNTHETIC = 4, /* noise of the synthetic workload */
    MU_RNG_BOOTSTRAP = 5, /* resampling of points: counter (use, replicate and draw) */
    MU_RNG_GENERATE = 6,  /* tokens that are drawn: counter (0, place in the text) */
};

struct mu_rng_words {
    uint32_t w[4];
};

/* Four independent uniform 32-bit words for (seed, stream, a, b). */
struct mu_rng_words mu_rng_draw(uint64_t seed, enum mu_rng_stream stream, uint32_t a, uint64_t b);

/* Uniform in the open interval (0, 1), from one word; never 0 or 1. */
double mu_rng_uniform(uint32_t word);
/* Standard normal from one word, by the inverse normal distribution (Wichura, AS 241, PPND7: about
 * 7 digits). Same bits on every CPU: no libm. */
double mu_rng_normal(uint32_t word);
/* Uniform in [0, n) from two words by multiplication; bias below 2^-32. n > 0. */
uint64_t mu_rng_below(uint64_t n, uint32_t high, uint32_t low);

#endif

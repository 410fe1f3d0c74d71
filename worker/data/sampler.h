/* Which window of the training tokens a sample is: a pure function of (seed, sample number). The
 * tokens are cut into windows of `context` + 1 tokens that start at multiples of `context`; each
 * epoch is a fresh permutation of the windows, a Feistel network walked until it lands inside (no
 * table). */
#ifndef MUSTER_WORKER_DATA_SAMPLER_H
#define MUSTER_WORKER_DATA_SAMPLER_H

#include <stdint.h>

struct mu_sampler {
    uint64_t seed, windows;
    uint32_t context;
};

/* Number of whole windows in `tokens` tokens: (tokens - 1) / context. */
uint64_t mu_sampler_windows(uint64_t tokens, uint32_t context);
/* First token of sample number `sample` (step * batch + index within the batch); epoch = sample /
 * windows. */
uint64_t mu_sampler_start(const struct mu_sampler *s, uint64_t sample);
/* Position of `index` in permutation `epoch` of n: a bijection of [0, n). */
uint64_t mu_sampler_permute(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t index);

#endif

/* Drawing a token from what a model makes of the next one. A pure function of the logits, the
 * seed and the token's place in the text: no state goes from one token to the next, and no libm is
 * asked, so that the same logits give the same text everywhere. */
#ifndef MUSTER_GENERATE_SAMPLE_H
#define MUSTER_GENERATE_SAMPLE_H

#include <stdint.h>

#include "orchestrator/base/status.h"

struct mu_sampling {
    double temperature; /* logits are divided by it; 0: the likeliest token, nothing is drawn */
    int64_t top_k;      /* only so many of the likeliest may be drawn; 0: all */
    uint64_t seed;
};

/* place: how many tokens stand before it, with the prompt's. Of equal logits the lower token is the
 * likelier one. MU_FAILED when a logit is NaN. */
enum mu_status mu_sample(const struct mu_sampling *sampling, const float *logits, int64_t count,
                         uint64_t place, int32_t *token) MU_CHECKED;

#endif

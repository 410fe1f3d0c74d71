#include "orchestrator/launch/token.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum mu_status mu_token_make(char out[MU_JOB_TOKEN_MAX])
{
    uint64_t random[2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return MU_FAIL(MU_FAILED, "cannot get random numbers: %s", strerror(errno));
    snprintf(out, MU_JOB_TOKEN_MAX, "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
    return MU_OK;
}

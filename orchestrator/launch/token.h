/* Names that nobody can guess or has used before: 128 random bits in hexadecimal. */
#ifndef MUSTER_LAUNCH_TOKEN_H
#define MUSTER_LAUNCH_TOKEN_H

#include "orchestrator/base/status.h"
#include "worker/lease.h"

enum mu_status mu_token_make(char out[MU_JOB_TOKEN_MAX]) MU_CHECKED;

#endif

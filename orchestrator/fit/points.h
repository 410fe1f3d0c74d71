/* What is fitted: losses of training runs of known size, tokens and compute. */
#ifndef MUSTER_FIT_POINTS_H
#define MUSTER_FIT_POINTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/core/counting.h"

#define MU_FIT_NONE UINT32_MAX

struct mu_fit_point {
    double n, d, c; /* parameters, training tokens, training FLOPs: finite, > 0 */
    double loss;    /* nats a token: finite, > 0 */
    double weight;  /* finite, >= 0; 1 unless given */
    double unique;  /* distinct tokens among d: d when none was seen twice */
    uint32_t
        cluster;    /* points of one cluster share noise (branches of a trunk): 0 .. clusters - 1 */
    uint32_t group; /* IsoFLOP group that the user gave, 0 .. ; MU_FIT_NONE: to be found from c */
    uint32_t curve; /* the run of whose loss curve this is a moment; MU_FIT_NONE: no curve */
    uint32_t seed;  /* which seed, 0 .. ; MU_FIT_NONE: not known */
    bool end; /* a final loss: no curve, or the last moment of it. Only the envelope reads others */
    int line; /* of the file, from 1, for messages; 0: from no file */
    struct mu_gpt_shape shape; /* all zero: not known */
    uint32_t heads;            /* 0: not known */
};

struct mu_fit_points {
    struct mu_fit_point *point;
    bool single; /* one of n, d and c is known, for a law of one variable; the other two are 1 */
    size_t count;
    uint32_t clusters;
    const char
        *cluster_kind; /* what a cluster is: "trunk", "row", or the name of the user's column */
};

#endif

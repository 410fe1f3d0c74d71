/* From a size to a shape and to FLOPs: N -> (layers, width) by a shape rule, and (N, D) -> C.
 *
 * The optimum of a budget is found under the same FLOP function and shape rule as the points were
 * computed with: N* = G (C/6)^a holds for C = 6 N D only (attention is 57 % of 6 N at width 8). */
#ifndef MUSTER_FIT_FLOPS_H
#define MUSTER_FIT_FLOPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/status.h"
#include "orchestrator/core/counting.h"
#include "orchestrator/fit/points.h"

/* X(name, word, meaning): which parameters N counts. */
#define MU_COUNT_TABLE(X)                                                          \
    X(AS_GIVEN, "given", "as the points have it")                                  \
    X(ALL, "all", "with token and position embeddings (Hoffmann et al. 2022)")     \
    X(NON_EMBEDDING, "nonemb", "without embeddings and head (Kaplan et al. 2020)") \
    X(NON_EMBEDDING_HEAD, "nonemb+head", "every matrix that a token is multiplied with")

enum mu_count_kind {
#define MU_COUNT_ENUM(name, word, meaning) MU_COUNT_##name,
    MU_COUNT_TABLE(MU_COUNT_ENUM)
#undef MU_COUNT_ENUM
        MU_COUNT_KINDS
};

/* X(name, word, meaning): FLOPs of training on one token. */
#define MU_FLOPS_TABLE(X)                                                 \
    X(6N, "6N", "6 N")                                                    \
    X(6N_ATTENTION, "6N+12LdT", "6 N + 12 L d T (Chowdhery et al. 2022)") \
    X(MEASURED, "points", "interpolated between the points' own C / D over N")

enum mu_flops_kind {
#define MU_FLOPS_ENUM(name, word, meaning) MU_FLOPS_##name,
    MU_FLOPS_TABLE(MU_FLOPS_ENUM)
#undef MU_FLOPS_ENUM
        MU_FLOPS_KINDS
};

/* How a model of a given size is built: depth fixed, or in proportion to the width (at least one
 * layer). */
struct mu_shape_rule {
    bool known;
    uint64_t layers;     /* fixed depth; 0: width / aspect */
    double aspect;       /* width / layers, where depth is not fixed */
    uint64_t head_width; /* width of a head */
    uint64_t width_step; /* widths are multiples of it, itself one of head_width; 0: head_width */
    uint64_t context, vocab;
};

/* A model that can be built. */
struct mu_built {
    struct mu_gpt_shape shape;
    uint32_t heads;
    double n; /* its size under the count that was asked */
};

enum { MU_FLOPS_KNOTS = 256 };

struct mu_flops {
    enum mu_flops_kind kind;
    enum mu_count_kind count; /* what the N given to mu_flops_per_token counts */
    struct mu_shape_rule rule;
    struct { /* MEASURED: by ln N ascending; beyond the ends the last slope goes on */
        size_t count;
        double ln_n[MU_FLOPS_KNOTS], ln_flops[MU_FLOPS_KNOTS];
    } knots;
};

/* A shape rule asked for the shape of a size that is counted AS_GIVEN takes it for a size without
 * embeddings and with the head. */

/* FLOPs of a token of a model of size n (a real number: shapes between those that can be built). */
double mu_flops_per_token(const struct mu_flops *f, double n);
/* d ln(FLOPs) / d ln N there: 1 for 6 N; at a knot that of the interval below. */
double mu_flops_slope(const struct mu_flops *f, double n);
/* Tokens that budget c buys at size n. */
static inline double mu_flops_tokens(const struct mu_flops *f, double c, double n)
{
    return c / mu_flops_per_token(f, n);
}

/* The rule that the points' own shapes follow: depth fixed where all have one, else the median
 * aspect; context and vocabulary of all; the (lower) median width of a head, where no heads are
 * told the largest divisor of all widths up to 128. known = false where points lack shapes, or
 * differ in context or vocabulary (or memory lacks). */
struct mu_shape_rule mu_shape_rule_of_points(const struct mu_fit_point *points, size_t count);
/* From words: "layers=2,head=8,context=64,vocab=256[,step=8]" or "aspect=64,..."; MU_USAGE with
 * what was expected. */
enum mu_status mu_shape_rule_parse(const char *text, struct mu_shape_rule *rule) MU_CHECKED;
/* N of a shape under a count (not AS_GIVEN). */
double mu_shape_size(const struct mu_gpt_shape *shape, enum mu_count_kind count);
/* Which count the points' N are (all of them, within 1e-6, given their shapes); AS_GIVEN: none. */
enum mu_count_kind mu_count_of_points(const struct mu_fit_point *points, size_t count);
/* Size of the same model under another count; n where the rule is not known. */
double mu_shape_recount(const struct mu_shape_rule *rule, double n, enum mu_count_kind from,
                        enum mu_count_kind to);
/* The model nearest in ln N that can be built: of whole heads and layers. rule->known. */
struct mu_built mu_shape_build(const struct mu_shape_rule *rule, double n,
                               enum mu_count_kind count);
/* How the points' C follows from N and D: 6N where C = 6 N D (within 1 %, at all points), 6N+12LdT
 * where this says C of all from N and the rule of their shapes, else as measured. MU_FAILED without
 * points; MU_NO_MEMORY. */
enum mu_status mu_flops_of_points(const struct mu_fit_point *points, size_t count,
                                  struct mu_flops *out) MU_CHECKED;

#endif

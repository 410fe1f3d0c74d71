/* From a size to a shape, N -> (layers, width), and from one count of N to another. */
#ifndef MUSTER_FIT_SHAPE_RULE_H
#define MUSTER_FIT_SHAPE_RULE_H

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

/* A shape rule asked for the shape of a size that is counted AS_GIVEN takes it for a size without
 * embeddings and with the head. */

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
/* Which count the points' N are (all of them, within 1e-6, given their shapes; without embeddings
 * also 12 L d^2, Kaplan et al.'s, which leaves out biases and norms); AS_GIVEN: none. */
enum mu_count_kind mu_count_of_points(const struct mu_fit_point *points, size_t count);
/* Size of the same model under another count; n where the rule is not known. */
double mu_shape_recount(const struct mu_shape_rule *rule, double n, enum mu_count_kind from,
                        enum mu_count_kind to);
/* The model nearest in ln N that can be built: of whole heads and layers. rule->known. */
struct mu_built mu_shape_build(const struct mu_shape_rule *rule, double n,
                               enum mu_count_kind count);
/* A shape along a rule, between those that can be built: for flops.c. */
struct mu_real_shape {
    double layers, width;
    double layers_slope; /* d layers / d width along the rule */
    double n_slope;      /* d N / d width along the rule */
};

/* The shape along the rule whose size is n under a count, n > 0. */
struct mu_real_shape mu_shape_between(const struct mu_shape_rule *rule, double n,
                                      enum mu_count_kind count);

#endif

/* What a test asks of the stand-in of cuBLASLt (cublaslt.cpp): what goes wrong there, and what it
 * did. */
#ifndef MUSTER_KERNELS_EMULATE_BLAS_CONTROL_H
#define MUSTER_KERNELS_EMULATE_BLAS_CONTROL_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Candidates of a product, in the order in which heuristics give them. They add in different
 * orders; the first also depends on how many products ran before it, as float atomics would, and
 * is offered only to who allows it. */
enum mu_emulate_blas_algorithm {
    MU_EMULATE_BLAS_IN_PLACE,
    MU_EMULATE_BLAS_SPLIT, /* two halves, added in the workspace */
    MU_EMULATE_BLAS_FORWARD,
    MU_EMULATE_BLAS_BACKWARD,
};
/* What goes wrong from here on; all zero: nothing. */
struct mu_emulate_blas_faults {
    int matmul_status;        /* a cublasStatus_t: the next product returns it, once */
    int heuristic_status;     /* the next question for candidates does, once */
    int create_status;        /* the next handle does, once */
    int lacks_epilogue;       /* no candidates with this cublasLtEpilogue_t */
    uint64_t version;         /* instead of the stand-in's own */
    unsigned long slow_us[4]; /* that a product takes longer, by algorithm */
};
void mu_emulate_blas_set_faults(const struct mu_emulate_blas_faults *faults);
/* Products that ran with this algorithm since the faults were set. */
int64_t mu_emulate_blas_runs(enum mu_emulate_blas_algorithm algorithm);
/* Descriptors, layouts, preferences and handles that nobody has destroyed. */
int64_t mu_emulate_blas_objects(void);

#ifdef __cplusplus
}
#endif

#endif

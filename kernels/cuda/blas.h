/* Matrix products of the CUDA device, by cuBLASLt, on plain row-major views:
 * C (m, n) (+)= A (m, k) B (k, n), perhaps with a bias, perhaps with GELU after it.
 *
 * Plans. cuBLASLt has many algorithms for a product, and they differ in their bits. Each shape is
 * given one, once, in a table that
 *  - holds no algorithm whose bits depend on when its parts come in: split sums are added in a step
 *    of their own, in fp32, or not used;
 *  - is chosen by the first of the library's heuristics (a function of the shape, the library and
 *    the GPU), or, with `tune`, by time;
 *  - can be written and read, so that one rank tunes, all ranks use what it chose, and a checkpoint
 *    keeps it; and hashed, for the fingerprint of a run's numerics.
 * What is part of the bits, beside the table: the size of the workspace, which is fixed.
 *
 * One engine serves one thread and one stream: products share the workspace, so they must not run
 * side by side. Nothing here waits for the GPU but tuning, opening, closing, and a scratch that
 * grows; none of these may happen while a stream is captured into a graph: run a step before. */
#ifndef MUSTER_KERNELS_CUDA_BLAS_H
#define MUSTER_KERNELS_CUDA_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "orchestrator/base/hash.h"
#include "orchestrator/base/status.h"

struct CUstream_st; /* cudaStream_t points to it */
struct mu_blas;

struct mu_blas_options {
    bool bf16; /* A and B are; else f32 */
    bool tf32; /* f32 products may read A and B as TF32: 10 bits of mantissa */
    bool tune; /* a shape that is not in the table: time the candidates, take the fastest */
    /* Logits that the classifier holds at a time, part of the bits; 0: 2^28, 1 GiB. */
    int64_t block_logits;
};

enum mu_blas_epilogue {
    MU_BLAS_PLAIN,
    MU_BLAS_BIAS,      /* + bias (n), of C's type */
    MU_BLAS_BIAS_GELU, /* and GELU; before (m, n), of C's type and stride, gets what it is of */
};

struct mu_blas_shape {
    int64_t m, n, k;         /* all > 0 */
    int64_t lda, ldb, ldc;   /* elements from one stored row to the next */
    bool a_is_kxm, b_is_nxk; /* stored transposed */
    bool c_is_bf16;          /* else f32 */
    bool accumulate;         /* C += */
    enum mu_blas_epilogue epilogue;
};

/* All device memory, aligned to MU_BLAS_ALIGNMENT. */
struct mu_blas_product {
    struct mu_blas_shape shape;
    const void *a, *b, *bias;
    void *c, *before;
};
enum { MU_BLAS_ALIGNMENT = 16 };

/* On the GPU that is current. MU_CONFIG when cuBLASLt cannot start, MU_NO_MEMORY. */
enum mu_status mu_blas_open(const struct mu_blas_options *options, struct mu_blas **out) MU_CHECKED;
void mu_blas_close(struct mu_blas *blas); /* NULL is allowed */
/* options.tune from here on. */
void mu_blas_tune(struct mu_blas *blas, bool on);
const struct mu_blas_options *mu_blas_options_of(const struct mu_blas *blas);
/* "cuBLASLt 13.1.0" of the library that is loaded. */
void mu_blas_version(char *text, size_t size);

/* Puts the product on the stream; makes its plan when there is none. */
enum mu_status mu_blas_run(struct mu_blas *blas, struct CUstream_st *stream,
                           const struct mu_blas_product *product) MU_CHECKED;
/* The same, for epilogues: *done is false, and nothing has run, when the library has no algorithm
 * for this shape with its epilogue. That is part of the plan too. */
enum mu_status mu_blas_try(struct mu_blas *blas, struct CUstream_st *stream,
                           const struct mu_blas_product *product, bool *done) MU_CHECKED;

/* Device memory of at least so many bytes, 256-byte aligned, the same each time and with anything
 * in it: for one operation at a time. It grows at need. MU_NO_MEMORY says how much was wanted and
 * `what` for. */
enum mu_status mu_blas_scratch(struct mu_blas *blas, int64_t bytes, const char *what,
                               void **out) MU_CHECKED;

/* Of a cudaError_t, a launch's for one: MU_OK, or MU_FAIL with what failed and why. */
enum mu_status mu_blas_check_cuda(int error, const char *what) MU_CHECKED;

/* ---- the table (blas_plans.c) ---- */
/* *bytes is the caller's to free(). The same table gives the same bytes, in whatever order its
 * shapes came. */
enum mu_status mu_blas_plans_write(const struct mu_blas *blas, void **bytes,
                                   size_t *size) MU_CHECKED;
/* The table becomes what was written. MU_CORRUPT; MU_CONFIG when it is of another version of the
 * library, another kind of GPU, or other precision: then the table stays as it was, and `why` says
 * what is wrong, which is not reported. */
enum mu_status mu_blas_plans_read(struct mu_blas *blas, const void *bytes, size_t size, char *why,
                                  size_t why_size) MU_CHECKED;
size_t mu_blas_plans_count(const struct mu_blas *blas);
/* Of all that mu_blas_plans_write writes. */
enum mu_status mu_blas_plans_hash(const struct mu_blas *blas, struct mu_hash *out) MU_CHECKED;

#endif

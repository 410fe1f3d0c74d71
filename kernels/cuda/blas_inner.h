/* What blas.c (running) and blas_plans.c (choosing) share. */
#ifndef MUSTER_KERNELS_CUDA_BLAS_INNER_H
#define MUSTER_KERNELS_CUDA_BLAS_INNER_H

#include <cublasLt.h>
#include <cuda_runtime_api.h>

#include "kernels/cuda/blas.h"

enum {
    MU_BLAS_WORKSPACE_BYTES = 32 << 20, /* what NVIDIA advises from Hopper on; part of the bits */
    MU_BLAS_KEY_BYTES = 6 * 8 + 2,
};

/* The shape, packed: what plans are sorted by. */
struct mu_blas_key {
    uint8_t bytes[MU_BLAS_KEY_BYTES];
};

struct mu_blas_plan {
    struct mu_blas_key key;
    struct mu_blas_shape shape;
    bool available; /* the library has an algorithm */
    cublasLtMatmulAlgo_t algorithm;
    /* Made when the plan is first run; NULL before. The library's A is our B: see blas.c. */
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
};

struct mu_blas_gpu {
    int major, minor, multiprocessors;
};

struct mu_blas {
    struct mu_blas_options options;
    struct mu_blas_gpu gpu;
    cublasLtHandle_t handle;
    void *workspace, *scratch;
    int64_t scratch_bytes;
    struct mu_blas_plan *plans; /* sorted by key */
    size_t count, capacity;
};

/* MU_OK, or MU_FAIL with the name of the error. */
enum mu_status mu_blas_check(cublasStatus_t status, const char *what) MU_CHECKED;
static inline MU_CHECKED enum mu_status mu_blas_check_runtime(cudaError_t error, const char *what)
{
    return mu_blas_check_cuda((int)error, what);
}

/* The plan of a shape, ready to run when it is available. Valid until the next call. */
enum mu_status mu_blas_plan(struct mu_blas *blas, struct CUstream_st *stream,
                            const struct mu_blas_product *product,
                            struct mu_blas_plan **out) MU_CHECKED;
void mu_blas_plans_clear(struct mu_blas *blas);

/* Makes the descriptors of a plan whose shape is set; with what was made before an error. */
enum mu_status mu_blas_describe(const struct mu_blas *blas, struct mu_blas_plan *plan) MU_CHECKED;
void mu_blas_undescribe(struct mu_blas_plan *plan);
enum mu_status mu_blas_launch(const struct mu_blas *blas, struct CUstream_st *stream,
                              const struct mu_blas_plan *plan,
                              const cublasLtMatmulAlgo_t *algorithm,
                              const struct mu_blas_product *product) MU_CHECKED;

#endif

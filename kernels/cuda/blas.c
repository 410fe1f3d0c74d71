/* Running products.
 *
 * The library thinks in columns: a row-major (m, n) with stride ld is its column-major (n, m) with
 * the same ld. So it is asked for C^T = B^T A^T: its A is our B, its B is our A, its m our n. What
 * we store as it is, it reads without transposing; what we store transposed, it transposes. The
 * bias, which goes along its rows, goes along our columns, as linear layers have it. */
#include "kernels/cuda/blas_inner.h"

#include <stdio.h>
#include <stdlib.h>

#include "kernels/cuda/name.h"

enum mu_status mu_blas_check(cublasStatus_t status, const char *what)
{
    if (status == CUBLAS_STATUS_SUCCESS)
        return MU_OK;
    return MU_FAIL(status == CUBLAS_STATUS_ALLOC_FAILED ? MU_NO_MEMORY : MU_FAILED, "%s: %s: %s",
                   mu_cuda_gpu_name(), what, cublasLtGetStatusName(status));
}

enum mu_status mu_blas_check_cuda(int error, const char *what)
{
    if (error == cudaSuccess)
        return MU_OK;
    (void)cudaGetLastError(); /* told here, not at the next launch */
    return MU_FAIL(error == cudaErrorMemoryAllocation ? MU_NO_MEMORY : MU_FAILED, "%s: %s: %s%s",
                   mu_cuda_gpu_name(), what, cudaGetErrorString((cudaError_t)error),
                   mu_cuda_advice(error));
}

static enum mu_status ask_gpu(struct mu_blas_gpu *gpu)
{
    struct cudaDeviceProp prop;
    enum mu_status st = MU_OK;
    int device = 0;

    MU_TRY(mu_blas_check_runtime(cudaGetDevice(&device), "cudaGetDevice"), st, done);
    MU_TRY(mu_blas_check_runtime(cudaGetDeviceProperties(&prop, device), "cudaGetDeviceProperties"),
           st, done);
    *gpu = (struct mu_blas_gpu){prop.major, prop.minor, prop.multiProcessorCount};
done:
    return st;
}

enum mu_status mu_blas_open(const struct mu_blas_options *options, struct mu_blas **out)
{
    struct mu_blas *blas = calloc(1, sizeof *blas);
    enum mu_status st = MU_OK;
    cublasStatus_t created;

    if (!blas)
        return MU_FAIL(MU_NO_MEMORY, "no memory for matrix products");
    blas->options = *options;
    if (blas->options.block_logits == 0)
        blas->options.block_logits = (int64_t)1 << 28;
    MU_TRY(ask_gpu(&blas->gpu), st, fail);
    created = cublasLtCreate(&blas->handle);
    if (created != CUBLAS_STATUS_SUCCESS) {
        blas->handle = NULL;
        st = MU_FAIL(MU_CONFIG,
                     "%s: cuBLASLt does not start (%s): is its version that of the driver?",
                     mu_cuda_gpu_name(), cublasLtGetStatusName(created));
        goto fail;
    }
    MU_TRY(mu_blas_check_runtime(cudaMalloc(&blas->workspace, MU_BLAS_WORKSPACE_BYTES),
                                 "32 MiB of GPU memory for matrix products"),
           st, fail);
    *out = blas;
    return MU_OK;
fail:
    mu_blas_close(blas);
    return st;
}

void mu_blas_close(struct mu_blas *blas)
{
    if (!blas)
        return;
    mu_blas_plans_clear(blas);
    free(blas->plans);
    cudaFree(blas->scratch); /* waits for what uses it */
    cudaFree(blas->workspace);
    if (blas->handle)
        cublasLtDestroy(blas->handle);
    free(blas);
}

void mu_blas_tune(struct mu_blas *blas, bool on)
{
    blas->options.tune = on;
}

const struct mu_blas_options *mu_blas_options_of(const struct mu_blas *blas)
{
    return &blas->options;
}

void mu_blas_version(char *text, size_t size)
{
    size_t v = cublasLtGetVersion();

    snprintf(text, size, "cuBLASLt %zu.%zu.%zu", v / 10000, v / 100 % 100, v % 100);
}

enum mu_status mu_blas_scratch(struct mu_blas *blas, int64_t bytes, const char *what, void **out)
{
    if (bytes > blas->scratch_bytes) {
        cudaError_t error;

        cudaFree(blas->scratch);
        blas->scratch = NULL;
        blas->scratch_bytes = 0;
        error = cudaMalloc(&blas->scratch, (size_t)bytes);
        if (error != cudaSuccess) {
            blas->scratch = NULL;
            (void)cudaGetLastError(); /* told here, not at the next launch */
            return MU_FAIL(MU_NO_MEMORY, "%s: %.1f MiB of GPU memory for %s: %s%s",
                           mu_cuda_gpu_name(), (double)bytes / (1 << 20), what,
                           cudaGetErrorString(error), mu_cuda_advice((int)error));
        }
        blas->scratch_bytes = bytes;
    }
    *out = blas->scratch;
    return MU_OK;
}

/* ---- descriptors ----------------------------------------------------------------------------- */
static enum mu_status set(cublasLtMatmulDesc_t product, cublasLtMatmulDescAttributes_t attribute,
                          const void *value, size_t size)
{
    return mu_blas_check(cublasLtMatmulDescSetAttribute(product, attribute, value, size),
                         "cublasLtMatmulDescSetAttribute");
}

static enum mu_status set_sides(const struct mu_blas_plan *plan, const void *bias, void *before)
{
    enum mu_status st = MU_OK;

    if (plan->shape.epilogue != MU_BLAS_PLAIN)
        MU_TRY(set(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias, sizeof bias), st, done);
    if (plan->shape.epilogue == MU_BLAS_BIAS_GELU)
        MU_TRY(
            set(plan->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, &before, sizeof before),
            st, done);
done:
    return st;
}

static enum mu_status describe_product(const struct mu_blas *blas, struct mu_blas_plan *plan)
{
    static const uint32_t epilogues[] = {
        [MU_BLAS_PLAIN] = CUBLASLT_EPILOGUE_DEFAULT,
        [MU_BLAS_BIAS] = CUBLASLT_EPILOGUE_BIAS,
        [MU_BLAS_BIAS_GELU] = CUBLASLT_EPILOGUE_GELU_AUX_BIAS,
    };
    const struct mu_blas_shape *s = &plan->shape;
    cublasComputeType_t compute = !blas->options.bf16 && blas->options.tf32
                                      ? CUBLAS_COMPUTE_32F_FAST_TF32
                                      : CUBLAS_COMPUTE_32F;
    int32_t first = s->b_is_nxk ? CUBLAS_OP_T : CUBLAS_OP_N;
    int32_t second = s->a_is_kxm ? CUBLAS_OP_T : CUBLAS_OP_N;
    uint32_t epilogue = epilogues[s->epilogue];
    enum mu_status st = MU_OK;

    MU_TRY(mu_blas_check(cublasLtMatmulDescCreate(&plan->product, compute, CUDA_R_32F),
                         "cublasLtMatmulDescCreate"),
           st, done);
    MU_TRY(set(plan->product, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first), st, done);
    MU_TRY(set(plan->product, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second), st, done);
    MU_TRY(set(plan->product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue), st, done);
    if (s->epilogue == MU_BLAS_BIAS_GELU)
        MU_TRY(set(plan->product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, &s->ldc, sizeof s->ldc), st,
               done);
    /* Heuristics look at how these are aligned, and the choice must not hang on where a tensor
     * happens to lie: addresses that are aligned to what we promise, and to no more. */
    MU_TRY(
        set_sides(plan, (void *)(uintptr_t)MU_BLAS_ALIGNMENT, (void *)(uintptr_t)MU_BLAS_ALIGNMENT),
        st, done);
done:
    return st;
}

static enum mu_status lay_out(cublasLtMatrixLayout_t *layout, bool bf16, int64_t rows, int64_t cols,
                              int64_t ld)
{
    return mu_blas_check(cublasLtMatrixLayoutCreate(layout, bf16 ? CUDA_R_16BF : CUDA_R_32F,
                                                    (uint64_t)rows, (uint64_t)cols, ld),
                         "cublasLtMatrixLayoutCreate");
}

enum mu_status mu_blas_describe(const struct mu_blas *blas, struct mu_blas_plan *plan)
{
    const struct mu_blas_shape *s = &plan->shape;
    bool bf16 = blas->options.bf16;
    enum mu_status st = MU_OK;

    MU_TRY(describe_product(blas, plan), st, fail);
    MU_TRY(lay_out(&plan->a, bf16, s->b_is_nxk ? s->k : s->n, s->b_is_nxk ? s->n : s->k, s->ldb),
           st, fail);
    MU_TRY(lay_out(&plan->b, bf16, s->a_is_kxm ? s->m : s->k, s->a_is_kxm ? s->k : s->m, s->lda),
           st, fail);
    MU_TRY(lay_out(&plan->c, s->c_is_bf16, s->n, s->m, s->ldc), st, fail);
    return MU_OK;
fail:
    mu_blas_undescribe(plan);
    return st;
}

void mu_blas_undescribe(struct mu_blas_plan *plan)
{
    cublasLtMatrixLayout_t *layouts[] = {&plan->a, &plan->b, &plan->c};

    for (int i = 0; i < 3; i++) {
        if (*layouts[i])
            cublasLtMatrixLayoutDestroy(*layouts[i]);
        *layouts[i] = NULL;
    }
    if (plan->product)
        cublasLtMatmulDescDestroy(plan->product);
    plan->product = NULL;
}

/* ---- running --------------------------------------------------------------------------------- */
enum mu_status mu_blas_launch(const struct mu_blas *blas, struct CUstream_st *stream,
                              const struct mu_blas_plan *plan,
                              const cublasLtMatmulAlgo_t *algorithm,
                              const struct mu_blas_product *p)
{
    const float alpha = 1, beta = p->shape.accumulate ? 1 : 0;
    enum mu_status st = MU_OK;

    MU_TRY(set_sides(plan, p->bias, p->before), st, done);
    MU_TRY(mu_blas_check(cublasLtMatmul(blas->handle, plan->product, &alpha, p->b, plan->a, p->a,
                                        plan->b, &beta, p->c, plan->c, p->c, plan->c, algorithm,
                                        blas->workspace, MU_BLAS_WORKSPACE_BYTES, stream),
                         "cublasLtMatmul"),
           st, done);
done:
    return st;
}

static bool is_aligned(const void *p)
{
    return (uintptr_t)p % MU_BLAS_ALIGNMENT == 0;
}

enum mu_status mu_blas_try(struct mu_blas *blas, struct CUstream_st *stream,
                           const struct mu_blas_product *p, bool *done)
{
    struct mu_blas_plan *plan;
    enum mu_status st = MU_OK;

    MU_ASSERT(p->shape.m > 0 && p->shape.n > 0 && p->shape.k > 0);
    MU_ASSERT(is_aligned(p->a) && is_aligned(p->b) && is_aligned(p->c));
    MU_ASSERT(is_aligned(p->bias) && is_aligned(p->before));
    MU_TRY(mu_blas_plan(blas, stream, p, &plan), st, fail);
    *done = plan->available;
    if (plan->available)
        MU_TRY(mu_blas_launch(blas, stream, plan, &plan->algorithm, p), st, fail);
    return MU_OK;
fail:
    *done = false;
    return st;
}

enum mu_status mu_blas_run(struct mu_blas *blas, struct CUstream_st *stream,
                           const struct mu_blas_product *p)
{
    const struct mu_blas_shape *s = &p->shape;
    enum mu_status st = MU_OK;
    bool done = false;

    MU_TRY(mu_blas_try(blas, stream, p, &done), st, done);
    if (!done)
        st = MU_FAIL(MU_FAILED,
                     "cuBLASLt has no repeatable algorithm for (%lld, %lld) = (%lld, %lld) (%lld, "
                     "%lld) in %s on this GPU",
                     (long long)s->m, (long long)s->n, (long long)s->m, (long long)s->k,
                     (long long)s->k, (long long)s->n, blas->options.bf16 ? "bf16" : "fp32");
done:
    return st;
}

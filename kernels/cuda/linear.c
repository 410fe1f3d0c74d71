/* Linear layers. Epilogues are the library's where it has them for the shape, else kernels of ours
 * after the product; which, is a matter of the shape and of the plans alone. */
#include "kernels/cuda/linear.h"

#include "kernels/cuda/linear_kernels.h"

/* By an epilogue, with the bias (n) in C's type; *done as in mu_blas_try. */
static enum mu_status try_fused(struct mu_blas *blas, struct CUstream_st *stream,
                                struct mu_blas_product *p, const float *b,
                                enum mu_blas_epilogue epilogue, bool *done)
{
    void *rounded;
    enum mu_status st = MU_OK;

    p->bias = b;
    if (p->shape.c_is_bf16) {
        MU_TRY(mu_blas_scratch(blas, p->shape.n * 2, "a bias in bf16", &rounded), st, done);
        MU_TRY(mu_blas_check_cuda(mu_cuda_to_act(stream, true, rounded, b, p->shape.n),
                                  "bias in bf16"),
               st, done);
        p->bias = rounded;
    }
    p->shape.epilogue = epilogue;
    MU_TRY(mu_blas_try(blas, stream, p, done), st, done);
done:
    return st;
}

/* C = A B + b; b may be NULL. */
static enum mu_status run_linear(struct mu_blas *blas, struct CUstream_st *stream,
                                 struct mu_blas_product *p, const float *b)
{
    enum mu_status st = MU_OK;
    bool done = false;

    if (b)
        MU_TRY(try_fused(blas, stream, p, b, MU_BLAS_BIAS, &done), st, done);
    if (done)
        return MU_OK;
    p->shape.epilogue = MU_BLAS_PLAIN;
    MU_TRY(mu_blas_run(blas, stream, p), st, done);
    if (b)
        MU_TRY(mu_blas_check_cuda(
                   mu_cuda_add_bias(stream, p->shape.c_is_bf16, p->c, b, p->shape.m, p->shape.n),
                   "bias of a linear layer"),
               st, done);
done:
    return st;
}

/* In fp32 GELU is ours: the library's tanh need not be as exact as fp32 is. Where the library has
 * no epilogue, it is of `before` as it is stored, so in bf16 of a rounded number. */
static enum mu_status run_gelu(struct mu_blas *blas, struct CUstream_st *stream,
                               struct mu_blas_product *p, void *before, const float *b)
{
    bool y_is_bf16 = p->shape.c_is_bf16, bf16 = mu_blas_options_of(blas)->bf16;
    void *y = p->c;
    enum mu_status st = MU_OK;
    bool done = false;

    p->before = before;
    if (b && y_is_bf16 && p->shape.n % 8 == 0) /* its rule for the stride of `before` */
        MU_TRY(try_fused(blas, stream, p, b, MU_BLAS_BIAS_GELU, &done), st, done);
    if (done)
        return MU_OK;
    p->before = NULL;
    p->c = before;
    p->shape.c_is_bf16 = bf16;
    MU_TRY(run_linear(blas, stream, p, b), st, done);
    MU_TRY(mu_blas_check_cuda(
               mu_cuda_gelu(stream, y_is_bf16, bf16, y, before, p->shape.m * p->shape.n),
               "GELU of a linear layer"),
           st, done);
done:
    return st;
}

enum mu_status mu_cuda_linear(struct mu_blas *blas, struct CUstream_st *stream, struct mu_linear s,
                              void *y, bool y_is_act, void *before, const void *x, const void *w,
                              const float *b, enum mu_epilogue epilogue)
{
    struct mu_blas_product p = {.shape = {.m = s.rows,
                                          .n = s.out,
                                          .k = s.in,
                                          .lda = s.in,
                                          .ldb = s.in,
                                          .ldc = s.out,
                                          .b_is_nxk = true,
                                          .c_is_bf16 = y_is_act && mu_blas_options_of(blas)->bf16},
                                .a = x,
                                .b = w,
                                .c = y};

    if (s.rows == 0)
        return MU_OK;
    if (epilogue == MU_EPILOGUE_GELU)
        return run_gelu(blas, stream, &p, before, b);
    return run_linear(blas, stream, &p, b);
}

enum mu_status mu_cuda_linear_backward_input(struct mu_blas *blas, struct CUstream_st *stream,
                                             struct mu_linear s, void *dx, bool dx_is_act,
                                             const void *dy, const void *w)
{
    struct mu_blas_product p = {.shape = {.m = s.rows,
                                          .n = s.in,
                                          .k = s.out,
                                          .lda = s.out,
                                          .ldb = s.in,
                                          .ldc = s.in,
                                          .c_is_bf16 = dx_is_act && mu_blas_options_of(blas)->bf16},
                                .a = dy,
                                .b = w,
                                .c = dx};

    return s.rows == 0 ? MU_OK : mu_blas_run(blas, stream, &p);
}

/* db is ours: the library's epilogue for it overwrites, and nothing says that its bits repeat. */
static enum mu_status sum_columns(struct mu_blas *blas, struct CUstream_st *stream,
                                  struct mu_linear s, float *db, const void *dy, bool overwrite)
{
    int64_t floats = mu_cuda_column_sums_scratch(s.rows, s.out);
    void *scratch;
    enum mu_status st = MU_OK;

    MU_TRY(mu_blas_scratch(blas, floats * (int64_t)sizeof(float), "sums of a bias' gradient",
                           &scratch),
           st, done);
    MU_TRY(mu_blas_check_cuda(mu_cuda_column_sums(stream, mu_blas_options_of(blas)->bf16, db, dy,
                                                  scratch, s.rows, s.out, overwrite),
                              "gradient of a bias"),
           st, done);
done:
    return st;
}

enum mu_status mu_cuda_linear_backward_weight(struct mu_blas *blas, struct CUstream_st *stream,
                                              struct mu_linear s, float *dw, float *db,
                                              const void *dy, const void *x, bool overwrite)
{
    struct mu_blas_product p = {.shape = {.m = s.out,
                                          .n = s.in,
                                          .k = s.rows,
                                          .lda = s.out,
                                          .ldb = s.in,
                                          .ldc = s.in,
                                          .a_is_kxm = true,
                                          .accumulate = !overwrite},
                                .a = dy,
                                .b = x,
                                .c = dw};
    enum mu_status st = MU_OK;

    if (s.rows > 0)
        MU_TRY(mu_blas_run(blas, stream, &p), st, done);
    else /* the sum of no rows */
        MU_TRY(mu_blas_check_cuda(
                   mu_cuda_column_sums(stream, false, dw, NULL, NULL, 0, s.out * s.in, overwrite),
                   "gradient of a weight"),
               st, done);
    if (db)
        MU_TRY(sum_columns(blas, stream, s, db, dy, overwrite), st, done);
done:
    return st;
}

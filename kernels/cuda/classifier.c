/* The head, a block of rows at a time: logits (f32) become their gradients in place (act), and both
 * gradients are products of them. How many rows a block has is a function of the vocabulary (and of
 * block_logits): dtable is a sum over blocks, so its bits hang on it. */
#include "kernels/cuda/linear.h"

#include "kernels/cuda/linear_kernels.h"

enum {
    STRIDE = 32,     /* logits' rows begin at whole 128 bytes */
    LEAST_ROWS = 16, /* so that rows of x stay aligned from block to block */
};

struct head {
    struct mu_blas *blas;
    struct CUstream_st *stream;
    const void *table;
    float *logits, *dtable;
    int64_t c, v, ld;
    bool bf16, gradient;
    float scale;
};

/* A power of two: micro-batches often are, and then no block is cut. */
static int64_t rows_of_block(int64_t block_logits, int64_t ld)
{
    int64_t rows = LEAST_ROWS;

    while (rows <= block_logits / ld / 2)
        rows *= 2;
    return rows;
}

/* One block: x, dx (rows, C), losses, target (rows). */
static enum mu_status run_block(const struct head *h, int64_t rows, float *losses, float *dx,
                                const void *x, const int32_t *target, bool overwrite)
{
    int64_t ld_act = h->bf16 ? 2 * h->ld : h->ld; /* of gradients in the logits' place */
    struct mu_blas_product logits = {.shape = {.m = rows,
                                               .n = h->v,
                                               .k = h->c,
                                               .lda = h->c,
                                               .ldb = h->c,
                                               .ldc = h->ld,
                                               .b_is_nxk = true},
                                     .a = x,
                                     .b = h->table,
                                     .c = h->logits};
    struct mu_blas_product to_x = {
        .shape = {.m = rows, .n = h->c, .k = h->v, .lda = ld_act, .ldb = h->c, .ldc = h->c},
        .a = h->logits,
        .b = h->table,
        .c = dx};
    struct mu_blas_product to_table = {.shape = {.m = h->v,
                                                 .n = h->c,
                                                 .k = rows,
                                                 .lda = ld_act,
                                                 .ldb = h->c,
                                                 .ldc = h->c,
                                                 .a_is_kxm = true,
                                                 .accumulate = !overwrite},
                                       .a = h->logits,
                                       .b = x,
                                       .c = h->dtable};
    enum mu_status st = MU_OK;

    MU_TRY(mu_blas_run(h->blas, h->stream, &logits), st, done);
    MU_TRY(mu_blas_check_cuda(mu_cuda_cross_entropy(h->stream, h->bf16, losses, h->logits, target,
                                                    h->gradient, h->scale, rows, h->v, h->ld),
                              "cross entropy"),
           st, done);
    if (!h->gradient)
        goto done;
    MU_TRY(mu_blas_run(h->blas, h->stream, &to_x), st, done);
    MU_TRY(mu_blas_run(h->blas, h->stream, &to_table), st, done);
done:
    return st;
}

enum mu_status mu_cuda_classifier(struct mu_blas *blas, struct CUstream_st *stream, float *losses,
                                  float *dx, float *dtable, const void *x, const void *table,
                                  const int32_t *target, float scale, int64_t n, int64_t c,
                                  int64_t v, bool overwrite)
{
    const struct mu_blas_options *options = mu_blas_options_of(blas);
    int64_t ld = (v + STRIDE - 1) / STRIDE * STRIDE;
    int64_t block = rows_of_block(options->block_logits, ld), most = n < block ? n : block;
    struct head h = {.blas = blas,
                     .stream = stream,
                     .table = table,
                     .dtable = dtable,
                     .c = c,
                     .v = v,
                     .ld = ld,
                     .bf16 = options->bf16,
                     .gradient = dx != NULL,
                     .scale = scale};
    int64_t act_bytes = h.bf16 ? 2 : 4;
    void *scratch;
    enum mu_status st = MU_OK;

    if (n == 0 && dx) /* the sum of no rows */
        return mu_blas_check_cuda(
            mu_cuda_column_sums(stream, false, dtable, NULL, NULL, 0, v * c, overwrite),
            "gradient of the table");
    MU_TRY(mu_blas_scratch(blas, most * ld * (int64_t)sizeof(float), "a block of logits", &scratch),
           st, done);
    h.logits = scratch;
    for (int64_t from = 0; from < n; from += block) {
        int64_t rows = block < n - from ? block : n - from;

        MU_TRY(run_block(&h, rows, losses + from, dx ? dx + from * c : NULL,
                         (const char *)x + from * c * act_bytes, target + from,
                         overwrite && from == 0),
               st, done);
    }
done:
    return st;
}

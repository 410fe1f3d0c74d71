/* The head: logits, softmax, cross entropy and their gradients, a block of rows at a time. A
 * block's rows are a function of the vocabulary alone; its logits (f32) become their gradients in
 * place (act), and both gradients are products of them. */
#include "kernels/cpu/products.h"

enum {
    BLOCK_LOGITS = 1 << 24, /* 64 MiB */
    MOST_ROWS = 512,
    LEAST_ROWS = 64,
    ROWS = 4, /* rows of a softmax task */
};

struct head_job {
    struct mu_cpu *cpu;
    float *logits, *losses;
    const int32_t *target;
    int64_t rows, ld, v;
    bool gradient;
    float scale;
};

static void softmax_task(void *argument, int64_t task, int worker)
{
    struct head_job *job = argument;
    int64_t to = mu_min((task + 1) * ROWS, job->rows);

    for (int64_t i = task * ROWS; i < to; i++) {
        job->losses[i] =
            job->cpu->vector->cross_entropy(job->logits + i * job->ld, job->v, job->target[i],
                                            job->gradient, job->scale, job->cpu->bf16);
        mu_pool_poll(job->cpu->pool, worker);
    }
}

/* Near-equal blocks. */
static int64_t rows_of_block(int64_t n, int64_t ld)
{
    int64_t most = mu_min(BLOCK_LOGITS / ld, MOST_ROWS);
    int64_t blocks = mu_ceil_div(n, most < LEAST_ROWS ? LEAST_ROWS : most);

    return mu_min(mu_ceil_div(mu_ceil_div(n, blocks), 16) * 16, n);
}

/* One block of rows: x (rows, C), dx (rows, C) or NULL. */
static void run_block(struct head_job *job, const void *x, const void *table, float *dx,
                      float *dtable, int64_t c, bool overwrite)
{
    struct mu_cpu *cpu = job->cpu;
    int64_t ld_act = cpu->bf16 ? 2 * job->ld : job->ld; /* of gradients in the logits' place */
    struct mu_product logits = {.shape = {.m = job->rows,
                                          .n = job->v,
                                          .k = c,
                                          .lda = c,
                                          .ldb = c,
                                          .ldc = job->ld,
                                          .b_is_nxk = true,
                                          .bf16 = cpu->bf16},
                                .a = x,
                                .b = table,
                                .c = job->logits};
    struct mu_product to_x = {.shape = {.m = job->rows,
                                        .n = c,
                                        .k = job->v,
                                        .lda = ld_act,
                                        .ldb = c,
                                        .ldc = c,
                                        .bf16 = cpu->bf16},
                              .a = job->logits,
                              .b = table,
                              .c = dx};
    struct mu_product to_table = {.shape = {.m = job->v,
                                            .n = c,
                                            .k = job->rows,
                                            .lda = ld_act,
                                            .ldb = c,
                                            .ldc = c,
                                            .a_is_kxm = true,
                                            .bf16 = cpu->bf16,
                                            .accumulate = !overwrite},
                                  .a = job->logits,
                                  .b = x,
                                  .c = dtable};

    mu_product_run(cpu, &logits);
    mu_pool_run(cpu->pool, softmax_task, job, mu_ceil_div(job->rows, ROWS));
    if (!job->gradient)
        return;
    mu_product_run(cpu, &to_x);
    mu_product_run(cpu, &to_table);
}

void mu_cpu_classifier(struct mu_device *d, float *losses, float *dx, float *dtable, const void *x,
                       const void *table, const int32_t *target, float scale, int64_t n, int64_t c,
                       int64_t v, bool overwrite)
{
    struct mu_cpu *cpu = mu_cpu_of(d);
    int64_t ld = mu_ceil_div(v, 16) * 16 + 16; /* off the powers of two: rows in other cache sets */
    int64_t block = rows_of_block(n, ld);
    float *logits = mu_cpu_shared_scratch(cpu, (size_t)(block * ld) * sizeof(float));

    for (int64_t from = 0; from < n; from += block) {
        struct head_job job = {.cpu = cpu,
                               .logits = logits,
                               .losses = losses + from,
                               .target = target + from,
                               .rows = mu_min(block, n - from),
                               .ld = ld,
                               .v = v,
                               .gradient = dx != NULL,
                               .scale = scale};

        run_block(&job, mu_act_at(cpu, x, from * c), table, dx ? dx + from * c : NULL, dtable, c,
                  overwrite && from == 0);
    }
}

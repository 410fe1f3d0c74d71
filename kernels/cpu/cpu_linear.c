/* Linear layers: products in tiles, each tile finished (bias, GELU, rounding) by the worker that
 * computed it while it is in its cache. */
#include <string.h>

#include "kernels/cpu/products.h"
#include "orchestrator/base/clock.h"

struct linear_job {
    struct mu_product product;
    struct mu_vector_epilogue epilogue; /* of the whole */
    bool finish;                        /* something is left to do after the product */
};

static void linear_task(void *argument, int64_t task, int worker)
{
    struct linear_job *job = argument;
    struct mu_cpu *cpu = job->product.cpu;
    struct mu_tile t = mu_product_tile_at(&job->product, task);
    struct mu_vector_epilogue e = job->epilogue;
    int64_t at = t.row * e.ld_y + t.col;

    e.acc = mu_product_tile(&job->product, t, worker);
    if (!job->finish)
        return;
    e.ld_acc = job->product.shape.ldc;
    e.rows = t.rows;
    e.cols = t.cols;
    e.y = (char *)e.y + at * (e.y_bf16 ? 2 : 4);
    e.before = e.gelu ? mu_act_at(cpu, e.before, at) : NULL;
    e.bias = e.bias ? e.bias + t.col : NULL;
    cpu->vector->epilogue(&e);
}

/* y (rows, ld) = the product, through the epilogue. Straight into y unless that is bf16. */
static void run_linear(struct mu_cpu *cpu, struct linear_job *job, void *y, bool y_is_act)
{
    struct mu_vector_epilogue *e = &job->epilogue;

    e->y = y;
    e->y_bf16 = y_is_act && cpu->bf16;
    e->before_bf16 = cpu->bf16;
    e->ld_y = job->product.shape.n;
    job->product.shape.bf16 = cpu->bf16;
    job->product.shape.ldc = e->ld_y;
    job->product.c = e->y_bf16 ? NULL : y;
    job->finish = e->y_bf16 || e->bias || e->gelu;
    mu_product_plan(cpu, &job->product);
    mu_pool_run(cpu->pool, linear_task, job, mu_product_tiles(&job->product));
}

void mu_cpu_linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act, void *before,
                   const void *x, const void *w, const float *b, enum mu_epilogue epilogue)
{
    struct linear_job job = {
        .product = {.shape = {.m = s.rows,
                              .n = s.out,
                              .k = s.in,
                              .lda = s.in,
                              .ldb = s.in,
                              .b_is_nxk = true},
                    .a = x,
                    .b = w},
        .epilogue = {.before = before, .bias = b, .gelu = epilogue == MU_EPILOGUE_GELU},
    };

    run_linear(mu_cpu_of(d), &job, y, y_is_act);
}

void mu_cpu_linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx, bool dx_is_act,
                                  const void *dy, const void *w)
{
    struct linear_job job = {
        .product = {.shape = {.m = s.rows, .n = s.in, .k = s.out, .lda = s.out, .ldb = s.in},
                    .a = dy,
                    .b = w},
    };

    run_linear(mu_cpu_of(d), &job, dx, dx_is_act);
}

/* ---- gradients of weight and bias ------------------------------------------------------------ */
enum {
    SUM_COLS = 64,  /* columns of a task: whole cache lines */
    SUM_ROWS = 128, /* rows added before they are added to the total: a sum of sums errs less */
};

struct sum_job {
    struct mu_cpu *cpu;
    float *db;
    const void *dy;
    int64_t rows, cols;
    bool overwrite;
};

static void sum_task(void *argument, int64_t task, int worker)
{
    struct sum_job *job = argument;
    int64_t col = task * SUM_COLS, n = mu_min(SUM_COLS, job->cols - col);
    float total[SUM_COLS] = {0}, part[SUM_COLS];

    for (int64_t from = 0; from < job->rows; from += SUM_ROWS) {
        int64_t to = mu_min(from + SUM_ROWS, job->rows);

        job->cpu->vector->sum_rows(part, mu_act_at(job->cpu, job->dy, from * job->cols + col),
                                   job->cpu->bf16, to - from, job->cols, n);
        job->cpu->vector->add(total, total, part, n);
        mu_pool_poll(job->cpu->pool, worker);
    }
    if (job->overwrite)
        memcpy(job->db + col, total, (size_t)n * sizeof *total);
    else
        job->cpu->vector->add(job->db + col, job->db + col, total, n);
}

void mu_cpu_linear_backward_weight(struct mu_device *d, struct mu_linear s, float *dw, float *db,
                                   const void *dy, const void *x, bool overwrite)
{
    struct mu_cpu *cpu = mu_cpu_of(d);
    struct mu_product product = {.shape = {.m = s.out,
                                           .n = s.in,
                                           .k = s.rows,
                                           .lda = s.out,
                                           .ldb = s.in,
                                           .ldc = s.in,
                                           .a_is_kxm = true,
                                           .bf16 = cpu->bf16,
                                           .accumulate = !overwrite},
                                 .a = dy,
                                 .b = x,
                                 .c = dw};
    struct sum_job sum = {cpu, db, dy, s.rows, s.out, overwrite};

    mu_product_run(cpu, &product);
    if (db)
        mu_pool_run(cpu->pool, sum_task, &sum, mu_ceil_div(s.out, SUM_COLS));
}

/* ---- the yardstick --------------------------------------------------------------------------- */
enum { PEAK_SIZE = 512 }; /* some milliseconds each, mostly from a core's own cache */

struct peak_job {
    const struct mu_gemm *gemm;
    char *memory; /* A, B, C of every task, as floats */
};

static void peak_task(void *argument, int64_t task, int worker)
{
    struct peak_job *job = argument;
    size_t bytes = sizeof(float) * PEAK_SIZE * PEAK_SIZE;
    char *at = job->memory + 3 * bytes * (size_t)task;

    mu_gemm_run(job->gemm, worker, at, at + bytes, (float *)(void *)(at + 2 * bytes));
}

double mu_cpu_measure_peak(struct mu_device *d, double seconds)
{
    struct mu_cpu *cpu = mu_cpu_of(d);
    const int64_t n = PEAK_SIZE;
    struct mu_gemm_shape shape = {
        .m = n, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n, .b_is_nxk = true, .bf16 = cpu->bf16};
    int threads = d->options.threads;
    size_t bytes = (size_t)threads * 3 * sizeof(float) * PEAK_SIZE * PEAK_SIZE;
    double best = 0, end = mu_clock_s() + seconds, flops = 2.0 * (double)(n * n * n) * threads;
    struct peak_job job = {mu_gemm_get(cpu->gemm, &shape), mu_device_alloc(d, bytes)};

    MU_ASSERT(job.memory);
    do {
        double start = mu_clock_s(), rate;

        mu_pool_run(cpu->pool, peak_task, &job, threads);
        rate = flops / (mu_clock_s() - start);
        best = rate > best ? rate : best;
    } while (mu_clock_s() < end);
    mu_device_free(d, job.memory);
    return best;
}

/* Embedding, LayerNorm and RMSNorm. Tasks are fixed groups of rows, or of columns where rows are
 * added up. */
#include <string.h>

#include "kernels/cpu/cpu.h"

enum {
    ROWS = 32,      /* rows of a task */
    PART_ROWS = 64, /* rows whose parameter gradients are added up by one task */
    COLS = 64,      /* columns of a task */
};

/* ---- embedding ------------------------------------------------------------------------------ */
struct embed_job {
    struct mu_cpu *cpu;
    float *out;
    const float *table, *position;
    const int32_t *token;
    int64_t n, t, c;
};

static void embed_task(void *argument, int64_t task, int worker)
{
    struct embed_job *job = argument;
    int64_t to = mu_min((task + 1) * ROWS, job->n);

    (void)worker;
    for (int64_t i = task * ROWS; i < to; i++) {
        const float *row = job->table + job->token[i] * job->c;

        if (job->position)
            job->cpu->vector->add(job->out + i * job->c, row, job->position + i % job->t * job->c,
                                  job->c);
        else
            memcpy(job->out + i * job->c, row, (size_t)job->c * sizeof *row);
    }
}

void mu_cpu_embed(struct mu_device *d, float *out, const float *table, const float *position,
                  const int32_t *token, int64_t n, int64_t t, int64_t c)
{
    struct embed_job job = {mu_cpu_of(d), out, table, position, token, n, t, c};

    mu_pool_run(job.cpu->pool, embed_task, &job, mu_ceil_div(n, ROWS));
}

struct embed_backward_job {
    struct mu_cpu *cpu;
    float *rows, *dposition;
    const float *dout;
    const int32_t *row_of;
    int64_t n, t, c;
    bool overwrite_position;
};

static void add_position(const struct embed_backward_job *job, int64_t i, int64_t col, int64_t n)
{
    const float *from = job->dout + i * job->c + col;
    float *position = job->dposition + i % job->t * job->c + col;

    if (job->overwrite_position && i < job->t)
        memcpy(position, from, (size_t)n * sizeof *from);
    else
        job->cpu->vector->add(position, position, from, n);
}

/* A group of columns of everything: rows are added in order of token whoever does it. */
static void embed_backward_task(void *argument, int64_t task, int worker)
{
    struct embed_backward_job *job = argument;
    int64_t col = task * COLS, n = mu_min(COLS, job->c - col);

    for (int64_t i = 0; i < job->n; i++) {
        float *row = job->rows + job->row_of[i] * job->c + col;

        job->cpu->vector->add(row, row, job->dout + i * job->c + col, n);
        if (job->dposition)
            add_position(job, i, col, n);
        if (i % 1024 == 0)
            mu_pool_poll(job->cpu->pool, worker);
    }
}

void mu_cpu_embed_backward(struct mu_device *d, float *rows, float *dposition, const float *dout,
                           const int32_t *row_of, int64_t n, int64_t t, int64_t c,
                           bool overwrite_position)
{
    struct embed_backward_job job = {mu_cpu_of(d),      rows, dposition, dout, row_of, n, t, c,
                                     overwrite_position};

    mu_pool_run(job.cpu->pool, embed_backward_task, &job, mu_ceil_div(c, COLS));
}

/* ---- LayerNorm and RMSNorm, which has no mean and no bias ------------------------------------ */
struct norm_job {
    struct mu_cpu *cpu;
    void *out;
    float *mean, *rstd, *x_out; /* mean NULL: RMSNorm */
    const float *x, *branch, *weight, *bias;
    int64_t n, c;
};

static void norm_task(void *argument, int64_t task, int worker)
{
    struct norm_job *job = argument;
    int64_t c = job->c, to = mu_min((task + 1) * ROWS, job->n);

    (void)worker;
    for (int64_t i = task * ROWS; i < to; i++) {
        void *out = mu_act_at(job->cpu, job->out, i * c);
        float *x_out = job->branch ? job->x_out + i * c : NULL;
        const float *x = job->x + i * c, *branch = job->branch ? job->branch + i * c : NULL;

        if (job->mean)
            job->cpu->vector->layernorm(out, job->cpu->bf16, job->mean + i, job->rstd + i, x_out, x,
                                        branch, job->weight, job->bias, c);
        else
            job->cpu->vector->rmsnorm(out, job->cpu->bf16, job->rstd + i, x_out, x, branch,
                                      job->weight, c);
    }
}

void mu_cpu_layernorm(struct mu_device *d, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t c)
{
    struct norm_job job = {mu_cpu_of(d), out, mean, rstd, x_out, x, branch, weight, bias, n, c};

    mu_pool_run(job.cpu->pool, norm_task, &job, mu_ceil_div(n, ROWS));
}

void mu_cpu_rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t n, int64_t c)
{
    struct norm_job job = {mu_cpu_of(d), out, NULL, rstd, x_out, x, branch, weight, NULL, n, c};

    mu_pool_run(job.cpu->pool, norm_task, &job, mu_ceil_div(n, ROWS));
}

/* Part p of the parameters' gradients is (2, C): dweight, dbias of rows p * PART_ROWS on. RMSNorm's
 * has dweight alone. */
struct norm_backward_job {
    struct mu_cpu *cpu;
    float *dx, *dweight, *dbias, *parts; /* dbias and mean NULL: RMSNorm */
    const float *dout, *x, *weight, *mean, *rstd;
    int64_t n, c;
    bool overwrite;
};

static int64_t rows_of_part(const struct norm_backward_job *job)
{
    return job->dbias ? 2 : 1;
}

static void norm_backward_task(void *argument, int64_t task, int worker)
{
    struct norm_backward_job *job = argument;
    int64_t c = job->c, to = mu_min((task + 1) * PART_ROWS, job->n);
    float *part = job->parts + task * rows_of_part(job) * c;

    memset(part, 0, (size_t)(rows_of_part(job) * c) * sizeof *part);
    for (int64_t i = task * PART_ROWS; i < to; i++) {
        float *dx = job->dx + i * c;
        const float *dout = job->dout + i * c, *x = job->x + i * c;

        if (job->mean)
            job->cpu->vector->layernorm_backward(dx, part, part + c, dout, x, job->weight,
                                                 job->mean[i], job->rstd[i], c);
        else
            job->cpu->vector->rmsnorm_backward(dx, part, dout, x, job->weight, job->rstd[i], c);
    }
    mu_pool_poll(job->cpu->pool, worker);
}

/* Columns of dweight and dbias: the sum of the parts, in order. */
static void norm_sum_task(void *argument, int64_t task, int worker)
{
    struct norm_backward_job *job = argument;
    int64_t col = task * COLS, n = mu_min(COLS, job->c - col), rows = rows_of_part(job);
    float *out[2] = {job->dweight, job->dbias};

    (void)worker;
    for (int64_t which = 0; which < rows; which++) {
        float total[COLS] = {0}, *to = out[which] + col;

        for (int64_t p = 0; p < mu_ceil_div(job->n, PART_ROWS); p++)
            job->cpu->vector->add(total, total, job->parts + (rows * p + which) * job->c + col, n);
        if (job->overwrite)
            memcpy(to, total, (size_t)n * sizeof *total);
        else
            job->cpu->vector->add(to, to, total, n);
    }
}

static void norm_backward(struct norm_backward_job *job)
{
    int64_t parts = mu_ceil_div(job->n, PART_ROWS);
    size_t elements = (size_t)(parts * rows_of_part(job) * job->c);

    job->parts = mu_cpu_shared_scratch(job->cpu, elements * sizeof(float));
    mu_pool_run(job->cpu->pool, norm_backward_task, job, parts);
    mu_pool_run(job->cpu->pool, norm_sum_task, job, mu_ceil_div(job->c, COLS));
}

void mu_cpu_layernorm_backward(struct mu_device *d, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, int64_t n, int64_t c,
                               bool overwrite)
{
    struct norm_backward_job job = {mu_cpu_of(d), dx,   dweight, dbias, NULL, dout,     x,
                                    weight,       mean, rstd,    n,     c,    overwrite};

    norm_backward(&job);
}

void mu_cpu_rmsnorm_backward(struct mu_device *d, float *dx, float *dweight, const float *dout,
                             const float *x, const float *weight, const float *rstd, int64_t n,
                             int64_t c, bool overwrite)
{
    struct norm_backward_job job = {mu_cpu_of(d), dx,   dweight, NULL, NULL, dout,     x,
                                    weight,       NULL, rstd,    n,    c,    overwrite};

    norm_backward(&job);
}

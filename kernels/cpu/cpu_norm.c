/* Embedding and LayerNorm. Tasks are fixed groups of rows, or of columns where rows are added
 * up. */
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
    for (int64_t i = task * ROWS; i < to; i++)
        job->cpu->vector->add(job->out + i * job->c, job->table + job->token[i] * job->c,
                              job->position + i % job->t * job->c, job->c);
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

/* A group of columns of everything: rows are added in order of token whoever does it. */
static void embed_backward_task(void *argument, int64_t task, int worker)
{
    struct embed_backward_job *job = argument;
    const struct mu_vector_ops *vector = job->cpu->vector;
    int64_t col = task * COLS, n = mu_min(COLS, job->c - col);

    for (int64_t i = 0; i < job->n; i++) {
        const float *from = job->dout + i * job->c + col;
        float *row = job->rows + job->row_of[i] * job->c + col;
        float *position = job->dposition + i % job->t * job->c + col;

        vector->add(row, row, from, n);
        if (job->overwrite_position && i < job->t)
            memcpy(position, from, (size_t)n * sizeof *from);
        else
            vector->add(position, position, from, n);
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

/* ---- LayerNorm ------------------------------------------------------------------------------ */
struct norm_job {
    struct mu_cpu *cpu;
    void *out;
    float *mean, *rstd, *x_out;
    const float *x, *branch, *weight, *bias;
    int64_t n, c;
};

static void norm_task(void *argument, int64_t task, int worker)
{
    struct norm_job *job = argument;
    int64_t c = job->c, to = mu_min((task + 1) * ROWS, job->n);

    (void)worker;
    for (int64_t i = task * ROWS; i < to; i++)
        job->cpu->vector->layernorm(
            mu_act_at(job->cpu, job->out, i * c), job->cpu->bf16, job->mean + i, job->rstd + i,
            job->branch ? job->x_out + i * c : NULL, job->x + i * c,
            job->branch ? job->branch + i * c : NULL, job->weight, job->bias, c);
}

void mu_cpu_layernorm(struct mu_device *d, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t c)
{
    struct norm_job job = {mu_cpu_of(d), out, mean, rstd, x_out, x, branch, weight, bias, n, c};

    mu_pool_run(job.cpu->pool, norm_task, &job, mu_ceil_div(n, ROWS));
}

/* Part p of the parameters' gradients is (2, C): dweight, dbias of rows p * PART_ROWS on. */
struct norm_backward_job {
    struct mu_cpu *cpu;
    float *dx, *dweight, *dbias, *parts;
    const float *dout, *x, *weight, *mean, *rstd;
    int64_t n, c;
    bool overwrite;
};

static void norm_backward_task(void *argument, int64_t task, int worker)
{
    struct norm_backward_job *job = argument;
    int64_t c = job->c, to = mu_min((task + 1) * PART_ROWS, job->n);
    float *part = job->parts + task * 2 * c;

    memset(part, 0, (size_t)(2 * c) * sizeof *part);
    for (int64_t i = task * PART_ROWS; i < to; i++)
        job->cpu->vector->layernorm_backward(job->dx + i * c, part, part + c, job->dout + i * c,
                                             job->x + i * c, job->weight, job->mean[i],
                                             job->rstd[i], c);
    mu_pool_poll(job->cpu->pool, worker);
}

/* Columns of dweight and dbias: the sum of the parts, in order. */
static void norm_sum_task(void *argument, int64_t task, int worker)
{
    struct norm_backward_job *job = argument;
    int64_t col = task * COLS, n = mu_min(COLS, job->c - col);
    float *out[2] = {job->dweight + col, job->dbias + col};

    (void)worker;
    for (int which = 0; which < 2; which++) {
        float total[COLS] = {0};

        for (int64_t p = 0; p < mu_ceil_div(job->n, PART_ROWS); p++)
            job->cpu->vector->add(total, total, job->parts + (2 * p + which) * job->c + col, n);
        if (job->overwrite)
            memcpy(out[which], total, (size_t)n * sizeof *total);
        else
            job->cpu->vector->add(out[which], out[which], total, n);
    }
}

void mu_cpu_layernorm_backward(struct mu_device *d, float *dx, float *dweight, float *dbias,
                               const float *dout, const float *x, const float *weight,
                               const float *mean, const float *rstd, int64_t n, int64_t c,
                               bool overwrite)
{
    struct mu_cpu *cpu = mu_cpu_of(d);
    int64_t parts = mu_ceil_div(n, PART_ROWS);
    struct norm_backward_job job = {
        .cpu = cpu,
        .dx = dx,
        .dweight = dweight,
        .dbias = dbias,
        .parts = mu_cpu_shared_scratch(cpu, (size_t)(parts * 2 * c) * sizeof(float)),
        .dout = dout,
        .x = x,
        .weight = weight,
        .mean = mean,
        .rstd = rstd,
        .n = n,
        .c = c,
        .overwrite = overwrite,
    };

    mu_pool_run(cpu->pool, norm_backward_task, &job, parts);
    mu_pool_run(cpu->pool, norm_sum_task, &job, mu_ceil_div(c, COLS));
}

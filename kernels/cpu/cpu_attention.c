/* Causal attention: a task is one head of one sequence. It takes queries in blocks of fixed rows,
 * each against the keys up to its diagonal; scores of a block live in the worker's scratch and
 * become probabilities in place. Backward, probabilities are computed again from the stored lse,
 * and the gradients of keys and values are added up over query blocks in order, in f32.
 *
 *   forward   S = Q K^T     P = exp(S - row maximum)    O = P V / row sum
 *   backward  S = Q K^T     dP = dO V^T                 P, dS from both (vector code)
 *             dQ = dS K     dK += dS^T Q                dV += P^T dO */
#include <math.h> /* sqrt */
#include <string.h>

#include "kernels/cpu/cpu.h"

enum { QUERIES = 64 };

/* Products of one query block; the backward ones are NULL in a forward pass. */
struct block_products {
    const struct mu_gemm *scores, *out;
    const struct mu_gemm *dprob, *dq, *dk, *dv;
};

struct attention_job {
    struct mu_cpu *cpu;
    struct mu_attention s;
    void *out, *dqkv;
    const void *qkv, *dout;
    float *lse;
    int64_t width, row; /* C; a row of qkv */
    int64_t ld, ld_act; /* of scores, in floats and in act elements */
    int64_t blocks;
    struct block_products products[]; /* a query block each */
};

/* A worker's scratch. */
struct workspace {
    float *score, *dprob; /* (QUERIES, ld) */
    float *acc;           /* (QUERIES, D) */
    float *dk, *dv;       /* (T, D) */
    float *of_row;        /* QUERIES */
};

static size_t workspace_floats(const struct attention_job *job)
{
    return (size_t)(2 * QUERIES * job->ld + (QUERIES + 2 * job->s.context) * job->s.head_size +
                    QUERIES) +
           6 * 16; /* each part begins on a cache line */
}

static float *take(float **at, int64_t floats)
{
    float *taken = *at;

    *at += mu_ceil_div(floats, 16) * 16;
    return taken;
}

static struct workspace workspace_of(const struct attention_job *job, int worker)
{
    float *at = job->cpu->of_worker[worker].memory;

    return (struct workspace){
        .score = take(&at, QUERIES * job->ld),
        .dprob = take(&at, QUERIES * job->ld),
        .acc = take(&at, QUERIES * job->s.head_size),
        .dk = take(&at, job->s.context * job->s.head_size),
        .dv = take(&at, job->s.context * job->s.head_size),
        .of_row = take(&at, QUERIES),
    };
}

/* A row of qkv (part 0, 1, 2: q, k, v), and of out, of one head. */
static void *qkv_at(const struct attention_job *job, const void *qkv, int64_t b, int64_t h,
                    int64_t token, int64_t part)
{
    int64_t at = (b * job->s.context + token) * job->row + part * job->width + h * job->s.head_size;

    return mu_act_at(job->cpu, qkv, at);
}

static void *out_at(const struct attention_job *job, const void *out, int64_t b, int64_t h,
                    int64_t token)
{
    return mu_act_at(job->cpu, out,
                     (b * job->s.context + token) * job->width + h * job->s.head_size);
}

static struct mu_vector_attention block_of(const struct attention_job *job, int64_t block,
                                           const struct workspace *w)
{
    int64_t first = block * QUERIES, rows = mu_min(QUERIES, job->s.context - first);

    return (struct mu_vector_attention){
        .rows = rows,
        .first = first,
        .keys = first + rows,
        .ld = job->ld,
        .score = w->score,
        .dprob = w->dprob,
        .scale = 1.0f / sqrtf((float)job->s.head_size),
        .bf16 = job->cpu->bf16,
    };
}

static void forward_block(const struct attention_job *job, int64_t b, int64_t h, int64_t block,
                          const struct workspace *w, int worker)
{
    const struct block_products *p = &job->products[block];
    struct mu_vector_attention v = block_of(job, block, w);

    v.lse = job->lse + (b * job->s.heads + h) * job->s.context + v.first;
    v.inverse_sum = w->of_row;
    mu_gemm_run(p->scores, worker, qkv_at(job, job->qkv, b, h, v.first, 0),
                qkv_at(job, job->qkv, b, h, 0, 1), w->score);
    job->cpu->vector->attention_softmax(&v);
    mu_gemm_run(p->out, worker, w->score, qkv_at(job, job->qkv, b, h, 0, 2), w->acc);
    for (int64_t r = 0; r < v.rows; r++)
        job->cpu->vector->scale_to_act(out_at(job, job->out, b, h, v.first + r), v.bf16,
                                       w->acc + r * job->s.head_size, v.inverse_sum[r],
                                       job->s.head_size);
}

static void forward_task(void *argument, int64_t task, int worker)
{
    const struct attention_job *job = argument;
    struct workspace w = workspace_of(job, worker);

    for (int64_t block = 0; block < job->blocks; block++) {
        forward_block(job, task / job->s.heads, task % job->s.heads, block, &w, worker);
        mu_pool_poll(job->cpu->pool, worker);
    }
}

static void backward_block(const struct attention_job *job, int64_t b, int64_t h, int64_t block,
                           const struct workspace *w, int worker)
{
    const struct mu_vector_ops *vector = job->cpu->vector;
    const struct block_products *p = &job->products[block];
    struct mu_vector_attention v = block_of(job, block, w);
    int64_t size = job->s.head_size;
    const void *dout = out_at(job, job->dout, b, h, v.first);
    const void *q = qkv_at(job, job->qkv, b, h, v.first, 0);

    v.lse = job->lse + (b * job->s.heads + h) * job->s.context + v.first;
    v.inner = w->of_row;
    for (int64_t r = 0; r < v.rows; r++)
        w->of_row[r] = vector->dot_act(out_at(job, job->dout, b, h, v.first + r),
                                       out_at(job, job->out, b, h, v.first + r), v.bf16, size);
    mu_gemm_run(p->scores, worker, q, qkv_at(job, job->qkv, b, h, 0, 1), w->score);
    mu_gemm_run(p->dprob, worker, dout, qkv_at(job, job->qkv, b, h, 0, 2), w->dprob);
    vector->attention_gradient(&v);
    mu_gemm_run(p->dq, worker, w->dprob, qkv_at(job, job->qkv, b, h, 0, 1), w->acc);
    mu_gemm_run(p->dk, worker, w->dprob, q, w->dk);
    mu_gemm_run(p->dv, worker, w->score, dout, w->dv);
    for (int64_t r = 0; r < v.rows; r++)
        vector->scale_to_act(qkv_at(job, job->dqkv, b, h, v.first + r, 0), v.bf16,
                             w->acc + r * size, 1, size);
}

static void backward_task(void *argument, int64_t task, int worker)
{
    const struct attention_job *job = argument;
    struct workspace w = workspace_of(job, worker);
    int64_t b = task / job->s.heads, h = task % job->s.heads, size = job->s.head_size;

    memset(w.dk, 0, (size_t)(job->s.context * size) * sizeof *w.dk);
    memset(w.dv, 0, (size_t)(job->s.context * size) * sizeof *w.dv);
    for (int64_t block = 0; block < job->blocks; block++) {
        backward_block(job, b, h, block, &w, worker);
        mu_pool_poll(job->cpu->pool, worker);
    }
    for (int64_t i = 0; i < job->s.context; i++) {
        job->cpu->vector->scale_to_act(qkv_at(job, job->dqkv, b, h, i, 1), job->cpu->bf16,
                                       w.dk + i * size, 1, size);
        job->cpu->vector->scale_to_act(qkv_at(job, job->dqkv, b, h, i, 2), job->cpu->bf16,
                                       w.dv + i * size, 1, size);
    }
}

/* Finds the products of a query block of `rows` against `keys`. */
static void plan_block(const struct attention_job *job, struct block_products *p, int64_t rows,
                       int64_t keys, bool backward)
{
    struct mu_gemm_engine *engine = job->cpu->gemm;
    int64_t size = job->s.head_size;
    struct mu_gemm_shape scores = {.m = rows,
                                   .n = keys,
                                   .k = size,
                                   .lda = job->row,
                                   .ldb = job->row,
                                   .ldc = job->ld,
                                   .b_is_nxk = true,
                                   .bf16 = job->cpu->bf16};
    struct mu_gemm_shape rows_by_size = {.m = rows,
                                         .n = size,
                                         .k = keys,
                                         .lda = job->ld_act,
                                         .ldb = job->row,
                                         .ldc = size,
                                         .bf16 = job->cpu->bf16};
    struct mu_gemm_shape keys_by_size = {.m = keys,
                                         .n = size,
                                         .k = rows,
                                         .lda = job->ld_act,
                                         .ldb = job->row,
                                         .ldc = size,
                                         .a_is_kxm = true,
                                         .bf16 = job->cpu->bf16,
                                         .accumulate = true};

    p->scores = mu_gemm_get(engine, &scores);
    if (!backward) {
        p->out = mu_gemm_get(engine, &rows_by_size);
        return;
    }
    p->dq = mu_gemm_get(engine, &rows_by_size);
    p->dk = mu_gemm_get(engine, &keys_by_size);
    scores.lda = job->width; /* A is dout */
    p->dprob = mu_gemm_get(engine, &scores);
    keys_by_size.ldb = job->width; /* B is dout */
    p->dv = mu_gemm_get(engine, &keys_by_size);
}

/* The job lies in the device's shared scratch. */
static struct attention_job *plan(struct mu_cpu *cpu, struct mu_attention s, bool backward)
{
    int64_t blocks = mu_ceil_div(s.context, QUERIES);
    struct attention_job *job =
        mu_cpu_shared_scratch(cpu, sizeof *job + (size_t)blocks * sizeof(struct block_products));

    *job = (struct attention_job){.cpu = cpu, .s = s, .blocks = blocks};
    job->width = s.heads * s.head_size;
    job->row = 3 * job->width;
    job->ld = mu_ceil_div(s.context, 16) * 16 + 16; /* off the powers of two */
    job->ld_act = cpu->bf16 ? 2 * job->ld : job->ld;
    for (int64_t i = 0; i < blocks; i++) {
        int64_t first = i * QUERIES, rows = mu_min(QUERIES, s.context - first);

        plan_block(job, &job->products[i], rows, first + rows, backward);
        mu_pool_poll(cpu->pool, 0); /* making primitives takes its time, once */
    }
    mu_cpu_reserve_worker_scratch(cpu, workspace_floats(job) * sizeof(float));
    return job;
}

void mu_cpu_attention(struct mu_device *d, struct mu_attention s, void *out, float *lse,
                      const void *qkv)
{
    struct attention_job *job = plan(mu_cpu_of(d), s, false);

    job->out = out;
    job->lse = lse;
    job->qkv = qkv;
    mu_pool_run(job->cpu->pool, forward_task, job, s.batch * s.heads);
}

void mu_cpu_attention_backward(struct mu_device *d, struct mu_attention s, void *dqkv,
                               const void *dout, const void *out, const void *qkv, const float *lse)
{
    struct attention_job *job = plan(mu_cpu_of(d), s, true);

    job->dqkv = dqkv;
    job->dout = dout;
    job->out = (void *)(uintptr_t)out;
    job->lse = (float *)(uintptr_t)lse;
    job->qkv = qkv;
    mu_pool_run(job->cpu->pool, backward_task, job, s.batch * s.heads);
}

/* ---- of the last token alone: dot products and a weighted sum, memory sets the pace ---------- */
struct last_job {
    struct mu_cpu *cpu;
    struct mu_attention s;
    void *out;
    const void *qkv;
    int64_t ld; /* of scores, in floats */
};

static void last_task(void *argument, int64_t task, int worker)
{
    const struct last_job *job = argument;
    const struct mu_vector_ops *vector = job->cpu->vector;
    const int64_t size = job->s.head_size, keys = job->s.context, c = job->s.heads * size;
    const int64_t at = task / job->s.heads * keys * 3 * c + task % job->s.heads * size;
    float *score = job->cpu->of_worker[worker].memory, *acc = score + job->ld;
    float lse, inverse_sum;
    struct mu_vector_attention v = {.rows = 1,
                                    .first = keys - 1,
                                    .keys = keys,
                                    .ld = job->ld,
                                    .score = score,
                                    .scale = 1.0f / sqrtf((float)size),
                                    .lse = &lse,
                                    .inverse_sum = &inverse_sum,
                                    .bf16 = job->cpu->bf16};
    const void *query = mu_act_at(job->cpu, job->qkv, at + (keys - 1) * 3 * c);

    for (int64_t k = 0; k < keys; k++)
        score[k] = vector->dot_act(query, mu_act_at(job->cpu, job->qkv, at + (3 * k + 1) * c),
                                   v.bf16, size);
    vector->attention_softmax(&v);
    vector->sum_weighted(acc, mu_act_at(job->cpu, job->qkv, at + 2 * c), score, v.bf16, keys, 3 * c,
                         size);
    vector->scale_to_act(mu_act_at(job->cpu, job->out, task * size), v.bf16, acc, inverse_sum,
                         size);
}

void mu_cpu_attention_last(struct mu_device *d, struct mu_attention s, void *out, const void *qkv)
{
    struct last_job job = {mu_cpu_of(d), s, out, qkv, mu_ceil_div(s.context, 16) * 16};
    const int64_t floats = job.ld + mu_ceil_div(s.head_size, 16) * 16;

    mu_cpu_reserve_worker_scratch(job.cpu, (size_t)floats * sizeof(float));
    mu_pool_run(job.cpu->pool, last_task, &job, s.batch * s.heads);
}

/* Operations element by element, and block by block: limited by memory. */
#include <stdatomic.h>
#include <string.h>

#include "kernels/cpu/cpu.h"
#include "kernels/quantum.h"

enum { ELEMENTS = 1 << 14 }; /* of a task */

struct element_job {
    struct mu_cpu *cpu;
    void *to;
    const void *from;
    int64_t n;
    bool overwrite;
};

/* Rows of a task, when one has so many elements. */
static int64_t rows_of_task(int64_t elements)
{
    return elements < ELEMENTS ? ELEMENTS / (elements > 0 ? elements : 1) : 1;
}

static struct element_job range_of(const struct element_job *job, int64_t task)
{
    struct element_job range = *job;

    range.n = mu_min(ELEMENTS, job->n - task * ELEMENTS);
    return range;
}

static void run_elements(struct element_job *job, mu_task *task)
{
    mu_pool_run(job->cpu->pool, task, job, mu_ceil_div(job->n, ELEMENTS));
}

static void gelu_task(void *argument, int64_t task, int worker)
{
    struct element_job *job = argument;
    int64_t at = task * ELEMENTS;

    (void)worker;
    job->cpu->vector->gelu_backward(mu_act_at(job->cpu, job->to, at),
                                    mu_act_at(job->cpu, job->from, at), job->cpu->bf16,
                                    range_of(job, task).n);
}

void mu_cpu_gelu_backward(struct mu_device *d, void *grad, const void *before, int64_t n)
{
    struct element_job job = {mu_cpu_of(d), grad, before, n, false};

    run_elements(&job, gelu_task);
}

struct swiglu_job {
    struct mu_cpu *cpu;
    void *to; /* out or dboth */
    const void *dout, *both;
    int64_t n, f;
};

static void swiglu_task(void *argument, int64_t task, int worker)
{
    struct swiglu_job *job = argument;
    const struct mu_vector_ops *vector = job->cpu->vector;
    int64_t rows = rows_of_task(job->f), f = job->f, to = mu_min((task + 1) * rows, job->n);

    (void)worker;
    for (int64_t i = task * rows; i < to; i++) {
        const void *both = mu_act_at(job->cpu, job->both, i * 2 * f);

        if (job->dout)
            vector->swiglu_backward(mu_act_at(job->cpu, job->to, i * 2 * f),
                                    mu_act_at(job->cpu, job->dout, i * f), both, job->cpu->bf16, f);
        else
            vector->swiglu(mu_act_at(job->cpu, job->to, i * f), both, job->cpu->bf16, f);
    }
}

void mu_cpu_swiglu(struct mu_device *d, void *out, const void *both, int64_t n, int64_t f)
{
    struct swiglu_job job = {mu_cpu_of(d), out, NULL, both, n, f};

    mu_pool_run(job.cpu->pool, swiglu_task, &job, mu_ceil_div(n, rows_of_task(f)));
}

void mu_cpu_swiglu_backward(struct mu_device *d, void *dboth, const void *dout, const void *both,
                            int64_t n, int64_t f)
{
    struct swiglu_job job = {mu_cpu_of(d), dboth, dout, both, n, f};

    mu_pool_run(job.cpu->pool, swiglu_task, &job, mu_ceil_div(n, rows_of_task(f)));
}

struct rotate_job {
    struct mu_cpu *cpu;
    struct mu_attention shape;
    void *qkv;
    const float *turn;
    bool backward;
    int64_t rows; /* of a task */
};

static void rotate_task(void *argument, int64_t task, int worker)
{
    struct rotate_job *job = argument;
    const struct mu_attention *s = &job->shape;
    int64_t to = mu_min((task + 1) * job->rows, s->batch * s->context);

    (void)worker;
    for (int64_t n = task * job->rows; n < to; n++)
        job->cpu->vector->rotate(mu_act_at(job->cpu, job->qkv, n * 3 * s->heads * s->head_size),
                                 job->cpu->bf16, job->turn + n % s->context * s->head_size,
                                 job->backward, 2 * s->heads, s->head_size);
}

void mu_cpu_rotate(struct mu_device *d, struct mu_attention s, void *qkv, const float *turn,
                   bool backward)
{
    int64_t rows = rows_of_task(2 * s.heads * s.head_size);
    struct rotate_job job = {mu_cpu_of(d), s, qkv, turn, backward, rows};

    mu_pool_run(job.cpu->pool, rotate_task, &job, mu_ceil_div(s.batch * s.context, rows));
}

static void to_act_task(void *argument, int64_t task, int worker)
{
    struct element_job *job = argument;
    int64_t at = task * ELEMENTS, n = range_of(job, task).n;
    const float *from = (const float *)job->from + at;

    (void)worker;
    if (job->cpu->bf16)
        job->cpu->vector->to_bf16((uint16_t *)job->to + at, from, n);
    else
        memcpy((float *)job->to + at, from, (size_t)n * sizeof *from);
}

void mu_cpu_to_act(struct mu_device *d, void *out, const float *x, int64_t n)
{
    struct element_job job = {mu_cpu_of(d), out, x, n, true};

    run_elements(&job, to_act_task);
}

static void add_task(void *argument, int64_t task, int worker)
{
    struct element_job *job = argument;
    int64_t at = task * ELEMENTS, n = range_of(job, task).n;
    float *to = (float *)job->to + at;
    const float *from = (const float *)job->from + at;

    (void)worker;
    if (job->overwrite)
        memcpy(to, from, (size_t)n * sizeof *from);
    else
        job->cpu->vector->add(to, to, from, n);
}

void mu_cpu_add(struct mu_device *d, float *to, const float *from, int64_t n, bool overwrite)
{
    struct element_job job = {mu_cpu_of(d), to, from, n, overwrite};

    run_elements(&job, add_task);
}

struct sum_job {
    struct mu_cpu *cpu;
    int32_t *to;
    const int32_t *from;
    int64_t n;
    _Atomic uint32_t sum;
};

static void add_int32_task(void *argument, int64_t task, int worker)
{
    struct sum_job *job = argument;
    int64_t at = task * ELEMENTS;
    uint32_t sum =
        job->cpu->vector->add_int32(job->to + at, job->from + at, mu_min(ELEMENTS, job->n - at));

    (void)worker;
    atomic_fetch_add_explicit(&job->sum, sum, memory_order_relaxed);
}

uint32_t mu_cpu_add_int32(struct mu_device *d, int32_t *a, const int32_t *b, int64_t n)
{
    struct sum_job job = {mu_cpu_of(d), a, b, n, 0};

    mu_pool_run(job.cpu->pool, add_int32_task, &job, mu_ceil_div(n, ELEMENTS));
    return job.sum;
}

/* ---- AdamW ---------------------------------------------------------------------------------- */
struct adamw_job {
    struct mu_cpu *cpu;
    const struct mu_adamw *a;
    _Atomic uint32_t check;
};

static void adamw_task(void *argument, int64_t task, int worker)
{
    struct adamw_job *job = argument;
    int64_t at = task * ELEMENTS;
    struct mu_adamw part = *job->a;
    uint32_t check;

    (void)worker;
    part.weight += at;
    part.m += at;
    part.v += at;
    part.gradient += at;
    part.weight_out += at;
    part.m_out += at;
    part.v_out += at;
    part.weight_bf16 = part.weight_bf16 ? part.weight_bf16 + at : NULL;
    check = job->cpu->vector->adamw(&part, mu_min(ELEMENTS, part.count - at));
    atomic_fetch_add_explicit(&job->check, check, memory_order_relaxed);
}

void mu_cpu_adamw(struct mu_device *d, const struct mu_adamw *a)
{
    struct adamw_job job = {mu_cpu_of(d), a, 0};

    mu_pool_run(job.cpu->pool, adamw_task, &job, mu_ceil_div(a->count, ELEMENTS));
    if (a->check)
        *a->check += job.check;
}

/* ---- gradients to integers ------------------------------------------------------------------ */
struct quantise_job {
    struct mu_cpu *cpu;
    const struct mu_quantise *q;
    int64_t blocks_per_row, blocks;
};

enum { BLOCKS = 64 }; /* of a task */

/* Gradients are scaled by 2^shift, as two factors that are floats. Beyond what two can hold,
 * nothing but zeros fits (shift large) or everything rounds to zero (shift small): the nearest held
 * will do. */
static int held_shift(int shift)
{
    return shift > 252 ? 252 : shift < -252 ? -252 : shift;
}

static double power_of_two(int exponent) /* of a normal double */
{
    uint64_t bits = (uint64_t)(exponent + 1023) << 52;
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static void quantise_block(const struct quantise_job *job, int64_t block)
{
    const struct mu_quantise *q = job->q;
    int64_t col = block % job->blocks_per_row * MU_BLOCK;
    int64_t at = block / job->blocks_per_row * q->cols + col;
    int64_t n = mu_min(MU_BLOCK, q->cols - col);
    int shift = held_shift(-mu_quantum_exponent(q->prediction[block], q->log2_addends));
    uint32_t bits = job->cpu->vector->largest_bits(q->gradient + at, n);
    uint8_t exponent = (uint8_t)(bits >> 23);
    float largest;

    memcpy(&largest, &bits, sizeof largest);
    q->largest[block] = exponent > q->largest[block] ? exponent : q->largest[block];
    /* In double the scaling is exact. rint(x) <= limit: limit + 1/2 goes to the even one of its
     * neighbours. NaN does not fit. */
    q->misfit[block] = !(q->limit % 2 ? (double)largest * power_of_two(shift) < q->limit + 0.5
                                      : (double)largest * power_of_two(shift) <= q->limit + 0.5);
    if (!q->misfit[block]) {
        float first = (float)power_of_two(shift / 2);
        float second = (float)power_of_two(shift - shift / 2);

        job->cpu->vector->quantise(q->sum + at, q->gradient + at, first, second, n, q->overwrite);
    } else if (q->overwrite) {
        memset(q->sum + at, 0, (size_t)n * sizeof *q->sum);
    }
}

static void quantise_task(void *argument, int64_t task, int worker)
{
    struct quantise_job *job = argument;
    int64_t to = mu_min((task + 1) * BLOCKS, job->blocks);

    (void)worker;
    for (int64_t block = task * BLOCKS; block < to; block++)
        quantise_block(job, block);
}

void mu_cpu_quantise_add(struct mu_device *d, const struct mu_quantise *q)
{
    int64_t per_row = mu_ceil_div(q->cols, MU_BLOCK);
    struct quantise_job job = {mu_cpu_of(d), q, per_row, per_row * q->rows};

    mu_pool_run(job.cpu->pool, quantise_task, &job, mu_ceil_div(job.blocks, BLOCKS));
}

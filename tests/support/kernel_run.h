/* Runs every operation of a device on made-up inputs of one shape and keeps every output, so that
 * two devices, or two runs, can be compared. Inputs are a function of the shape alone. Outputs that
 * an operation overwrites begin as NaN; those that it adds to begin as made-up numbers. */
#ifndef MUSTER_TESTS_SUPPORT_KERNEL_RUN_H
#define MUSTER_TESTS_SUPPORT_KERNEL_RUN_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/bf16.h"
#include "kernels/device.h"
#include "orchestrator/core/layout.h"

struct kernel_shape {
    int64_t b, t, h, d, v, out; /* sequences, context, heads, head size, vocabulary, linear's out */
};

struct kernel_output {
    char name[48];
    void *device; /* where operations write it */
    void *data;   /* the host's, once kernel_run_fetch has been called */
    int64_t n;
    size_t bytes;
    bool act, integer;
};

struct kernel_run {
    struct mu_device *device;
    struct kernel_shape shape;
    uint64_t random;
    bool add; /* ops that can add do, else they overwrite */
    struct kernel_output outputs[64];
    int count;
    void *inputs[64];
    int input_count;
};

static inline struct mu_device *open_device(enum mu_device_kind kind, enum mu_precision precision,
                                            enum mu_isa isa, int threads)
{
    struct mu_device_options options = {
        .kind = kind, .precision = precision, .isa = isa, .threads = threads};
    struct mu_device *d;

    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    return d;
}

/* Uniform in (-1, 1); splitmix64. */
static inline float next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)((double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1.0);
}

/* Device memory with the host's bytes. */
static inline void *uploaded(struct kernel_run *r, const void *host, size_t bytes)
{
    void *x = mu_device_alloc(r->device, bytes);

    assert_non_null(x);
    mu_device_upload(r->device, x, host, bytes);
    return x;
}

/* As uploaded, of malloc'd memory that is then freed; an input of the run. */
static inline void *input(struct kernel_run *r, void *host, size_t bytes)
{
    void *x = uploaded(r, host, bytes);

    free(host);
    r->inputs[r->input_count++] = x;
    return x;
}

static inline float *random_host(struct kernel_run *r, int64_t n, float scale)
{
    float *x = malloc((size_t)n * sizeof *x);

    assert_non_null(x);
    for (int64_t i = 0; i < n; i++)
        x[i] = scale * next_random(&r->random);
    return x;
}

static inline float *random_f32(struct kernel_run *r, int64_t n, float scale)
{
    return input(r, random_host(r, n, scale), (size_t)n * sizeof(float));
}

static inline void *random_act(struct kernel_run *r, int64_t n, float scale)
{
    float *x = random_host(r, n, scale);
    uint16_t *half = (void *)x;

    if (r->device->options.precision == MU_PRECISION_FP32)
        return input(r, x, (size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) /* in place: always behind what is read */
        half[i] = mu_bf16_from_f32(x[i]);
    return input(r, half, (size_t)n * sizeof *half);
}

static inline int32_t *random_below(struct kernel_run *r, int64_t n, int64_t limit)
{
    int32_t *x = (void *)random_host(r, n, 1);

    for (int64_t i = 0; i < n; i++)
        x[i] = (int32_t)((double)limit * 0.4999 * (1.0 + (double)next_random(&r->random)));
    return input(r, x, (size_t)n * sizeof *x);
}

static inline void *output(struct kernel_run *r, const char *name, int64_t n, bool act, bool add)
{
    struct kernel_output *o = &r->outputs[r->count++];
    bool bf16 = act && r->device->options.precision == MU_PRECISION_BF16;
    float *start = malloc((size_t)n * 4);

    assert_non_null(start);
    snprintf(o->name, sizeof o->name, "%s", name);
    o->n = n;
    o->act = bf16;
    o->bytes = (size_t)n * (bf16 ? 2 : 4);
    memset(start, 0xff, o->bytes); /* NaN in both types */
    for (int64_t i = 0; add && i < n; i++)
        start[i] = next_random(&r->random);
    o->device = uploaded(r, start, o->bytes);
    free(start);
    return o->device;
}

/* Outputs as the host sees them from now on. */
static inline void kernel_run_fetch(struct kernel_run *r)
{
    for (int i = 0; i < r->count; i++) {
        struct kernel_output *o = &r->outputs[i];

        o->data = malloc(o->bytes + 1);
        assert_non_null(o->data);
        mu_device_download(r->device, o->data, o->device, o->bytes);
    }
}

static inline float output_at(const struct kernel_output *o, int64_t i)
{
    if (o->integer)
        return (float)((int32_t *)o->data)[i];
    return o->act ? mu_bf16_to_f32(((uint16_t *)o->data)[i]) : ((float *)o->data)[i];
}

static inline void run_norms(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t t = r->shape.t, n = r->shape.b * t, c = r->shape.h * r->shape.d, v = r->shape.v;
    float *table = random_f32(r, v * c, 1), *position = random_f32(r, t * c, 1);
    float *x, *dout = random_f32(r, n * c, 1), *weight = random_f32(r, c, 1);
    float *bias = random_f32(r, c, 1), *branch = random_f32(r, n * c, 1), *mean, *rstd;
    int32_t *token = random_below(r, n, v);

    x = output(r, "embed", n * c, false, false);
    op->embed(r->device, x, table, position, token, n, t, c);
    op->embed_backward(r->device, output(r, "embed_backward rows", v * c, false, true),
                       output(r, "embed_backward position", t * c, false, r->add), dout, token, n,
                       t, c, !r->add);
    mean = output(r, "layernorm mean", n, false, false);
    rstd = output(r, "layernorm rstd", n, false, false);
    op->layernorm(r->device, output(r, "layernorm out", n * c, true, false), mean, rstd, NULL, x,
                  NULL, weight, bias, n, c);
    op->layernorm_backward(r->device, output(r, "layernorm dx", n * c, false, true),
                           output(r, "layernorm dweight", c, false, r->add),
                           output(r, "layernorm dbias", c, false, r->add), dout, x, weight, mean,
                           rstd, n, c, !r->add);
    op->layernorm(r->device, output(r, "layernorm+branch out", n * c, true, false),
                  output(r, "layernorm+branch mean", n, false, false),
                  output(r, "layernorm+branch rstd", n, false, false),
                  output(r, "layernorm+branch x", n * c, false, false), x, branch, weight, bias, n,
                  c);
    op->layernorm(r->device, output(r, "layernorm in place out", n * c, true, false),
                  output(r, "layernorm in place mean", n, false, false),
                  output(r, "layernorm in place rstd", n, false, false), x, x, branch, weight, bias,
                  n, c);
}

static inline void run_linears(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t n = r->shape.b * r->shape.t, c = r->shape.h * r->shape.d, o = r->shape.out;
    struct mu_linear s = {n, c, o};
    void *x = random_act(r, n * c, 1), *w = random_act(r, o * c, 1), *dy = random_act(r, n * o, 1);
    float *bias = random_f32(r, o, 1);
    void *before = output(r, "linear before", n * o, true, false), *d;

    op->linear(r->device, s, output(r, "linear gelu", n * o, true, false), true, before, x, w, bias,
               MU_EPILOGUE_GELU);
    op->linear(r->device, s, output(r, "linear f32", n * o, false, false), false, NULL, x, w, bias,
               MU_EPILOGUE_NONE);
    op->linear(r->device, s, output(r, "linear act", n * o, true, false), true, NULL, x, w, NULL,
               MU_EPILOGUE_NONE);
    op->linear_backward_input(r->device, s, output(r, "linear dx f32", n * c, false, false), false,
                              dy, w);
    op->linear_backward_input(r->device, s, output(r, "linear dx act", n * c, true, false), true,
                              dy, w);
    op->linear_backward_weight(r->device, s, output(r, "linear dw", o * c, false, r->add),
                               output(r, "linear db", o, false, r->add), dy, x, !r->add);
    op->linear_backward_weight(r->device, s, output(r, "linear dw alone", o * c, false, r->add),
                               NULL, dy, x, !r->add);
    d = output(r, "gelu_backward", n * o, true, false);
    mu_device_copy(r->device, d, dy, r->outputs[r->count - 1].bytes);
    op->gelu_backward(r->device, d, before, n * o);
    op->to_act(r->device, output(r, "to_act", o, true, false), bias, o);
}

static inline void run_attention(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    struct mu_attention s = {r->shape.b, r->shape.t, r->shape.h, r->shape.d};
    int64_t n = s.batch * s.context, c = s.heads * s.head_size;
    void *qkv = random_act(r, n * 3 * c, 2), *dout = random_act(r, n * c, 1);
    void *out = output(r, "attention out", n * c, true, false);
    float *lse = output(r, "attention lse", s.batch * s.heads * s.context, false, false);

    op->attention(r->device, s, out, lse, qkv);
    op->attention_backward(r->device, s, output(r, "attention dqkv", n * 3 * c, true, false), dout,
                           out, qkv, lse);
}

static inline void run_classifier(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t n = r->shape.b * r->shape.t, c = r->shape.h * r->shape.d, v = r->shape.v;
    void *x = random_act(r, n * c, 1), *table = random_act(r, v * c, 1);
    int32_t *target = random_below(r, n, v);

    op->classifier(r->device, output(r, "classifier losses alone", n, false, false), NULL, NULL, x,
                   table, target, 1, n, c, v, true);
    op->classifier(r->device, output(r, "classifier losses", n, false, false),
                   output(r, "classifier dx", n * c, false, false),
                   output(r, "classifier dtable", v * c, false, r->add), x, table, target, 0.5f, n,
                   c, v, !r->add);
}

static inline void run_update(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t n = r->shape.v * r->shape.h * r->shape.d;
    float *v = random_host(r, n, 1);
    bool bf16 = r->device->options.precision == MU_PRECISION_BF16;
    struct mu_adamw a = {
        .count = n,
        .weight = random_f32(r, n, 1),
        .m = random_f32(r, n, 1),
        .gradient = random_f32(r, n, 1),
        .gradient_scale = 0.75f,
        .lr = 0.01f,
        .beta1 = 0.9f,
        .beta2 = 0.95f,
        .eps = 1e-8f,
        .decay = 0.1f,
        .bias1 = 0.271f,
        .bias2 = 0.142625f,
    };

    for (int64_t i = 0; i < n; i++)
        v[i] *= v[i];
    v = input(r, v, (size_t)n * sizeof *v);
    a.v = v;
    a.weight_out = output(r, "adamw weight", n, false, false);
    a.m_out = output(r, "adamw m", n, false, false);
    a.v_out = output(r, "adamw v", n, false, false);
    a.weight_bf16 = bf16 ? output(r, "adamw bf16", n, true, false) : NULL;
    op->adamw(r->device, &a);
    mu_device_copy(r->device, output(r, "adamw in place weight", n, false, false), a.weight,
                   (size_t)n * 4);
    a.weight = a.weight_out = r->outputs[r->count - 1].device;
    a.m_out = (float *)(uintptr_t)a.m;
    a.v_out = v;
    op->adamw(r->device, &a);
}

static inline void run_sums(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t rows = r->shape.v, cols = r->shape.h * r->shape.d, n = rows * cols;
    int64_t blocks = rows * ((cols + MU_BLOCK - 1) / MU_BLOCK);
    int16_t *prediction = (void *)random_host(r, blocks, 1);
    struct mu_quantise q = {.gradient = random_f32(r, n, 1),
                            .sum = output(r, "quantise sum", n, false, false),
                            .rows = rows,
                            .cols = cols,
                            .log2_addends = 5,
                            .limit = INT32_MAX / 32,
                            .overwrite = !r->add,
                            .largest =
                                output(r, "quantise largest", (blocks + 3) / 4, false, false),
                            .misfit = output(r, "quantise misfit", (blocks + 3) / 4, false, false)};
    int32_t *host = malloc((size_t)n * sizeof *host);
    uint32_t sum = 0;
    void *to;

    assert_non_null(host);
    r->outputs[r->count - 1].integer = r->outputs[r->count - 2].integer = true;
    r->outputs[r->count - 3].integer = true;
    mu_device_clear(r->device, q.largest, (size_t)blocks);
    memset(host, 0x11, (size_t)n * 4);
    mu_device_upload(r->device, q.sum, host, (size_t)n * 4);
    for (int64_t i = 0; i < blocks; i++) /* some fit, some do not */
        prediction[i] = (int16_t)(24 * next_random(&r->random) - 16);
    q.prediction = input(r, prediction, (size_t)blocks * sizeof *prediction);
    op->quantise_add(r->device, &q);
    op->add(r->device, output(r, "add", n, false, r->add), q.gradient, n, !r->add);
    to = output(r, "add_int32", n, false, false);
    mu_device_copy(r->device, to, q.gradient, (size_t)n * 4);
    r->outputs[r->count - 1].integer = true;
    mu_device_download(r->device, host, q.sum, (size_t)n * 4);
    for (int64_t i = 0; i < n; i++)
        sum += (uint32_t)host[i];
    MU_ASSERT(op->add_int32(r->device, to, q.sum, n) == sum);
    free(host);
}

static inline void run_rmsnorm(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t t = r->shape.t, n = r->shape.b * t, c = r->shape.h * r->shape.d, v = r->shape.v;
    float *table = random_f32(r, v * c, 1), *dout = random_f32(r, n * c, 1);
    float *weight = random_f32(r, c, 1), *branch = random_f32(r, n * c, 1), *x, *rstd;
    int32_t *token = random_below(r, n, v);

    x = output(r, "embed alone", n * c, false, false);
    op->embed(r->device, x, table, NULL, token, n, t, c);
    op->embed_backward(r->device, output(r, "embed_backward alone", v * c, false, true), NULL, dout,
                       token, n, t, c, !r->add);
    rstd = output(r, "rmsnorm rstd", n, false, false);
    op->rmsnorm(r->device, output(r, "rmsnorm out", n * c, true, false), rstd, NULL, x, NULL,
                weight, n, c);
    op->rmsnorm_backward(r->device, output(r, "rmsnorm dx", n * c, false, true),
                         output(r, "rmsnorm dweight", c, false, r->add), dout, x, weight, rstd, n,
                         c, !r->add);
    op->rmsnorm(r->device, output(r, "rmsnorm+branch out", n * c, true, false),
                output(r, "rmsnorm+branch rstd", n, false, false),
                output(r, "rmsnorm+branch x", n * c, false, false), x, branch, weight, n, c);
    op->rmsnorm(r->device, output(r, "rmsnorm in place out", n * c, true, false),
                output(r, "rmsnorm in place rstd", n, false, false), x, x, branch, weight, n, c);
}

/* An output that begins as the act buffer `from`: what is changed in place. */
static inline void *output_from(struct kernel_run *r, const char *name, int64_t n, const void *from)
{
    void *x = output(r, name, n, true, false);

    mu_device_copy(r->device, x, from, r->outputs[r->count - 1].bytes);
    return x;
}

static inline void run_swiglu(struct kernel_run *r)
{
    const struct mu_device_ops *op = r->device->ops;
    int64_t n = r->shape.b * r->shape.t, f = r->shape.out;
    void *both = random_act(r, n * 2 * f, 9), *dout = random_act(r, n * f, 1), *d;

    op->swiglu(r->device, output(r, "swiglu", n * f, true, false), both, n, f);
    op->swiglu_backward(r->device, output(r, "swiglu_backward", n * 2 * f, true, false), dout, both,
                        n, f);
    d = output_from(r, "swiglu_backward in place", n * 2 * f, both);
    op->swiglu_backward(r->device, d, dout, d, n, f);
}

static inline void run_rotate(struct kernel_run *r)
{
    int64_t size = r->shape.d % 2 ? 2 * r->shape.d : r->shape.d;
    struct mu_attention s = {r->shape.b, r->shape.t, r->shape.h, size};
    int64_t n = s.batch * s.context * 3 * s.heads * size;
    void *qkv = random_act(r, n, 1);
    float *turn = random_f32(r, s.context * size, 1);

    r->device->ops->rotate(r->device, s, output_from(r, "rotate", n, qkv), turn, false);
    r->device->ops->rotate(r->device, s, output_from(r, "rotate backward", n, qkv), turn, true);
}

static inline void kernel_run_free(struct kernel_run *r)
{
    for (int i = 0; i < r->count; i++) {
        mu_device_free(r->device, r->outputs[i].device);
        free(r->outputs[i].data);
    }
    for (int i = 0; i < r->input_count; i++)
        mu_device_free(r->device, r->inputs[i]);
    free(r);
}

/* Every operation, on the run's shape. */
static inline void kernel_run_all(struct kernel_run *r)
{
    run_norms(r);
    run_linears(r);
    run_attention(r);
    run_classifier(r);
    run_update(r);
    run_sums(r);
    run_rmsnorm(r);
    run_swiglu(r);
    run_rotate(r);
    kernel_run_fetch(r);
}

static inline struct kernel_run *kernel_run(struct mu_device *device, struct kernel_shape shape,
                                            bool add)
{
    struct kernel_run *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->device = device;
    r->shape = shape;
    r->add = add;
    kernel_run_all(r);
    return r;
}

/* Largest difference of an output, relative to its largest value; NaN when either has one. */
static inline double kernel_distance(const struct kernel_output *a, const struct kernel_output *b)
{
    double most = 0, largest = 0;

    for (int64_t i = 0; i < a->n; i++) {
        double x = (double)output_at(a, i), y = (double)output_at(b, i);

        if (!a->integer && (isnan(x) || isnan(y)))
            return (double)NAN;
        most = fmax(most, fabs(x - y));
        largest = fmax(largest, fabs(y));
    }
    return largest > 0 ? most / largest : most;
}

#endif

/* A kernel against the reference: on the same random inputs, with poisoned outputs, in several
 * orders of threads, which must all give the same bits. Include after cmocka.h and seed.h's user
 * has called print_seed. */
#ifndef MUSTER_TESTS_SUPPORT_CUDA_COMPARE_H
#define MUSTER_TESTS_SUPPORT_CUDA_COMPARE_H

#include "tests/support/kernel_run.h"

#include "tests/support/cuda_device.h"
#include "tests/support/seed.h"

/* Runs operations and keeps their outputs (kernel_run.h). */
typedef void cuda_part(struct kernel_run *r);

static inline struct kernel_run *run_part(cuda_part *part, struct mu_device *device,
                                          struct kernel_shape shape, bool add)
{
    struct kernel_run *r = calloc(1, sizeof *r);

    assert_non_null(r);
    r->device = device;
    r->shape = shape;
    r->add = add;
    r->random = seed;
    part(r);
    kernel_run_fetch(r);
    return r;
}

static inline const struct kernel_output *find_output(const struct kernel_run *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->outputs[i].name, name))
            return &r->outputs[i];
    return NULL;
}

/* How far an output may be from the reference's, relative to its largest value. A float sum of n
 * terms of either sign is off by about sqrt(n) roundings of 2^-24; 16 of that is allowed. A row's
 * spread 1/rstd divides what its mean is off by. The mean itself, and GELU's slope, are sums of
 * terms of about 1 that may cancel, so what they are off by does not shrink with them; nor with
 * LayerNorm's dx, of terms of about rstd, each off by the spread. So with RMSNorm, which has no
 * mean: its dx is a sum of terms of about rstd, its dweight of about 1. SwiGLU's are products of
 * numbers up to 9 (run_swiglu) with a slope that is a sum of terms below 2, and 24 roundings, both
 * sides' together (as counted in unit-kernels_vector). An act may round the other way, to its
 * neighbour: 2^-7 of itself at most. 0: the same bits, since no sum has another order than the
 * reference's and nothing is approximated. */
static inline double allowed(const struct kernel_run *plain, const struct kernel_output *o)
{
    const struct kernel_output *rstd = find_output(plain, "layernorm rstd");
    int64_t c = plain->shape.h * plain->shape.d, n = plain->shape.b * plain->shape.t;
    bool is_rms = !strncmp(o->name, "rmsnorm", 7), is_swiglu = !strncmp(o->name, "swiglu", 6);
    double spread = 1, largest = 0, bound;

    if (strncmp(o->name, "layernorm", 9) != 0 && strncmp(o->name, "gelu", 4) != 0 && !is_rms &&
        !is_swiglu)
        return 0;
    if (strstr(o->name, "+branch x")) /* one addition */
        return 0;
    if (is_rms)
        rstd = find_output(plain, "rmsnorm rstd");
    for (int64_t i = 0; rstd && i < rstd->n; i++)
        spread = fmax(spread, (double)output_at(rstd, i));
    for (int64_t i = 0; i < o->n; i++)
        largest = fmax(largest, fabs((double)output_at(o, i)));
    bound = 16 * 0x1p-24 * sqrt((double)(c > n ? c : n)) * (is_rms ? 1 : spread);
    if (is_swiglu)
        bound = 9 * 2 * 24 * 0x1p-24;
    if (!strcmp(o->name, "rmsnorm dx"))
        bound *= spread;
    if ((is_swiglu || strstr(o->name, "rmsnorm d")) && largest > 0 && largest < 1)
        bound /= largest;
    if (!strcmp(o->name, "layernorm dx") && largest > 0)
        bound *= spread / largest;
    if ((strstr(o->name, "mean") || strstr(o->name, "gelu")) && largest > 0)
        bound /= largest;
    return bound + (o->act ? 0x1p-7 : 0);
}

static inline int compare_runs(const struct kernel_run *emulated, const struct kernel_run *plain)
{
    int failed = 0;

    assert_int_equal(emulated->count, plain->count);
    for (int i = 0; i < plain->count; i++) {
        const struct kernel_output *a = &emulated->outputs[i], *b = &plain->outputs[i];
        double distance = kernel_distance(a, b), limit = allowed(plain, b);

        if (limit > 0 ? distance <= limit : !memcmp(a->data, b->data, a->bytes))
            continue;
        print_message("%s, %lld x %lld columns: off by %g, allowed is %g\n", a->name,
                      (long long)(plain->shape.b * plain->shape.t),
                      (long long)(plain->shape.h * plain->shape.d), distance, limit);
        failed++;
    }
    return failed;
}

static inline void same_bits(const struct kernel_run *a, const struct kernel_run *b)
{
    for (int i = 0; i < a->count; i++)
        if (memcmp(a->outputs[i].data, b->outputs[i].data, a->outputs[i].bytes) != 0)
            fail_msg("%s has other bits under another order of threads", a->outputs[i].name);
}

static inline void compare_part(cuda_part *part, enum mu_precision precision,
                                struct kernel_shape shape, bool add)
{
    struct mu_device cuda = emulated_device(precision);
    struct mu_device *plain = open_device(MU_DEVICE_REFERENCE, precision, MU_ISA_GENERIC, 1);
    struct kernel_run *right = run_part(part, plain, shape, add), *first, *other;
    int failed;

    mu_emulate_clear();
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    first = run_part(part, &cuda, shape, add);
    failed = compare_runs(first, right);
    for (int order = MU_EMULATE_REVERSE; order <= MU_EMULATE_SHUFFLED; order++) {
        mu_emulate_set_order((enum mu_emulate_order)order, seed);
        other = run_part(part, &cuda, shape, add);
        same_bits(first, other);
        kernel_run_free(other);
    }
    mu_emulate_set_order(MU_EMULATE_FORWARD, 0);
    kernel_run_free(first);
    kernel_run_free(right);
    mu_device_close(plain);
    assert_int_equal(failed, 0);
}

/* In both precisions, adding and overwriting. */
static inline void compare_all(cuda_part *part, const struct kernel_shape *shapes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        compare_part(part, MU_PRECISION_FP32, shapes[i], false);
        compare_part(part, MU_PRECISION_BF16, shapes[i], true);
    }
}

#endif

/* The "reference" device: plain loops in float, one thread, the same bits on every CPU. What the
 * fast devices are compared with, and slow: for tests and toy models.
 *
 * In bf16 every act buffer is widened to floats, the float body runs, and act outputs are rounded:
 * rounding happens where the contract says that a value is stored as act, and nowhere else. The
 * copies are made per call; a failed allocation is treated as a bug (MU_ASSERT), since operations
 * cannot fail. */
#include "kernels/device_kinds.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/reference/reference_f32.h"
#include "kernels/reference/reference_quantise.h"
#include "orchestrator/base/clock.h"

/* An act buffer seen as floats: itself in fp32, a widened copy in bf16. */
struct widened {
    float *f32;
    void *act; /* NULL: f32 is the buffer itself */
    int64_t n;
};

static struct widened widen(struct mu_device *d, const void *act, int64_t n)
{
    const uint16_t *half = act;
    struct widened w = {(float *)(uintptr_t)act, NULL, n};

    if (!act || d->options.precision == MU_PRECISION_FP32)
        return w;
    w.act = (void *)(uintptr_t)act;
    w.f32 = malloc((size_t)n * sizeof *w.f32 + 1);
    MU_ASSERT(w.f32);
    for (int64_t i = 0; i < n; i++)
        w.f32[i] = mu_bf16_to_f32(half[i]);
    return w;
}

static void drop(struct widened w)
{
    if (w.act)
        free(w.f32);
}

static void store(struct widened w)
{
    uint16_t *half = w.act;

    for (int64_t i = 0; w.act && i < w.n; i++)
        half[i] = mu_bf16_from_f32(w.f32[i]);
    drop(w);
}

static void close_device(struct mu_device *d)
{
    free(d);
}

static void layernorm(struct mu_device *d, void *out, float *mean, float *rstd, float *x_out,
                      const float *x, const float *branch, const float *weight, const float *bias,
                      int64_t n, int64_t c)
{
    struct widened o = widen(d, out, n * c);

    mu_reference_f32_layernorm(d, o.f32, mean, rstd, x_out, x, branch, weight, bias, n, c);
    store(o);
}

static void rmsnorm(struct mu_device *d, void *out, float *rstd, float *x_out, const float *x,
                    const float *branch, const float *weight, int64_t n, int64_t c)
{
    struct widened o = widen(d, out, n * c);

    mu_reference_f32_rmsnorm(d, o.f32, rstd, x_out, x, branch, weight, n, c);
    store(o);
}

static void linear(struct mu_device *d, struct mu_linear s, void *y, bool y_is_act, void *before,
                   const void *x, const void *w, const float *b, enum mu_epilogue epilogue)
{
    struct widened wide_x = widen(d, x, s.rows * s.in), wide_w = widen(d, w, s.out * s.in);
    struct widened wide_before = widen(d, before, s.rows * s.out);
    struct widened wide_y = {y, NULL, 0};

    if (y_is_act)
        wide_y = widen(d, y, s.rows * s.out);
    mu_reference_f32_linear(d, s, wide_y.f32, wide_before.f32, wide_x.f32, wide_w.f32, b, epilogue);
    store(wide_y);
    store(wide_before);
    drop(wide_x);
    drop(wide_w);
}

static void linear_backward_input(struct mu_device *d, struct mu_linear s, void *dx, bool dx_is_act,
                                  const void *dy, const void *w)
{
    struct widened wide_dy = widen(d, dy, s.rows * s.out), wide_w = widen(d, w, s.out * s.in);
    struct widened wide_dx = {dx, NULL, 0};

    if (dx_is_act)
        wide_dx = widen(d, dx, s.rows * s.in);
    mu_reference_f32_linear_backward_input(d, s, wide_dx.f32, wide_dy.f32, wide_w.f32);
    store(wide_dx);
    drop(wide_dy);
    drop(wide_w);
}

static void linear_backward_weight(struct mu_device *d, struct mu_linear s, float *dw, float *db,
                                   const void *dy, const void *x, bool overwrite)
{
    struct widened wide_dy = widen(d, dy, s.rows * s.out), wide_x = widen(d, x, s.rows * s.in);

    mu_reference_f32_linear_backward_weight(d, s, dw, db, wide_dy.f32, wide_x.f32, overwrite);
    drop(wide_dy);
    drop(wide_x);
}

static void gelu_backward(struct mu_device *d, void *grad, const void *before, int64_t n)
{
    struct widened wide = widen(d, grad, n), wide_before = widen(d, before, n);

    mu_reference_f32_gelu_backward(d, wide.f32, wide_before.f32, n);
    store(wide);
    drop(wide_before);
}

static void swiglu(struct mu_device *d, void *out, const void *both, int64_t n, int64_t f)
{
    struct widened o = widen(d, out, n * f), wide_both = widen(d, both, n * 2 * f);

    mu_reference_f32_swiglu(d, o.f32, wide_both.f32, n, f);
    store(o);
    drop(wide_both);
}

static void swiglu_backward(struct mu_device *d, void *dboth, const void *dout, const void *both,
                            int64_t n, int64_t f)
{
    struct widened grad = widen(d, dboth, n * 2 * f), wide_dout = widen(d, dout, n * f);
    struct widened wide_both = widen(d, both, n * 2 * f);

    mu_reference_f32_swiglu_backward(d, grad.f32, wide_dout.f32, wide_both.f32, n, f);
    store(grad);
    drop(wide_dout);
    drop(wide_both);
}

static void rotate(struct mu_device *d, struct mu_attention s, void *qkv, const float *turn,
                   bool backward)
{
    struct widened wide = widen(d, qkv, s.batch * s.context * 3 * s.heads * s.head_size);

    mu_reference_f32_rotate(d, s, wide.f32, turn, backward);
    store(wide);
}

static void to_act(struct mu_device *d, void *out, const float *x, int64_t n)
{
    uint16_t *half = out;

    if (d->options.precision == MU_PRECISION_FP32) {
        memcpy(out, x, (size_t)n * sizeof *x);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        half[i] = mu_bf16_from_f32(x[i]);
}

static void attention(struct mu_device *d, struct mu_attention s, void *out, float *lse,
                      const void *qkv)
{
    int64_t n = s.batch * s.context * s.heads * s.head_size;
    struct widened o = widen(d, out, n), wide_qkv = widen(d, qkv, 3 * n);

    mu_reference_f32_attention(d, s, o.f32, lse, wide_qkv.f32);
    store(o);
    drop(wide_qkv);
}

static void attention_last(struct mu_device *d, struct mu_attention s, void *out, const void *qkv)
{
    int64_t n = s.batch * s.heads * s.head_size;
    struct widened o = widen(d, out, n), wide_qkv = widen(d, qkv, 3 * n * s.context);

    mu_reference_f32_attention_last(d, s, o.f32, wide_qkv.f32);
    store(o);
    drop(wide_qkv);
}

static void attention_backward(struct mu_device *d, struct mu_attention s, void *dqkv,
                               const void *dout, const void *out, const void *qkv, const float *lse)
{
    int64_t n = s.batch * s.context * s.heads * s.head_size;
    struct widened grad = widen(d, dqkv, 3 * n), wide_dout = widen(d, dout, n);
    struct widened wide_out = widen(d, out, n), wide_qkv = widen(d, qkv, 3 * n);

    mu_reference_f32_attention_backward(d, s, grad.f32, wide_dout.f32, wide_out.f32, wide_qkv.f32,
                                        lse);
    store(grad);
    drop(wide_dout);
    drop(wide_out);
    drop(wide_qkv);
}

static void classifier(struct mu_device *d, float *losses, float *dx, float *dtable, const void *x,
                       const void *table, const int32_t *target, float scale, int64_t n, int64_t c,
                       int64_t v, bool overwrite)
{
    struct widened wide_x = widen(d, x, n * c), wide_table = widen(d, table, v * c);

    mu_reference_f32_classifier(d, losses, dx, dtable, wide_x.f32, wide_table.f32, target, scale, n,
                                c, v, overwrite);
    drop(wide_x);
    drop(wide_table);
}

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static void adamw(struct mu_device *d, const struct mu_adamw *a)
{
    struct mu_reference_f32_adamw_args args = {
        .count = a->count,
        .weight = a->weight,
        .m = a->m,
        .v = a->v,
        .gradient = a->gradient,
        .weight_out = a->weight_out,
        .m_out = a->m_out,
        .v_out = a->v_out,
        .gradient_scale = a->gradient_scale,
        .lr = a->lr,
        .beta1 = a->beta1,
        .beta2 = a->beta2,
        .eps = a->eps,
        .decay = a->decay,
        .bias1 = a->bias1,
        .bias2 = a->bias2,
    };

    mu_reference_f32_adamw(d, &args);
    for (int64_t i = 0; a->weight_bf16 && i < a->count; i++)
        a->weight_bf16[i] = mu_bf16_from_f32(a->weight_out[i]);
    for (int64_t i = 0; a->check && i < a->count; i++)
        *a->check += bits_of(a->weight_out[i]) + bits_of(a->m_out[i]) + bits_of(a->v_out[i]);
}

static void add(struct mu_device *d, float *to, const float *from, int64_t n, bool overwrite)
{
    (void)d;
    for (int64_t i = 0; i < n; i++)
        to[i] = overwrite ? from[i] : to[i] + from[i];
}

static uint32_t add_int32(struct mu_device *d, int32_t *a, const int32_t *b, int64_t n)
{
    uint32_t sum = 0;

    (void)d;
    for (int64_t i = 0; i < n; i++) {
        a[i] = (int32_t)((uint32_t)a[i] + (uint32_t)b[i]);
        sum += (uint32_t)b[i];
    }
    return sum;
}

static double measure_peak(struct mu_device *d, double seconds)
{
    struct mu_linear s = {128, 128, 128};
    float *x = calloc(3 * 128 * 128, sizeof *x);
    double best = 0, end = mu_clock_s() + seconds, flops = 2.0 * 128 * 128 * 128;

    MU_ASSERT(x);
    do {
        double start = mu_clock_s(), rate;

        mu_reference_f32_linear(d, s, x, NULL, x + 128 * 128, x + 2 * 128 * 128, NULL,
                                MU_EPILOGUE_NONE);
        rate = flops / (mu_clock_s() - start);
        best = rate > best ? rate : best;
    } while (mu_clock_s() < end);
    free(x);
    return best;
}

static const struct mu_device_ops reference_ops = {
    .name = "reference",
    .close = close_device,
    .embed = mu_reference_f32_embed,
    .embed_backward = mu_reference_f32_embed_backward,
    .layernorm = layernorm,
    .layernorm_backward = mu_reference_f32_layernorm_backward,
    .rmsnorm = rmsnorm,
    .rmsnorm_backward = mu_reference_f32_rmsnorm_backward,
    .linear = linear,
    .linear_backward_input = linear_backward_input,
    .linear_backward_weight = linear_backward_weight,
    .gelu_backward = gelu_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .rotate = rotate,
    .to_act = to_act,
    .attention = attention,
    .attention_last = attention_last,
    .attention_backward = attention_backward,
    .classifier = classifier,
    .adamw = adamw,
    .quantise_add = mu_reference_quantise_add,
    .add = add,
    .add_int32 = add_int32,
    .measure_peak = measure_peak,
};

enum mu_status mu_reference_open(const struct mu_device_options *options, struct mu_device **out)
{
    struct mu_device *d = calloc(1, sizeof *d);

    if (!d)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the reference device");
    d->ops = &reference_ops;
    d->options = *options;
    *out = d;
    return MU_OK;
}

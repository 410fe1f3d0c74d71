#include "kernels/work.h"

static double times(int64_t a, int64_t b)
{
    return (double)a * (double)b;
}

struct mu_work mu_work_touch(double f32_elements, double act_elements, size_t act_bytes)
{
    return (struct mu_work){0, 4 * f32_elements + (double)act_bytes * act_elements};
}

struct mu_work mu_work_linear(struct mu_linear s, size_t act_bytes, bool y_is_act, bool has_before,
                              bool has_bias)
{
    const double act = (double)act_bytes, x = times(s.rows, s.in), w = times(s.in, s.out),
                 y = times(s.rows, s.out);

    return (struct mu_work){.flops = 2 * x * (double)s.out,
                            .bytes = act * (x + w + (has_before ? y : 0)) +
                                     (y_is_act ? act : 4) * y + (has_bias ? 4 * (double)s.out : 0)};
}

struct mu_work mu_work_linear_backward_input(struct mu_linear s, size_t act_bytes, bool dx_is_act)
{
    const double act = (double)act_bytes, x = times(s.rows, s.in), w = times(s.in, s.out),
                 y = times(s.rows, s.out);

    return (struct mu_work){2 * x * (double)s.out, act * (y + w) + (dx_is_act ? act : 4) * x};
}

struct mu_work mu_work_linear_backward_weight(struct mu_linear s, size_t act_bytes, bool has_bias,
                                              bool overwrite)
{
    const double act = (double)act_bytes, x = times(s.rows, s.in), w = times(s.in, s.out),
                 y = times(s.rows, s.out), touched = overwrite ? 1 : 2;

    return (struct mu_work){.flops = 2 * x * (double)s.out,
                            .bytes =
                                act * (x + y) + 4 * touched * (w + (has_bias ? (double)s.out : 0))};
}

/* Of one product of (T, D) and (T, D) whose result is (T, T), causal: all heads and sequences. */
static double causal_product(struct mu_attention s)
{
    const double t = (double)s.context;

    return 2 * times(s.batch, s.heads) * (t * (t + 1) / 2) * (double)s.head_size;
}

struct mu_work mu_work_attention(struct mu_attention s, size_t act_bytes)
{
    const double rows = times(s.batch, s.context), width = times(s.heads, s.head_size);

    return (struct mu_work){.flops = 2 * causal_product(s),
                            .bytes =
                                (double)act_bytes * 4 * rows * width + 4 * rows * (double)s.heads};
}

struct mu_work mu_work_attention_backward(struct mu_attention s, size_t act_bytes)
{
    const double rows = times(s.batch, s.context), width = times(s.heads, s.head_size);

    return (struct mu_work){.flops = 5 * causal_product(s),
                            .bytes =
                                (double)act_bytes * 8 * rows * width + 4 * rows * (double)s.heads};
}

struct mu_work mu_work_classifier(int64_t n, int64_t c, int64_t v, size_t act_bytes, bool backward,
                                  bool overwrite)
{
    const double x = times(n, c), table = times(v, c), touched = overwrite ? 1 : 2;

    return (struct mu_work){.flops = (backward ? 6 : 2) * x * (double)v,
                            .bytes = (double)act_bytes * (x + table) + 8 * (double)n +
                                     (backward ? 4 * (x + touched * table) : 0)};
}

/* Weights, moments and gradient in; weights and moments out. */
struct mu_work mu_work_adamw(int64_t count, bool has_bf16)
{
    return (struct mu_work){0, (double)count * (has_bf16 ? 30 : 28)};
}

struct mu_work mu_work_quantise(int64_t elements, bool overwrite)
{
    return (struct mu_work){0, (double)elements * (overwrite ? 8 : 12)};
}

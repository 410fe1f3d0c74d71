/* See vector_ops.h. Compiled once for each instruction set, with MU_VECTOR_TABLE the name of the
 * table, MU_VECTOR_NAME the set's, and MU_VECTOR_STREAM the header of its streaming stores. */
#include "kernels/cpu/vector/vector_ops.h"

#include <math.h> /* sqrtf: one instruction, exact */

#include "kernels/cpu/vector/vector.h"
#include "kernels/cpu/vector/vector_norms.h"

#include MU_VECTOR_STREAM

/* ---- GELU, tanh form, as x times a logistic gate (kernels/reference/reference_body.h) -------- */
/* The gate is 1 / (1 + e), e = exp(-2u) = 2^t, t = -2 log2(e) sqrt(2 / pi) (x + 0.044715 x^3). */
INLINE vec gelu_exp(vec x)
{
    return exp2_vec(x * (-0x1.26aec21bcep+1f + -0x1.a5a7cf757p-4f * (x * x)));
}

/* Loops below are in two parts: an inlined round, and a loop that calls it with a constant n =
 * LANES, then once for what is left; act types are constants too. */
INLINE void epilogue_round(const struct mu_vector_epilogue *e, bool y_bf16, bool before_bf16,
                           bool gelu, int64_t row, int64_t i, int64_t n)
{
    int64_t at = row * e->ld_y + i;
    vec v = load(e->acc + row * e->ld_acc + i, n);

    if (e->bias)
        v += load(e->bias + i, n);
    if (gelu) {
        store_act(e->before, before_bf16, at, v, n);
        v = v / (1.0f + gelu_exp(v));
    }
    store_act(e->y, y_bf16, at, v, n);
}

INLINE void epilogue_rows(const struct mu_vector_epilogue *e, bool y_bf16, bool before_bf16,
                          bool gelu)
{
    for (int64_t row = 0; row < e->rows; row++) {
        int64_t i = 0;

        for (; i + LANES <= e->cols; i += LANES)
            epilogue_round(e, y_bf16, before_bf16, gelu, row, i, LANES);
        if (i < e->cols)
            epilogue_round(e, y_bf16, before_bf16, gelu, row, i, e->cols - i);
    }
}

static void epilogue(const struct mu_vector_epilogue *e)
{
    if (e->gelu && e->y_bf16 && e->before_bf16)
        epilogue_rows(e, true, true, true);
    else if (e->gelu)
        epilogue_rows(e, e->y_bf16, e->before_bf16, true);
    else if (e->y_bf16)
        epilogue_rows(e, true, false, false);
    else
        epilogue_rows(e, false, false, false);
}

INLINE void gelu_backward_round(void *d, const void *before, bool bf16, int64_t i, int64_t n)
{
    vec x = load_act(before, bf16, i, n);
    vec e = gelu_exp(x);
    vec gate = 1.0f / (1.0f + e);
    vec two_du = 0x1.9884533d4p+0f + 0x1.b6676bf74p-3f * (x * x); /* 2 u' */
    vec slope = gate + x * two_du * (e * gate * gate); /* 1 - gate = e gate, not rounded */

    store_act(d, bf16, i, load_act(d, bf16, i, n) * slope, n);
}

INLINE void gelu_backward_all(void *d, const void *before, bool bf16, int64_t n)
{
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        gelu_backward_round(d, before, bf16, i, LANES);
    if (i < n)
        gelu_backward_round(d, before, bf16, i, n - i);
}

static void gelu_backward(void *d, const void *before, bool bf16, int64_t n)
{
    if (bf16)
        gelu_backward_all(d, before, true, n);
    else
        gelu_backward_all(d, before, false, n);
}

/* ---- SwiGLU --------------------------------------------------------------------------------- */
/* e = exp(-|x|) does not overflow; 1 / (1 + exp(-x)) and that of -x are 1 / (1 + e) and
 * e / (1 + e), in an order that x's sign decides. */
struct logistic {
    vec of_x, of_minus_x;
};

INLINE struct logistic logistic(vec x)
{
    vec_i32 negative = x < 0.0f;
    vec e = exp_vec(choose(negative, x, -x)), whole = 1.0f + e;
    vec one = splat(1);

    return (struct logistic){choose(negative, e, one) / whole, choose(negative, one, e) / whole};
}

INLINE void swiglu_round(void *out, const void *both, bool bf16, int64_t f, int64_t i, int64_t n)
{
    vec gate = load_act(both, bf16, i, n), up = load_act(both, bf16, f + i, n);

    store_act(out, bf16, i, gate * logistic(gate).of_x * up, n);
}

INLINE void swiglu_all(void *out, const void *both, bool bf16, int64_t f)
{
    int64_t i = 0;

    for (; i + LANES <= f; i += LANES)
        swiglu_round(out, both, bf16, f, i, LANES);
    if (i < f)
        swiglu_round(out, both, bf16, f, i, f - i);
}

static void swiglu(void *out, const void *both, bool bf16, int64_t f)
{
    if (bf16)
        swiglu_all(out, both, true, f);
    else
        swiglu_all(out, both, false, f);
}

INLINE void swiglu_backward_round(void *dboth, const void *dout, const void *both, bool bf16,
                                  int64_t f, int64_t i, int64_t n)
{
    vec gate = load_act(both, bf16, i, n), up = load_act(both, bf16, f + i, n);
    vec d = load_act(dout, bf16, i, n);
    struct logistic l = logistic(gate);

    store_act(dboth, bf16, i, d * up * (l.of_x * (1.0f + gate * l.of_minus_x)), n);
    store_act(dboth, bf16, f + i, d * (gate * l.of_x), n);
}

INLINE void swiglu_backward_all(void *dboth, const void *dout, const void *both, bool bf16,
                                int64_t f)
{
    int64_t i = 0;

    for (; i + LANES <= f; i += LANES)
        swiglu_backward_round(dboth, dout, both, bf16, f, i, LANES);
    if (i < f)
        swiglu_backward_round(dboth, dout, both, bf16, f, i, f - i);
}

static void swiglu_backward(void *dboth, const void *dout, const void *both, bool bf16, int64_t f)
{
    if (bf16)
        swiglu_backward_all(dboth, dout, both, true, f);
    else
        swiglu_backward_all(dboth, dout, both, false, f);
}

/* ---- rotary positions ----------------------------------------------------------------------- */
/* Elements [i, i + n), n <= LANES, of both halves of all heads. */
INLINE void rotate_round(void *x, bool bf16, const float *turn, bool backward, int64_t heads,
                         int64_t size, int64_t i, int64_t n)
{
    vec cosine = {0}, sine = {0};

    for (int lane = 0; lane < LANES && lane < n; lane++) {
        cosine[lane] = turn[2 * (i + lane)];
        sine[lane] = turn[2 * (i + lane) + 1];
    }
    sine = backward ? -sine : sine;
    for (int64_t h = 0; h < heads; h++) {
        int64_t first = h * size + i, second = first + size / 2;
        vec a = load_act(x, bf16, first, n), b = load_act(x, bf16, second, n);

        store_act(x, bf16, first, a * cosine - b * sine, n);
        store_act(x, bf16, second, b * cosine + a * sine, n);
    }
}

INLINE void rotate_all(void *x, bool bf16, const float *turn, bool backward, int64_t heads,
                       int64_t size)
{
    int64_t i = 0;

    for (; i + LANES <= size / 2; i += LANES)
        rotate_round(x, bf16, turn, backward, heads, size, i, LANES);
    if (i < size / 2)
        rotate_round(x, bf16, turn, backward, heads, size, i, size / 2 - i);
}

static void rotate(void *x, bool bf16, const float *turn, bool backward, int64_t heads,
                   int64_t size)
{
    if (bf16)
        rotate_all(x, true, turn, backward, heads, size);
    else
        rotate_all(x, false, turn, backward, heads, size);
}

/* ---- between types -------------------------------------------------------------------------- */
static void to_bf16(uint16_t *out, const float *x, int64_t n)
{
    int64_t i = 0;

    for (; i + LANES <= n; i += LANES)
        store_act(out, true, i, load(x + i, LANES), LANES);
    if (i < n)
        store_act(out, true, i, load(x + i, n - i), n - i);
}

static void sum_rows(float *to, const void *from, bool bf16, int64_t rows, int64_t ld, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        vec sum = {0};

        for (int64_t r = 0; r < rows; r++)
            sum += load_act(from, bf16, r * ld + i, n - i);
        store(to + i, sum, n - i);
    }
}

static void scale_to_act(void *to, bool bf16, const float *from, float factor, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES)
        store_act(to, bf16, i, load(from + i, n - i) * factor, n - i);
}

static float dot_act(const void *a, const void *b, bool bf16, int64_t n)
{
    vec sum = {0};

    for (int64_t i = 0; i < n; i += LANES)
        sum += load_act(a, bf16, i, n - i) * load_act(b, bf16, i, n - i);
    return sum_lanes(sum);
}

static void sum_weighted(float *to, const void *from, const void *weight, bool bf16, int64_t rows,
                         int64_t ld, int64_t n)
{
    for (int64_t i = 0; i < n; i += LANES) {
        vec sum = {0};

        for (int64_t r = 0; r < rows; r++) {
            float w =
                bf16 ? mu_bf16_to_f32(((const uint16_t *)weight)[r]) : ((const float *)weight)[r];

            sum += load_act(from, bf16, r * ld + i, n - i) * w;
        }
        store(to + i, sum, n - i);
    }
}

/* ---- attention ------------------------------------------------------------------------------ */
/* Zeros from element i on; an act row of `keys`. */
INLINE void zero_act(void *row, bool bf16, int64_t i, int64_t keys)
{
    size_t size = bf16 ? sizeof(uint16_t) : sizeof(float);

    if (i < keys)
        memset((char *)row + (size_t)i * size, 0, (size_t)(keys - i) * size);
}

/* Lanes beyond what a query may see hold whatever the scratch holds: masked, not skipped, so that
 * rows need no tails. (A row has room for them: ld is a multiple of 16 beyond keys.) */
static void attention_softmax(const struct mu_vector_attention *a)
{
    for (int64_t r = 0; r < a->rows; r++) {
        float *row = a->score + r * a->ld, largest;
        int64_t seen = a->first + r + 1, i;
        vec top = splat(-INFINITY), sum = {0};

        for (i = 0; i < seen; i += LANES) {
            vec s = choose(first_lanes(seen - i), load(row + i, LANES), splat(-INFINITY));

            store(row + i, s, LANES);
            top = larger(top, s);
        }
        largest = largest_lane(top) * a->scale;
        for (i = 0; i < seen; i += LANES) {
            vec e = exp_vec(load(row + i, LANES) * a->scale - largest);

            sum += e;
            store_act(row, a->bf16, i, e, LANES);
        }
        zero_act(row, a->bf16, i, a->keys);
        a->inverse_sum[r] = sum_lanes(sum);
        a->lse[r] = largest;
    }
    for (int64_t r = 0; r < a->rows; r += LANES) {
        int64_t n = a->rows - r;
        vec sum = load_or(a->inverse_sum + r, n, 1);

        store(a->lse + r, load(a->lse + r, n) + log_vec(sum), n);
        store(a->inverse_sum + r, 1.0f / sum, n);
    }
}

static void attention_gradient(const struct mu_vector_attention *a)
{
    for (int64_t r = 0; r < a->rows; r++) {
        float *score = a->score + r * a->ld, *dprob = a->dprob + r * a->ld;
        int64_t seen = a->first + r + 1, i;

        for (i = 0; i < seen; i += LANES) {
            vec_i32 visible = first_lanes(seen - i);
            vec p = exp_vec(load(score + i, LANES) * a->scale - a->lse[r]);
            vec ds = p * (load(dprob + i, LANES) - a->inner[r]) * a->scale;

            store_act(score, a->bf16, i, (vec)(visible & (vec_i32)p), LANES);
            store_act(dprob, a->bf16, i, (vec)(visible & (vec_i32)ds), LANES);
        }
        zero_act(score, a->bf16, i, a->keys);
        zero_act(dprob, a->bf16, i, a->keys);
    }
}

/* ---- the head ------------------------------------------------------------------------------- */
static float cross_entropy(float *logit, int64_t v, int32_t target, bool gradient, float scale,
                           bool bf16)
{
    vec top = splat(-INFINITY), sum = {0};
    float largest, loss, factor, total, at_target, hit;

    for (int64_t i = 0; i < v; i += LANES)
        top = larger(top, load_or(logit + i, v - i, -INFINITY));
    largest = largest_lane(top);
    at_target = logit[target] - largest;
    for (int64_t i = 0; i < v; i += LANES) {
        vec e = exp_vec(load_or(logit + i, v - i, -INFINITY) - largest);

        sum += e;
        if (gradient)
            store(logit + i, e, v - i);
    }
    total = sum_lanes(sum);
    loss = log_vec(splat(total))[0] - at_target;
    if (!gradient)
        return loss;
    hit = scale * (logit[target] / total - 1.0f);
    factor = scale / total;
    for (int64_t i = 0; i < v; i += LANES)
        store_act(logit, bf16, i, load(logit + i, v - i) * factor, v - i);
    if (bf16)
        ((uint16_t *)logit)[target] = mu_bf16_from_f32(hit);
    else
        logit[target] = hit;
    return loss;
}

/* ---- the update ----------------------------------------------------------------------------- */
/* Elements [i, i + n), n <= LANES. bf16: also write that copy. stream: store past the caches.
 * Returns the bits of what it stores. */
INLINE vec_u32 adamw_round(const struct mu_adamw *a, int64_t i, int64_t n, bool bf16, bool stream)
{
    vec g = load(a->gradient + i, n) * a->gradient_scale, w = load(a->weight + i, n);
    vec m = a->beta1 * load(a->m + i, n) + (1 - a->beta1) * g;
    vec v = a->beta2 * load(a->v + i, n) + (1 - a->beta2) * g * g;
    vec root = v * (1 / a->bias2);
    vec_u32 bits;

    for (int lane = 0; lane < LANES; lane++)
        root[lane] = sqrtf(root[lane]);
    w = w - a->lr * (m * (1 / a->bias1) / (root + a->eps) + a->decay * w);
    bits = (vec_u32)w + (vec_u32)m + (vec_u32)v;
    if (n < LANES)
        bits &= (vec_u32)first_lanes(n);
    if (stream) {
        stream_f32(a->weight_out + i, w);
        stream_f32(a->m_out + i, m);
        stream_f32(a->v_out + i, v);
        if (bf16)
            stream_u16(a->weight_bf16 + i, narrow_bf16(w));
        return bits;
    }
    store(a->weight_out + i, w, n);
    store(a->m_out + i, m, n);
    store(a->v_out + i, v, n);
    if (bf16)
        store_act(a->weight_bf16, true, i, w, n);
    return bits;
}

INLINE uint32_t adamw_range(const struct mu_adamw *a, int64_t from, int64_t to, bool bf16,
                            bool stream)
{
    vec_u32 bits = {0};
    uint32_t sum = 0;
    int64_t i = from;

    for (; i + LANES <= to; i += LANES)
        bits += adamw_round(a, i, LANES, bf16, stream);
    if (i < to)
        bits += adamw_round(a, i, to - i, bf16, false);
    for (int lane = 0; lane < LANES; lane++)
        sum += bits[lane];
    return sum;
}

/* Elements before the outputs' first 64-byte boundary; -1 when they do not share one, or when the
 * update is in place: then there is nothing to stream. */
static int64_t elements_to_boundary(const struct mu_adamw *a)
{
    int64_t head = (int64_t)(-(uintptr_t)a->weight_out % 64 / sizeof(float));
    uintptr_t together = (uintptr_t)(a->weight_out + head) | (uintptr_t)(a->m_out + head) |
                         (uintptr_t)(a->v_out + head);

    if (a->weight_bf16)
        together |= 2 * (uintptr_t)(a->weight_bf16 + head); /* 32 bytes are enough */
    return together % 64 || a->weight_out == a->weight ? -1 : head;
}

INLINE uint32_t adamw_all(const struct mu_adamw *a, int64_t n, bool bf16)
{
    int64_t head = elements_to_boundary(a);
    uint32_t check;

    if (head < 0 || head >= n)
        return adamw_range(a, 0, n, bf16, false);
    check = adamw_range(a, 0, head, bf16, false) + adamw_range(a, head, n, bf16, true);
    stream_fence();
    return check;
}

/* From one half of the state to the other, stores go past the caches: an ordinary store reads the
 * line that it is about to overwrite. */
static uint32_t adamw(const struct mu_adamw *a, int64_t n)
{
    const struct mu_adamw held = *a; /* what is written cannot be it: kept in registers */

    return held.weight_bf16 ? adamw_all(&held, n, true) : adamw_all(&held, n, false);
}

/* Plain loops from here on: exact in any order, so the compiler may choose its own vectors. */
typedef int32_t __attribute__((may_alias)) float_bits;

static uint32_t largest_bits(const float *g, int64_t n)
{
    const float_bits *bits = (const float_bits *)g;
    int32_t top = 0;

    for (int64_t i = 0; i < n; i++) {
        int32_t magnitude = bits[i] & 0x7fffffff;

        top = magnitude > top ? magnitude : top;
    }
    return (uint32_t)top;
}

static void quantise(int32_t *restrict sum, const float *restrict g, float first, float second,
                     int64_t n, bool overwrite)
{
    if (overwrite)
        for (int64_t i = 0; i < n; i++)
            sum[i] = (int32_t)__builtin_rintf(g[i] * first * second);
    else
        for (int64_t i = 0; i < n; i++)
            sum[i] = (int32_t)((uint32_t)sum[i] +
                               (uint32_t)(int32_t)__builtin_rintf(g[i] * first * second));
}

static void add(float *out, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = a[i] + b[i];
}

static uint32_t add_int32(int32_t *a, const int32_t *b, int64_t n)
{
    uint32_t sum = 0;

    for (int64_t i = 0; i < n; i++) {
        a[i] = (int32_t)((uint32_t)a[i] + (uint32_t)b[i]);
        sum += (uint32_t)b[i];
    }
    return sum;
}

const struct mu_vector_ops MU_VECTOR_TABLE = {
    .name = MU_VECTOR_NAME,
    .layernorm = layernorm,
    .layernorm_backward = layernorm_backward,
    .rmsnorm = rmsnorm,
    .rmsnorm_backward = rmsnorm_backward,
    .epilogue = epilogue,
    .gelu_backward = gelu_backward,
    .swiglu = swiglu,
    .swiglu_backward = swiglu_backward,
    .rotate = rotate,
    .to_bf16 = to_bf16,
    .sum_rows = sum_rows,
    .scale_to_act = scale_to_act,
    .dot_act = dot_act,
    .sum_weighted = sum_weighted,
    .attention_softmax = attention_softmax,
    .attention_gradient = attention_gradient,
    .cross_entropy = cross_entropy,
    .adamw = adamw,
    .largest_bits = largest_bits,
    .quantise = quantise,
    .add = add,
    .add_int32 = add_int32,
};

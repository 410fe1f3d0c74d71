/* What a CUDA device reaches, as shares of what the same device reaches in a plain copy or a plain
 * matrix product, in one run.
 *
 *   bench-cuda kernels            operations that memory bounds, against a copy of 512 MiB
 *   bench-cuda attention          forward and backward, TFLOP/s
 *   bench-cuda peak               bf16 products, TFLOP/s
 *   bench-cuda tokens FILE COUNT  no measurement: COUNT random tokens of GPT-2's vocabulary, in
 *                                 llm.c's format, for train_gpt2cu and for muster alike
 *
 * Times are the host's, round as many calls as take some milliseconds, with a wait before and after;
 * a figure is the median of several rounds. Tensors are larger than a GPU's cache, and full of
 * random numbers. --tiny: sizes for the emulation, where figures mean nothing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "kernels/device.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/core/layout.h"

enum { ROUNDS = 9, VOCAB = 50257, CALLS_MAX = 1000, HEAD_SIZE = 64 };
static const uint64_t round_ns = 5000000;

struct bench {
    struct mu_device *d;
    bool tiny;
    int64_t n, t, c, v;          /* rows of tensors, of sequences, columns; rows of tables */
    void *f32[4], *act[3];       /* n x c each */
    void *wide, *turn;           /* n x 3c act; t x HEAD_SIZE f32 */
    void *state[7];              /* v x c f32 each: weight, m, v, gradient, and three outputs */
    void *bf16, *sum, *integers; /* v x c */
    void *token, *row, *prediction, *bytes[2];
    struct mu_attention attention;
    void *qkv, *dqkv, *out, *dout, *lse;
};

typedef void operation(struct bench *b);

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double timed(struct bench *b, operation *op, int calls)
{
    uint64_t from;

    mu_device_wait(b->d);
    from = mu_clock_ns();
    for (int i = 0; i < calls; i++)
        op(b);
    mu_device_wait(b->d);
    return (double)(mu_clock_ns() - from) * 1e-9 / calls;
}

/* Seconds of one call. */
static double measure(struct bench *b, operation *op)
{
    double seconds[ROUNDS], once;
    int rounds = b->tiny ? 1 : ROUNDS, calls;

    timed(b, op, 1);
    once = timed(b, op, 1);
    calls = b->tiny ? 1 : (int)fmin(CALLS_MAX, 1 + (double)round_ns * 1e-9 / once);
    for (int i = 0; i < rounds; i++)
        seconds[i] = timed(b, op, calls);
    qsort(seconds, (size_t)rounds, sizeof *seconds, by_value);
    return seconds[rounds / 2];
}

static uint64_t random_state = 1;

static uint32_t next_word(void)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 32);
}

enum { AS_F32, AS_POSITIVE, AS_BF16, AS_ROW, AS_TURN };

/* Device memory with random numbers of a kind; rows are below `limit`; turns are cosine and sine of
 * an angle, so that what is turned again and again stays as large as it is. */
static void *random_memory(struct bench *b, int64_t count, int kind, int64_t limit)
{
    size_t bytes = (size_t)count * (kind == AS_BF16 ? 2 : 4);
    void *host = malloc(bytes + 1), *memory = mu_device_alloc(b->d, bytes);

    if (!host || !memory) {
        fprintf(stderr, "no memory for a tensor of %lld elements\n", (long long)count);
        exit(1);
    }
    for (int64_t i = 0; i < count; i++) {
        float x = (float)next_word() * 0x1p-31f - 1;

        if (kind == AS_BF16)
            ((uint16_t *)host)[i] = mu_bf16_from_f32(x);
        else if (kind == AS_ROW)
            ((int32_t *)host)[i] = (int32_t)(next_word() % (uint64_t)limit);
        else if (kind == AS_TURN)
            ((float *)host)[i] = i % 2 ? sinf((float)(i - 1)) : cosf((float)i);
        else
            ((float *)host)[i] = kind == AS_POSITIVE ? x * x : x;
    }
    mu_device_upload(b->d, memory, host, bytes);
    free(host);
    return memory;
}

static void copy(struct bench *b)
{
    mu_device_copy(b->d, b->state[4], b->state[0], (size_t)(b->v * b->c) * 4);
}

static void add(struct bench *b)
{
    b->d->ops->add(b->d, b->state[4], b->state[3], b->v * b->c, false);
}

static void to_act(struct bench *b)
{
    b->d->ops->to_act(b->d, b->act[0], b->f32[0], b->n * b->c);
}

static void gelu_backward(struct bench *b)
{
    b->d->ops->gelu_backward(b->d, b->act[0], b->act[1], b->n * b->c);
}

static void layernorm(struct bench *b)
{
    b->d->ops->layernorm(b->d, b->act[2], b->row, (float *)b->row + b->n, b->f32[2], b->f32[0],
                         b->f32[1], b->state[0], b->state[1], b->n, b->c);
}

static void layernorm_backward(struct bench *b)
{
    b->d->ops->layernorm_backward(b->d, b->f32[3], b->state[5], b->state[6], b->f32[0], b->f32[1],
                                  b->state[0], b->row, (float *)b->row + b->n, b->n, b->c, true);
}

static void rmsnorm(struct bench *b)
{
    b->d->ops->rmsnorm(b->d, b->act[2], b->row, b->f32[2], b->f32[0], b->f32[1], b->state[0], b->n,
                       b->c);
}

static void rmsnorm_backward(struct bench *b)
{
    b->d->ops->rmsnorm_backward(b->d, b->f32[3], b->state[5], b->f32[0], b->f32[1], b->state[0],
                                b->row, b->n, b->c, true);
}

static void swiglu(struct bench *b)
{
    b->d->ops->swiglu(b->d, b->act[2], b->wide, b->n, b->c);
}

static void swiglu_backward(struct bench *b)
{
    b->d->ops->swiglu_backward(b->d, b->f32[2], b->act[0], b->wide, b->n, b->c);
}

static void rotate(struct bench *b)
{
    const struct mu_attention s = {b->n / b->t, b->t, b->c / HEAD_SIZE, HEAD_SIZE};

    b->d->ops->rotate(b->d, s, b->wide, b->turn, false);
}

static void embed_alone(struct bench *b)
{
    b->d->ops->embed(b->d, b->f32[2], b->state[0], NULL, b->token, b->n, b->t, b->c);
}

static void embed(struct bench *b)
{
    b->d->ops->embed(b->d, b->f32[2], b->state[0], b->state[1], b->token, b->n, b->t, b->c);
}

static void embed_backward(struct bench *b)
{
    b->d->ops->embed_backward(b->d, b->state[4], b->state[5], b->f32[0], b->token, b->n, b->t, b->c,
                              true);
}

static void quantise(struct bench *b)
{
    const struct mu_quantise q = {.gradient = b->state[3],
                                  .sum = b->sum,
                                  .rows = b->v,
                                  .cols = b->c,
                                  .prediction = b->prediction,
                                  .log2_addends = 5,
                                  .limit = INT32_MAX / 32,
                                  .largest = b->bytes[0],
                                  .misfit = b->bytes[1]};

    b->d->ops->quantise_add(b->d, &q);
}

static void adamw(struct bench *b)
{
    const struct mu_adamw a = {.count = b->v * b->c,
                               .weight = b->state[0],
                               .m = b->state[1],
                               .v = b->state[2],
                               .gradient = b->state[3],
                               .weight_out = b->state[4],
                               .m_out = b->state[5],
                               .v_out = b->state[6],
                               .weight_bf16 = b->bf16,
                               .gradient_scale = 1,
                               .lr = 1e-3f,
                               .beta1 = 0.9f,
                               .beta2 = 0.95f,
                               .eps = 1e-8f,
                               .decay = 0.1f,
                               .bias1 = 0.1f,
                               .bias2 = 0.05f};

    b->d->ops->adamw(b->d, &a);
}

static void add_int32(struct bench *b)
{
    b->d->ops->add_int32(b->d, b->integers, b->sum, b->v * b->c);
}

/* Bytes: each input read once, each output written once, an output that is added to both. */
static const struct kernel {
    const char *name;
    operation *run;
    bool of_state; /* elements: v x c, else n x c */
    int bytes;     /* an element */
} kernels[] = {
    {"add", add, true, 12},
    {"to_act", to_act, false, 6},
    {"gelu_backward", gelu_backward, false, 6},
    {"layernorm with branch", layernorm, false, 14},
    {"layernorm_backward", layernorm_backward, false, 16},
    {"rmsnorm with branch", rmsnorm, false, 14},
    {"rmsnorm_backward", rmsnorm_backward, false, 16},
    {"swiglu", swiglu, false, 6},
    {"swiglu_backward", swiglu_backward, false, 10},
    {"rotate", rotate, false, 8},
    {"embed without positions", embed_alone, false, 8},
    {"embed", embed, false, 8},
    {"embed_backward", embed_backward, false, 12},
    {"quantise_add", quantise, true, 12},
    {"adamw", adamw, true, 30},
    {"add_int32, which waits", add_int32, true, 12},
};

static void open_kernels(struct bench *b)
{
    int64_t tensor, state;

    b->n = b->tiny ? 8 : 49152;
    b->t = b->tiny ? 8 : 1024;
    b->c = b->tiny ? 64 : 1024;
    b->v = b->tiny ? 32 : 131072; /* 512 MiB of f32 */
    tensor = b->n * b->c;
    state = b->v * b->c;
    for (int i = 0; i < 4; i++)
        b->f32[i] = random_memory(b, tensor, AS_F32, 0);
    for (int i = 0; i < 3; i++)
        b->act[i] = random_memory(b, tensor, AS_BF16, 0);
    b->wide = random_memory(b, 3 * tensor, AS_BF16, 0);
    b->turn = random_memory(b, b->t * HEAD_SIZE, AS_TURN, 0);
    for (int i = 0; i < 7; i++)
        b->state[i] = random_memory(b, state, i == 2 ? AS_POSITIVE : AS_F32, 0);
    b->bf16 = random_memory(b, state, AS_BF16, 0);
    b->sum = mu_device_alloc(b->d, (size_t)state * 4);
    b->integers = mu_device_alloc(b->d, (size_t)state * 4);
    b->token = random_memory(b, b->n, AS_ROW, b->v);
    b->row = random_memory(b, 2 * b->n, AS_POSITIVE, 0);
    b->prediction = mu_device_alloc(b->d, (size_t)(state / MU_BLOCK + b->v) * 2);
    for (int i = 0; i < 2; i++)
        b->bytes[i] = mu_device_alloc(b->d, (size_t)(state / MU_BLOCK + b->v));
    if (!b->sum || !b->integers || !b->prediction || !b->bytes[0] || !b->bytes[1]) {
        fprintf(stderr, "no memory for the sums\n");
        exit(1);
    }
}

static void bench_kernels(struct bench *b)
{
    double ceiling, least = INFINITY;

    open_kernels(b);
    ceiling = (double)(b->v * b->c) * 8 / measure(b, copy);
    printf("| kernel | GB/s | of a copy's %.0f GB/s |\n|---|---|---|\n", ceiling * 1e-9);
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++) {
        const struct kernel *k = &kernels[i];
        double elements = (double)((k->of_state ? b->v : b->n) * b->c);
        double rate = elements * k->bytes / measure(b, k->run);

        least = fmin(least, rate / ceiling);
        printf("| %s | %.0f | %.3f |\n", k->name, rate * 1e-9, rate / ceiling);
        fflush(stdout);
    }
    printf("least: %.3f of a copy's %.0f GB/s\n", least, ceiling * 1e-9);
}

static void forward(struct bench *b)
{
    b->d->ops->attention(b->d, b->attention, b->out, b->lse, b->qkv);
}

static void forward_backward(struct bench *b)
{
    forward(b);
    b->d->ops->attention_backward(b->d, b->attention, b->dqkv, b->dout, b->out, b->qkv, b->lse);
}

/* Causal: half of the products. Forward two of them, backward five: 2 T^2 D each and head. */
static void bench_attention_of(struct bench *b, int64_t head_size, int64_t context)
{
    int64_t width = b->tiny ? 2 * head_size : 1024, tokens = b->tiny ? context : 16384;
    struct mu_attention s = {tokens / context, context, width / head_size, head_size};
    double products = (double)(s.batch * s.heads) * (double)(context * context) * (double)head_size;
    double once, both;

    b->attention = s;
    b->qkv = random_memory(b, tokens * width * 3, AS_BF16, 0);
    b->dout = random_memory(b, tokens * width, AS_BF16, 0);
    b->out = random_memory(b, tokens * width, AS_BF16, 0);
    b->dqkv = random_memory(b, tokens * width * 3, AS_BF16, 0);
    b->lse = random_memory(b, tokens * s.heads, AS_F32, 0);
    once = measure(b, forward);
    both = measure(b, forward_backward);
    printf("| %lld | %lld | %lld | %.1f | %.1f |\n", (long long)head_size, (long long)context,
           (long long)s.batch, 2 * products / once * 1e-12, 7 * products / both * 1e-12);
    fflush(stdout);
    mu_device_free(b->d, b->qkv);
    mu_device_free(b->d, b->dqkv);
    mu_device_free(b->d, b->out);
    mu_device_free(b->d, b->dout);
    mu_device_free(b->d, b->lse);
}

static void bench_attention(struct bench *b)
{
    printf("| head | T | sequences | forward, TFLOP/s | forward + backward, TFLOP/s |\n"
           "|---|---|---|---|---|\n");
    for (int64_t head_size = 64; head_size <= 128; head_size *= 2)
        for (int64_t t = b->tiny ? 8 : 1024; t <= (b->tiny ? 8 : 8192); t *= 2)
            bench_attention_of(b, head_size, t);
}

/* llm.c's: 256 int32 (magic, version, count), then uint16. Small numbers are frequent, as in text. */
static int write_tokens(const char *path, int32_t count)
{
    int32_t header[256] = {20240520, 1, count};
    FILE *f = fopen(path, "wb");
    bool failed = !f || fwrite(header, sizeof header, 1, f) != 1;

    for (int32_t i = 0; !failed && i < count; i++) {
        double u = (double)next_word() * 0x1p-32;
        uint16_t token = (uint16_t)fmin(VOCAB - 1, exp(u * log(VOCAB)));

        failed = fwrite(&token, sizeof token, 1, f) != 1;
    }
    failed |= !f || fclose(f) != 0;
    if (failed)
        perror(path);
    return failed;
}

int main(int argc, char **argv)
{
    struct mu_device_options options = {.kind = MU_DEVICE_CUDA,
                                        .precision = MU_PRECISION_BF16,
                                        .isa = MU_ISA_GENERIC,
                                        .threads = 1};
    static struct bench b;
    const char *what = argc > 1 ? argv[1] : "";

    if (argc == 4 && !strcmp(what, "tokens"))
        return write_tokens(argv[2], atoi(argv[3]));
    b.tiny = argc > 2 && !strcmp(argv[2], "--tiny");
    if (mu_device_open(&options, &b.d) != MU_OK)
        return 1;
    printf("%s\n", b.d->facts);
    if (!strcmp(what, "kernels")) {
        bench_kernels(&b);
    } else if (!strcmp(what, "attention")) {
        bench_attention(&b);
    } else if (!strcmp(what, "peak")) {
        printf("peak: %.1f TFLOP/s in bf16 products\n",
               mu_device_measure_peak(b.d, b.tiny ? 0.01 : 2) * 1e-12);
    } else {
        fprintf(stderr, "usage: bench-cuda kernels|attention|peak [--tiny]\n");
        return 64;
    }
    if (mu_device_status(b.d) != MU_OK)
        return 1;
    mu_device_close(b.d);
    return 0;
}

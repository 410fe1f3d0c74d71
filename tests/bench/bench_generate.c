/* What a token of `muster generate` costs: beside reading the weights once, which is what memory
 * allows, and beside computing all tokens before it again, which is what the cache spares.
 *
 *   bench-generate [threads [layers [width [bf16]]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/bf16.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/rng.h"
#include "worker/workload/decoder.h"

enum { REPEATS = 12, CONTEXT = 512, HELD = 256, VOCAB = 16384 };

struct bench {
    struct mu_device *device;
    struct mu_decoder *decoder;
    struct mu_weights weights;
    uint64_t elements;
    int32_t tokens[CONTEXT];
    uint64_t sum; /* so that reading is not left out */
};

static void read_weights(struct bench *b)
{
    const uint64_t words = b->elements * (b->weights.bf16 ? 2 : 4) / sizeof(uint64_t);
    const uint64_t *x = b->weights.bf16 ? (const void *)b->weights.bf16 : b->weights.f32;

    for (uint64_t i = 0; i < words; i++)
        b->sum += x[i];
}

static void take(struct bench *b, int64_t count)
{
    const float *logits;

    MU_ASSERT(mu_decoder_take(b->decoder, &b->weights, b->tokens, count, &logits) == MU_OK);
}

static void one_token(struct bench *b)
{
    take(b, 1);
}

static double best_ms[2];
static void (*const pass[2])(struct bench *) = {read_weights, one_token};

static void open_all(struct bench *b, int threads, int64_t layers, int64_t width, bool bf16)
{
    const struct mu_settings s = {.model_kind = MU_MODEL_GPT2,
                                  .model_layers = layers,
                                  .model_width = width,
                                  .model_heads = width / 64,
                                  .model_context = CONTEXT,
                                  .model_vocab = VOCAB,
                                  .batch_sequences = 1,
                                  .batch_shards = 1,
                                  .batch_micro = 1};
    const struct mu_device_options options = {.kind = MU_DEVICE_CPU,
                                              .precision =
                                                  bf16 ? MU_PRECISION_BF16 : MU_PRECISION_FP32,
                                              .isa = mu_device_best_isa(),
                                              .threads = threads};
    float *f32;
    uint16_t *half;

    MU_ASSERT(mu_device_open(&options, &b->device) == MU_OK);
    MU_ASSERT(mu_decoder_open(&s, b->device, &b->decoder) == MU_OK);
    b->elements = mu_decoder_layout(b->decoder)->elements;
    f32 = mu_device_alloc(b->device, b->elements * sizeof *f32);
    half = mu_device_alloc(b->device, b->elements * sizeof *half);
    MU_ASSERT(f32 && half);
    for (uint64_t i = 0; i < b->elements; i++) {
        f32[i] = (float)(mu_rng_uniform((uint32_t)(i * 2654435761u)) - 0.5) * 0.05f;
        half[i] = mu_bf16_from_f32(f32[i]);
    }
    b->weights = (struct mu_weights){f32, bf16 ? half : NULL};
    for (int i = 0; i < CONTEXT; i++)
        b->tokens[i] = i * 97 % VOCAB;
}

static void measure(struct bench *b)
{
    double again_ms;
    uint64_t from;

    take(b, HELD);
    for (int i = 0; i < REPEATS; i++)
        for (int p = 0; p < 2; p++) { /* in turn: the machine's load falls on all alike */
            double ms;

            from = mu_clock_ns();
            pass[p](b);
            ms = (double)(mu_clock_ns() - from) * 1e-6;
            best_ms[p] = i == 0 || ms < best_ms[p] ? ms : best_ms[p];
        }
    take(b, CONTEXT - HELD - REPEATS); /* makes its products */
    take(b, 1);
    from = mu_clock_ns();
    take(b, HELD);
    again_ms = (double)(mu_clock_ns() - from) * 1e-6;
    printf("reading the weights, one thread %8.2f ms\n"
           "one token after %d              %8.2f ms, %.2f times the reading\n"
           "all %d tokens at once           %8.2f ms, %.1f times the one\n",
           best_ms[0], HELD, best_ms[1], best_ms[1] / best_ms[0], CONTEXT, again_ms,
           again_ms / best_ms[1]);
}

int main(int argc, char **argv)
{
    const int threads = argc > 1 ? atoi(argv[1]) : 1;
    const int64_t layers = argc > 2 ? atoi(argv[2]) : 8, width = argc > 3 ? atoi(argv[3]) : 768;
    struct bench b = {0};

    open_all(&b, threads, layers, width, argc > 4 && strcmp(argv[4], "bf16") == 0);
    printf("%d threads, %lld layers of width %lld, %.1f M weights\n", threads, (long long)layers,
           (long long)width, 1e-6 * (double)b.elements);
    measure(&b);
    mu_decoder_close(b.decoder);
    mu_device_free(b.device, (void *)(uintptr_t)b.weights.f32);
    mu_device_close(b.device);
    return b.sum == 1;
}

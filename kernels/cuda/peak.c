/* The best rate of square matrix products. In an engine of its own: their shapes are none of the
 * run's, whose table of algorithms must be the same on all ranks. */
#include "kernels/bf16.h"
#include "kernels/cuda/cuda.h"
#include "orchestrator/base/clock.h"

/* Small ones until a product takes long enough to be timed, or is as large as a layer ever is. */
enum { SMALLEST = 256, LARGEST = 8192, LEAST_FREE = 64 << 20 /* else it is left out */ };
static const double long_enough_s = 1e-3;

struct square {
    struct mu_blas *blas;
    cudaEvent_t start, end;
    void *a, *b, *c;
    int64_t n;
    bool bf16;
};

static void free_matrices(struct mu_cuda *d, struct square *s)
{
    mu_cuda_free(&d->base, s->a);
    mu_cuda_free(&d->base, s->b);
    mu_cuda_free(&d->base, s->c);
    s->a = s->b = s->c = NULL;
}

/* Numbers in (-1, 1) of either sign, another part of them in every row: on zeros a GPU clocks
 * higher, and products are faster than any that a run has. */
static void fill(struct mu_cuda *d, const struct square *s, void *matrix, size_t bytes)
{
    enum { SOME = 1021 }; /* a prime */
    float some[SOME];
    uint16_t rounded[SOME];
    size_t done = s->bf16 ? sizeof rounded : sizeof some;
    uint32_t random = 1;

    for (int i = 0; i < SOME; i++) {
        random = random * 1664525u + 1013904223u;
        some[i] = (float)(int32_t)random * 0x1p-31f;
        rounded[i] = mu_bf16_from_f32(some[i]);
    }
    mu_cuda_upload(&d->base, matrix, s->bf16 ? (const void *)rounded : some, done);
    for (; done < bytes; done *= 2)
        mu_cuda_copy(&d->base, (char *)matrix + done, matrix,
                     done < bytes - done ? done : bytes - done);
}

/* Matrices of n x n, of what the run leaves free. */
static bool take_matrices(struct mu_cuda *d, struct square *s, int64_t n)
{
    size_t bytes = (size_t)(n * n) * mu_device_act_bytes(&d->base), left = 0, total = 0;

    free_matrices(d, s);
    if (cudaMemGetInfo(&left, &total) != cudaSuccess || left < 4 * bytes)
        return false;
    s->n = n;
    s->a = mu_cuda_alloc(&d->base, bytes);
    s->b = mu_cuda_alloc(&d->base, bytes);
    s->c = mu_cuda_alloc(&d->base, bytes);
    if (!s->a || !s->b || !s->c)
        return false;
    fill(d, s, s->a, bytes);
    fill(d, s, s->b, bytes);
    return true;
}

/* Seconds; 0 when the device is broken. */
static double time_product(struct mu_cuda *d, const struct square *s)
{
    int64_t n = s->n;
    const struct mu_blas_product product = {
        .shape = {.m = n, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n, .c_is_bf16 = s->bf16},
        .a = s->a,
        .b = s->b,
        .c = s->c,
    };
    float ms = 0;
    enum mu_status st;

    (void)cudaEventRecord(s->start, d->stream);
    st = mu_blas_run(s->blas, d->stream, &product);
    (void)cudaEventRecord(s->end, d->stream);
    mu_cuda_queued_with(d, "measure_peak", st, false);
    if (st != MU_OK || !mu_cuda_await(d, s->end, "measure_peak"))
        return 0;
    (void)cudaEventElapsedTime(&ms, s->start, s->end);
    return ms > 1e-4f ? (double)ms * 1e-3 : 1e-7;
}

static double best_rate(struct mu_cuda *d, struct square *s, double seconds)
{
    double best = 0, end = mu_clock_s() + seconds, took = 0, rate;
    int64_t n = SMALLEST;
    bool fits = take_matrices(d, s, n);

    if (!fits)
        return 0;
    (void)time_product(d, s); /* the first finds its algorithm */
    do {
        took = time_product(d, s);
        rate = took > 0 ? 2.0 * (double)n * (double)n * (double)n / took : 0;
        best = rate > best ? rate : best;
        if (took < long_enough_s && n < LARGEST)
            fits = take_matrices(d, s, n *= 2);
    } while (fits && took > 0 && mu_clock_s() < end);
    return best;
}

double mu_cuda_measure_peak(struct mu_device *device, double seconds)
{
    struct mu_cuda *d = mu_cuda_of(device);
    struct square s = {.bf16 = device->options.precision == MU_PRECISION_BF16};
    const struct mu_blas_options options = {.bf16 = s.bf16, .tf32 = device->options.tf32};
    double best = 0;

    if (mu_cuda_is_broken(d) || mu_cuda_memory(device).free < LEAST_FREE)
        return 0;
    if (mu_blas_open(&options, &s.blas) == MU_OK && cudaEventCreate(&s.start) == cudaSuccess &&
        cudaEventCreate(&s.end) == cudaSuccess)
        best = best_rate(d, &s, seconds);
    free_matrices(d, &s);
    if (mu_cuda_drain(d, "measure_peak")) {
        if (s.start)
            (void)cudaEventDestroy(s.start);
        if (s.end)
            (void)cudaEventDestroy(s.end);
        mu_blas_close(s.blas);
    }
    return best;
}

/* The fast CPU device: opening, closing, scratch, and its table. */
#include "kernels/cpu/cpu.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/isa.h"
#include "kernels/device_kinds.h"
#include "kernels/memory.h"

/* All of it is touched now, so that no operation waits for page faults later; with polls, since
 * faults of large memory take tens of milliseconds. */
static void grow(struct mu_cpu *cpu, struct mu_cpu_scratch *s, size_t bytes)
{
    const size_t piece = (size_t)1 << 20;

    if (bytes <= s->bytes)
        return;
    mu_device_free(&cpu->base, s->memory);
    s->memory = mu_device_alloc_untouched(bytes);
    MU_ASSERT(s->memory);
    s->bytes = bytes;
    for (size_t at = 0; at < bytes; at += piece) {
        memset((char *)s->memory + at, 0, bytes - at < piece ? bytes - at : piece);
        mu_pool_poll(cpu->pool, 0);
    }
}

void *mu_cpu_shared_scratch(struct mu_cpu *cpu, size_t bytes)
{
    grow(cpu, &cpu->shared, bytes);
    return cpu->shared.memory;
}

void mu_cpu_reserve_worker_scratch(struct mu_cpu *cpu, size_t bytes)
{
    for (int w = 0; w < cpu->base.options.threads; w++)
        grow(cpu, &cpu->of_worker[w], bytes);
}

static void close_cpu(struct mu_device *d)
{
    struct mu_cpu *cpu = mu_cpu_of(d);

    mu_pool_close(cpu->pool);
    mu_gemm_engine_close(cpu->gemm);
    mu_device_free(d, cpu->shared.memory);
    for (int w = 0; cpu->of_worker && w < d->options.threads; w++)
        mu_device_free(d, cpu->of_worker[w].memory);
    free(cpu->of_worker);
    free(cpu);
}

static const struct mu_device_ops cpu_ops = {
    .name = "cpu",
    .close = close_cpu,
    .embed = mu_cpu_embed,
    .embed_backward = mu_cpu_embed_backward,
    .layernorm = mu_cpu_layernorm,
    .layernorm_backward = mu_cpu_layernorm_backward,
    .rmsnorm = mu_cpu_rmsnorm,
    .rmsnorm_backward = mu_cpu_rmsnorm_backward,
    .linear = mu_cpu_linear,
    .linear_backward_input = mu_cpu_linear_backward_input,
    .linear_backward_weight = mu_cpu_linear_backward_weight,
    .gelu_backward = mu_cpu_gelu_backward,
    .swiglu = mu_cpu_swiglu,
    .swiglu_backward = mu_cpu_swiglu_backward,
    .rotate = mu_cpu_rotate,
    .to_act = mu_cpu_to_act,
    .attention = mu_cpu_attention,
    .attention_last = mu_cpu_attention_last,
    .attention_backward = mu_cpu_attention_backward,
    .classifier = mu_cpu_classifier,
    .adamw = mu_cpu_adamw,
    .quantise_add = mu_cpu_quantise_add,
    .add = mu_cpu_add,
    .add_int32 = mu_cpu_add_int32,
    .measure_peak = mu_cpu_measure_peak,
};

static void poll_device(void *device)
{
    mu_device_poll(device);
}

enum mu_status mu_cpu_open(const struct mu_device_options *options, struct mu_device **out)
{
    struct mu_pool_options threads = {.threads = options->threads,
                                      .enter = mu_gemm_enter_thread,
                                      .poll = options->poll ? poll_device : NULL};
    const struct mu_vector_ops *vector = mu_cpu_vector(options->isa);
    struct mu_cpu *cpu = NULL;
    enum mu_status st;

    if (!vector)
        return MU_FAIL(
            MU_CONFIG,
            "device.isa = \"%s\": this CPU has no more than \"%s\"; set that, or \"auto\"",
            mu_isa_name(options->isa), mu_isa_name(mu_cpu_isa()));
    cpu = calloc(1, sizeof *cpu);
    if (!cpu)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the cpu device");
    cpu->base.ops = &cpu_ops;
    cpu->base.options = *options;
    cpu->bf16 = options->precision == MU_PRECISION_BF16;
    cpu->vector = vector;
    cpu->of_worker = calloc((size_t)options->threads, sizeof *cpu->of_worker);
    if (!cpu->of_worker) {
        st = MU_FAIL(MU_NO_MEMORY, "no memory for %d threads", options->threads);
        goto failed;
    }
    MU_TRY(mu_gemm_engine_open(options->threads, cpu->bf16, &cpu->gemm), st, failed);
    threads.poll_context = &cpu->base;
    MU_TRY(mu_pool_open(&threads, &cpu->pool), st, failed);
    *out = &cpu->base;
    return MU_OK;
failed:
    close_cpu(&cpu->base);
    return st;
}

#include "kernels/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "kernels/cuda/collective.h"
#include "kernels/cuda/kernels.h"
#include "kernels/cuda/name.h"
#include "orchestrator/base/clock.h"
#include "orchestrator/base/log.h"

static const uint64_t poll_every_ns = 500000;
static const unsigned default_stall_timeout_ms = 60000;
/* Of this thread's sleeps, which the kernel makes 50 us longer else: as much again as a pause
 * between two looks, and the GPU idles when the second is late. */
static const unsigned long timer_slack_ns = 1000;

bool mu_cuda_break(struct mu_cuda *c, const char *operation, int error)
{
    cudaError_t e = (cudaError_t)error;

    (void)cudaGetLastError();
    if (!c->base.broken) {
        c->base.broken = true;
        c->failure = MU_FAIL(e == cudaErrorMemoryAllocation ? MU_NO_MEMORY : MU_FAILED,
                             "%s failed in %s, or in an operation before it: %s (%s). This "
                             "process cannot go on with it%s",
                             c->name, operation, cudaGetErrorString(e), cudaGetErrorName(e),
                             mu_cuda_advice(error));
    }
    c->base.status = c->failure; /* not only the first time: the owner may have started anew */
    return false;
}

bool mu_cuda_is_broken(struct mu_cuda *c)
{
    if (c->base.broken)
        c->base.status = c->failure;
    return c->base.broken;
}

static bool stalled(struct mu_cuda *c, const char *operation, unsigned timeout_ms)
{
    c->base.status = c->failure = MU_FAILED;
    if (!c->base.broken)
        (void)MU_FAIL(MU_FAILED,
                      "%s has ended nothing for %g s, in %s or an operation before it: it hangs, "
                      "or is shared with others (`nvidia-smi`)",
                      c->name, timeout_ms / 1e3, operation);
    c->base.broken = c->hangs = true;
    return false;
}

static void poll_when_due(struct mu_cuda *c)
{
    uint64_t now = mu_clock_ns();

    if (now - c->polled_ns < poll_every_ns)
        return;
    mu_device_poll(&c->base);
    c->polled_ns = mu_clock_ns();
}

bool mu_cuda_await(struct mu_cuda *c, cudaEvent_t event, const char *operation)
{
    unsigned given = c->base.options.stall_timeout_ms;
    unsigned timeout_ms = given ? given : default_stall_timeout_ms;
    struct mu_deadline deadline = mu_deadline_in_ms(timeout_ms);
    struct mu_backoff pause = {0};
    cudaError_t error;

    if (c->base.broken)
        return mu_cuda_break(c, operation, cudaSuccess);
    while ((error = cudaEventQuery(event)) == cudaErrorNotReady) {
        if (mu_deadline_passed(deadline))
            return stalled(c, operation, timeout_ms);
        poll_when_due(c);
        mu_backoff_pause(&pause);
    }
    if (pause.looks > 0)
        (void)cudaGetLastError(); /* NotReady is one too: the next launch would find it */
    return error == cudaSuccess || mu_cuda_break(c, operation, (int)error);
}

bool mu_cuda_drain(struct mu_cuda *c, const char *operation)
{
    cudaError_t error = cudaSuccess;

    if (!c->base.broken)
        error = cudaEventRecord(c->done, c->stream);
    if (c->base.broken || error)
        return mu_cuda_break(c, operation, (int)error);
    return mu_cuda_await(c, c->done, operation);
}

/* The queue runs ahead of the GPU by MARKS * LAUNCHES_A_MARK launches at most. */
static void mark(struct mu_cuda *c, const char *operation)
{
    unsigned slot = c->launches / MU_CUDA_LAUNCHES_A_MARK % MU_CUDA_MARKS;
    cudaError_t error;

    if (c->marked[slot] && !mu_cuda_await(c, c->mark[slot], operation))
        return;
    error = cudaEventRecord(c->mark[slot], c->stream);
    if (error)
        mu_cuda_break(c, operation, (int)error);
    c->marked[slot] = true;
}

void mu_cuda_queued(struct mu_cuda *c, const char *operation, int error, bool has_lent)
{
    if (error || c->base.broken) {
        mu_cuda_break(c, operation, error);
        return;
    }
    c->launches++;
    if (has_lent)
        mu_cuda_drain(c, operation);
    else if (c->launches % MU_CUDA_LAUNCHES_A_MARK == 0)
        mark(c, operation);
    poll_when_due(c);
}

void mu_cuda_queued_with(struct mu_cuda *c, const char *operation, enum mu_status st, bool has_lent)
{
    if (st != MU_OK) {
        if (!c->base.broken) /* what went wrong has been told; of whom has not */
            mu_log(MU_LOG_ERROR, "that was %s on %s, which cannot go on", operation, c->name);
        c->failure = c->base.broken ? c->failure : st;
        c->base.broken = true;
        c->base.status = c->failure;
        (void)cudaGetLastError();
    } else {
        mu_cuda_queued(c, operation, cudaSuccess, has_lent);
    }
}

static void wait_for_all(struct mu_device *d)
{
    mu_cuda_drain(mu_cuda_of(d), "waiting for operations");
}

/* What hangs is left to the end of the process. */
static void abandon(struct mu_cuda *c)
{
    static struct mu_cuda *all;

    c->abandoned = all;
    all = c;
}

static void close_device(struct mu_device *d)
{
    struct mu_cuda *c = mu_cuda_of(d);

    if (d->options.rehearses) {
        free(c);
        return;
    }
    if (!c->base.broken && c->done)
        mu_cuda_drain(c, "closing");
    if (c->hangs) {
        abandon(c);
        return;
    }
    mu_blas_close(c->blas);
    mu_cuda_memory_deinit(c);
    for (int i = 0; i < MU_CUDA_MARKS; i++)
        if (c->mark[i])
            (void)cudaEventDestroy(c->mark[i]);
    if (c->done)
        (void)cudaEventDestroy(c->done);
    if (c->stream)
        (void)cudaStreamDestroy(c->stream);
    (void)cudaGetLastError();
    free(c);
}

static void tune_choices(struct mu_device *d, bool on)
{
    mu_blas_tune(mu_cuda_of(d)->blas, on);
}

static enum mu_status write_choices(const struct mu_device *d, void **bytes, size_t *size)
{
    return mu_blas_plans_write(((const struct mu_cuda *)d)->blas, bytes, size);
}

static enum mu_status read_choices(struct mu_device *d, const void *bytes, size_t size, char *why,
                                   size_t why_size)
{
    return mu_blas_plans_read(mu_cuda_of(d)->blas, bytes, size, why, why_size);
}

static const struct mu_device_ops *cuda_ops(void)
{
    static struct mu_device_ops ops = {
        .name = "cuda",
        .close = close_device,
        .memory = mu_cuda_memory,
        .alloc = mu_cuda_alloc,
        .free = mu_cuda_free,
        .alloc_lent = mu_cuda_alloc_lent,
        .free_lent = mu_cuda_free_lent,
        .lend = mu_cuda_lend,
        .take_back = mu_cuda_take_back,
        .upload = mu_cuda_upload,
        .download = mu_cuda_download,
        .clear = mu_cuda_clear,
        .copy = mu_cuda_copy,
        .wait = wait_for_all,
        .resident = &mu_cuda_resident_ops,
        .resident_parts = &mu_cuda_resident_parts_ops,
        .tune_choices = tune_choices,
        .write_choices = write_choices,
        .read_choices = read_choices,
    };

    mu_cuda_operations(&ops);
    ops.collective = mu_cuda_collective();
    return &ops;
}

/* cudaError_t, 0 when all is there. */
static cudaError_t make_stream(struct mu_cuda *c)
{
    cudaError_t error = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);

    if (!error)
        error = cudaEventCreateWithFlags(&c->done, cudaEventDisableTiming);
    for (int i = 0; !error && i < MU_CUDA_MARKS; i++)
        error = cudaEventCreateWithFlags(&c->mark[i], cudaEventDisableTiming);
    return error;
}

/* A GPU for which the module has no code refuses its first kernel. */
static enum mu_status try_kernel(struct mu_cuda *c)
{
    float *x = (float *)c->word;
    cudaError_t error = (cudaError_t)mu_cuda_add(c->stream, x, x, 1, true);

    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction) {
        (void)cudaGetLastError();
        return MU_FAIL(MU_CONFIG,
                       "this Muster has no code for %s: it was built for other GPUs (`muster "
                       "--version` names them); build it again with "
                       "-DMUSTER_CUDA_ARCHITECTURES=<its compute capability without the dot>",
                       c->name);
    }
    if (error == cudaErrorUnsupportedPtxVersion) {
        (void)cudaGetLastError();
        return MU_FAIL(MU_CONFIG, "%s cannot use this Muster's code: %s (%s)%s", c->name,
                       cudaGetErrorString(error), cudaGetErrorName(error),
                       mu_cuda_advice((int)error));
    }
    mu_cuda_queued(c, "a first kernel", (int)error, true);
    return c->base.broken ? MU_FAILED : MU_OK;
}

static enum mu_status open_blas(struct mu_cuda *c)
{
    const struct mu_blas_options options = {
        .bf16 = c->base.options.precision == MU_PRECISION_BF16,
        .tf32 = c->base.options.tf32,
    };
    enum mu_status st = mu_blas_open(&options, &c->blas);
    size_t used = strlen(c->base.facts);
    char version[64];

    if (st != MU_OK)
        return st;
    mu_blas_version(version, sizeof version);
    snprintf(c->base.facts + used, sizeof c->base.facts - used, ", %s", version);
    return MU_OK;
}

/* model, pci: NULL when they could not be asked for. */
static void name_device(struct mu_cuda *c, const char *model, const char *pci)
{
    const char *host = c->base.options.host;
    int used = snprintf(c->name, sizeof c->name, "GPU %d%s%.64s", c->base.options.gpu,
                        host && *host ? " of " : "", host ? host : "");

    if (model)
        snprintf(c->name + used, sizeof c->name - (size_t)used, " (%.128s, PCI %.12s)", model, pci);
    mu_cuda_name_gpu(c->name);
}

static enum mu_status start(struct mu_cuda *c)
{
    struct cudaDeviceProp p;
    char pci[16];
    int runtime = 0;
    cudaError_t error = cudaSetDevice(c->base.options.gpu);
    enum mu_status st;

    if (!error)
        error = cudaGetDeviceProperties(&p, c->base.options.gpu);
    if (!error)
        error = cudaRuntimeGetVersion(&runtime);
    if (error)
        goto failed;
    mu_cuda_print_pci(&p, pci, sizeof pci);
    name_device(c, p.name, pci);
    snprintf(c->base.facts, sizeof c->base.facts, "%.128s (%d.%d, %d multiprocessors), CUDA %d.%d",
             p.name, p.major, p.minor, p.multiProcessorCount, runtime / 1000, runtime % 1000 / 10);
    error = make_stream(c);
    if (error)
        goto failed;
    (void)prctl(PR_SET_TIMERSLACK, timer_slack_ns, 0UL, 0UL, 0UL);
    MU_TRY(mu_cuda_memory_init(c), st, refused);
    MU_TRY(try_kernel(c), st, refused);
    MU_TRY(open_blas(c), st, refused);
refused:
    return st;
failed:
    (void)cudaGetLastError();
    c->base.broken = true; /* and closing it tells nothing more */
    return MU_FAIL(error == cudaErrorMemoryAllocation ? MU_NO_MEMORY : MU_FAILED,
                   "%s cannot be used: %s (%s)%s", c->name, cudaGetErrorString(error),
                   cudaGetErrorName(error), mu_cuda_advice((int)error));
}

enum mu_status mu_cuda_device_open(const struct mu_device_options *options, struct mu_device **out)
{
    struct mu_cuda *c = calloc(1, sizeof *c);
    enum mu_status st;

    if (!c)
        return MU_FAIL(MU_NO_MEMORY, "no memory for the cuda device");
    c->base.ops = cuda_ops();
    c->base.options = *options;
    if (!options->rehearses)
        name_device(c, NULL, NULL);
    st = options->rehearses ? MU_OK : start(c);
    if (st == MU_OK)
        *out = &c->base;
    else
        close_device(&c->base);
    return st;
}

/* Every operation of a CUDA device against the CPU's on fresh random inputs, with poisoned outputs,
 * in both precisions; and again, alone and beside another process that keeps the GPU busy: the same
 * bits each time.
 *
 *   gpu-operations [--tiny] [--alone]
 *
 * --tiny: only shapes that are small enough for compute-sanitizer and for the emulation.
 * --alone: once more alone, but not beside another process. MUSTER_TEST_SEED repeats inputs.
 * Exit code 0: all as it should be; 1: not so. */
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/kernel_run.h"

#include "orchestrator/base/log.h"
#include "tests/support/seed.h"

enum { LOAD_START_MS = 60000, RIGHT_THREADS_MAX = 16 };

/* Plain loops are the truth where they are quick enough; elsewhere the fast CPU device, which the
 * unit tests compare with them. */
struct sized {
    struct kernel_shape shape;
    bool fast_truth;
};

static const struct sized tiny[] = {
    {{1, 1, 1, 1, 2, 1}, false},    {{1, 3, 1, 5, 3, 7}, false},
    {{3, 7, 2, 12, 65, 40}, false}, {{1, 67, 2, 64, 129, 33}, false},
    {{2, 33, 1, 80, 31, 9}, false},
};
/* Head sizes and rows that fill no tile; GPT-2's layers and vocabulary; heads of 128. */
static const struct sized large[] = {
    {{2, 131, 3, 128, 301, 264}, false},
    {{1, 1000, 1, 72, 1003, 1000}, false},
    {{2, 1024, 12, 64, 50257, 3072}, true},
    {{1, 1024, 16, 128, 5000, 8192}, true},
};

static const struct kernel_output *find(const struct kernel_run *r, const char *name)
{
    for (int i = 0; i < r->count; i++)
        if (!strcmp(r->outputs[i].name, name))
            return &r->outputs[i];
    return NULL;
}

static double largest_of(const struct kernel_output *o)
{
    double largest = 0;

    for (int64_t i = 0; o && i < o->n; i++)
        largest = fmax(largest, fabs((double)output_at(o, i)));
    return largest;
}

static bool begins(const char *name, const char *with)
{
    return !strncmp(name, with, strlen(with));
}

/* No sum has another order than the reference's, and nothing is approximated. The fast CPU device
 * vouches for fewer. */
static bool is_exact(const struct kernel_output *o, bool fast_truth)
{
    const char *name = o->name;

    if (fast_truth)
        return o->integer || begins(name, "add");
    return begins(name, "embed") || begins(name, "adamw") || begins(name, "quantise") ||
           begins(name, "add") || begins(name, "to_act") || begins(name, "rotate") ||
           strstr(name, "norm+branch x");
}

/* How far an output may be off, relative to its largest value; 0: not a bit.
 *  - fp32: a sum of k terms of either sign is off by about sqrt(k) roundings of 2^-24: 16 of that,
 *    and 8 times as much where exponentials of such sums are summed again, or GELU's slope, which
 *    is of size 1, is taken at a sum that is much larger; or SwiGLU's, 24 roundings in all, at
 *    gates up to 9.
 *  - products of bf16 numbers are exact in fp32, but tensor cores cut off what lies below the
 *    largest of some 16 terms: k 2^-23.
 *  - what is rounded to bf16 on its way (GELU's input, p and ds of attention, the head's
 *    gradient) is off by 2^-8 of itself, or two such steps: 2^-6.
 *  - LayerNorm divides by the spread of a row, 1 / rstd; sums of mixed signs may all be near 0:
 *    then it is their terms, of about 1, that they are measured by. So does RMSNorm. */
static double allowed(const struct kernel_run *right, const struct kernel_output *o)
{
    const struct kernel_shape *s = &right->shape;
    bool bf16 = right->device->options.precision == MU_PRECISION_BF16;
    int64_t c = s->h * s->d, n = s->b * s->t, k = n;
    double bound, largest = largest_of(o);

    if (is_exact(o, right->device->options.kind == MU_DEVICE_CPU))
        return 0;
    k = c > k ? c : k;
    k = s->out > k ? s->out : k;
    if (begins(o->name, "classifier") && s->v > k)
        k = s->v;
    bound = 16 * 0x1p-24 * sqrt((double)k + 16);
    if (begins(o->name, "attention") || begins(o->name, "classifier"))
        bound = bf16 ? 0x1p-6 : 8 * bound;
    else if (begins(o->name, "layernorm"))
        bound *= fmax(1, largest_of(find(right, "layernorm rstd")));
    else if (begins(o->name, "rmsnorm"))
        bound *= fmax(1, largest_of(find(right, "rmsnorm rstd")));
    else if (!bf16 && (strstr(o->name, "gelu") || begins(o->name, "swiglu")))
        bound *= 8;
    else if (bf16)
        bound = o->act ? 0x1p-6 : bound + (double)k * 0x1p-23;
    if (o->act)
        bound += 0x1p-7;
    return largest > 0 && largest < 1 ? bound / largest : bound;
}

static struct kernel_run *run_all(struct mu_device *device, struct kernel_shape shape, bool add)
{
    struct kernel_run *r = calloc(1, sizeof *r);

    MU_ASSERT(r != NULL);
    r->device = device;
    r->shape = shape;
    r->add = add;
    r->random = seed;
    kernel_run_all(r);
    return r;
}

static const char *precision_name(const struct mu_device *d)
{
    return d->options.precision == MU_PRECISION_BF16 ? "bf16" : "fp32";
}

static void print_shape(const struct kernel_run *r)
{
    const struct kernel_shape *s = &r->shape;

    printf("%s B %lld T %lld H %lld D %lld V %lld out %lld%s: ", precision_name(r->device),
           (long long)s->b, (long long)s->t, (long long)s->h, (long long)s->d, (long long)s->v,
           (long long)s->out, r->add ? ", adding" : "");
}

/* Number of outputs that are further off than allowed. */
static int compare(const struct kernel_run *gpu, const struct kernel_run *right)
{
    double worst = 0;
    const char *worst_name = "nothing";
    int failed = 0;

    print_shape(gpu);
    for (int i = 0; i < right->count; i++) {
        const struct kernel_output *a = &gpu->outputs[i], *b = &right->outputs[i];
        double limit = allowed(right, b), distance = kernel_distance(a, b);
        bool fine = limit > 0 ? distance <= limit : !memcmp(a->data, b->data, a->bytes);

        if (!fine)
            printf("\n  WRONG: %s is off by %g of its largest value; allowed is %g", a->name,
                   distance, limit);
        failed += !fine;
        if (fine && limit > 0 && distance / limit >= worst) {
            worst = distance / limit;
            worst_name = b->name;
        }
    }
    printf("%s%d outputs, %d wrong; of the others %s is off most, %.2f of what is allowed\n",
           failed ? "\n  " : "", right->count, failed, worst_name, worst);
    return failed;
}

static int differing(const struct kernel_run *a, const struct kernel_run *b, const char *when)
{
    int failed = 0;

    for (int i = 0; i < a->count; i++)
        if (memcmp(a->outputs[i].data, b->outputs[i].data, a->outputs[i].bytes) != 0) {
            print_shape(a);
            printf("WRONG: %s has other bits %s\n", a->outputs[i].name, when);
            failed++;
        }
    return failed;
}

static enum mu_status open_cuda(enum mu_precision precision, struct mu_device **out)
{
    struct mu_device_options options = {
        .kind = MU_DEVICE_CUDA, .precision = precision, .isa = MU_ISA_GENERIC, .threads = 1};

    return mu_device_open(&options, out);
}

/* The GPU is kept busy by a process of its own until it is killed; told through the pipe when it
 * has begun. */
static void load(int told, struct kernel_shape shape)
{
    struct mu_device *d;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (open_cuda(MU_PRECISION_BF16, &d) != MU_OK)
        _exit(1);
    for (bool first = true;; first = false) {
        kernel_run_free(run_all(d, shape, true));
        if (first && write(told, "", 1) != 1)
            _exit(1);
        mu_device_measure_peak(d, 0.2); /* products without a pause */
    }
}

static pid_t start_load(struct kernel_shape shape)
{
    int ends[2];
    pid_t child;
    char byte;

    if (pipe(ends) != 0)
        return -1;
    fflush(NULL);
    child = fork(); /* before this process has a device: CUDA does not live through a fork */
    if (child == 0) {
        close(ends[0]);
        load(ends[1], shape);
    }
    close(ends[1]);
    struct pollfd one = {.fd = ends[0], .events = POLLIN};
    if (child > 0 && (poll(&one, 1, LOAD_START_MS) != 1 || read(ends[0], &byte, 1) != 1)) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        child = -1;
    }
    close(ends[0]);
    return child;
}

static void end_load(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* The truth; NULL where this CPU cannot compute it. */
static struct mu_device *open_right(enum mu_precision precision, bool fast)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct mu_device_options options = {
        .kind = fast ? MU_DEVICE_CPU : MU_DEVICE_REFERENCE,
        .precision = precision,
        .isa = fast ? mu_device_best_isa() : MU_ISA_GENERIC,
        .threads = fast ? (int)(cores < RIGHT_THREADS_MAX ? cores : RIGHT_THREADS_MAX) : 1};
    struct mu_device *d;

    return mu_device_open(&options, &d) == MU_OK ? d : NULL;
}

static int check_shape(enum mu_precision precision, const struct sized *sized, bool add)
{
    struct mu_device *right = open_right(precision, sized->fast_truth), *cuda;
    struct kernel_run *truth, *first, *again;
    int failed = 0;

    if (open_cuda(precision, &cuda) != MU_OK)
        return 1;
    first = run_all(cuda, sized->shape, add);
    again = run_all(cuda, sized->shape, add);
    failed += differing(first, again, "the second time");
    if (right) {
        truth = run_all(right, sized->shape, add);
        failed += compare(first, truth);
        kernel_run_free(truth);
        mu_device_close(right);
    } else {
        print_shape(first);
        printf("not compared: this CPU has no instructions for it\n");
    }
    kernel_run_free(again);
    kernel_run_free(first);
    failed += mu_device_status(cuda) != MU_OK;
    mu_device_close(cuda);
    return failed;
}

/* The device is opened once the other process runs, and used again when that is gone. */
static int check_loaded(const struct sized *sized)
{
    struct kernel_run *loaded[2], *alone;
    struct mu_device *cuda;
    pid_t child = start_load(sized->shape);
    int failed = 0;

    if (child < 0) {
        printf("WRONG: the process that keeps the GPU busy did not start within a minute\n");
        return 1;
    }
    if (open_cuda(MU_PRECISION_BF16, &cuda) != MU_OK) {
        end_load(child);
        return 1;
    }
    for (int i = 0; i < 2; i++)
        loaded[i] = run_all(cuda, sized->shape, true);
    failed += waitpid(child, NULL, WNOHANG) != 0; /* it should still be at it */
    end_load(child);
    alone = run_all(cuda, sized->shape, true);
    for (int i = 0; i < 2; i++) {
        failed += differing(alone, loaded[i], "beside another process");
        kernel_run_free(loaded[i]);
    }
    kernel_run_free(alone);
    printf("beside another process on the same GPU: %s\n", failed ? "WRONG" : "the same bits");
    mu_device_close(cuda);
    return failed;
}

static int check_shapes(const struct sized *shapes, size_t count)
{
    int failed = 0;

    for (size_t i = 0; i < count; i++) {
        failed += check_shape(MU_PRECISION_FP32, &shapes[i], i % 2);
        failed += check_shape(MU_PRECISION_BF16, &shapes[i], !(i % 2));
        fflush(stdout);
    }
    return failed;
}

int main(int argc, char **argv)
{
    enum { TINY = sizeof tiny / sizeof *tiny, LARGE = sizeof large / sizeof *large };
    bool small = false, alone = false;
    int failed = 0;

    for (int i = 1; i < argc; i++) {
        small |= !strcmp(argv[i], "--tiny");
        alone |= !strcmp(argv[i], "--alone");
    }
    if (mu_device_check(&(struct mu_device_options){.kind = MU_DEVICE_CUDA, .threads = 1}) != MU_OK)
        return 1;
    print_seed(NULL);
    if (!alone)
        failed += check_loaded(small ? &tiny[2] : &large[1]);
    failed += check_shapes(tiny, TINY);
    if (!small)
        failed += check_shapes(large, LARGE);
    printf("%d wrong\n", failed);
    return failed > 0;
}

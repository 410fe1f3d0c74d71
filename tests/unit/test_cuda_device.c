/* The cuda device through its module, emulated: operations against the reference, memory of its own
 * that the host cannot touch, a queue that is waited for where the contract says so, and errors of
 * every call. */
#include "tests/support/kernel_run.h"

#include "orchestrator/base/clock.h"
#include "tests/support/cuda_module.h"

static struct mu_device *open_cuda(struct mu_device_options options)
{
    struct mu_device *d;

    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    return d;
}

/* Sums of up to some hundred terms, relative to the largest: roundings of 2^-24 in another order;
 * in bf16 what is stored may round the other way, and a bias is rounded before it is added. How far
 * each kernel may be off has tests of its own: here the question is whether it is the right one,
 * on the right memory. */
static void compare(enum mu_precision precision, struct kernel_shape shape, bool add)
{
    struct mu_device *cuda = open_cuda(cuda_options(precision));
    struct mu_device *plain = open_device(MU_DEVICE_REFERENCE, precision, MU_ISA_GENERIC, 1);
    struct kernel_run *a = kernel_run(cuda, shape, add), *b = kernel_run(plain, shape, add);
    double bound = precision == MU_PRECISION_BF16 ? 0.03 : 2e-5;
    int failed = 0;

    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        double distance = kernel_distance(&a->outputs[i], &b->outputs[i]);

        if (!(distance <= (b->outputs[i].integer ? 0 : bound))) {
            print_message("%s: off by %g\n", a->outputs[i].name, distance);
            failed++;
        }
    }
    assert_int_equal(failed, 0);
    assert_int_equal(mu_device_status(cuda), MU_OK);
    kernel_run_free(a);
    kernel_run_free(b);
    mu_device_close(cuda);
    mu_device_close(plain);
}

static const struct kernel_shape shapes[] = {{2, 16, 2, 16, 40, 24}, {1, 33, 3, 8, 11, 72}};

static void every_operation(void **state)
{
    (void)state;
    machine_with(NULL, NULL);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        compare(MU_PRECISION_FP32, shapes[i], false);
        compare(MU_PRECISION_BF16, shapes[i], true);
    }
}

/* Where nothing runs before somebody asks. */
static void every_operation_as_late_as_can_be(void **state)
{
    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    compare(MU_PRECISION_FP32, shapes[0], true);
    compare(MU_PRECISION_BF16, shapes[1], false);
}

/* Longer than the stages that it goes through, to odd places, and the host's memory is its own again
 * on return. */
static void copies(void **state)
{
    enum { BYTES = (5 << 20) + 13 };
    uint8_t *host = malloc(BYTES), *back = malloc(BYTES);
    struct mu_device *d;
    uint8_t *a, *b;

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    a = mu_device_alloc(d, BYTES);
    b = mu_device_alloc(d, BYTES);
    assert_true(host && back && a && b);
    assert_true((uintptr_t)a % 64 == 0 && (uintptr_t)b % 64 == 0);
    memset(back, 1, BYTES);
    mu_device_download(d, back, a, BYTES);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(back[i], 0); /* as allocated */
    for (int i = 0; i < BYTES; i++)
        host[i] = (uint8_t)(i * 7 + i / 251);
    mu_device_upload(d, a + 1, host, BYTES - 1);
    memset(host, 0, BYTES);
    mu_device_copy(d, b, a, BYTES);
    mu_device_clear(d, a, BYTES);
    mu_device_download(d, back, b, BYTES);
    for (int i = 1; i < BYTES; i++)
        assert_int_equal(back[i], (uint8_t)((i - 1) * 7 + (i - 1) / 251));
    mu_device_download(d, back, a, BYTES);
    for (int i = 0; i < BYTES; i++)
        assert_int_equal(back[i], 0);
    mu_device_upload(d, a, host, 0);
    mu_device_download(d, back, a, 0);
    assert_int_equal(mu_device_status(d), MU_OK);
    mu_device_free(d, a);
    mu_device_free(d, b);
    mu_device_free(d, NULL);
    mu_device_close(d);
    free(host);
    free(back);
}

/* What an operation did to lent memory is there on return, and what the host writes next is seen. */
static void use_lent(struct mu_device *d, float *lent, int n)
{
    float *own = mu_device_alloc(d, (size_t)n * 4), sum = 0;

    assert_non_null(own);
    for (int i = 0; i < n; i++)
        lent[i] = (float)i;
    d->ops->add(d, own, lent, n, true);
    for (int i = 0; i < n; i++)
        lent[i] = 1;
    d->ops->add(d, own, lent, n, false);
    d->ops->add(d, lent, own, n, true);
    for (int i = 0; i < n; i++)
        assert_true(lent[i] == (float)(i + 1));
    mu_device_clear(d, lent, (size_t)n * 4);
    for (int i = 0; i < n; i++)
        sum += lent[i];
    assert_true(sum == 0);
    mu_device_upload(d, lent, &(float){3}, 4);
    assert_true(lent[0] == 3);
    mu_device_copy(d, lent, own, (size_t)n * 4);
    assert_true(lent[n - 1] == (float)n);
    mu_device_upload(d, own, lent + n - 1, 4); /* from lent memory, changed at once */
    lent[n - 1] = 7;
    mu_device_download(d, lent, own, 4);
    assert_true(lent[0] == (float)n);
    mu_device_free(d, own);
}

static void lent_memory(void **state)
{
    enum { N = 5000, BYTES = 5 * 4096 };
    struct mu_device *d;
    float *lent,
        *shared = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_true(shared != MAP_FAILED);
    machine_with("MUSTER_EMULATE_LAZY", "1");
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    lent = mu_device_alloc_lent(d, N * 4);
    assert_non_null(lent);
    for (int i = 0; i < N; i++)
        assert_true(lent[i] == 0);
    use_lent(d, lent, N);
    assert_int_equal(mu_device_lend(d, shared, BYTES), MU_OK);
    use_lent(d, shared, N);
    use_lent(d, shared + 100, 900); /* in the middle of it */
    mu_device_take_back(d, shared);
    mu_device_take_back(d, shared); /* no longer lent: nothing to do */
    mu_device_free_lent(d, lent);
    assert_int_equal(mu_device_lend(d, shared, BYTES), MU_OK); /* again, and left to close */
    mu_device_close(d);
    munmap(shared, BYTES);
}

/* The bits that were stored, as integers mod 2^32. */
static void adamw_tells_its_check(void **state)
{
    enum { N = 1000 };
    struct mu_device *d;
    float *w, host[N];
    uint32_t check = 5, expected = 5, again = 5;

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    w = mu_device_alloc(d, 4 * sizeof host);
    for (int i = 0; i < N; i++)
        host[i] = 1.0f / (float)(i + 1);
    mu_device_upload(d, w, host, sizeof host);
    mu_device_upload(d, w + 3 * N, host, sizeof host);
    struct mu_adamw a = {.count = N,
                         .weight = w,
                         .m = w + N,
                         .v = w + 2 * N,
                         .gradient = w + 3 * N,
                         .weight_out = w,
                         .m_out = w + N,
                         .v_out = w + 2 * N,
                         .gradient_scale = 1,
                         .lr = 0.1f,
                         .beta1 = 0.9f,
                         .beta2 = 0.95f,
                         .eps = 1e-8f,
                         .decay = 0.1f,
                         .bias1 = 0.1f,
                         .bias2 = 0.05f,
                         .check = &check};
    d->ops->adamw(d, &a);
    for (int t = 0; t < 3; t++) {
        mu_device_download(d, host, w + t * N, sizeof host);
        for (int i = 0; i < N; i++) {
            uint32_t bits;

            memcpy(&bits, &host[i], 4);
            expected += bits;
        }
    }
    assert_int_equal(check, expected);
    a.lr = a.decay = 0; /* another sum */
    a.check = &again;
    d->ops->adamw(d, &a);
    assert_true(again != expected && again != 5);
    mu_device_free(d, w);
    mu_device_close(d);
}

static enum mu_status count_polls(void *context)
{
    ++*(int *)context;
    return MU_PEER_LOST;
}

/* Also where nothing is waited for; and what the hook says stands in the status, the operation is
 * done all the same. */
static void operations_poll(void **state)
{
    struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    float one = 1, *x;
    struct mu_device *d;
    int polls = 0;

    (void)state;
    machine_with(NULL, NULL);
    options.poll = count_polls;
    options.poll_context = &polls;
    d = open_cuda(options);
    x = mu_device_alloc(d, 4);
    mu_device_upload(d, x, &one, 4);
    for (int i = 1; i <= 3; i++) {
        int before = polls;

        mu_clock_sleep_us(1000);
        d->ops->add(d, x, x, 1, false);
        assert_true(polls > before);
    }
    assert_int_equal(mu_device_status(d), MU_PEER_LOST);
    d->status = MU_OK;
    mu_device_download(d, &one, x, 4);
    assert_true(one == 8);
    mu_device_free(d, x);
    mu_device_close(d);
}

/* Many times what the queue holds. */
static void the_queue_keeps_its_order(void **state)
{
    enum { N = 300 };
    struct mu_device *d;
    float *x, got[3];

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    x = mu_device_alloc(d, 12);
    mu_device_upload(d, x, (const float[]){1, 0, 0}, 12);
    for (int i = 0; i < N; i++) { /* counts */
        d->ops->add(d, x + 1, x, 1, false);
        mu_device_copy(d, x + 2, x + 1, 4);
    }
    mu_device_wait(d);
    mu_device_download(d, got, x, 12);
    assert_true(got[1] == N && got[2] == N);
    mu_device_free(d, x);
    mu_device_close(d);
}

static void out_of_memory(void **state)
{
    struct hearing h;
    struct mu_device *d;
    void *x;

    (void)state;
    machine_with("MUSTER_EMULATE_MEMORY", "268435456");
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    hear(&h);
    assert_null(mu_device_alloc(d, (size_t)1 << 30));
    heard(&h);
    assert_non_null(strstr(
        h.text, "GPU 0 (Muster emulated GPU, PCI 0000:01:00.0) is out of memory: 1024.0 MiB"));
    assert_non_null(strstr(h.text, "of 256.0 MiB are free"));
    assert_non_null(strstr(h.text, "lower batch.micro"));
    assert_int_equal(mu_device_status(d), MU_OK); /* whoever asked may do without */
    x = mu_device_alloc(d, 1 << 20);
    assert_non_null(x);
    mu_device_free(d, x);
    mu_device_close(d);
    machine_with("MUSTER_EMULATE_MEMORY", "64");
    hear(&h);
    assert_int_equal(
        mu_device_open(&(struct mu_device_options){.kind = MU_DEVICE_CUDA, .threads = 1}, &d),
        MU_NO_MEMORY);
    heard(&h);
    assert_non_null(strstr(h.text, "out of memory"));
}

/* Some of everything; what the host is given. */
static uint64_t work(struct mu_device *d)
{
    enum { N = 64 };
    float *x = mu_device_alloc(d, 8 * N * N * 4), host[N];
    int32_t *lent = mu_device_alloc_lent(d, N * 4), ones[N];
    uint64_t sum = 0;

    for (int i = 0; i < N; i++) {
        host[i] = (float)i;
        ones[i] = 1;
    }
    if (x && lent) {
        mu_device_upload(d, x, host, sizeof host);
        mu_device_upload(d, lent, ones, sizeof ones);
        d->ops->layernorm_backward(d, x, x + N, x + 2 * N, x + 3 * N, x + 4 * N, x + 5 * N,
                                   x + 6 * N, x + 7 * N, 1, N, true);
        d->ops->rmsnorm_backward(d, x, x + N, x + 2 * N, x + 3 * N, x + 4 * N, x + 5 * N, 1, N,
                                 false);
        d->ops->linear(d, (struct mu_linear){1, N, N}, x + N, false, NULL, x, x + 2 * N, NULL,
                       MU_EPILOGUE_NONE);
        mu_device_copy(d, x + N, x, 4 * N);
        sum = d->ops->add_int32(d, (int32_t *)x, lent, N);
        mu_device_download(d, host, x + N, sizeof host);
        sum += (uint64_t)host[N - 1];
    }
    mu_device_free_lent(d, lent);
    mu_device_free(d, x);
    mu_device_wait(d);
    return sum;
}

/* Each call of CUDA fails once, with an error that ends the GPU and one that does not: the run ends
 * with an error, told once by the device, and nothing hangs. */
static void any_call_may_fail(void **state)
{
    static const int errors[] = {719, 2};
    uint64_t calls = 1;

    (void)state;
    machine_with(NULL, NULL);
    struct mu_device *d = open_cuda(cuda_options(MU_PRECISION_FP32));

    assert_int_equal(work(d), 64 + 63);
    mu_device_close(d);
    calls = mu_emulate_calls();
    assert_true(calls > 30);
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
        for (uint64_t k = 1; k <= calls; k++) {
            struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
            struct hearing h;
            enum mu_status st;
            char fail[64];
            uint64_t sum = 0;
            bool closing = false;

            snprintf(fail, sizeof fail, "%llu:%d", (unsigned long long)k, errors[e]);
            machine_with("MUSTER_EMULATE_FAIL", fail);
            hear(&h);
            st = mu_device_open(&options, &d);
            if (st == MU_OK) {
                sum = work(d);
                st = mu_device_status(d);
                if (st != MU_OK) { /* it stays so, whatever its owner makes of it */
                    d->status = MU_OK;
                    assert_int_equal(errors[e] == 719 ? work(d) : 0, 0);
                    st = errors[e] == 719 ? mu_device_status(d) : MU_FAILED;
                }
                closing = mu_emulate_calls() < k;
                mu_device_close(d);
            }
            heard(&h);
            if (st == MU_OK && sum != 64 + 63 && !strstr(h.text, "error:"))
                fail_msg("call %s: no word of it, and %llu", fail, (unsigned long long)sum);
            if (st != MU_OK && count_of(h.text, "error:") < 1)
                fail_msg("call %s: no word of it", fail);
            if (count_of(h.text, "This process cannot go on with it") > 1)
                fail_msg("call %s is told more than once: %s", fail, h.text);
            if (errors[e] == 719 && st == MU_OK && !closing && mu_emulate_calls() >= k &&
                sum != 64 + 63)
                fail_msg("call %s has no consequence", fail);
        }
}

static void words_of_a_broken_gpu(void **state)
{
    struct hearing h;
    struct mu_device *d;
    float x = 5;
    void *memory;

    (void)state;
    machine_with(NULL, NULL);
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    memory = mu_device_alloc(d, 64);
    char fail[64];

    snprintf(fail, sizeof fail, "%llu:719", (unsigned long long)mu_emulate_calls() + 1);
    mu_device_close(d);
    machine_with("MUSTER_EMULATE_FAIL", fail);
    d = open_cuda(cuda_options(MU_PRECISION_FP32));
    memory = mu_device_alloc(d, 64);
    hear(&h);
    d->ops->add(d, memory, memory, 4, false);
    mu_device_download(d, &x, memory, 4);
    heard(&h);
    assert_int_equal(mu_device_status(d), MU_FAILED);
    assert_true(x == 0);
    assert_int_equal(count_of(h.text, "muster: error: "), 1);
    assert_non_null(strstr(
        h.text, "GPU 0 (Muster emulated GPU, PCI 0000:01:00.0) failed in add, or in an operation "
                "before it: unspecified launch failure (cudaErrorLaunchFailure)"));
    mu_device_free(d, memory);
    mu_device_close(d);
}

/* Ten operations of some milliseconds, one at each look, and a deadline of one. */
static void a_gpu_that_hangs(void **state)
{
    enum { N = 1 << 20 };
    struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    struct hearing h;
    struct mu_device *d;
    float *x;

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    options.stall_timeout_ms = 1000;
    d = open_cuda(options);
    x = mu_device_alloc(d, N * 4);
    mu_device_wait(d);
    d->options.stall_timeout_ms = 1;
    for (int i = 0; i < 10; i++)
        d->ops->add(d, x, x, N, false);
    hear(&h);
    mu_device_wait(d);
    mu_device_wait(d);
    heard(&h);
    assert_int_equal(mu_device_status(d), MU_FAILED);
    assert_int_equal(count_of(h.text, "has ended nothing for 0.001 s"), 1);
    mu_device_free(d, x);
    mu_device_close(d);
}

static void peak(void **state)
{
    struct mu_device *d;
    double rate;

    (void)state;
    machine_with(NULL, NULL);
    d = open_cuda(cuda_options(MU_PRECISION_BF16));
    rate = mu_device_measure_peak(d, 0.01);
    assert_true(rate > 1e6 && rate < 1e13); /* plain loops on some CPU */
    assert_int_equal(mu_device_status(d), MU_OK);
    mu_device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation),
        cmocka_unit_test(every_operation_as_late_as_can_be),
        cmocka_unit_test(copies),
        cmocka_unit_test(lent_memory),
        cmocka_unit_test(adamw_tells_its_check),
        cmocka_unit_test(operations_poll),
        cmocka_unit_test(the_queue_keeps_its_order),
        cmocka_unit_test(out_of_memory),
        cmocka_unit_test(any_call_may_fail),
        cmocka_unit_test(words_of_a_broken_gpu),
        cmocka_unit_test(a_gpu_that_hangs),
        cmocka_unit_test(peak),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

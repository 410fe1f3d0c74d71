/* Workloads over a device whose memory the host cannot touch: gradients and losses have the bits
 * that the wrapped device gives alone. And the wrapper (tests/support/apart_device.h) sees
 * mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "orchestrator/base/log.h"
#include "tests/support/apart_device.h"
#include "tests/support/gpt_outcome.h"

static char folder[] = "/tmp/muster-apart-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return fixture_make_folder(folder, 200) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* ---- mistakes -------------------------------------------------------------------------------- */

enum mistake { NONE, HOST_READS, HOST_WRITES, HOST_MEMORY_TO_OPERATION, BEYOND_THE_END };

static void make_mistake(struct mu_device *d, enum mistake m)
{
    volatile float *own = mu_device_alloc(d, 64 * sizeof(float));
    float *lent = mu_device_alloc_lent(d, 64 * sizeof(float)), host[64] = {0};
    float *device = (float *)(uintptr_t)own;

    if (m == HOST_READS)
        host[0] = own[3];
    if (m == HOST_WRITES)
        own[3] = 1;
    if (m == HOST_MEMORY_TO_OPERATION)
        d->ops->add(d, device, host, 64, false);
    if (m == BEYOND_THE_END)
        d->ops->add(d, device, lent, 65, false);
    lent[5] = 2;
    d->ops->add(d, device, lent, 64, true);
    mu_device_download(d, host, device, sizeof host);
    _exit(host[5] == 2 && host[6] == 0 ? 0 : 1);
}

/* How a child ends that makes it. */
static int end_of(enum mistake m)
{
    struct mu_device *d = apart_wrap(fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32));
    const struct rlimit no_core = {0, 0};
    int end = 0;
    pid_t child = fork();

    if (child == 0) {
        mu_log_set_level(MU_LOG_SILENT);
        setrlimit(RLIMIT_CORE, &no_core);
        for (int i = 1; i < NSIG; i++)
            signal(i, SIG_DFL); /* cmocka's, and those of a sanitizer */
        make_mistake(d, m);
    }
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &end, 0), child);
    mu_device_close(d);
    return end;
}

static void mistakes_are_seen(void **state)
{
    (void)state;
    assert_int_equal(end_of(NONE), 0);
    assert_int_equal(WTERMSIG(end_of(HOST_READS)), SIGSEGV);
    assert_int_equal(WTERMSIG(end_of(HOST_WRITES)), SIGSEGV);
    assert_int_equal(WTERMSIG(end_of(HOST_MEMORY_TO_OPERATION)), SIGABRT);
    assert_int_equal(WTERMSIG(end_of(BEYOND_THE_END)), SIGABRT);
}

/* ---- workloads ------------------------------------------------------------------------------- */

static void check_same(const struct mu_settings *s, enum mu_device_kind kind,
                       enum mu_precision precision)
{
    struct mu_device *plain, *apart;
    struct outcome a, b;
    bool is_zero = true;

    mu_log_set_level(MU_LOG_SILENT);
    plain = fixture_device(kind, precision);
    apart = fixture_device(kind, precision);
    mu_log_set_level(MU_LOG_INFO);
    if (plain == NULL || apart == NULL) {
        print_message("no such device here\n");
        skip();
    }
    a = outcome_of(s, plain, precision);
    b = outcome_of(s, apart_wrap(apart), precision);
    assert_true(a.losses == b.losses && a.losses > 6);
    assert_memory_equal(a.loss, b.loss, a.losses * sizeof *a.loss);
    assert_memory_equal(a.gradient, b.gradient, a.bytes);
    for (uint64_t i = 0; i < a.bytes / sizeof *a.gradient; i++)
        is_zero = is_zero && a.gradient[i] == 0;
    assert_false(is_zero);
    free(a.gradient);
    free(b.gradient);
}

static void check_fp32(struct mu_settings s)
{
    check_same(&s, MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
    check_same(&s, MU_DEVICE_CPU, MU_PRECISION_FP32);
}

static void check_bf16(struct mu_settings s)
{
    s.batch_micro = 4; /* a shard is one micro-batch */
    check_same(&s, MU_DEVICE_REFERENCE, MU_PRECISION_BF16);
    check_same(&s, MU_DEVICE_CPU, MU_PRECISION_BF16);
}

static void gpt2_is_the_same_in_fp32(void **state)
{
    (void)state;
    check_fp32(fixture_settings(folder));
}

static void gpt2_is_the_same_in_bf16(void **state)
{
    (void)state;
    check_bf16(fixture_settings(folder));
}

static void llama_is_the_same_in_fp32(void **state)
{
    (void)state;
    check_fp32(fixture_llama(folder));
}

static void llama_is_the_same_in_bf16(void **state)
{
    (void)state;
    check_bf16(fixture_llama(folder));
}

static void synthetic_is_the_same(void **state)
{
    struct mu_settings s = fixture_settings(folder);

    (void)state;
    s.model_kind = MU_MODEL_SYNTHETIC;
    s.synthetic_e = 1.69;
    s.synthetic_params = 1000000;
    check_same(&s, MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_seen),         cmocka_unit_test(gpt2_is_the_same_in_fp32),
        cmocka_unit_test(gpt2_is_the_same_in_bf16),  cmocka_unit_test(llama_is_the_same_in_fp32),
        cmocka_unit_test(llama_is_the_same_in_bf16), cmocka_unit_test(synthetic_is_the_same),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

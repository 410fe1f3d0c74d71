/* What keeps a GPU busy: the host does not wait where it need not, and else wakes on time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "kernels/device.h"
#include "tests/support/cuda_module.h"

static struct mu_device *open_cuda(void)
{
    struct mu_device_options options = cuda_options(MU_PRECISION_FP32);
    struct mu_device *d;

    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    return d;
}

/* A shard's tokens and row numbers are uploaded while the GPU works on what came before them. */
static void short_uploads_wait_for_nobody(void **state)
{
    enum { N = 6 };
    struct mu_device *d;
    float *x, *to, *lent;

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    setenv("MUSTER_EMULATE_OPEN", "1", 1);
    mu_emulate_restart();
    d = open_cuda();
    x = mu_device_alloc(d, 4);
    to = mu_device_alloc(d, N * 4);
    lent = mu_device_alloc_lent(d, N * 4);
    mu_device_upload(d, x, &(float){1}, 4);
    mu_device_wait(d);
    d->ops->add(d, x, x, 1, false);
    for (int i = 0; i < N; i++) {
        lent[i] = (float)i + 1;
        mu_device_upload(d, to + i, lent + i, 4);
        lent[i] = 0;
    }
    assert_true(*x == 1); /* nothing has run */
    mu_device_wait(d);
    assert_true(*x == 2);
    for (int i = 0; i < N; i++)
        assert_true(to[i] == (float)i + 1);
    mu_device_free_lent(d, lent);
    mu_device_free(d, to);
    mu_device_free(d, x);
    mu_device_close(d);
    machine_with(NULL, NULL);
}

/* The thread that waits wakes when it asked to. */
static void pauses_are_short(void **state)
{
    struct mu_device *d;
    int before = prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);

    (void)state;
    assert_int_equal(prctl(PR_SET_TIMERSLACK, 50000UL, 0UL, 0UL, 0UL), 0);
    machine_with(NULL, NULL);
    d = open_cuda();
    assert_in_range(prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL), 1, 5000);
    mu_device_close(d);
    assert_int_equal(prctl(PR_SET_TIMERSLACK, (unsigned long)before, 0UL, 0UL, 0UL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_uploads_wait_for_nobody),
        cmocka_unit_test(pauses_are_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

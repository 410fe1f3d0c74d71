/* Choices among algorithms that differ in their bits, as a device tells and takes them: on emulated
 * GPUs, whose library has such algorithms (kernels/emulate/blas_control.h), through the module. */
#include "tests/support/kernel_run.h"

#include "tests/support/cuda_module.h"

static const struct kernel_shape shape = {2, 16, 2, 16, 40, 24};

struct choices {
    void *bytes;
    size_t size;
};

static struct choices choices_of(const struct mu_device *d)
{
    struct choices c;

    assert_int_equal(mu_device_write_choices(d, &c.bytes, &c.size), MU_OK);
    return c;
}

static char refusal[256];

static enum mu_status take(struct mu_device *d, const struct choices *c)
{
    refusal[0] = 0;
    return mu_device_read_choices(d, c->bytes, c->size, refusal, sizeof refusal);
}

static struct mu_device *open_cuda(void)
{
    return open_device(MU_DEVICE_CUDA, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
}

/* Every operation once, so that all that there is to choose is chosen. */
static struct kernel_run *use(struct mu_device *d)
{
    struct kernel_run *r = kernel_run(d, shape, false);

    assert_int_equal(mu_device_status(d), MU_OK);
    return r;
}

/* The device goes; what it computed stays, on the host. */
static void leave(struct kernel_run *r)
{
    for (int i = 0; i < r->count; i++)
        mu_device_free(r->device, r->outputs[i].device);
    for (int i = 0; i < r->input_count; i++)
        mu_device_free(r->device, r->inputs[i]);
    mu_device_close(r->device);
}

static void forget(struct kernel_run *r)
{
    for (int i = 0; i < r->count; i++)
        free(r->outputs[i].data);
    free(r);
}

static bool same_bits(const struct kernel_run *a, const struct kernel_run *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        if (memcmp(a->outputs[i].data, b->outputs[i].data, a->outputs[i].bytes) != 0)
            return false;
    return true;
}

/* A machine whose library has another opinion than the one that the choices were made on. */
static void assert_followed(const struct choices *choices, const struct kernel_run *chooser,
                            const char *name, const char *value)
{
    struct mu_device *alone, *follower;
    struct kernel_run *own, *told;
    struct choices after;

    machine_with(name, value);
    alone = open_cuda();
    follower = open_cuda();
    own = use(alone);
    assert_false(same_bits(own, chooser)); /* or following would show nothing */
    assert_int_equal(take(follower, choices), MU_OK);
    told = use(follower);
    assert_true(same_bits(told, chooser));
    after = choices_of(follower);
    assert_int_equal(after.size, choices->size);
    assert_memory_equal(after.bytes, choices->bytes, after.size);
    free(after.bytes);
    leave(own);
    leave(told);
    forget(own);
    forget(told);
}

static void another_device_takes_them(void **state)
{
    struct mu_device *d;
    struct kernel_run *r;
    struct choices c;

    (void)state;
    machine_with(NULL, NULL);
    d = open_cuda();
    r = use(d);
    c = choices_of(d);
    leave(r);
    assert_followed(&c, r, "MUSTER_EMULATE_BLAS_FIRST", "3");
    free(c.bytes);
    forget(r);
}

/* Not before it is asked for, nor after. */
static void tuning_is_asked_for(void **state)
{
    struct mu_device *plain, *tuned, *late;
    struct kernel_run *a, *b, *c;

    (void)state;
    machine_with("MUSTER_EMULATE_BLAS_SLOW", "1:3000,3:3000");
    plain = open_cuda();
    tuned = open_cuda();
    late = open_cuda();
    a = use(plain);
    mu_device_tune_choices(tuned, true);
    b = use(tuned);
    mu_device_tune_choices(late, true);
    mu_device_tune_choices(late, false);
    c = use(late);
    assert_false(same_bits(a, b));
    assert_true(same_bits(a, c));
    leave(a);
    leave(b);
    leave(c);
    forget(a);
    forget(b);
    forget(c);
}

static void refuses(const struct choices *c, const char *name, const char *value,
                    enum mu_status why, const char *words)
{
    struct mu_device *d;
    struct choices before, after;

    machine_with(name, value);
    d = open_cuda();
    before = choices_of(d);
    assert_int_equal(take(d, c), why);
    assert_non_null(strstr(refusal, words));
    after = choices_of(d);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.bytes, before.bytes, after.size);
    assert_int_equal(mu_device_status(d), MU_OK); /* it can choose for itself */
    free(before.bytes);
    free(after.bytes);
    mu_device_close(d);
}

/* A product that is timed is waited for, and what the wait was told must not come out of the next
 * launch. */
static void tuning_leaves_no_error(void **state)
{
    struct mu_device *d;
    struct kernel_run *r;

    (void)state;
    machine_with("MUSTER_EMULATE_LAZY", "1");
    d = open_cuda();
    mu_device_tune_choices(d, true);
    r = use(d);
    leave(r);
    forget(r);
    machine_with(NULL, NULL);
}

static void those_of_others_are_refused(void **state)
{
    struct mu_device *d;
    struct kernel_run *r;
    struct choices c;

    (void)state;
    machine_with(NULL, NULL);
    d = open_cuda();
    r = use(d);
    c = choices_of(d);
    leave(r);
    forget(r);
    refuses(&c, "MUSTER_EMULATE_BLAS_VERSION", "130200", MU_CONFIG,
            "are of cuBLASLt 130100, and this is 130200");
    refuses(&c, "MUSTER_EMULATE_CAPABILITY", "100", MU_CONFIG,
            "are of a GPU of compute capability 9.0");
    ((char *)c.bytes)[c.size / 2] ^= 1;
    refuses(&c, NULL, NULL, MU_CORRUPT, "damaged");
    c.size = 7;
    refuses(&c, NULL, NULL, MU_CORRUPT, "cut short");
    free(c.bytes);
}

static void a_cpu_has_none(void **state)
{
    struct mu_device *d = open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, MU_ISA_GENERIC, 1);
    struct choices c;

    (void)state;
    assert_false(mu_device_has_choices(d));
    mu_device_tune_choices(d, true);
    c = choices_of(d);
    assert_null(c.bytes);
    assert_int_equal(c.size, 0);
    c = (struct choices){"anything", 8};
    assert_int_equal(take(d, &c), MU_OK);
    mu_device_close(d);
    machine_with(NULL, NULL);
    d = open_cuda();
    assert_true(mu_device_has_choices(d));
    mu_device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_device_takes_them),
        cmocka_unit_test(tuning_is_asked_for),
        cmocka_unit_test(tuning_leaves_no_error),
        cmocka_unit_test(those_of_others_are_refused),
        cmocka_unit_test(a_cpu_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* muster-cuda.so as the program sees it: found, loaded, refused, each time in words that say what
 * to do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/cuda_module.h"

/* Opening says each of the words, in one line, and gives `expected`; checking says the same. */
static void refused(struct mu_device_options options, enum mu_status expected,
                    const char *const *words)
{
    struct hearing opened, checked;
    struct mu_device *d = NULL;

    hear(&opened);
    assert_int_equal(mu_device_open(&options, &d), expected);
    heard(&opened);
    assert_null(d);
    for (; *words; words++)
        if (!strstr(opened.text, *words))
            fail_msg("'%s' does not say '%s'", opened.text, *words);
    assert_int_equal(count_of(opened.text, "\n"), 1);
    hear(&checked);
    assert_int_equal(mu_device_check(&options), expected);
    heard(&checked);
    assert_string_equal(checked.text, opened.text);
}
#define REFUSED(options, ...) \
    refused((options), MU_CONFIG, (const char *const[]){__VA_ARGS__, NULL})

static struct mu_device_options fp32(void)
{
    return cuda_options(MU_PRECISION_FP32);
}

static void no_module(void **state)
{
    (void)state;
    machine_with(NULL, NULL);
    unsetenv("MUSTER_CUDA_MODULE");
    REFUSED(fp32(), "device.kind = \"cuda\"", "muster-cuda.so is neither in /", "/lib/muster",
            "-DMUSTER_CUDA=ON", "MUSTER_CUDA_MODULE");
    setenv("MUSTER_CUDA_MODULE", "/no/such/file.so", 1);
    REFUSED(fp32(), "MUSTER_CUDA_MODULE names /no/such/file.so", "cannot be read");
}

/* No library, one that lacks the symbol, one of another build. */
static void foreign_modules(void **state)
{
    char path[4300];

    (void)state;
    machine_with(NULL, NULL);
    setenv("MUSTER_CUDA_MODULE", "/proc/self/cmdline", 1);
    REFUSED(fp32(), "/proc/self/cmdline cannot be loaded: ", "LD_LIBRARY_PATH");
    machine_with(NULL, NULL);
    snprintf(path, sizeof path, "%s", getenv("MUSTER_CUDA_MODULE"));
    strcpy(strrchr(path, '/'), "/tests/clock-back.so");
    setenv("MUSTER_CUDA_MODULE", path, 1);
    REFUSED(fp32(), "clock-back.so cannot be loaded: ", "mu_cuda_module");
    strcpy(strrchr(path, '/'), "/old-cuda-module.so");
    setenv("MUSTER_CUDA_MODULE", path, 1);
    REFUSED(fp32(), "is of another build (\"muster 0.0.0 1 2 3\")", "(\"muster " MUSTER_VERSION " ",
            "install both from one");
}

static void no_driver(void **state)
{
    (void)state;
    machine_with("MUSTER_EMULATE_DRIVER", "0");
    REFUSED(fp32(), "no NVIDIA driver", "install one for CUDA 13.0", "device.kind = \"cpu\"");
    machine_with("MUSTER_EMULATE_DRIVER", "12040");
    REFUSED(fp32(), "driver of this host is for CUDA 12.4", "needs 13.0", "update the driver");
}

static void no_gpu(void **state)
{
    (void)state;
    machine_with("CUDA_VISIBLE_DEVICES", "");
    REFUSED(fp32(), "no GPU is visible", "CUDA_VISIBLE_DEVICES is \"\"");
    machine_with("CUDA_VISIBLE_DEVICES", "17");
    REFUSED(fp32(), "no GPU is visible", "CUDA_VISIBLE_DEVICES is \"17\"");
    machine_with("MUSTER_EMULATE_DEVICES", "0");
    REFUSED(fp32(), "no GPU is visible", "CUDA_VISIBLE_DEVICES is not set");
}

static void fewer_gpus_than_workers(void **state)
{
    struct mu_device_options third = fp32();

    (void)state;
    third.gpu = 2;
    machine_with("MUSTER_EMULATE_DEVICES", "2");
    REFUSED(third, "worker 3 of this host sees 2", "CUDA_VISIBLE_DEVICES is not set",
            "start at most 2 here");
    machine_with("CUDA_VISIBLE_DEVICES", "4,1");
    REFUSED(third, "worker 3 of this host sees 2", "CUDA_VISIBLE_DEVICES = 4,1");
    third.gpu = -1;
    REFUSED(third, "device.kind = \"cuda\"");
}

static void bf16_needs_a_gpu_that_has_it(void **state)
{
    struct mu_device *d;
    struct mu_device_options options = fp32();

    (void)state;
    machine_with("MUSTER_EMULATE_CAPABILITY", "75");
    REFUSED(cuda_options(MU_PRECISION_BF16), "bf16", "compute capability 8.0", "has 7.5",
            "\"fp32\"");
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    mu_device_close(d);
}

static void facts_name_the_gpu_and_the_libraries(void **state)
{
    struct mu_device_options options = fp32();
    struct mu_device *d;
    const char *module;

    (void)state;
    machine_with(NULL, NULL);
    assert_int_equal(mu_device_check(&options), MU_OK);
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    assert_string_equal(d->ops->name, "cuda");
    assert_false(mu_device_has_host_memory(d));
    assert_non_null(strstr(
        d->facts,
        "Muster emulated GPU (9.0, 4 multiprocessors), CUDA 13.0, cuBLASLt 13.1.0, module "));
    module = strstr(d->facts, "module ") + strlen("module ");
    assert_int_equal(strlen(module), 16);
    assert_int_equal(strspn(module, "0123456789abcdef"), 16);
    mu_device_close(d);
}

/* MU_OK, and what is seen; nothing is said. */
static struct mu_device_gpus seen(enum mu_device_kind kind)
{
    struct mu_device_gpus gpus;
    struct hearing h;

    hear(&h);
    assert_int_equal(mu_device_look(kind, &gpus), MU_OK);
    heard(&h);
    assert_string_equal(h.text, "");
    return gpus;
}

static void gpus_are_told_by_what_they_are(void **state)
{
    struct mu_device_gpus all, two;

    (void)state;
    machine_with("MUSTER_EMULATE_DEVICES", "4");
    all = seen(MU_DEVICE_CUDA);
    assert_int_equal(all.count, 4);
    assert_string_equal(all.problem, "");
    assert_string_equal(all.name, "Muster emulated GPU");
    assert_string_equal(all.pci[2], "0000:03:00.0");
    assert_memory_not_equal(&all.id[0], &all.id[1], sizeof all.id[0]);
    assert_int_equal(seen(MU_DEVICE_CPU).count, 0);
    machine_with("CUDA_VISIBLE_DEVICES", "3,1");
    two = seen(MU_DEVICE_CUDA);
    assert_int_equal(two.count, 2);
    assert_memory_equal(&two.id[0], &all.id[3], sizeof two.id[0]);
    assert_memory_equal(&two.id[1], &all.id[1], sizeof two.id[0]);
    machine_with("MUSTER_EMULATE_MIG", "2"); /* instances differ, the GPU is one */
    all = seen(MU_DEVICE_CUDA);
    assert_memory_not_equal(&all.id[0], &all.id[1], sizeof all.id[0]);
    assert_string_equal(all.pci[0], all.pci[1]);
    assert_string_not_equal(all.pci[1], all.pci[2]);
}

/* That there is none is no problem: a rank may do without. */
static void problems_are_told_apart_from_no_gpu(void **state)
{
    (void)state;
    machine_with("CUDA_VISIBLE_DEVICES", "");
    assert_int_equal(seen(MU_DEVICE_CUDA).count, 0);
    assert_string_equal(seen(MU_DEVICE_CUDA).problem, "");
    machine_with("MUSTER_EMULATE_DRIVER", "12040");
    assert_int_equal(seen(MU_DEVICE_CUDA).count, 0);
    assert_non_null(strstr(seen(MU_DEVICE_CUDA).problem, "update the driver"));
    setenv("MUSTER_CUDA_MODULE", "/no/such/file.so", 1);
    assert_non_null(strstr(seen(MU_DEVICE_CUDA).problem, "which cannot be read"));
}

static void the_host_is_named_with_the_gpu(void **state)
{
    struct mu_device_options options = fp32();
    struct mu_device *d = NULL;
    struct hearing h;

    (void)state;
    options.gpu = 1;
    options.host = "node7";
    machine_with("MUSTER_EMULATE_FAIL", "1:46");
    hear(&h);
    assert_int_equal(mu_device_open(&options, &d), MU_FAILED);
    heard(&h);
    assert_int_equal(count_of(h.text, "\n"), 1);
    assert_non_null(strstr(h.text, "GPU 1 of node7 cannot be used: "));
    assert_non_null(strstr(h.text, "another process has it for itself"));
    machine_with("MUSTER_EMULATE_FAIL", "5:214");
    hear(&h);
    assert_int_equal(mu_device_open(&options, &d), MU_FAILED);
    heard(&h);
    assert_int_equal(count_of(h.text, "\n"), 1);
    assert_non_null(
        strstr(h.text, "GPU 1 of node7 (Muster emulated GPU, PCI 0000:02:00.0) cannot"));
    assert_non_null(strstr(h.text, "its memory is faulty. Reset it"));
}

/* The first kernel is where a GPU says that there is no code for it: it is looked for. */
static void first_kernel_fails_with(int error, const char *line)
{
    struct mu_device_options options = fp32();
    bool found = false;

    for (int call = 1; call < 60 && !found; call++) {
        struct mu_device *d = NULL;
        struct hearing h;
        char fail[32];

        snprintf(fail, sizeof fail, "%d:%d", call, error);
        machine_with("MUSTER_EMULATE_FAIL", fail);
        hear(&h);
        found = mu_device_open(&options, &d) == MU_CONFIG;
        heard(&h);
        mu_device_close(d);
        if (found && !strstr(h.text, line))
            fail_msg("'%s' does not say '%s'", h.text, line);
    }
    assert_true(found);
}

static void gpus_without_code(void **state)
{
    (void)state;
    first_kernel_fails_with(209, "this Muster has no code for GPU 0 (Muster emulated GPU, PCI "
                                 "0000:01:00.0): it was built for other GPUs");
    first_kernel_fails_with(222,
                            "0000:01:00.0) cannot use this Muster's code: the provided PTX was "
                            "compiled with an unsupported toolchain. "
                            "(cudaErrorUnsupportedPtxVersion): the driver and its libraries");
}

static void description(void **state)
{
    char text[4096], tight[64];

    (void)state;
    machine_with("MUSTER_EMULATE_DEVICES", "2");
    mu_cuda_describe(text, sizeof text);
    assert_string_equal(
        text, "emulated on the host; driver for CUDA 13.0, GPUs: 2\n"
              "0: Muster emulated GPU, PCI 0000:01:00.0, 4.0 GiB, 4 multiprocessors, 9.0\n"
              "1: Muster emulated GPU, PCI 0000:02:00.0, 4.0 GiB, 4 multiprocessors, 9.0");
    for (size_t n = 1; n <= sizeof tight; n++) {
        mu_cuda_describe(tight, n);
        assert_int_equal(strlen(tight), n - 1);
        assert_memory_equal(tight, text, n - 1);
    }
    machine_with("MUSTER_EMULATE_DRIVER", "0");
    mu_cuda_describe(text, sizeof text);
    assert_non_null(strstr(text, "emulated on the host; this host has no NVIDIA driver"));
    unsetenv("MUSTER_CUDA_MODULE");
    mu_cuda_describe(text, sizeof text);
    assert_memory_equal(text, "not available: muster-cuda.so is neither in", 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_module),
        cmocka_unit_test(foreign_modules),
        cmocka_unit_test(no_driver),
        cmocka_unit_test(no_gpu),
        cmocka_unit_test(fewer_gpus_than_workers),
        cmocka_unit_test(bf16_needs_a_gpu_that_has_it),
        cmocka_unit_test(facts_name_the_gpu_and_the_libraries),
        cmocka_unit_test(gpus_are_told_by_what_they_are),
        cmocka_unit_test(problems_are_told_apart_from_no_gpu),
        cmocka_unit_test(the_host_is_named_with_the_gpu),
        cmocka_unit_test(gpus_without_code),
        cmocka_unit_test(description),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* worker/fingerprint: it names what bits depend on, and fits where it is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "orchestrator/base/file.h"
#include "worker/fingerprint.h"

static void the_program_is_this_file(void **state)
{
    struct mu_hash a, b;
    char *data;
    size_t size;

    (void)state;
    assert_int_equal(mu_fingerprint_program(&a), MU_OK);
    assert_int_equal(mu_file_read("/proc/self/exe", (size_t)1 << 30, &data, &size), MU_OK);
    b = mu_hash_bytes(data, size, 0);
    free(data);
    assert_true(size > 1000);
    assert_true(mu_hash_equal(a, b));
}

static void the_cpu_has_a_name(void **state)
{
    char name[256], tight[8];

    (void)state;
    mu_fingerprint_cpu(name, sizeof name);
    assert_true(strlen(name) > 0);
    assert_null(strchr(name, '\n'));
    memset(tight, 'x', sizeof tight);
    mu_fingerprint_cpu(tight, 4);
    assert_int_equal(strlen(tight), strlen(name) < 3 ? strlen(name) : 3);
    assert_memory_equal(tight, name, strlen(tight));
    assert_int_equal(tight[4], 'x');
}

static void the_text_holds_all_of_it(void **state)
{
    struct mu_device_options options = {.kind = MU_DEVICE_REFERENCE,
                                        .precision = MU_PRECISION_FP32,
                                        .isa = MU_ISA_GENERIC,
                                        .threads = 1};
    const struct mu_hash program = {0x0123456789abcdef, 1}, probe = {0xfedcba9876543210, 2},
                         none = {0}, choices = {0x00112233aabbccdd, 3};
    char text[1024], other[1024], cpu[256];
    struct mu_device *d;

    (void)state;
    assert_int_equal(mu_device_open(&options, &d), MU_OK);
    mu_fingerprint_text(text, sizeof text, d, program, none, probe);
    mu_fingerprint_cpu(cpu, sizeof cpu);
    assert_non_null(strstr(text, "muster " MUSTER_VERSION " (0123456789abcdef)"));
    assert_non_null(strstr(text, "reference fp32 generic"));
    assert_non_null(strstr(text, "probe fedcba9876543210"));
    assert_non_null(strstr(text, cpu));
    assert_null(strchr(text, '\n'));
    assert_null(strchr(text, '"')); /* it stands in JSON */
    mu_fingerprint_text(other, sizeof other, d, program, none, (struct mu_hash){1, 2});
    assert_string_not_equal(text, other);
    assert_true(mu_fingerprint_same_but_probe(text, other));
    mu_fingerprint_text(other, sizeof other, d, (struct mu_hash){1, 2}, none, probe);
    assert_string_not_equal(text, other);
    assert_false(mu_fingerprint_same_but_probe(text, other));
    assert_false(mu_fingerprint_same_but_probe(text, ""));
    assert_null(strstr(text, "choices"));
    mu_fingerprint_text(other, sizeof other, d, program, choices, probe);
    assert_non_null(strstr(other, ", choices 00112233aabbccdd, probe fedcba9876543210"));
    mu_device_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_is_this_file),
        cmocka_unit_test(the_cpu_has_a_name),
        cmocka_unit_test(the_text_holds_all_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

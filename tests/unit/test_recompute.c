/* device.recompute: gradients, losses and evaluations have the same bits whatever of the forward
 * pass is kept; the memory that it takes is less, by what arithmetic says; and who lacks memory is
 * told of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/log.h"
#include "tests/support/apart_device.h"
#include "tests/support/gpt_outcome.h"

static const enum mu_recompute all[] = {MU_RECOMPUTE_NONE, MU_RECOMPUTE_MLP, MU_RECOMPUTE_BLOCK};
enum { ALL = sizeof all / sizeof *all };

static char folder[] = "/tmp/muster-recompute-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return fixture_make_folder(folder, 600) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* ---- bits ------------------------------------------------------------------------------------ */

static struct mu_device *device_or_skip(enum mu_device_kind kind, enum mu_precision precision)
{
    struct mu_device *d;

    mu_log_set_level(MU_LOG_SILENT);
    d = fixture_device(kind, precision);
    mu_log_set_level(MU_LOG_INFO);
    if (d == NULL) {
        print_message("no such device here\n");
        skip();
    }
    return d;
}

/* Every setting against the first, on this device and on one with memory of its own. */
static void check_all(struct mu_settings s, enum mu_device_kind kind, enum mu_precision precision)
{
    struct outcome first = {.gradient = NULL};

    for (int k = 0; k < 2 * ALL; k++) {
        struct mu_device *d = device_or_skip(kind, precision);
        struct outcome got;

        s.device_recompute = (int)all[k % ALL];
        got = outcome_of(&s, k < ALL ? d : apart_wrap(d), precision);
        if (k == 0) {
            first = got;
            continue;
        }
        assert_true(got.losses == first.losses && got.losses > 6);
        assert_memory_equal(got.loss, first.loss, first.losses * sizeof *first.loss);
        assert_int_equal(got.bytes, first.bytes);
        assert_memory_equal(got.gradient, first.gradient, first.bytes);
        free(got.gradient);
    }
    free(first.gradient);
}

/* One block, which finds its own activations still there, and several; a shard that is one
 * micro-batch, and four; the last piece of the evaluation is shorter. */
static void check_bits_of(struct mu_settings s, enum mu_device_kind kind,
                          enum mu_precision precision)
{
    for (int64_t layers = 1; layers <= 3; layers += 2) {
        for (int64_t micro = 1; micro <= 4; micro += 3) {
            s.model_layers = layers;
            s.batch_micro = micro;
            s.eval_tokens = 71;
            check_all(s, kind, precision);
        }
    }
}

static void check_bits(enum mu_device_kind kind, enum mu_precision precision)
{
    check_bits_of(fixture_settings(folder), kind, precision);
    check_bits_of(fixture_llama(folder), kind, precision);
}

static void the_same_bits_in_fp32(void **state)
{
    (void)state;
    check_bits(MU_DEVICE_CPU, MU_PRECISION_FP32);
}

static void the_same_bits_in_bf16(void **state)
{
    (void)state;
    check_bits(MU_DEVICE_CPU, MU_PRECISION_BF16);
}

static void the_same_bits_on_the_reference(void **state)
{
    (void)state;
    check_bits(MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
    check_bits(MU_DEVICE_REFERENCE, MU_PRECISION_BF16);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Bytes of device memory that a workload takes. */
static uint64_t taken(const struct mu_settings *s, enum mu_precision precision)
{
    struct mu_device *d = apart_wrap(fixture_device(MU_DEVICE_REFERENCE, precision));
    const struct apart *a = (const struct apart *)d;
    struct mu_workload *w;
    uint64_t bytes = 0;

    assert_int_equal(mu_workload_open(s, d, &w), MU_OK);
    for (uint32_t i = 0; i < a->count; i++)
        bytes += a->range[i].kind == APART_DEVICE ? a->range[i].bytes : 0;
    mu_workload_close(w);
    mu_device_close(d);
    return bytes;
}

/* Bytes that layer n + 1 costs, without its gradient. */
static uint64_t layer_takes(struct mu_settings s, int n, enum mu_precision precision)
{
    uint64_t bytes[2], elements[2];

    for (int k = 0; k < 2; k++) {
        struct mu_workload *w;

        s.model_layers = n + k;
        bytes[k] = taken(&s, precision);
        assert_int_equal(mu_workload_open(&s, NULL, &w), MU_OK);
        elements[k] = w->layout.elements;
        mu_workload_close(w);
    }
    return bytes[1] - bytes[0] - 4 * (elements[1] - elements[0]);
}

/* A layer more costs its matrices' gradient and what is kept of every token: 36, 18 or 4 bytes of
 * each column in bf16, 64, 28 or 4 in fp32, and of statistics 16, 8 or 0, and 4 of each head where
 * attention is kept. */
static void a_layer_takes_what_is_said(void **state)
{
    static const uint64_t column[ALL][2] = {{64, 36}, {28, 18}, {4, 4}};
    static const uint64_t token[ALL] = {16 + 4 * 3, 8 + 4 * 3, 0};

    (void)state;
    for (int k = 0; k < 2 * ALL; k++) {
        const enum mu_precision precision = k % 2 ? MU_PRECISION_BF16 : MU_PRECISION_FP32;
        struct mu_settings s = fixture_settings(folder);

        s.device_recompute = (int)all[k / 2];
        for (int n = 1; n < 3; n++)
            assert_int_equal(layer_takes(s, n, precision),
                             2 * 7 * (9 * column[k / 2][k % 2] + token[k / 2]));
    }
}

/* A llama whose hidden layer is 8/3 of its width keeps the same; its norms have one statistic. */
static void a_layer_of_llama_takes_the_same(void **state)
{
    static const uint64_t column[ALL][2] = {{64, 36}, {28, 18}, {4, 4}};
    static const uint64_t token[ALL] = {8 + 4 * 3, 4 + 4 * 3, 0};

    (void)state;
    for (int k = 0; k < 2 * ALL; k++) {
        const enum mu_precision precision = k % 2 ? MU_PRECISION_BF16 : MU_PRECISION_FP32;
        struct mu_settings s = fixture_llama(folder);

        s.model_hidden = 48; /* of 18 */
        s.device_recompute = (int)all[k / 2];
        assert_int_equal(layer_takes(s, 2, precision),
                         2 * 7 * (18 * column[k / 2][k % 2] + token[k / 2]));
    }
}

static void one_layer_takes_the_same(void **state)
{
    struct mu_settings s = fixture_settings(folder);
    uint64_t bytes[ALL];

    (void)state;
    s.model_layers = 1;
    for (int k = 0; k < ALL; k++) {
        s.device_recompute = (int)all[k];
        bytes[k] = taken(&s, MU_PRECISION_BF16);
    }
    assert_true(bytes[0] == bytes[1] && bytes[0] == bytes[2]);
}

/* What opening says on stderr, with 256 MiB of device memory. */
static enum mu_status open_with_little(const struct mu_settings *s, char *text, size_t size)
{
    struct mu_device *d = apart_wrap(fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32));
    FILE *file = tmpfile();
    const int before = dup(STDERR_FILENO);
    struct mu_workload *w = NULL;
    enum mu_status st;

    assert_non_null(file);
    dup2(fileno(file), STDERR_FILENO);
    st = mu_workload_open(s, d, &w);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
    if (st == MU_OK)
        mu_workload_close(w);
    mu_device_close(d);
    return st;
}

/* 4096 tokens, 24 layers of width 96, fp32: 64 x 96 bytes a token and layer are 604 MB, 4 x 96 are
 * 38 MB. */
static void who_lacks_memory_is_told(void **state)
{
    struct mu_settings s = fixture_settings(folder);
    char text[2048];

    (void)state;
    s.model_layers = 24;
    s.model_width = 96;
    s.model_context = 512;
    s.batch_sequences = s.batch_micro = 8;
    s.batch_shards = 1;
    s.data_valid[0] = '\0';
    assert_int_equal(open_with_little(&s, text, sizeof text), MU_NO_MEMORY);
    assert_non_null(strstr(text, "no memory for the activations of 4096 tokens: set "
                                 "device.recompute = \"block\" (slower, and the same bits), lower "
                                 "batch.micro (now 8 sequences)"));
    s.device_recompute = MU_RECOMPUTE_BLOCK;
    assert_int_equal(open_with_little(&s, text, sizeof text), MU_OK);
    s.model_layers = 400;
    assert_int_equal(open_with_little(&s, text, sizeof text), MU_NO_MEMORY);
    assert_non_null(strstr(text, "tokens: lower batch.micro (now 8 sequences)"));
    assert_null(strstr(text, "device.recompute"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_bits_in_fp32),
        cmocka_unit_test(the_same_bits_in_bf16),
        cmocka_unit_test(the_same_bits_on_the_reference),
        cmocka_unit_test(a_layer_takes_what_is_said),
        cmocka_unit_test(a_layer_of_llama_takes_the_same),
        cmocka_unit_test(one_layer_takes_the_same),
        cmocka_unit_test(who_lacks_memory_is_told),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

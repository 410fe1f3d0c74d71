/* Decoding, a token at a time, against the forward pass of training over the whole sequence: the
 * bits of the reference, and of the fast device what rounding allows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#include "orchestrator/base/log.h"
#include "tests/support/apart_device.h"
#include "tests/support/gpt_fixture.h"
#include "tests/support/kernel_run.h"
#include "worker/workload/decoder.h"
#include "worker/workload/gpt.h"

enum { CONTEXT = 7, VOCAB_SIZE = 13, TEXT = 3 * CONTEXT };

static char folder[] = "/tmp/muster-decoder-XXXXXX";

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

static const int32_t *text(void)
{
    static int32_t tokens[TEXT];

    for (int i = 0; i < TEXT; i++)
        tokens[i] = (int32_t)fixture_token((uint64_t)i, VOCAB_SIZE);
    return tokens;
}

struct model {
    struct mu_device *device;
    struct mu_settings settings;
    struct mu_workload *workload;
    struct mu_decoder *decoder;
    struct fixture_weights weights;
};

static struct model open_model(struct mu_device *device, bool llama)
{
    struct model m = {.device = device,
                      .settings = llama ? fixture_llama(folder) : fixture_settings(folder)};

    assert_non_null(device);
    assert_int_equal(mu_workload_open(&m.settings, device, &m.workload), MU_OK);
    assert_int_equal(mu_decoder_open(&m.settings, device, &m.decoder), MU_OK);
    assert_int_equal(mu_layout_identity(mu_decoder_layout(m.decoder)),
                     mu_layout_identity(&m.workload->layout));
    m.weights = fixture_init(device, m.workload, 0.3);
    return m;
}

static void close_model(struct model *m)
{
    fixture_free(m->device, &m->weights);
    mu_decoder_close(m->decoder);
    mu_workload_close(m->workload);
    mu_device_close(m->device);
}

static void forget(struct model *m)
{
    mu_decoder_close(m->decoder);
    assert_int_equal(mu_decoder_open(&m->settings, m->device, &m->decoder), MU_OK);
}

/* Training's: of the tokens from `first` on at position 0 and later, the logits behind each. */
static void whole_pass(struct model *m, int first, float out[CONTEXT][VOCAB_SIZE])
{
    struct mu_gpt *g = (struct mu_gpt *)m->workload;
    const struct mu_weights w = fixture_view(&m->weights);
    const struct mu_linear head = {CONTEXT, m->settings.model_width, VOCAB_SIZE};
    const size_t bytes = sizeof(float[CONTEXT][VOCAB_SIZE]);
    float *logits = mu_device_alloc(m->device, bytes);

    for (int i = 0; i < CONTEXT; i++) /* what comes after a token does not change it */
        g->tokens.input.host[i] = first + i < TEXT ? text()[first + i] : 0;
    if (g->tokens.input.device != g->tokens.input.host)
        mu_device_upload(m->device, g->tokens.input.device, g->tokens.input.host, CONTEXT * 4);
    assert_int_equal(mu_gpt_forward(g, &w, g->tokens.input.device, 1), MU_OK);
    m->device->ops->linear(m->device, head, logits, false, NULL, g->buffers.lnf,
                           mu_gpt_weight_act(g, &w, 0, MU_GPT_WTE), NULL, MU_EPILOGUE_NONE);
    mu_device_download(m->device, out, logits, bytes);
    mu_device_free(m->device, logits);
}

static const float *take(struct model *m, int from, int count)
{
    const struct mu_weights w = fixture_view(&m->weights);
    const float *logits;

    assert_int_equal(mu_decoder_take(m->decoder, &w, text() + from, count, &logits), MU_OK);
    return logits;
}

/* |a - b| / |b|; exactly 0 when the bits are the same. */
static double difference(const float *a, const float *b)
{
    double sum = 0, size = 0;

    if (memcmp(a, b, VOCAB_SIZE * sizeof *a) == 0)
        return 0;
    for (int i = 0; i < VOCAB_SIZE; i++) {
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(sum / size);
}

/* However the first CONTEXT tokens come in: so many at once, then each alone. */
static void check_agreement(struct model *m, double tolerance)
{
    float whole[CONTEXT][VOCAB_SIZE];

    whole_pass(m, 0, whole);
    for (int at_once = 1; at_once <= CONTEXT; at_once++) {
        forget(m);
        for (int taken = 0; taken < CONTEXT;) {
            const int count = taken == 0 ? at_once : 1;
            const float *logits = take(m, taken, count);

            taken += count;
            assert_true(difference(logits, whole[taken - 1]) <= tolerance);
        }
    }
}

/* Which tokens are seen when the context is full, by the rule in decoder.h: CONTEXT is odd. */
static void check_sliding(struct model *m, double tolerance)
{
    float whole[CONTEXT][VOCAB_SIZE];
    int first = 0;

    forget(m);
    for (int i = 0; i < TEXT; i++) {
        const float *logits = take(m, i, 1);

        if (i - first == CONTEXT)
            first = i - CONTEXT / 2;
        whole_pass(m, first, whole);
        assert_true(difference(logits, whole[i - first]) <= tolerance);
    }
}

static void check_device(enum mu_device_kind kind, enum mu_precision precision, double tolerance)
{
    for (int llama = 0; llama < 2; llama++) {
        struct model m = open_model(fixture_device(kind, precision), llama);

        check_agreement(&m, tolerance);
        check_sliding(&m, tolerance);
        close_model(&m);
    }
}

static void the_reference_has_the_bits_of_training(void **state)
{
    (void)state;
    check_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, 0);
    check_device(MU_DEVICE_REFERENCE, MU_PRECISION_BF16, 0);
}

/* Sums of at most 21 products and two layers: some ulps of fp32 (6e-8). */
static void the_fast_device_agrees(void **state)
{
    (void)state;
    check_device(MU_DEVICE_CPU, MU_PRECISION_FP32, 5e-6);
}

/* An activation that rounds the other way is off by 2^-8. */
static void the_fast_device_agrees_in_bf16(void **state)
{
    (void)state;
    if (mu_device_best_isa() < MU_ISA_AVX512)
        skip();
    check_device(MU_DEVICE_CPU, MU_PRECISION_BF16, 0.02);
}

/* No access of the host's to device memory, and no attention_last: attention stands in. */
static void a_device_apart_gives_the_same(void **state)
{
    (void)state;
    for (int llama = 0; llama < 2; llama++) {
        struct model m =
            open_model(apart_wrap(fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32)), llama);

        assert_null(m.device->ops->attention_last);
        check_agreement(&m, 0);
        check_sliding(&m, 0);
        close_model(&m);
    }
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    for (int llama = 0; llama < 2; llama++) {
        struct model one =
            open_model(fixture_device_of(MU_DEVICE_CPU, MU_PRECISION_FP32, 1), llama);
        struct model four =
            open_model(fixture_device_of(MU_DEVICE_CPU, MU_PRECISION_FP32, 4), llama);

        for (int i = 0; i < TEXT; i++)
            assert_true(difference(take(&one, i, 1), take(&four, i, 1)) == 0);
        close_model(&one);
        close_model(&four);
    }
}

/* Lengths below, at and above a vector and a block of queries. */
static void check_last(struct mu_device *d, struct mu_attention s, double tolerance)
{
    const int64_t c = s.heads * s.head_size, n = s.batch * s.context;
    struct kernel_run r = {.device = d, .random = (uint64_t)s.context};
    void *qkv = random_act(&r, n * 3 * c, 2);
    void *all = output(&r, "all", n * c, true, false);
    void *last = output(&r, "last", s.batch * c, true, false);
    float *lse = output(&r, "lse", n * s.heads, false, false);

    d->ops->attention(d, s, all, lse, qkv);
    d->ops->attention_last(d, s, last, qkv);
    kernel_run_fetch(&r);
    for (int64_t b = 0; b < s.batch; b++)
        for (int64_t i = 0; i < c; i++) {
            const int64_t at = ((b + 1) * s.context - 1) * c + i;
            const double a = (double)output_at(&r.outputs[1], b * c + i),
                         expected = (double)output_at(&r.outputs[0], at);

            assert_true(fabs(a - expected) <= tolerance);
        }
    for (int i = 0; i < r.count; i++) {
        mu_device_free(d, r.outputs[i].device);
        free(r.outputs[i].data);
    }
    mu_device_free(d, r.inputs[0]);
}

/* Outputs are averages of numbers below 2 in magnitude. */
static void attention_of_the_last(void **state)
{
    static const int64_t lengths[] = {1, 2, 15, 16, 17, 63, 64, 65, 130};
    const struct {
        enum mu_device_kind kind;
        enum mu_precision precision;
        double tolerance;
    } cases[] = {{MU_DEVICE_REFERENCE, MU_PRECISION_FP32, 0},
                 {MU_DEVICE_REFERENCE, MU_PRECISION_BF16, 0},
                 {MU_DEVICE_CPU, MU_PRECISION_FP32, 2e-6},
                 {MU_DEVICE_CPU, MU_PRECISION_BF16, 2.0 / 128}};

    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        if (cases[k].precision == MU_PRECISION_BF16 && mu_device_best_isa() < MU_ISA_AVX512)
            continue;
        struct mu_device *d =
            open_device(cases[k].kind, cases[k].precision, mu_device_best_isa(), 2);

        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            check_last(d, (struct mu_attention){2, lengths[i], 3, 20}, cases[k].tolerance);
            check_last(d, (struct mu_attention){1, lengths[i], 1, 64}, cases[k].tolerance);
        }
        mu_device_close(d);
    }
}

/* It is vector code alone: every instruction set and any number of threads, the same bits. */
static void attention_of_the_last_has_one_value(void **state)
{
    static const enum mu_isa sets[] = {MU_ISA_GENERIC, MU_ISA_AVX2, MU_ISA_AVX512};
    const struct mu_attention s = {2, 77, 5, 20};
    const int64_t c = s.heads * s.head_size;
    void *first = NULL;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof sets / sizeof *sets; i++) {
        const enum mu_isa isa = sets[i / 2];
        struct kernel_run r = {.random = 5};

        if (isa > mu_device_best_isa())
            continue;
        r.device = open_device(MU_DEVICE_CPU, MU_PRECISION_FP32, isa, i % 2 ? 4 : 1);
        void *qkv = random_act(&r, s.batch * s.context * 3 * c, 2);
        void *out = output(&r, "last", s.batch * c, true, false);

        r.device->ops->attention_last(r.device, s, out, qkv);
        kernel_run_fetch(&r);
        if (first)
            assert_memory_equal(first, r.outputs[0].data, r.outputs[0].bytes);
        else
            first = r.outputs[0].data;
        if (first != r.outputs[0].data)
            free(r.outputs[0].data);
        mu_device_free(r.device, out);
        mu_device_free(r.device, qkv);
        mu_device_close(r.device);
    }
    free(first);
}

static void mistakes(void **state)
{
    struct model m = open_model(fixture_device(MU_DEVICE_REFERENCE, MU_PRECISION_FP32), false);
    const struct mu_weights w = fixture_view(&m.weights);
    struct mu_settings wrong = m.settings;
    struct mu_decoder *none = NULL;
    const float *logits;

    (void)state;
    mu_log_set_level(MU_LOG_SILENT);
    assert_int_equal(mu_decoder_take(m.decoder, &w, (int32_t[]){3, VOCAB_SIZE}, 2, &logits),
                     MU_CORRUPT);
    assert_int_equal(mu_decoder_take(m.decoder, &w, (int32_t[]){-1}, 1, &logits), MU_CORRUPT);
    wrong.model_heads = 2; /* width 9 */
    assert_int_equal(mu_decoder_open(&wrong, m.device, &none), MU_CONFIG);
    wrong.model_kind = MU_MODEL_SYNTHETIC;
    assert_int_equal(mu_decoder_open(&wrong, m.device, &none), MU_CONFIG);
    assert_null(none);
    mu_log_reset_level();
    assert_non_null(take(&m, 0, CONTEXT)); /* it can be used still */
    close_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_has_the_bits_of_training),
        cmocka_unit_test(the_fast_device_agrees),
        cmocka_unit_test(the_fast_device_agrees_in_bf16),
        cmocka_unit_test(a_device_apart_gives_the_same),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(attention_of_the_last),
        cmocka_unit_test(attention_of_the_last_has_one_value),
        cmocka_unit_test(mistakes),
    };

    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

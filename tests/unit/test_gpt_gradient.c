/* Loss and gradient of a whole gpt, of each kind: every element of every tensor, against central
 * differences of an independent float64 model; and that bits depend on weights, step and shard
 * only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "orchestrator/base/log.h"
#include "tests/support/gpt_fixture.h"
#include "tests/support/llama64.h"
#include "worker/data/sampler.h"

enum { ELEMENTS = 8192 }; /* at least, of the fixtures' layouts */

static char folder[64];
static struct mu_settings (*fixture)(const char *folder); /* of the kind that is tested */

static int make_folder(void)
{
    char path[128];

    strcpy(folder, "/tmp/muster-gpt-XXXXXX");
    if (!fixture_make_folder(folder, 200))
        return -1;
    snprintf(path, sizeof path, "%s/large.tok", folder);
    return fixture_write(path, 301, 3000) ? 0 : -1;
}

static int begin_gpt2(void **state)
{
    (void)state;
    fixture = fixture_settings;
    return make_folder();
}

static int begin_llama(void **state)
{
    (void)state;
    fixture = fixture_llama;
    return make_folder();
}

static int remove_folder(void **state)
{
    (void)state;
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

/* ---- one device after the other -------------------------------------------------------------- */

struct rig {
    struct mu_settings settings;
    struct mu_device *device;
    struct mu_workload *workload;
    struct fixture_weights weights;
};

/* Skips the test, in plain sight, where this build or CPU has no such device. */
static void rig_open_threads(struct rig *r, enum mu_device_kind kind, enum mu_precision precision,
                             int threads)
{
    mu_log_set_level(MU_LOG_SILENT);
    r->device = fixture_device_of(kind, precision, threads);
    mu_log_set_level(MU_LOG_INFO);
    if (r->device == NULL)
        skip();
    assert_int_equal(mu_workload_open(&r->settings, r->device, &r->workload), MU_OK);
    r->weights = fixture_init(r->device, r->workload, 0.2);
}

static void rig_open(struct rig *r, enum mu_device_kind kind, enum mu_precision precision)
{
    rig_open_threads(r, kind, precision, 2);
}

static void rig_close(struct rig *r)
{
    fixture_free(r->device, &r->weights);
    mu_workload_close(r->workload);
    mu_device_close(r->device);
}

static struct mu_shard_result shard_of(struct rig *r, int64_t step, uint32_t shard)
{
    const struct mu_weights w = fixture_view(&r->weights);
    struct mu_shard_result out;

    assert_int_equal(r->workload->ops->shard_gradient(r->workload, &w, step, shard, &out), MU_OK);
    return out;
}

/* ---- the independent model ------------------------------------------------------------------- */

static struct gpt64 model64(const struct rig *r, double *p)
{
    const struct mu_settings *s = &r->settings;

    for (uint64_t i = 0; i < r->workload->layout.elements; i++)
        p[i] = (double)r->weights.f32[i];
    return (struct gpt64){.layout = &r->workload->layout,
                          .layers = (int)s->model_layers,
                          .heads = (int)s->model_heads,
                          .width = (int)s->model_width,
                          .context = (int)s->model_context,
                          .vocab = (int)s->model_vocab,
                          .p = p,
                          .hidden = (int)s->model_hidden,
                          .rope_theta = s->model_rope_theta};
}

/* Sum of the losses of a shard's sequences, whose numbers are those of workload.h. */
static double shard_loss64(const struct gpt64 *m, const struct mu_settings *s, int64_t step,
                           uint32_t shard)
{
    const struct mu_sampler sampler = {.seed = (uint64_t)s->run_seed,
                                       .windows = mu_sampler_windows(200, (uint32_t)m->context),
                                       .context = (uint32_t)m->context};
    const uint64_t count = (uint64_t)(s->batch_sequences / s->batch_shards);
    double loss = 0;

    for (uint64_t j = 0; j < count; j++) {
        const uint64_t sample = (uint64_t)(step * s->batch_sequences) + shard * count + j;
        const uint64_t start = mu_sampler_start(&sampler, sample);
        int window[m->context + 1];

        for (int i = 0; i <= m->context; i++)
            window[i] = (int)fixture_token(start + (uint64_t)i, (uint32_t)m->vocab);
        loss += s->model_kind == MU_MODEL_LLAMA ? llama64_loss(m, window) : gpt64_loss(m, window);
    }
    return loss;
}

/* grad[i] = d (shard loss / tokens of the batch) / d p[i]; truncation and rounding leave about 9
 * digits. */
static void differentiate(const struct gpt64 *m, double *p, const struct mu_settings *s,
                          int64_t step, uint32_t shard, double *grad)
{
    const double h = 1e-5, tokens = (double)(s->batch_sequences * s->model_context);

    for (uint32_t t = 0; t < m->layout->tensor_count; t++) {
        const struct mu_tensor *tensor = &m->layout->tensors[t];

        for (uint64_t i = tensor->offset;
             i < tensor->offset + tensor->spec.rows * tensor->spec.cols; i++) {
            const double kept = p[i];
            double up, down;

            p[i] = kept + h;
            up = shard_loss64(m, s, step, shard);
            p[i] = kept - h;
            down = shard_loss64(m, s, step, shard);
            p[i] = kept;
            grad[i] = (up - down) / (2 * h) / tokens;
        }
    }
}

/* The same for every device, since weights are: computed by the kind's first test that asks. */
static struct truth {
    bool known;
    double loss, gradient[ELEMENTS];
} truths[2];

static const struct truth *find_truth(const struct rig *r, int64_t step, uint32_t shard)
{
    static double p[ELEMENTS];
    struct truth *truth = &truths[r->settings.model_kind == MU_MODEL_LLAMA];
    struct gpt64 m;

    if (truth->known)
        return truth;
    assert_true(r->workload->layout.elements <= ELEMENTS);
    m = model64(r, p);
    differentiate(&m, p, &r->settings, step, shard, truth->gradient);
    truth->loss = shard_loss64(&m, &r->settings, step, shard);
    truth->known = true;
    return truth;
}

/* Tolerances are relative in norm, a tensor at a time: fp32 rounds at 6e-8, bf16 at 4e-3, and a
 * few dozen roundings lie between weights and gradient. */
static void check_close(const struct mu_layout *layout, const double *got, const double *expected,
                        double tolerance)
{
    for (uint32_t t = 0; t < layout->tensor_count; t++) {
        const struct mu_tensor *tensor = &layout->tensors[t];
        const double distance = fixture_distance(got + tensor->offset, expected + tensor->offset,
                                                 tensor->spec.rows * tensor->spec.cols);

        if (!(distance < tolerance))
            fail_msg("%s: the gradient differs by %g of its norm, allowed %g", tensor->spec.name,
                     distance, tolerance);
    }
}

static void check_gradient(enum mu_device_kind kind, enum mu_precision precision, double tolerance)
{
    struct rig r = {.settings = fixture(folder)};
    double got[ELEMENTS] = {0};
    const struct truth *truth;
    struct mu_shard_result out;

    rig_open(&r, kind, precision);
    truth = find_truth(&r, 3, 1);
    out = shard_of(&r, 3, 1);
    assert_int_equal(out.tokens, 4 * 7);
    assert_true(fabs(out.loss_nats - truth->loss) < tolerance * truth->loss);
    fixture_add(&r.workload->layout, &out, got);
    check_close(&r.workload->layout, got, truth->gradient, tolerance);
    rig_close(&r);
}

static void test_gradient_reference(void **state)
{
    (void)state;
    check_gradient(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, 2e-6);
}

static void test_gradient_cpu(void **state)
{
    (void)state;
    check_gradient(MU_DEVICE_CPU, MU_PRECISION_FP32, 2e-6);
}

static void test_gradient_cpu_bf16(void **state)
{
    (void)state;
    check_gradient(MU_DEVICE_CPU, MU_PRECISION_BF16, 4e-2);
}

/* ---- larger sizes: blocks, tails and several tiles, against the plain device ---- */

static struct mu_settings larger_settings(void)
{
    struct mu_settings s = fixture(folder);

    s.model_heads = 5;
    s.model_width = 80;
    s.model_hidden = 203; /* of a llama */
    s.model_context = 67;
    s.model_vocab = 301;
    s.batch_sequences = 4;
    s.batch_shards = 2;
    s.batch_micro = 1;
    s.data_valid[0] = '\0';
    snprintf(s.data_train, sizeof s.data_train, "%s/large.tok", folder);
    return s;
}

static double *larger_gradient(enum mu_device_kind kind, enum mu_precision precision,
                               struct mu_layout *layout)
{
    struct rig r = {.settings = larger_settings()};
    struct mu_shard_result out;
    double *gradient;

    rig_open(&r, kind, precision);
    gradient = calloc(r.workload->layout.elements, sizeof *gradient);
    out = shard_of(&r, 1, 1);
    fixture_add(&r.workload->layout, &out, gradient);
    *layout = r.workload->layout; /* the caller's now */
    r.workload->layout = (struct mu_layout){0};
    rig_close(&r);
    return gradient;
}

static void check_against_reference(enum mu_precision precision, double tolerance)
{
    struct mu_layout layout, plain_layout;
    double *got = larger_gradient(MU_DEVICE_CPU, precision, &layout);
    double *plain = larger_gradient(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, &plain_layout);

    check_close(&layout, got, plain, tolerance);
    free(got);
    free(plain);
    mu_layout_deinit(&layout);
    mu_layout_deinit(&plain_layout);
}

static void test_larger_cpu(void **state)
{
    (void)state;
    check_against_reference(MU_PRECISION_FP32, 1e-5);
}

static void test_larger_cpu_bf16(void **state)
{
    (void)state;
    /* llama rounds its queries, keys and hidden layer twice: the plain device in bf16 is off by
     * 0.066 of a norm, by 0.028 with gpt2 */
    check_against_reference(MU_PRECISION_BF16, fixture == fixture_llama ? 9e-2 : 4e-2);
}

/* ---- bits ------------------------------------------------------------------------------------ */

/* Everything that a shard gives out, row by row and tensor by tensor. */
static struct mu_hash hash_of(const struct rig *r, const struct mu_shard_result *out)
{
    struct mu_hash h = mu_hash_bytes(out->dense, r->workload->layout.elements * sizeof(float), 1);

    for (uint32_t k = 0; k < out->row_count; k++) {
        const struct mu_row_gradient *g = &out->rows[k];
        const uint64_t cols = r->workload->layout.tensors[g->tensor].spec.cols;

        h = mu_hash_bytes(g->row, g->count * sizeof *g->row, h.low);
        h = mu_hash_bytes(g->value, g->count * cols * sizeof *g->value, h.low);
    }
    return mu_hash_bytes(&out->loss_nats, sizeof out->loss_nats, h.low);
}

static void check_bits(enum mu_device_kind kind, enum mu_precision precision)
{
    struct rig r = {.settings = fixture(folder)};
    struct mu_shard_result out;
    struct mu_hash first, again, other;
    struct mu_piece_result piece;
    struct mu_weights w;

    rig_open(&r, kind, precision);
    w = fixture_view(&r.weights);
    out = shard_of(&r, 5, 2);
    first = hash_of(&r, &out);
    out = shard_of(&r, 5, 0);
    other = hash_of(&r, &out);
    assert_int_equal(r.workload->ops->evaluate(r.workload, &w, 5, 1, &piece), MU_OK);
    (void)shard_of(&r, 11, 1);
    out = shard_of(&r, 5, 2);
    again = hash_of(&r, &out);
    assert_true(mu_hash_equal(first, again));
    assert_false(mu_hash_equal(first, other));
    rig_close(&r);
}

static void test_bits_reference(void **state)
{
    (void)state;
    check_bits(MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
}

static void test_bits_cpu(void **state)
{
    (void)state;
    check_bits(MU_DEVICE_CPU, MU_PRECISION_FP32);
}

static void test_bits_cpu_bf16(void **state)
{
    (void)state;
    check_bits(MU_DEVICE_CPU, MU_PRECISION_BF16);
}

static void check_threads(enum mu_precision precision)
{
    struct mu_hash expected = {0, 0};

    for (int threads = 1; threads <= 4; threads++) {
        struct rig r = {.settings = larger_settings()};
        struct mu_shard_result out;
        struct mu_hash got;

        rig_open_threads(&r, MU_DEVICE_CPU, precision, threads);
        out = shard_of(&r, 1, 1);
        got = hash_of(&r, &out);
        expected = threads == 1 ? got : expected;
        assert_true(mu_hash_equal(got, expected));
        rig_close(&r);
    }
}

static void test_bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    check_threads(MU_PRECISION_FP32);
}

static void test_bits_do_not_depend_on_threads_bf16(void **state)
{
    (void)state;
    check_threads(MU_PRECISION_BF16);
}

/* ---- sums ------------------------------------------------------------------------------------ */

/* Gradient of a whole batch cut into shards and micro-batches. */
static void batch_gradient(int64_t shards, int64_t micro, double *sum, double *loss)
{
    struct rig r = {.settings = fixture(folder)};

    r.settings.batch_shards = shards;
    r.settings.batch_micro = micro;
    rig_open(&r, MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
    *loss = 0;
    for (uint32_t s = 0; s < (uint32_t)shards; s++) {
        const struct mu_shard_result out = shard_of(&r, 2, s);

        fixture_add(&r.workload->layout, &out, sum);
        *loss += out.loss_nats;
    }
    rig_close(&r);
}

static void test_shards_add_up_to_the_batch(void **state)
{
    static double whole[ELEMENTS], parts[ELEMENTS];
    const int64_t cuts[][2] = {{3, 2}, {6, 1}, {12, 1}, {2, 3}};
    double loss, loss_of_parts;

    (void)state;
    memset(whole, 0, sizeof whole);
    batch_gradient(1, 12, whole, &loss);
    for (size_t k = 0; k < sizeof cuts / sizeof *cuts; k++) {
        memset(parts, 0, sizeof parts);
        batch_gradient(cuts[k][0], cuts[k][1], parts, &loss_of_parts);
        assert_true(fixture_distance(parts, whole, ELEMENTS) < 2e-6);
        assert_true(fabs(loss_of_parts - loss) < 1e-6 * loss);
    }
}

/* ---- what the rows are ----------------------------------------------------------------------- */

static void test_rows_are_the_input_tokens(void **state)
{
    struct rig r = {.settings = fixture(folder)};
    const struct mu_sampler sampler = {
        .seed = 7, .windows = mu_sampler_windows(200, 7), .context = 7};
    bool seen[13] = {false};
    struct mu_shard_result out;
    uint32_t k = 0;

    (void)state;
    rig_open(&r, MU_DEVICE_REFERENCE, MU_PRECISION_FP32);
    out = shard_of(&r, 4, 2);
    for (uint64_t j = 0; j < 4; j++) /* sample = step * sequences + shard * 4 + j */
        for (uint64_t i = 0; i < 7; i++)
            seen[fixture_token(mu_sampler_start(&sampler, 4 * 12 + 2 * 4 + j) + i, 13)] = true;
    assert_int_equal(out.row_count, 1);
    assert_int_equal(out.rows[0].tensor, 0);
    for (uint32_t id = 0; id < 13; id++)
        if (seen[id])
            assert_int_equal(out.rows[0].row[k++], id);
    assert_int_equal(out.rows[0].count, k);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradient_reference),
        cmocka_unit_test(test_gradient_cpu),
        cmocka_unit_test(test_gradient_cpu_bf16),
        cmocka_unit_test(test_larger_cpu),
        cmocka_unit_test(test_larger_cpu_bf16),
        cmocka_unit_test(test_bits_reference),
        cmocka_unit_test(test_bits_cpu),
        cmocka_unit_test(test_bits_cpu_bf16),
        cmocka_unit_test(test_bits_do_not_depend_on_threads),
        cmocka_unit_test(test_bits_do_not_depend_on_threads_bf16),
        cmocka_unit_test(test_shards_add_up_to_the_batch),
        cmocka_unit_test(test_rows_are_the_input_tokens),
    };

    return cmocka_run_group_tests_name("gpt2", tests, begin_gpt2, remove_folder) +
           cmocka_run_group_tests_name("llama", tests, begin_llama, remove_folder);
}

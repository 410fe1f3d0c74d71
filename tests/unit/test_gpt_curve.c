/* Thirty steps of a tiny gpt2 and a tiny llama against the same training in PyTorch, in float64,
 * from the same seed: tests/oracle/{gpt,llama}_curve.json, made by gpt_curve.py there. Initial
 * values, order of samples, gradient, clipping, AdamW, decay and schedule must all be the same for
 * the curves to agree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "orchestrator/base/log.h"
#include "orchestrator/core/schedule.h"
#include "tests/support/gpt_fixture.h"

static char folder[64];
static json_t *oracle;

static int open_oracle(const char *name)
{
    const char *source = getenv("MUSTER_SOURCE");
    char path[MU_PATH_MAX];

    if (source == NULL) {
        print_message("MUSTER_SOURCE is not set: where tests/oracle/%s is\n", name);
        return -1;
    }
    snprintf(path, sizeof path, "%s/tests/oracle/%s", source, name);
    oracle = json_load_file(path, 0, NULL);
    strcpy(folder, "/tmp/muster-curve-XXXXXX");
    return oracle != NULL && mkdtemp(folder) != NULL ? 0 : -1;
}

static int open_gpt2(void **state)
{
    (void)state;
    return open_oracle("gpt_curve.json");
}

static int open_llama(void **state)
{
    (void)state;
    return open_oracle("llama_curve.json");
}

static int close_oracle(void **state)
{
    (void)state;
    json_decref(oracle);
    return mu_file_remove_tree(folder) == MU_OK ? 0 : -1;
}

static double number(const char *key)
{
    const json_t *value = json_object_get(json_object_get(oracle, "config"), key);

    if (!json_is_number(value))
        fail_msg("the oracle has no number config.%s", key);
    return json_number_value(value);
}

static int64_t integer(const char *key)
{
    return (int64_t)number(key);
}

static double entry(const char *list, int64_t i)
{
    return json_number_value(json_array_get(json_object_get(oracle, list), (size_t)i));
}

static bool is_llama(void)
{
    const json_t *kind = json_object_get(json_object_get(oracle, "config"), "model.kind");

    return kind != NULL && strcmp(json_string_value(kind), "llama") == 0;
}

/* The oracle's configuration; how the batch is cut is ours to choose. */
static struct mu_settings oracle_settings(void)
{
    struct mu_settings s = fixture_settings(folder);

    s.run_seed = integer("run.seed");
    s.run_steps = integer("run.steps");
    s.model_layers = integer("model.layers");
    s.model_heads = integer("model.heads");
    s.model_width = integer("model.width");
    s.model_context = integer("model.context");
    s.model_vocab = integer("model.vocab");
    s.batch_sequences = integer("batch.sequences");
    s.batch_shards = 4;
    s.batch_micro = 2;
    s.eval_tokens = integer("eval.tokens");
    if (is_llama()) {
        s.model_kind = MU_MODEL_LLAMA;
        s.model_hidden = integer("model.hidden");
        s.model_rope_theta = number("model.rope_theta");
    }
    return s;
}

static struct mu_schedule oracle_schedule(void)
{
    return (struct mu_schedule){.kind = MU_SCHEDULE_WSD,
                                .steps = integer("run.steps"),
                                .warmup = integer("optim.schedule.warmup"),
                                .peak = number("optim.lr"),
                                .cooldown = number("optim.schedule.cooldown"),
                                .floor = number("optim.schedule.floor")};
}

/* ---- plain training: one process, gradients added up in float64 ------------------------------ */

struct training {
    struct mu_device *device;
    struct mu_workload *workload;
    struct fixture_weights weights;
    double *sum;
    float *gradient, *m, *v;
};

static void training_open(struct training *x, const struct mu_settings *s, enum mu_device_kind kind,
                          enum mu_precision precision)
{
    char path[128];
    uint64_t n;

    mu_log_set_level(MU_LOG_SILENT);
    x->device = fixture_device(kind, precision);
    mu_log_set_level(MU_LOG_INFO);
    if (x->device == NULL)
        skip();
    snprintf(path, sizeof path, "%s/train.tok", folder);
    assert_true(
        fixture_write(path, (uint32_t)s->model_vocab,
                      (uint64_t)json_integer_value(json_object_get(oracle, "train_tokens"))));
    snprintf(path, sizeof path, "%s/valid.tok", folder);
    assert_true(
        fixture_write(path, (uint32_t)s->model_vocab,
                      (uint64_t)json_integer_value(json_object_get(oracle, "valid_tokens"))));
    assert_int_equal(mu_workload_open(s, x->device, &x->workload), MU_OK);
    x->weights = fixture_init(x->device, x->workload, 0);
    n = x->workload->layout.elements;
    x->sum = calloc(n, sizeof *x->sum);
    x->gradient = mu_device_alloc_lent(x->device, n * sizeof(float));
    x->m = mu_device_alloc_lent(x->device, n * sizeof(float));
    x->v = mu_device_alloc_lent(x->device, n * sizeof(float));
}

static void training_close(struct training *x)
{
    free(x->sum);
    mu_device_free_lent(x->device, x->gradient);
    mu_device_free_lent(x->device, x->m);
    mu_device_free_lent(x->device, x->v);
    fixture_free(x->device, &x->weights);
    mu_workload_close(x->workload);
    mu_device_close(x->device);
}

/* Gradient of the batch; returns the mean loss. */
static double forward_backward(struct training *x, int64_t step, double *norm)
{
    const struct mu_weights w = fixture_view(&x->weights);
    const struct mu_layout *l = &x->workload->layout;
    double loss = 0, squares = 0;

    memset(x->sum, 0, l->elements * sizeof *x->sum);
    for (uint32_t k = 0; k < x->workload->facts.shards; k++) {
        struct mu_shard_result out;

        assert_int_equal(x->workload->ops->shard_gradient(x->workload, &w, step, k, &out), MU_OK);
        fixture_add(l, &out, x->sum);
        loss += out.loss_nats;
    }
    for (uint64_t i = 0; i < l->elements; i++) {
        x->gradient[i] = (float)x->sum[i];
        squares += x->sum[i] * x->sum[i];
    }
    *norm = sqrt(squares);
    return loss / (double)x->workload->facts.tokens_per_step;
}

static void update(struct training *x, int64_t step, double norm, double rate)
{
    const struct mu_layout *l = &x->workload->layout;
    const json_t *betas = json_object_get(json_object_get(oracle, "config"), "optim.betas");
    const double beta1 = json_number_value(json_array_get(betas, 0)),
                 beta2 = json_number_value(json_array_get(betas, 1)), clip = number("optim.clip");

    for (uint32_t t = 0; t < l->tensor_count; t++) {
        const struct mu_tensor *tensor = &l->tensors[t];
        const uint64_t at = tensor->offset;
        const struct mu_adamw a = {
            .count = (int64_t)(tensor->spec.rows * tensor->spec.cols),
            .weight = x->weights.f32 + at,
            .m = x->m + at,
            .v = x->v + at,
            .gradient = x->gradient + at,
            .weight_out = x->weights.f32 + at,
            .m_out = x->m + at,
            .v_out = x->v + at,
            .weight_bf16 = x->weights.bf16 + at,
            .gradient_scale = norm > clip ? (float)(clip / norm) : 1.0f,
            .lr = (float)rate,
            .beta1 = (float)beta1,
            .beta2 = (float)beta2,
            .eps = (float)number("optim.eps"),
            .decay = tensor->spec.decay ? (float)number("optim.weight_decay") : 0.0f,
            .bias1 = (float)(1 - pow(beta1, (double)(step + 1))),
            .bias2 = (float)(1 - pow(beta2, (double)(step + 1))),
        };

        x->device->ops->adamw(x->device, &a);
    }
}

static double validate(struct training *x, int64_t step)
{
    const struct mu_weights w = fixture_view(&x->weights);
    double loss = 0, tokens = 0;

    for (uint64_t p = 0; p < x->workload->facts.eval_pieces; p++) {
        struct mu_piece_result piece;

        assert_int_equal(x->workload->ops->evaluate(x->workload, &w, step, p, &piece), MU_OK);
        loss += piece.loss_nats;
        tokens += (double)piece.tokens;
    }
    return loss / tokens;
}

static void check_near(const char *what, int64_t step, double got, double expected, double allowed)
{
    if (!(fabs(got - expected) <= allowed * fabs(expected)))
        fail_msg("%s of step %lld is %.9g, PyTorch's %.9g: %.2g of it, allowed %.2g", what,
                 (long long)step, got, expected, fabs(got - expected) / fabs(expected), allowed);
}

/* `first`: allowed for the first step, which only the forward pass and initial values decide;
 * `later`: for the others, over which differences of rounding grow; norms are ten times as
 * sensitive as losses. */
static void check_curve(enum mu_device_kind kind, enum mu_precision precision, double first,
                        double later)
{
    const struct mu_settings s = oracle_settings();
    const struct mu_schedule schedule = oracle_schedule();
    struct training x;

    training_open(&x, &s, kind, precision);
    for (int64_t step = 0; step < s.run_steps; step++) {
        const double rate = mu_schedule_rate(&schedule, step), allowed = step == 0 ? first : later;
        double norm, loss = forward_backward(&x, step, &norm);

        check_near("the rate", step, rate, entry("rate", step), 1e-14);
        check_near("the loss", step, loss, entry("loss", step), allowed);
        check_near("the norm", step, norm, entry("norm", step), 10 * allowed);
        update(&x, step, norm, rate);
    }
    check_near("the validation loss", s.run_steps, validate(&x, s.run_steps),
               json_number_value(json_object_get(oracle, "valid_loss")), later);
    training_close(&x);
}

static void test_curve_reference(void **state)
{
    (void)state;
    check_curve(MU_DEVICE_REFERENCE, MU_PRECISION_FP32, 1e-7, 1e-5);
}

static void test_curve_cpu(void **state)
{
    (void)state;
    check_curve(MU_DEVICE_CPU, MU_PRECISION_FP32, 1e-7, 1e-5);
}

static void test_curve_cpu_bf16(void **state)
{
    (void)state;
    check_curve(MU_DEVICE_CPU, MU_PRECISION_BF16, 1e-4, 5e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_curve_reference),
        cmocka_unit_test(test_curve_cpu),
        cmocka_unit_test(test_curve_cpu_bf16),
    };

    return cmocka_run_group_tests_name("gpt2", tests, open_gpt2, close_oracle) +
           cmocka_run_group_tests_name("llama", tests, open_llama, close_oracle);
}
